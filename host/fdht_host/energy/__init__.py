"""Energy per frame: idle and active windows, integrated, with an uncertainty - or no figure."""

from fdht_host.energy.evaluation import WithinNoiseError
from fdht_host.energy.results import EnergyResult, EnergySettings, Kind, Window
from fdht_host.energy.windows import Clock, measure, measure_cpu, unmeasured

__all__ = [
    "Clock",
    "EnergyResult",
    "EnergySettings",
    "Kind",
    "Window",
    "WithinNoiseError",
    "measure",
    "measure_cpu",
    "unmeasured",
]
