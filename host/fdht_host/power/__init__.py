"""Power meters: real sensors, the CPU's counters, and the modelled meter of a simulated board.

from fdht_host.power.finding import search_meter

search = search_meter(board, device)
search.meter   # None where nothing can be read: the energy is "unmeasured"
search.reason  # why
"""
