"""Offset and rate of a meter's clock, from the edges of a load in its trace, with uncertainties.

The reading of time stamp m is modelled as

    x(m) = b(m) + D v(h) + noise,    h = A + R (m - m0)

h is the moment on the host's clock, m0 the middle of the load in the trace as the search found it,
b a broken line with a knot every eight chips (idle power and its drift), D the step of power, and v
the share of time in which the core ran, within w seconds around h: what a meter tells that averages
over w. A, R, D and b are fitted by least squares; b is projected out, and A and R are found by
Gauss and Newton's method, from wide w to narrow, so that each is in the reach of the one before. w
is the one with the least residual, from the reading interval to two stretches: what the meter
averages over.

A meter's latency is part of A: h is the middle of what a reading tells of, and this is what an
energy between two moments of the host needs. Of a filter that is not symmetric, h is about the mean
of what it weighs.

Uncertainty. With J the Jacobian of (D, A, R) after projection and e the residuals, their covariance
is (J'J)^-1 [sum over groups (J_g' e_g)(J_g' e_g)'] (J'J)^-1 times G / (G - 1) (n - 1) / (n - k), of
G groups, n readings and k unknowns: the sandwich form for noise that may be correlated within a
group of two chips' length and of any size in each (Liang and Zeger 1986), which covers averaging
meters, coarse steps, drift that is no broken line, and readings at edges between two samples.
Expanded by Student's t of G - 2 degrees of freedom to a nominal 95 %. In seeded trials it covered
the truth in 93 to 96 %, but of meters that read the moment, and of steps as faint as the noise, in
about 90 %. The settling about a window is some hundred times longer than these uncertainties.

A clock that jumps, or a load that was not as recorded, is not of this model. So the residuals of
every eight chips are asked for a delay of their own; if one is larger than a quarter of the
settling time, beyond its noise, the trace is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import NANOSECONDS
from fdht_host.energy.load_pattern import LoadRecord
from fdht_host.energy.pattern_search import MOST_RATE, PatternFound
from fdht_host.energy.student import student_quantile
from fdht_host.power.meter import PowerTrace
from fdht_models.errors import MeasurementError

#: Chips between two knots of the baseline, and those of which a delay of their own is asked.
_CHIPS_OF_A_KNOT = 8
#: Chips within which noise may be correlated.
_CHIPS_OF_A_GROUP = 2
#: Widths that are tried, each a share of the one before; and steps at each, and at the last.
_NARROWER, _STEPS_EACH, _LAST_STEPS = 0.75, 3, 30
#: Times that the interval of the best width is cut to two thirds.
_WIDTH_STEPS = 8
#: Readings of a stretch that are fitted; more are averaged, which w knows how to tell.
_READINGS_OF_A_STRETCH = 25
#: Stretches that a reading may average over: beyond, the settling before a window is too short.
_WIDEST = 1.6
#: Seconds below which a step of the method does not matter.
_STILL = 1e-7
#: Standard deviations beyond which a delay of some chips is no noise.
_BEYOND_NOISE = 6.0
_Array = npt.NDArray[np.float64]


class ClockError(MeasurementError):
    """The trace and the load agree on no clock that runs steadily."""


@dataclass(frozen=True)
class MeterClock:
    """A meter's clock beside the host's.

    Args:
        origin_ns: moment of the meter's clock from which it is reckoned, m0.
        host_ns: the host's moment then, A.
        rate_ppm: by how much the meter's clock runs faster than the host's, in millionths.
        offset_uncertainty_seconds: of `host_ns`, expanded to about 95 %.
        rate_uncertainty_ppm: likewise of the rate.
        covariance: of A and the relative rate, in seconds.
        coverage_factor: between standard and expanded uncertainties.
        averaging_seconds: what a reading averages over, as far as its interval tells.
        step_watts: power of the running core beyond idle, as the fit has it.
        found: by the search.
    """

    origin_ns: int
    host_ns: int
    rate_ppm: float
    offset_uncertainty_seconds: float
    rate_uncertainty_ppm: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    coverage_factor: float
    averaging_seconds: float
    step_watts: float
    found: PatternFound

    @property
    def offset_seconds(self) -> float:
        """The meter's clock less the host's, in the middle of the load."""
        return (self.origin_ns - self.host_ns) / NANOSECONDS

    def host_times(self, meter_ns: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Moments of the meter's clock on the host's."""
        passed = np.asarray(meter_ns, np.int64) - self.origin_ns
        # What the rate adds is far smaller than the moments: float64 keeps it to a nanosecond.
        ratio = 1 / (1 + self.rate_ppm * 1e-6)
        return self.host_ns + passed + np.rint(passed * (ratio - 1)).astype(np.int64)

    def uncertainty_seconds(self, meter_ns: int) -> float:
        """Of `host_times` at a moment, expanded to about 95 %."""
        row = np.array([1.0, (meter_ns - self.origin_ns) / NANOSECONDS])
        return self.coverage_factor * math.sqrt(max(row @ np.array(self.covariance) @ row, 0.0))

    def to_json(self) -> dict[str, Any]:
        """What a report tells of it."""
        return {
            "offset_seconds": self.offset_seconds,
            "offset_uncertainty_seconds": self.offset_uncertainty_seconds,
            "rate_ppm": self.rate_ppm,
            "rate_uncertainty_ppm": self.rate_uncertainty_ppm,
            "averaging_seconds": self.averaging_seconds,
            "step_watts": self.step_watts,
            "correlation": self.found.statistic,
            "correlation_needed": self.found.needed,
            "false_alarms": self.found.false_alarms,
        }


