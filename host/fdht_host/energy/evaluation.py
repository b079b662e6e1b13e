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
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fdht_host.energy.results import Window
from fdht_host.power.meter import Sensor
from fdht_models.errors import MeasurementError

_Values = npt.NDArray[np.float64]


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
