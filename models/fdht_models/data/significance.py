"""Whether one classifier is better than another on the same test clips, or lucky.

Clips that both take rightly, or both wrongly, say nothing about which is better. Of the n clips
that exactly one of the two takes rightly, the first has b, the second c. Were both equally good,
each of the n would be either's with probability 1/2, and b binomial(n, 1/2): the exact test of
McNemar (Psychometrika 12, 1947).

How far apart the two are: each clip counts +1, 0 or -1, so that the mean over N clips, (b - c) / N,
has the variance (p + q - (p - q)^2) / N, where p and q are the probabilities of +1 and -1. Bonett
and Price (J. Educational and Behavioral Statistics 37, 2012) estimate p, q and their difference
after adding one clip to each side, (b + 1) / (N + 2) and (c + 1) / (N + 2): without it the interval
is too short where one side has few clips. A difference counts as one where the test and the
interval agree on it.

Both take clips as drawn independently. Clips of one person or recording are not quite: of few
sources the true uncertainty is larger.

Chance is what a classifier gets that looks at nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import ShapeError

#: How sure an interval is; a difference that chance explains less often than the rest is one.
CONFIDENCE = 0.95
_DEVIATIONS = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class PairedTest:
    """Two classifiers on the same clips.

    Attributes:
        first_only: clips that the first takes rightly and the second does not.
        second_only: the other way round.
        clips: all of them.
        difference: accuracy of the first less that of the second.
        interval: bounds on it, with confidence `CONFIDENCE`.
        p_value: how often two equally good classifiers differ at least so much, two-sided.
    """

    first_only: int
    second_only: int
    clips: int
    difference: float
    interval: tuple[float, float]
    p_value: float

    @property
    def first_is_better(self) -> bool:
        """True if the first is better by more than chance explains."""
        return self.interval[0] > 0 and self.p_value < 1 - CONFIDENCE


def compare_paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedTest:
    """Compares two classifiers by which of the same clips each took rightly, [clips] each.

    Raises:
        ShapeError: there are no clips, or the two are not of the same ones.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ShapeError(
            f"expected what was right of the same clips, {first.shape}",
            field="second",
            value=second.shape,
        )
    first_only = int(np.count_nonzero(first & ~second))
    second_only = int(np.count_nonzero(second & ~first))
    return PairedTest(
        first_only,
        second_only,
        len(first),
        (first_only - second_only) / len(first),
        _interval(first_only, second_only, len(first)),
        sign_test(first_only, second_only),
    )


def _interval(first: int, second: int, clips: int) -> tuple[float, float]:
    p, q = (first + 1) / (clips + 2), (second + 1) / (clips + 2)
    reach = _DEVIATIONS * math.sqrt((p + q - (p - q) ** 2) / (clips + 2))
    return max(-1.0, p - q - reach), min(1.0, p - q + reach)


def sign_test(first: int, second: int) -> float:
    """Returns how often a fair coin, thrown first + second times, is at least as one-sided.

    Both sides count. Summed in whole numbers, so that the only rounding is the last division.
    """
    throws, least = first + second, min(first, second)
    term = total = 1
    for count in range(least):
        term = term * (throws - count) // (count + 1)
        total += term
    # As whole numbers: 2 ** throws may be beyond a double, the quotient is not.
    return 1.0 if 2 * total >= 1 << throws else 2 * total / (1 << throws)


def chance_of(labels: NDArray[np.int64]) -> float:
    """Returns the accuracy of always answering the most frequent class of the test clips.

    It is the largest share of one class among `labels`, from 0 to 1. One class of n would be 1/n
    only where the test clips are spread evenly; where they are not, a network that learned nothing
    but how often each class comes gets more, and must not be taken for one that learned. Every
    command and report takes chance from here.

    Args:
        labels: classes of the test clips, whole numbers from 0: [clips].

    Raises:
        ShapeError: `labels` are not a row of at least one class.
    """
    if labels.ndim != 1 or not len(labels):
        raise ShapeError(
            "expected the class of at least one clip", field="labels", value=labels.shape
        )
    return int(np.unique(labels, return_counts=True)[1].max()) / len(labels)
