"""From windows to energy per frame, with a 95 % interval; every formula in one place.

Window k of 2R has the mean power y_k and the middle t_k; b_k is 1 if the core was busy in it and 0
if it was idle. tau is the time of a frame: that of all busy windows by all their frames.

    y = polynomial of degree p in t + D b + rest        net = D tau,    total = P tau

by least squares. The polynomial is the drift of the board, p = 2 below eight repeats and 3 from
there on; D is what running frames adds; P is D and the mean of the polynomial over all windows.
With M the projection that takes the polynomial out, D = b'My / b'Mb.

**Interval of D.** It assumes nothing of drift and noise - not that they are normal, nor that
windows do not depend on each other - but that they do not depend on the order, which was drawn. If
D were D0, then y - D0 b is what would be read of an idle board. Every order c that might have been
drawn (`order`) makes of it

    T_c = c'M(y - D0 b) / sqrt(c'Mc)

and the order that was drawn is one of them at random. So |T_b| is among the largest 5 % with a
chance of 5 % at most, and the interval is all D0 for which it is not (Fisher's randomisation test,
inverted; Rosenbaum 2002, chapter 2). T_b = sqrt(b'Mb) (D - D0) is the steepest of all in D0, by
Cauchy and Schwarz. So, with d = D0 - D, w = c'M(y - D b), v = c'Mb and g = sqrt(b'Mb c'Mc),
|T_c| >= |T_b| from

    d = -w / (g - v)  to  d = w / (g + v)    where w > 0, and with -w and -v in place of w and v

where it is not; and each end of the interval is the farthest one that more than 5 % of all orders
reach.

**Interval of P**: by the scatter of the rest with 2R - p - 2 degrees of freedom and Student's t.
That does assume windows that do not depend on each other.

**Steps.** Rounding to steps of q leaves an error behind when many readings are averaged. With a
noise s of the readings before they are rounded, its variance, over all places of the power between
two steps, is the sum over k of (q / (pi k))^2 / 2 exp(-(2 pi k s / q)^2): q^2 / 12 without noise,
and nothing to speak of from s = q / 2 on (Widrow and Kollar 2008). s is the least of both states,
from the readings' variance within windows less q^2 / 12 (Sheppard). Twice the root of it, for D of
two powers, is added to each half of an interval, in squares.

**The sensor's gain error** is kept apart: it is the same in all windows and in all runs with this
sensor, and no repetition shows it. Its bound g changes each energy by g times its value at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fdht_host.energy.evaluation import Window
from fdht_host.energy.order import is_possible, possible_orders
from fdht_host.energy.student import student_quantile
from fdht_host.power.meter import Sensor
from fdht_models.errors import MeasurementError

_Values = npt.NDArray[np.float64]
#: Chance that an interval does not cover the truth.
_MISSED = 0.05
#: Degrees of the polynomial of drift: below so many repeats, and from there on.
_FEW, _DEGREE_OF_FEW, _DEGREE = 8, 2, 3
#: Terms of the sum of steps, of which the last is below 0.1 % of the first.
_TERMS = np.arange(1, 41)


class WithinNoiseError(MeasurementError):
    """Busy and idle power differ by no more than the measurement could be wrong."""


@dataclass(frozen=True)
class Interval:
    """A value with the interval that covers the truth with 95 %.

    Args:
        value, low, high: of it.
    """

    value: float
    low: float
    high: float

    @property
    def uncertainty(self) -> float:
        """The larger half of the interval."""
        return max(self.high - self.value, self.value - self.low)

    def times(self, factor: float) -> Interval:
        """In another unit; `factor` is above 0."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def widened(self, by: float) -> Interval:
        """With another uncertainty in squares."""
        return Interval(
            self.value,
            self.value - math.hypot(self.value - self.low, by),
            self.value + math.hypot(self.high - self.value, by),
        )


@dataclass(frozen=True)
class Evaluation:
    """Energy per frame in joules, and what it is made of.

    Args:
        total, net: per frame, without the sensor's gain error.
        step_joules: half of the interval of `net` that is of the sensor's steps.
        drift_watts: largest less smallest of the drift that was taken out, over the windows.
        idle_watts, active_watts: mean power of the windows.
        seconds_per_frame: in the busy windows.
    """

    total: Interval
    net: Interval
    step_joules: float
    drift_watts: float
    idle_watts: float
    active_watts: float
    seconds_per_frame: float

    @property
    def within_noise(self) -> bool:
        """Is the net value not told from 0?"""
        return self.net.low <= 0


