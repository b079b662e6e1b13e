"""From windows to energy per frame, with an uncertainty; every formula in one place.

Symbols: R windows of each kind; window k has energy E_k, length T_k, N_k frames, middle t_k. The
idle power at any time, P_idle(t) = a + b t, is the least-squares line through the mean powers of
the idle windows: a slow drift of the board then does not enter the net energy.

    total   e_k = E_k / N_k                       value = mean of e_k
    net     d_k = (E_k - P_idle(t_k) T_k) / N_k   value = mean of d_k

Standard uncertainties of the net value (of the total: the same, without `idle`, and with the
total in place of the net value where a value stands):

    repeat  s(d_k) / sqrt(R), s the standard deviation with R - 1 degrees of freedom
    idle    r sqrt(1/R + (m - n)^2 / sum (t_i - n)^2) T/N: the line's own uncertainty at the mean
            time m of the active windows; n the mean time of the idle ones; r the scatter about
            the line with R - 2 degrees of freedom. Drift that is not a line shows up in r.
    gain    g / sqrt(3) * value, g the bound of the sensor's gain error (uniform)
    step    q / sqrt(12) * T/N for the total, q one step of a reading (uniform); q / sqrt(6) * T/N
            for the net, a difference of two powers. Not divided by the number of readings: a
            steady power falls on the same step each time.
    edge    |P_active - P_idle| u / sqrt(6) / N, u the sensor's update interval: where a window
            begins and ends is known to half an interval (uniform, sqrt(2) for two ends)

Expanded to about 95 %: U^2 = (t_(R-1) repeat)^2 + (t_(R-2) idle)^2 + 2^2 (gain^2 + step^2 +
edge^2), t the quantile of Student's distribution at 97.5 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import NANOSECONDS
from fdht_host.power.meter import PowerTrace, Sensor
from fdht_models.arguments import count, seconds
from fdht_models.errors import MeasurementError

Kind = Literal["measured", "modelled", "unmeasured", "refused"]
#: Points of the power trace that the report keeps, for its plot.
TRACE_POINTS = 1500
_Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EnergySettings:
    """How to measure.

    Args:
        repeats: windows of each kind, idle and active; at least 5.
        minimum_updates: new sensor values that a window must span.
        minimum_seconds: and how long it must be.
        settle_updates: new sensor values to wait, in the state to be measured, before a window:
            a sensor reports what was, not what is.
        seed: of the order of the windows.
        calibration_frames: frames of the first trial run.

    Raises:
        ConfigError: an impossible value; names the field.
    """

    repeats: int = 5
    minimum_updates: int = 20
    minimum_seconds: float = 0.0
    settle_updates: int = 3
    seed: int = 0
    calibration_frames: int = 8

    def __post_init__(self) -> None:
        least = {
            "repeats": 5,
            "minimum_updates": 10,
            "settle_updates": 1,
            "calibration_frames": 1,
            "seed": 0,
        }
        for name, bound in least.items():
            count(getattr(self, name), f"energy.{name}", bound)
        if self.minimum_seconds != 0:
            seconds(self.minimum_seconds, "energy.minimum_seconds")


@dataclass(frozen=True)
class Window:
    """A stretch of time between two markers; `frames` is 0 where it was idle."""

    start_ns: int
    end_ns: int
    frames: int
    joules: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / NANOSECONDS

    @property
    def watts(self) -> float:
        """Its mean power."""
        return self.joules / self.seconds


@dataclass(frozen=True)
class EnergyResult:
    """Energy per frame, or the reason why there is none.

    `value_mj_per_frame` is the total, E / N: all that the rails drew, divided by the frames.
    `net_mj_per_frame` is what running frames adds, (E - P_idle * T) / N. Uncertainties are expanded
    to about 95 % coverage. All four are None if the kind is "unmeasured" or "refused".

    Args:
        kind: "measured", "modelled", "unmeasured" (there is no sensor, or it failed for good) or
            "refused" (the difference between active and idle is within the noise, or the sensor
            left gaps).
        explanation: a sentence for people.
        value_mj_per_frame: total, in millijoules.
        net_mj_per_frame: net, in millijoules.
        uncertainty_mj: of the total.
        net_uncertainty_mj: of the net.
        sensor: what measured.
        rails: what it covers.
        repeats: windows of each kind.
        idle_watts: mean power of the idle windows.
        active_watts: mean power of the active windows.
        seconds_per_frame: in the active windows.
        components_mj: standard uncertainties of the net value by cause, in millijoules.
        windows: in order of time.
        alignment: how the clock of a meter that has its own was found; see `meter_clock`.
        trace: the readings.
    """

    kind: Kind
    explanation: str
    value_mj_per_frame: float | None = None
    net_mj_per_frame: float | None = None
    uncertainty_mj: float | None = None
    net_uncertainty_mj: float | None = None
    sensor: str | None = None
    rails: tuple[str, ...] = ()
    repeats: int = 0
    idle_watts: float | None = None
    active_watts: float | None = None
    seconds_per_frame: float | None = None
    components_mj: Mapping[str, float] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    alignment: Mapping[str, float] = field(default_factory=dict)
    trace: PowerTrace | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Returns the result for `report.json`; times in seconds from the trace's first reading."""
        origin = 0 if self.trace is None else int(self.trace.timestamps_ns[0])
        return {
            **vars(self),
            "sensor_details": None if self.trace is None else self.trace.sensor.to_json(),
            "rails": list(self.rails),
            "components_mj": dict(self.components_mj),
            "alignment": dict(self.alignment),
            "windows": [_window_json(window, origin) for window in self.windows],
            "trace": None if self.trace is None else _trace_json(self.trace),
        }