def fit_clock(record: LoadRecord, trace: PowerTrace, found: PatternFound) -> MeterClock:
    """Fits a meter's clock.

    Args:
        record: of the load.
        trace: on the meter's clock.
        found: where the search found the pattern.

    Raises:
        ClockError: too little of the load is in the trace, or the clock does not run steadily.
    """
    fit = _Fit.of(record, trace, found)
    clock, ratio, width = fit.narrowed()
    step, jacobian, residual = fit.model(clock, ratio, width)
    groups = fit.groups(_CHIPS_OF_A_GROUP)
    number = len(np.unique(groups))
    if number < 8 or step <= 0:
        raise ClockError(
            "holds too little of the run's pattern",
            field=f"sensor {trace.sensor.name}: trace",
            remedy="record from before the run until after it",
        )
    bread = np.linalg.inv(jacobian.T @ jacobian)
    scores = np.zeros((number, jacobian.shape[1]))
    np.add.at(scores, np.unique(groups, return_inverse=True)[1], jacobian * residual[:, None])
    readings, unknowns = len(residual), jacobian.shape[1] + fit.basis.shape[1] + 1
    covariance = bread @ (scores.T @ scores) @ bread
    covariance *= number / (number - 1) * (readings - 1) / (readings - unknowns)
    if width > _WIDEST * record.stretch_seconds:
        raise ClockError(
            f"averages over {width:.3g} s or more, too long for stretches of "
            f"{record.stretch_seconds:.3g} s",
            field=f"sensor {trace.sensor.name}",
            remedy="state a longer interval for the run, at least a fifth of what it averages over",
        )
    _require_steady(fit, clock, ratio, width, record)
    factor = student_quantile(number - 2)
    of_clock = covariance[1:, 1:]
    origin = int(trace.timestamps_ns[0]) + round(found.middle_seconds * NANOSECONDS)
    return MeterClock(
        origin_ns=origin,
        host_ns=record.middle_ns + round(clock * NANOSECONDS),
        rate_ppm=(1 / ratio - 1) * 1e6,
        offset_uncertainty_seconds=factor * math.sqrt(of_clock[0, 0]),
        rate_uncertainty_ppm=factor * math.sqrt(of_clock[1, 1]) * 1e6,
        covariance=((of_clock[0, 0], of_clock[0, 1]), (of_clock[1, 0], of_clock[1, 1])),
        coverage_factor=factor,
        averaging_seconds=width,
        step_watts=step,
        found=found,
    )