def evaluate(windows: Sequence[Window], sensor: Sensor) -> Evaluation:
    """Evaluates windows in an order that `order` may draw.

    Raises:
        MeasurementError: they are in another order, or fewer than five of each state.
    """
    order = tuple(window.frames > 0 for window in windows)
    repeats = len(order) // 2
    if repeats < 5 or not is_possible(order):
        raise MeasurementError(
            "are fewer than five of each state, or in an order that is never drawn",
            field="energy windows",
            value="".join("bi"[not busy] for busy in order),
            remedy="measure again with this version",
        )
    busy = [window for window in windows if window.frames]
    idle = [window for window in windows if not window.frames]
    seconds = sum(window.seconds for window in busy)
    per_frame = seconds / sum(window.frames for window in busy)
    power = np.array([window.watts for window in windows])
    basis = _drift_basis(windows, _DEGREE_OF_FEW if repeats < _FEW else _DEGREE)
    states = np.array(order, float)
    net = _randomised(power, states, basis, repeats)
    total, drift = _level(power - net.value * states, states, basis)
    total = Interval(total.value + net.value, total.low + net.value, total.high + net.value)
    step = 2 * _step_watts(busy, idle, sensor.resolution_watts)
    return Evaluation(
        total=total.widened(step).times(per_frame),
        net=net.widened(math.sqrt(2) * step).times(per_frame),
        step_joules=math.sqrt(2) * step * per_frame,
        drift_watts=drift,
        idle_watts=float(power[states == 0].mean()),
        active_watts=sum(window.joules for window in busy) / seconds,
        seconds_per_frame=per_frame,
    )


def within_noise_of(found: Evaluation) -> WithinNoiseError:
    """Why there is no net energy, and what to change."""
    net = found.net
    remedy = "measure with longer windows (--seconds) or more repeats (--repeats)"
    if found.step_joules > 0.7 * net.uncertainty:
        remedy = "measure with a finer sensor: its steps are what is in the way"
    elif net.value > 0:
        # The interval shrinks with the root of the time that is measured.
        longer = math.ceil(1.5 * (net.uncertainty / net.value) ** 2)
        remedy += f", {longer} times as long in all" if longer <= 1000 else ""
    difference = found.active_watts - found.idle_watts
    return WithinNoiseError(
        f"busy and idle power differ by {difference:+.4g} W, within the noise:"
        f" {net.value * 1e3:.3g} mJ a frame, uncertain by {net.uncertainty * 1e3:.3g} mJ",
        field="energy",
        remedy=remedy,
    )


def _drift_basis(windows: Sequence[Window], degree: int) -> _Values:
    """Orthonormal columns that span the polynomials of the windows' middles, [2R, degree + 1]."""
    origin = windows[0].start_ns
    middles = np.array([(one.start_ns - origin + one.end_ns - origin) / 2 for one in windows])
    scaled = 2 * middles / middles[-1] - 1
    found: _Values = np.linalg.qr(np.vander(scaled, degree + 1))[0]
    return found


def _randomised(power: _Values, states: _Values, basis: _Values, repeats: int) -> Interval:
    """D and its interval, in watts."""
    orders = np.vstack([states, possible_orders(repeats)])
    if np.any(np.all(orders[1:] == states, axis=1)):
        orders = orders[1:]
    clean = orders - (orders @ basis) @ basis.T
    own = states - basis @ (basis.T @ states)
    squares = float(own @ own)
    value = float(own @ power) / squares
    left = clean @ (power - value * states)
    along = clean @ states
    reach = np.sqrt(squares * np.sum(clean**2, axis=1))
    sign = np.where(left < 0, -1.0, 1.0)
    # The drawn order and its mirror reach everywhere.
    mirrored = reach - np.abs(along) < 1e-9 * reach
    with np.errstate(divide="ignore", invalid="ignore"):
        above = np.where(mirrored, np.inf, np.abs(left) / (reach + sign * along))
        below = np.where(mirrored, np.inf, np.abs(left) / (reach - sign * along))
    place = int(_MISSED * len(orders))
    high, low = np.sort(above)[::-1][place], np.sort(below)[::-1][place]
    return Interval(value, value - float(low), value + float(high))


def _level(rest: _Values, states: _Values, basis: _Values) -> tuple[Interval, float]:
    """The mean of the drift with the interval of P, less D; and how much the drift moves."""
    drift = basis @ (basis.T @ rest)
    residual = rest - drift
    freedom = len(rest) - basis.shape[1] - 1
    variance = float(residual @ residual) / freedom
    # P is the mean of all y, and D times the share of idle windows, 1/2; the two do not depend on
    # each other but by way of the polynomial, which the constant is a part of.
    own = states - basis @ (basis.T @ states)
    variance *= 1 / len(rest) + float(np.mean(1 - states)) ** 2 / float(own @ own)
    half = student_quantile(freedom) * math.sqrt(variance)
    mean = float(drift.mean())
    return Interval(mean, mean - half, mean + half), float(np.ptp(drift))


def _step_watts(busy: Sequence[Window], idle: Sequence[Window], step: float) -> float:
    """Standard uncertainty of a mean power by the rounding of its readings; see above."""
    variance = min(
        float(np.mean([window.spread_watts**2 for window in windows])) for windows in (busy, idle)
    )
    noise = max(0.0, variance / step**2 - 1 / 12)
    terms = np.exp(-((2 * math.pi * _TERMS) ** 2) * noise) / (math.pi * _TERMS) ** 2 / 2
    return step * math.sqrt(float(terms.sum()))
