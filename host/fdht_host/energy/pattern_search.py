"""Finds a load's pattern in the trace of a meter whose clock is another.

The meter's time is taken to be m = c + (1 + q) h of the host's time h, counted from the middle of
the pattern: c is searched wherever the middle can lie in the trace, q up to `MOST_RATE`. For every
candidate (c, q) chip k has a contrast d_k, the mean power of its first stretch less that of its
second, and a sign s_k, +1 where the core ran first. The statistic is their normalised correlation,

    T = sum s_k d_k / sqrt(sum d_k^2)      at most sqrt(number of chips)

If the trace knows nothing of the pattern (the null hypothesis) the s_k are fair coins that are
independent of the d_k, whatever the trace holds: noise of any colour, drift, or the rhythm of
another program. Then P(T >= t) <= exp(-t^2 / 2) for each candidate (Hoeffding 1963, theorem 2, for
given d_k), and for the largest of L candidates at most L times that. A pattern counts as found if
that bound is no more than `FALSE_ALARMS`; so at most this share of traces without the pattern is
taken for one with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import NANOSECONDS
from fdht_host.energy.load_pattern import LoadRecord
from fdht_host.power.meter import PowerTrace
from fdht_models.errors import MeasurementError

#: The most that a trace without the pattern is taken for one with it.
FALSE_ALARMS = 1e-3
#: Relative error of a meter's clock that is looked for: ten times that of a poor crystal.
MOST_RATE = 2e-3
#: Candidates are so close that the best one is off by an eighth of a stretch at the most.
_STEPS = 4
#: Moments that are looked up at once, for the sake of memory.
_AT_ONCE = 1 << 20
#: Candidates that are tried at most; more is a trace of days.
_MOST_CANDIDATES = 4_000_000
_Array = npt.NDArray[np.float64]


class PatternNotFoundError(MeasurementError):
    """The pattern is not in the trace, as far as the test can tell."""


@dataclass(frozen=True)
class PatternFound:
    """Where a pattern is.

    Args:
        middle_seconds: its middle in the trace, from the first reading, to a part of a stretch.
        rate: of the meter's clock beside the host's, roughly.
        statistic: the largest correlation T.
        needed: how large it has to be.
        candidates: that were tried.
        false_alarms: bound of the chance that a trace without the pattern gives as much.
    """

    middle_seconds: float
    rate: float
    statistic: float
    needed: float
    candidates: int
    false_alarms: float


def find_pattern(
    record: LoadRecord,
    trace: PowerTrace,
    *,
    false_alarms: float = FALSE_ALARMS,
    most_rate: float = MOST_RATE,
) -> PatternFound:
    """Finds a pattern, or refuses the trace.

    Args:
        record: of the load.
        trace: on the meter's clock.
        false_alarms: share of traces without the pattern that may be taken for one with it.
        most_rate: relative error of the meter's clock that is looked for.

    Raises:
        PatternNotFoundError: it is not there, or too faint.
        MeasurementError: the trace is too long to be searched.
    """
    times = (trace.timestamps_ns - trace.timestamps_ns[0]) / NANOSECONDS
    widths = np.diff(times)
    joules = np.concatenate([[0.0], np.cumsum((trace.watts[1:] + trace.watts[:-1]) / 2 * widths)])
    moments, signs = _chips(record)
    stretch, span = record.stretch_seconds, float(moments[-1, -1] - moments[0, 0])
    middles = np.arange(0.0, times[-1], stretch / _STEPS)
    count = 2 * math.ceil(most_rate * span / stretch) + 1
    rates = np.linspace(-most_rate, most_rate, count)
    candidates = len(middles) * count
    if candidates > _MOST_CANDIDATES:
        raise MeasurementError(
            f"lasts {times[-1]:.0f} s, in which stretches of {stretch:.3g} s cannot be looked for",
            field=f"sensor {trace.sensor.name}: trace",
            remedy="cut the log to the time around the run",
        )
    best, place, rate = -math.inf, 0.0, 0.0
    for tried in rates:
        found = _statistics(times, joules, middles, moments * (1 + tried), signs)
        at = int(np.argmax(found))
        if found[at] > best:
            best, place, rate = float(found[at]), float(middles[at]), float(tried)
    needed = math.sqrt(2 * math.log(candidates / false_alarms))
    if best < needed:
        raise PatternNotFoundError(
            f"the run's pattern is not in it: correlation {max(best, 0.0):.2f}, at least "
            f"{needed:.2f} of at most {math.sqrt(len(signs)):.2f} is needed, so that noise passes "
            f"for it once in {1 / false_alarms:.0f} traces",
            field=f"sensor {trace.sensor.name}: trace",
            remedy="check that the meter is in the board's supply and recorded all of the run; "
            "state its interval, so that stretches are long enough for it",
        )
    chance = min(1.0, candidates * math.exp(-(best**2) / 2))
    return PatternFound(place, rate, best, needed, candidates, chance)


def _chips(record: LoadRecord) -> tuple[_Array, _Array]:
    """Start, middle and end of each chip [n, 3] in seconds from the middle, and its sign [n]."""
    moments = record.seconds([[one.start_ns, one.middle_ns, one.end_ns] for one in record.chips])
    return moments, np.array([1.0 if one.on_first else -1.0 for one in record.chips])


def _statistics(
    times: _Array, joules: _Array, middles: _Array, moments: _Array, signs: _Array
) -> _Array:
    """T of each candidate; chips that are not wholly within the trace have no contrast."""
    found = np.zeros(len(middles))
    lengths = np.diff(moments, axis=1)
    piece = max(1, _AT_ONCE // moments.size)
    for first in range(0, len(middles), piece):
        some = middles[first : first + piece]
        asked = some[:, None, None] + moments[None]
        mean = np.diff(np.interp(asked, times, joules), axis=2) / lengths
        contrast = mean[..., 0] - mean[..., 1]
        contrast[(asked[..., 0] < times[0]) | (asked[..., 2] > times[-1])] = 0.0
        size = np.sqrt(np.sum(contrast**2, axis=1))
        # Rounding of a constant trace gives contrasts of some 1e-15 of the power, and no sign.
        seen = size > 1e-9 * max(float(np.max(np.abs(joules))), 1e-12)
        found[first : first + piece][seen] = (contrast @ signs)[seen] / size[seen]
    return found
