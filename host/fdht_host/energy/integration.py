"""From a trace and markers to windows with their energy, and from these to a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fdht_host.clocks import NANOSECONDS
from fdht_host.energy.estimating import Evaluation, evaluate, within_noise_of
from fdht_host.energy.evaluation import EnergyResult, Kind, Window
from fdht_host.power.meter import PowerTrace, Sensor
from fdht_models.errors import MeasurementError

#: Start and end of a window (ns), and its frames.
Marker = tuple[int, int, int]
_LEAST_READINGS = 3


class StalledError(MeasurementError):
    """The sensor left out so much of a window that its energy is not known."""


def window_of(trace: PowerTrace, start_ns: int, end_ns: int, frames: int) -> Window:
    """A window's energy, unless readings are missing for more than a quarter of it or at its end.

    The mean power is that between the first and the last reading within, by the trapezoid rule:
    no reading outside is asked, for it may tell of another state. Gaps that are shorter are bridged
    by a straight line, as any two readings are.

    Raises:
        StalledError: readings are missing.
    """
    times = trace.timestamps_ns
    inside = (times >= start_ns) & (times <= end_ns)
    gap = trace.longest_gap_ns(start_ns, end_ns)
    covered = times[0] <= start_ns < end_ns <= times[-1]
    if gap > (end_ns - start_ns) / 4 or not covered or np.count_nonzero(inside) < _LEAST_READINGS:
        missed = f", {trace.missed} readings having failed," if trace.missed else ""
        raise StalledError(
            f"gave no reading for {gap / NANOSECONDS:.3g} s{missed} of a window of "
            f"{(end_ns - start_ns) / NANOSECONDS:.3g} s",
            field=f"sensor {trace.sensor.name}",
            remedy="measure with longer windows, or stop what keeps the processor busy",
        )
    first, last = (int(moment) for moment in times[inside][[0, -1]])
    watts = trace.energy(first, last) / ((last - first) / NANOSECONDS)
    spread = float(np.std(trace.watts[inside], ddof=1))
    joules = watts * (end_ns - start_ns) / NANOSECONDS
    return Window(start_ns, end_ns, frames, joules, spread)


def windows_of(trace: PowerTrace, markers: Sequence[Marker]) -> tuple[Window, ...]:
    """The windows of markers.

    Raises:
        StalledError: readings are missing in one.
    """
    return tuple(window_of(trace, *marker) for marker in markers)


def without_value(kind: Kind, reason: MeasurementError, sensor: Sensor) -> EnergyResult:
    """A result that says why there is no figure."""
    return EnergyResult(kind, str(reason), sensor=sensor.name, rails=sensor.rails)


def result_of(
    windows: tuple[Window, ...], trace: PowerTrace, total_only: bool = False
) -> EnergyResult:
    """Energy per frame of windows; "refused" where the difference is within the noise.

    Args:
        windows: in blocks of two.
        trace: that they are of.
        total_only: the total is told even where the difference is within the noise.

    Raises:
        MeasurementError: the windows are not such as can be evaluated.
    """
    sensor, repeats = trace.sensor, len(windows) // 2
    found = evaluate(windows, sensor)
    kept: dict[str, Any] = {
        "sensor": sensor.name,
        "rails": sensor.rails,
        "repeats": repeats,
        "windows": windows,
        "trace": trace,
    }
    if found.within_noise and not total_only:
        return EnergyResult("refused", str(within_noise_of(found)), **kept)
    source = "a power model, not hardware" if sensor.kind == "modelled" else "a sensor"
    explanation = (
        f"Readings of {sensor.name} ({source}) over the rails {', '.join(sensor.rails)}; "
        f"{repeats} idle and {repeats} busy windows in an order drawn anew; intervals of 95 %, "
        f"to which the sensor's gain error adds {sensor.gain_error:.2g} of the value at most."
    )
    if found.within_noise:
        explanation += f" What the core adds is not told: {within_noise_of(found)}."
    if trace.missed:
        explanation += f" {trace.missed} readings failed and are bridged."
    return replace(
        EnergyResult(sensor.kind, explanation, **kept),
        **figures_of(found, sensor),
        idle_watts=found.idle_watts,
        active_watts=found.active_watts,
        seconds_per_frame=found.seconds_per_frame,
        drift_watts=found.drift_watts,
        by_rail=_by_rail(windows, trace),
    )


def figures_of(found: Evaluation, sensor: Sensor) -> dict[str, Any]:
    """Energy per frame and its uncertainties, in millijoules; no net value within the noise."""
    total, net = found.total.times(1e3), found.net.times(1e3)
    gain = sensor.gain_error
    return {
        "value_mj_per_frame": total.value,
        "net_mj_per_frame": None if found.within_noise else net.value,
        "interval_mj": (total.low, total.high),
        "net_interval_mj": (net.low, net.high),
        "uncertainty_mj": total.uncertainty,
        "net_uncertainty_mj": net.uncertainty,
        "gain_mj": gain * abs(total.value),
        "net_gain_mj": gain * abs(net.value),
        "step_mj": found.step_joules * 1e3,
    }


def _by_rail(windows: Sequence[Window], trace: PowerTrace) -> tuple[Mapping[str, Any], ...]:
    """The figures of each rail, where the trace has them; net values within the noise are None."""
    if trace.by_rail is None:
        return ()
    rows = []
    for place, rail in enumerate(trace.sensor.rails):
        single = replace(trace, watts=trace.by_rail[:, place], by_rail=None)
        markers = [(one.start_ns, one.end_ns, one.frames) for one in windows]
        found = evaluate(windows_of(single, markers), trace.sensor)
        watts = {"idle_watts": found.idle_watts, "active_watts": found.active_watts}
        rows.append({"rail": rail, **figures_of(found, trace.sensor), **watts})
    return tuple(rows)
