"""Power meters: real sensors, the CPU's counters, and the modelled meter of a simulated board.

search = search_meter(board, device)
search.meter   # None where nothing can be read: the energy is "unmeasured"
search.reason  # why
"""

from fdht_host.power.finding import MeterSearch, find_meter, search_meter
from fdht_host.power.meter import PowerMeter, PowerTrace, Sensor
from fdht_host.power.modelled import SimulatedMeter
from fdht_host.power.rapl import rapl_meter
from fdht_host.power.sampling import SamplingMeter

__all__ = [
    "MeterSearch",
    "PowerMeter",
    "PowerTrace",
    "SamplingMeter",
    "Sensor",
    "SimulatedMeter",
    "find_meter",
    "rapl_meter",
    "search_meter",
]
