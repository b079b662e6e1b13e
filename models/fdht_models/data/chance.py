"""Chance: what a classifier gets that looks at nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import ShapeError


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
