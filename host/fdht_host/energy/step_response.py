"""How a sensor follows a step of power: its latency and what it averages over, from its readings.

The core is switched on and off in stretches of drawn lengths, and two kinds of sensor are fitted to
the readings, y(t) = a + b t + D v(t):

    mean         v is the share of [t - l - w, t - l] in which the core ran: a sensor that averages
                 over w and tells it l later
    exponential  v is what a filter of first order with time constant w makes of it, l later

For each of a grid of (l, w), a, b and D follow by least squares. The best is told; but what is
needed is a time after which no reading tells of the state before, and for that the worst counts of
all that the readings do not refute: whose squared residuals exceed the least by no more than s^2 c
times 9.21, the 99 % quantile of chi-squared with two degrees of freedom; s^2 is the residual
variance and c = (1 + r) / (1 - r) corrects it for residuals that are correlated (r, from one to the
next). It is l + w of a mean, and l + 7 w of an exponential, which has 0.1 % of a step left then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import NANOSECONDS
from fdht_host.power.meter import PowerTrace

Shape = Literal["mean", "exponential"]
_Array = npt.NDArray[np.float64]
#: Time constants of an exponential after which 0.1 % of a step is left.
CONSTANTS = 7.0
#: The step in standard errors from which on it is seen: the best of many (l, w) is the largest.
_SEEN = 6.0
_CHI_SQUARED = 9.21
#: Latencies and lengths that are tried, up to these shares of a stretch.
_LATENCIES, _LENGTHS = 40, 16
_LONGEST = 0.8
#: Share of a stretch in which the response must be over, or the stretches are too short.
_RESOLVED = 0.6


@dataclass(frozen=True)
class Stretch:
    """A stretch of time (ns) in which the core ran; it idled between them."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class StepResponse:
    """How a sensor follows a step.

    Args:
        seen: the step is in the readings; all else but `settle_seconds` means nothing without.
        shape: which of the two kinds fits better.
        latency_seconds: l.
        averaging_seconds: w.
        settle_seconds: after which no reading tells of the state before; an assumption if not seen.
        step_watts: D.
        stretch_seconds: nominal length of the stretches.
        stretches: in which the core ran.
    """

    seen: bool
    shape: Shape
    latency_seconds: float
    averaging_seconds: float
    settle_seconds: float
    step_watts: float
    stretch_seconds: float
    stretches: tuple[Stretch, ...]

    @property
    def resolved(self) -> bool:
        """Were the stretches long enough for it?"""
        return self.seen and self.settle_seconds <= _RESOLVED * self.stretch_seconds

    def to_json(self) -> dict[str, Any]:
        """What a report tells of it."""
        return {
            **vars(self),
            "stretches": [[one.start_ns, one.end_ns] for one in self.stretches],
        }


def fit_response(
    trace: PowerTrace, stretches: Sequence[Stretch], stretch_seconds: float, assumed_seconds: float
) -> StepResponse:
    """Fits a sensor's response.

    Args:
        trace: on the clock of the stretches.
        stretches: in which the core ran, in order.
        stretch_seconds: their nominal length, and of those between them.
        assumed_seconds: to settle, where the step is not seen.
    """
    origin = stretches[0].start_ns
    times = (trace.timestamps_ns - origin) / NANOSECONDS
    inside = (times >= -stretch_seconds) & (
        times <= (stretches[-1].end_ns - origin) / NANOSECONDS + stretch_seconds
    )
    times, power = times[inside], trace.watts[inside]
    edges = np.array([(one.start_ns, one.end_ns) for one in stretches]).reshape(-1)
    edges = (edges - origin) / NANOSECONDS
    unseen = StepResponse(
        False, "mean", 0.0, 0.0, assumed_seconds, 0.0, stretch_seconds, tuple(stretches)
    )
    if len(times) < 4 * len(edges):
        return unseen
    basis = np.linalg.qr(np.stack([np.ones_like(times), times], axis=1))[0]
    rest = power - basis @ (basis.T @ power)
    interval = trace.sensor.update_interval_seconds
    latencies = np.linspace(0, _LONGEST * stretch_seconds, _LATENCIES)
    lengths = np.geomspace(min(interval, stretch_seconds) / 8, _LONGEST * stretch_seconds, _LENGTHS)
    kinds: list[tuple[Shape, _Array]] = [("mean", lengths), ("exponential", lengths / 4)]
    shares = np.stack([_shares(times, edges, kind, latencies, tried) for kind, tried in kinds])
    shares -= (shares @ basis) @ basis.T
    power_of = np.einsum("...n,...n->...", shares, shares)
    along = shares @ rest
    # A step is upwards: of another sign, it is some other stretch's.
    gained = np.where((along > 0) & (power_of > 1e-12), along**2 / np.maximum(power_of, 1e-12), 0.0)
    left = np.maximum(float(rest @ rest) - gained, 0.0)
    at = np.unravel_index(int(np.argmin(left)), left.shape)
    step = float(along[at] / max(float(power_of[at]), 1e-12))
    residual = rest - step * shares[at]
    variance = max(float(residual @ residual), 1e-18) / (len(times) - 5) * _correlated(residual)
    if step * math.sqrt(float(power_of[at])) < _SEEN * math.sqrt(variance):
        return unseen
    possible = left <= left[at] + variance * _CHI_SQUARED
    ends = np.stack(
        [
            latencies[:, None] + factor * tried[None, :]
            for factor, (_, tried) in zip((1.0, CONSTANTS), kinds, strict=True)
        ]
    )
    shape, tried = kinds[int(at[0])]
    return StepResponse(
        True,
        shape,
        float(latencies[at[1]]),
        float(tried[at[2]]),
        float(np.max(ends[possible])),
        step,
        stretch_seconds,
        tuple(stretches),
    )


def _correlated(residual: _Array) -> float:
    """By how much correlation makes a variance larger."""
    whole = float(residual @ residual)
    share = float(residual[1:] @ residual[:-1]) / whole if whole > 0 else 0.0
    share = min(max(share, 0.0), 0.95)
    return (1 + share) / (1 - share)


def _shares(
    times: _Array, edges: _Array, shape: Shape, latencies: _Array, lengths: _Array
) -> _Array:
    """The share v at each time, [latencies, lengths, n]; at `edges` the core goes on and off."""
    told = times[None, None, :] - latencies[:, None, None]
    length = lengths[None, :, None]
    if shape == "mean":
        on = np.arange(len(edges) - 1) % 2 == 0
        ran = np.concatenate([[0.0], np.cumsum(np.diff(edges) * on)])
        begin = np.interp(told - length, edges, ran)
        found: _Array = (np.interp(told, edges, ran) - begin) / length
        return found
    # From edge to edge: what is left of the distance to the state decays.
    states = 1.0 - np.arange(len(edges) + 1) % 2  # before the first edge none, then on, off, ...
    states = np.concatenate([[0.0], states[:-1]])
    reached = np.zeros((len(edges) + 1, len(lengths)))
    for place in range(1, len(edges)):
        decay = np.exp(-(edges[place] - edges[place - 1]) / lengths)
        reached[place + 1] = states[place] + (reached[place] - states[place]) * decay
    at = np.searchsorted(edges, told[:, 0], side="right")  # [latencies, n]
    passed = told[:, 0] - edges[np.maximum(at - 1, 0)]
    decay = np.exp(-np.maximum(passed, 0.0)[:, None] / length)
    state = states[at][:, None]
    return np.asarray(state + (np.moveaxis(reached[at], -1, 1) - state) * decay)
