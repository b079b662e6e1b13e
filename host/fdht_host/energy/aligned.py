"""Energy per frame from a load and the trace of a meter that has a clock of its own.

The trace is put on the host's clock by `meter_clock`, and each energy window is integrated there,
by the rules and with the uncertainties of `fdht_host.energy.estimating`. An error of the alignment
moves the ends of a window within the settling time around it, in which the state is the same, so
that it does not change a window's mean power; the trace is refused where its uncertainty, with half
of what the meter averages over and half an interval, would reach beyond. A rate that is off by as
much as a whole thousandth changes nothing either: the windows' lengths are the host's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fdht_host.clocks import NANOSECONDS
from fdht_host.energy.evaluation import EnergyResult
from fdht_host.energy.integration import result_of, windows_of, without_value
from fdht_host.energy.load_pattern import LoadRecord
from fdht_host.energy.meter_clock import ClockError, MeterClock, fit_clock
from fdht_host.energy.pattern_search import find_pattern
from fdht_host.power.meter import PowerTrace
from fdht_models.errors import MeasurementError


def aligned_energy(record: LoadRecord, trace: PowerTrace) -> EnergyResult:
    """Energy per frame of a load from a meter's trace.

    Of a simulated board the result is "modelled", whatever the trace says of itself: no meter can
    have measured it.

    Returns:
        The result; "refused" where the pattern is not in the trace, its clock does not run
        steadily, the trace has gaps, or active and idle power differ by no more than the noise.
    """
    if record.simulated:
        trace = replace(trace, sensor=replace(trace.sensor, kind="modelled"))
    clock: MeterClock | None = None
    try:
        clock = fit_clock(record, trace, find_pattern(record, trace))
        _require_within_settling(record, trace, clock)
        on_host = replace(trace, timestamps_ns=_rising(clock.host_times(trace.timestamps_ns)))
        markers = [(one.start_ns, one.end_ns, one.frames) for one in record.windows]
        found = result_of(windows_of(on_host, markers), on_host)
    except MeasurementError as error:
        refused = without_value("refused", error, trace.sensor)
        return replace(refused, alignment=clock.to_json() if clock else {})
    told = (
        f"{found.explanation} The clock of {trace.sensor.name} was aligned by the run's pattern: "
        f"{clock.offset_seconds:.6g} s, uncertain by {clock.offset_uncertainty_seconds:.2g} s, and "
        f"{clock.rate_ppm:+.4g} ppm, uncertain by {clock.rate_uncertainty_ppm:.2g} ppm. "
        f"{record.note}"
    )
    return replace(found, explanation=told.strip(), seed=record.seed, alignment=clock.to_json())


def _require_within_settling(record: LoadRecord, trace: PowerTrace, clock: MeterClock) -> None:
    """Refuses an alignment by which a window could tell of its neighbours."""
    times = clock.host_times(trace.timestamps_ns)
    ends = [record.windows[0].start_ns, record.windows[-1].end_ns]
    of_windows = trace.timestamps_ns[np.searchsorted(times, ends).clip(0, len(times) - 1)]
    uncertain = max(clock.uncertainty_seconds(int(moment)) for moment in of_windows)
    reach = uncertain + (clock.averaging_seconds + trace.sensor.update_interval_seconds) / 2
    if reach > record.settle_ns / NANOSECONDS:
        raise ClockError(
            f"a reading may tell of what was {reach:.3g} s away, and windows have "
            f"{record.settle_ns / NANOSECONDS:.3g} s about them",
            field=f"sensor {trace.sensor.name}",
            remedy="state a longer interval for the run, so that all of it is longer",
        )


def _rising(times: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Moments that rise: two that are closer than the clock's grain may fall together."""
    return np.maximum.accumulate(times - np.arange(len(times))) + np.arange(len(times))