def _window_json(window: Window, origin: int) -> dict[str, Any]:
    return {
        "kind": "active" if window.frames else "idle",
        "start_seconds": (window.start_ns - origin) / NANOSECONDS,
        "end_seconds": (window.end_ns - origin) / NANOSECONDS,
        "frames": window.frames,
        "joules": window.joules,
        "watts": window.watts,
    }


def _trace_json(trace: PowerTrace) -> dict[str, Any]:
    times, watts = trace.thinned(TRACE_POINTS)
    return {
        "readings": len(trace.watts),
        "missed": trace.missed,
        "seconds": [round((int(time) - int(times[0])) / NANOSECONDS, 6) for time in times],
        "watts": [round(float(value), 6) for value in watts],
    }


class WithinNoiseError(MeasurementError):
    """Active and idle power differ by no more than the measurement could be wrong."""


@dataclass(frozen=True)
class Evaluation:
    """Joules per frame and their expanded uncertainties; watts."""

    total: float
    net: float
    total_uncertainty: float
    net_uncertainty: float
    components: Mapping[str, float]
    idle_watts: float
    active_watts: float
    seconds_per_frame: float


def evaluate(windows: Sequence[Window], sensor: Sensor) -> Evaluation:
    """Evaluates at least five idle and five active windows.

    Raises:
        WithinNoiseError: the net energy is not larger than its uncertainty.
    """
    idle = [window for window in windows if window.frames == 0]
    active = [window for window in windows if window.frames > 0]
    frames = np.array([window.frames for window in active], float)
    seconds = np.array([window.seconds for window in active])
    joules = np.array([window.joules for window in active])
    origin = windows[0].start_ns
    middle = _middles(active, origin)
    # The idle windows' line about their mean time, and its covariance at R - 2 degrees of freedom.
    times, watts = _middles(idle, origin), np.array([window.watts for window in idle])
    line, covariance = np.polyfit(times - times.mean(), watts, 1, cov=True)
    offsets = middle - times.mean()
    at_mean = np.array([offsets.mean(), 1.0])

    totals = joules / frames
    nets = (joules - np.polyval(line, offsets) * seconds) / frames
    total, net = float(totals.mean()), float(nets.mean())
    per_frame = float(seconds.sum() / frames.sum())
    idle_watts = float(watts.mean())
    active_watts = float(joules.sum() / seconds.sum())

    step = sensor.resolution_watts * per_frame
    edge = abs(active_watts - idle_watts) * sensor.update_interval_seconds
    edge = edge / math.sqrt(6) / float(frames.mean())
    components = {
        "repeat": _standard_error(nets),
        "idle": math.sqrt(at_mean @ covariance @ at_mean) * per_frame,
        "gain": sensor.gain_error / math.sqrt(3) * abs(net),
        "step": step / math.sqrt(6),
        "edge": edge,
    }
    of_total = {
        "repeat": _standard_error(totals),
        "idle": 0.0,
        "gain": sensor.gain_error / math.sqrt(3) * total,
        "step": step / math.sqrt(12),
        "edge": edge,
    }
    repeats = (len(active), len(idle))
    result = Evaluation(
        total=total,
        net=net,
        total_uncertainty=_expand(of_total, *repeats),
        net_uncertainty=_expand(components, *repeats),
        components=components,
        idle_watts=idle_watts,
        active_watts=active_watts,
        seconds_per_frame=per_frame,
    )
    if net <= result.net_uncertainty:
        raise WithinNoiseError(
            f"active and idle power differ by {active_watts - idle_watts:+.4g} W, within the noise:"
            f" {net * 1e3:.3g} mJ a frame, uncertain by {result.net_uncertainty * 1e3:.3g} mJ",
            field="energy",
            remedy="measure with longer windows or more repeats, or with a finer sensor",
        )
    return result


def _middles(windows: Sequence[Window], origin: int) -> _Values:
    """Seconds from `origin` to the middle of each window."""
    return np.array(
        [(window.start_ns - origin + window.end_ns - origin) / 2e9 for window in windows]
    )


def _standard_error(values: _Values) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def _expand(components: Mapping[str, float], active: int, idle: int) -> float:
    bounded = sum(components[name] ** 2 for name in ("gain", "step", "edge"))
    return math.sqrt(
        (student_quantile(active - 1) * components["repeat"]) ** 2
        + (student_quantile(idle - 2) * components["idle"]) ** 2
        + 4 * bounded
    )


def student_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, for 3 degrees of freedom or more.

    The expansion of Fisher and Cornish (Abramowitz and Stegun 26.7.5), within 0.2 % of the tables;
    a board carries no SciPy.
    """
    z = 1.959963984540054
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