@dataclass(frozen=True)
class _Fit:
    """The readings of the time of the load, and what is fitted to them.

    Args:
        record: of the load.
        passed: seconds of the meter's clock from the found middle, [n].
        power: watts without the baseline, [n].
        basis: orthonormal columns that span the baseline, [n, k].
        interval: between two readings, usually.
        ratio: of the clocks, as the search has it.
    """

    record: LoadRecord
    passed: _Array
    power: _Array
    basis: _Array
    interval: float
    ratio: float

    @classmethod
    def of(cls, record: LoadRecord, trace: PowerTrace, found: PatternFound) -> _Fit:
        times = (trace.timestamps_ns - trace.timestamps_ns[0]) / NANOSECONDS
        passed = times - found.middle_seconds
        ratio = 1 / (1 + found.rate)
        start, end = record.seconds(record.span_ns)
        # Readings shortly before the first chip and after the last still tell of idle power.
        margin = record.settle_ns / NANOSECONDS / 2
        inside = (passed * ratio >= start - margin) & (passed * ratio <= end + margin)
        if np.count_nonzero(inside) < 4 * len(record.chips):
            raise ClockError(
                f"has {np.count_nonzero(inside)} readings of {len(record.chips)} chips",
                field=f"sensor {trace.sensor.name}: trace",
                remedy="state the meter's interval, so that chips are long enough for it",
            )
        passed, power = _means(passed[inside], trace.watts[inside], record.stretch_seconds)
        basis = np.linalg.qr(_hats(passed, _CHIPS_OF_A_KNOT * 2 * record.stretch_seconds))[0]
        interval = float(np.median(np.diff(passed)))
        return cls(record, passed, power - basis @ (basis.T @ power), basis, interval, ratio)

    def model(self, clock: float, ratio: float, width: float) -> tuple[float, _Array, _Array]:
        """The step of power, the Jacobian of (step, A, R), and the residuals, at A and R."""
        host = clock + ratio * self.passed
        share = self._projected(self._share(host, width))
        step = float(share @ self.power) / max(float(share @ share), 1e-30)
        slope = self._slope(host, width)
        columns = [
            share,
            self._projected(step * slope),
            self._projected(step * slope * self.passed),
        ]
        return step, np.stack(columns, axis=1), self.power - step * share

    def narrowed(self) -> tuple[float, float, float]:
        """A, R and w of the least residual."""
        clock, ratio, widest = 0.0, self.ratio, 2 * self.record.stretch_seconds
        count = max(2, math.ceil(math.log(widest / self.interval) / -math.log(_NARROWER)) + 1)
        widths = np.geomspace(widest, min(self.interval, widest / 2), count)
        tried = []
        for width in widths:
            clock, ratio, rest = self._descend(clock, ratio, width, _STEPS_EACH)
            tried.append((rest, clock, ratio))
        at = min(range(count), key=lambda place: tried[place][0])
        _, clock, ratio = tried[at]
        low, high = widths[min(at + 1, count - 1)], widths[max(at - 1, 0)]
        for _ in range(_WIDTH_STEPS):
            inner = (low + (high - low) / 3, high - (high - low) / 3)
            rests = [self._descend(clock, ratio, width, _STEPS_EACH)[2] for width in inner]
            low, high = (low, inner[1]) if rests[0] <= rests[1] else (inner[0], high)
        width = float(low + high) / 2
        clock, ratio, _ = self._descend(clock, ratio, width, _LAST_STEPS)
        return clock, ratio, width

    def _descend(
        self, clock: float, ratio: float, width: float, steps: int
    ) -> tuple[float, float, float]:
        """Gauss and Newton's method with steps halved until the residual falls."""
        _, jacobian, residual = self.model(clock, ratio, width)
        rest, reach = float(residual @ residual), float(np.max(np.abs(self.passed)))
        for _ in range(steps):
            change = np.linalg.solve(jacobian.T @ jacobian, jacobian.T @ residual)[1:]
            change *= min(1.0, width / (abs(change[0]) + abs(change[1]) * reach + 1e-30))
            for _ in range(6):
                _, tried, left = self.model(clock + change[0], ratio + change[1], width)
                if left @ left < rest:
                    break
                change /= 2
            else:
                break
            clock, ratio = clock + float(change[0]), ratio + float(change[1])
            jacobian, residual, rest = tried, left, float(left @ left)
            if abs(change[0]) + abs(change[1]) * reach < _STILL:
                break
        return clock, ratio, rest

    def groups(self, chips: int) -> npt.NDArray[np.int64]:
        """Which stretch of as many chips' length each reading is of, [n]."""
        length = chips * 2 * self.record.stretch_seconds
        found: npt.NDArray[np.int64] = ((self.passed - self.passed[0]) // length).astype(np.int64)
        return found

    def slope_without_baseline(self, clock: float, ratio: float, width: float) -> _Array:
        """How the share changes with A, without what the baseline takes of it."""
        return self._projected(self._slope(clock + ratio * self.passed, width))

    def _projected(self, values: _Array) -> _Array:
        found: _Array = values - self.basis @ (self.basis.T @ values)
        return found

    def _share(self, host: _Array, width: float) -> _Array:
        """Share of the time `width` around each moment in which the core ran."""
        edges = self.record.seconds(np.array(self.record.busy).reshape(-1))
        lengths = np.diff(edges) * (np.arange(len(edges) - 1) % 2 == 0)
        ran = np.concatenate([[0.0], np.cumsum(lengths)])
        before: _Array = np.interp(host - width / 2, edges, ran)
        return (np.interp(host + width / 2, edges, ran) - before) / width

    def _slope(self, host: _Array, width: float) -> _Array:
        """Its derivative."""
        edges = self.record.seconds(np.array(self.record.busy).reshape(-1))

        def busy(moments: _Array) -> _Array:
            return (np.searchsorted(edges, moments, side="right") % 2).astype(np.float64)

        return (busy(host + width / 2) - busy(host - width / 2)) / width


def _means(times: _Array, power: _Array, stretch: float) -> tuple[_Array, _Array]:
    """Means of so many neighbours that a stretch has no more of them than the fit needs."""
    size = max(1, int(stretch / _READINGS_OF_A_STRETCH / float(np.median(np.diff(times)))))
    kept = len(times) // size * size
    return times[:kept].reshape(-1, size).mean(axis=1), power[:kept].reshape(-1, size).mean(axis=1)


def _hats(moments: _Array, spacing: float) -> _Array:
    """The functions of which broken lines are sums, [n, k]."""
    count = max(2, round((moments[-1] - moments[0]) / spacing) + 1)
    knots = np.linspace(moments[0], moments[-1], count)
    found = np.stack([np.interp(moments, knots, row) for row in np.eye(count)], axis=1)
    return found[:, np.any(found != 0, axis=0)]


def _require_steady(
    fit: _Fit, clock: float, ratio: float, width: float, record: LoadRecord
) -> None:
    """Refuses a trace some chips of which have a delay of their own, or are not there.

    The delay of a group is the least-squares one along the slope of a wide w, which sees shifts of
    up to half a stretch; its noise is that of most readings.
    """
    if abs(1 / ratio - 1) > 1.5 * MOST_RATE:
        raise ClockError(
            f"is off by {(1 / ratio - 1) * 1e6:+.0f} ppm, or it jumped",
            field="clock of the meter",
            remedy=f"measure again; up to {MOST_RATE * 1e6:.0f} ppm are looked for",
        )
    step, jacobian, residual = fit.model(clock, ratio, width)
    wide = fit.slope_without_baseline(clock, ratio, max(width, record.stretch_seconds))
    narrow = fit.slope_without_baseline(clock, ratio, width)
    allowed = record.settle_ns / NANOSECONDS / 4
    _, member = np.unique(fit.groups(_CHIPS_OF_A_KNOT), return_inverse=True)
    seen = np.bincount(member, step * wide * narrow)
    delays = np.bincount(member, residual * wide) / np.where(seen > 0, seen, np.inf)
    # By the median, in which the edges that are off do not count.
    noise = float(np.median(np.abs(residual))) * 1.4826 * np.sqrt(np.bincount(member, wide**2))
    spread = noise / np.where(seen > 0, seen, np.inf) * math.sqrt(width / fit.interval + 1)
    # How much of the step is missing: all of it on one side of a jump by more than a stretch.
    share = jacobian[:, 0]
    power = np.bincount(member, share**2)
    missing = -np.bincount(member, share * residual) / np.where(power > 0, power, np.inf)
    noise_of_step = float(np.median(np.abs(residual))) * 1.4826 / np.sqrt(np.maximum(power, 1e-12))
    unseen = missing > np.maximum(step / 2, _BEYOND_NOISE * noise_of_step)
    if np.any(unseen):
        begin = float(np.min(fit.passed[unseen[member]]) - fit.passed[0])
        raise ClockError(
            f"does not show the run's pattern {begin:.1f} s behind its start, as it does elsewhere",
            field="clock of the meter",
            remedy="measure again: its clock jumped, or it was not connected all the time",
        )
    wrong = (np.abs(delays) > allowed) & (np.abs(delays) > _BEYOND_NOISE * spread)
    if np.any(wrong):
        at = int(np.argmax(np.abs(delays) * wrong))
        begin = float(np.min(fit.passed[member == at]) - fit.passed[0])
        raise ClockError(
            f"is {delays[at]:+.3g} s off the run's pattern from {begin:.1f} s behind its start on, "
            f"and {allowed:.3g} s are allowed",
            field="clock of the meter",
            remedy="measure again: its clock jumped, readings were lost and the rest moved up, or "
            "the board did something else",
        )
