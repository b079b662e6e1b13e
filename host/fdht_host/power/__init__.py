"""Power meters: real sensors, the CPU's counters, and the modelled meter of a simulated board.

from fdht_host.power.finding import find_meter

meter = find_meter(board, device)  # refuses, with the reason, where nothing can be read
"""
