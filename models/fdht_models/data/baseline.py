"""How far a single frame gets: the classifier that a network with a memory has to beat.

The classes of our data sets are defined by time alone. Whatever a classifier of one frame reaches
is what the data set gives away without looking at time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.packages import REMEDY
from fdht_models.data.types import ClipSet
from fdht_models.errors import DataError, ShapeError

_BLOCK = 5  # pixels averaged each way: 160 x 120 x 3 becomes 32 x 24 grey values


def single_frame_baseline(
    train: ClipSet,
    test: ClipSet,
    raw: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None,
) -> dict[str, Any]:
    """Returns the accuracy of the best classifier that sees one frame of a clip.

    Logistic regression, a random forest and k nearest neighbours each see the first, the middle
    or the last frame: of video, averaged over blocks of 5 x 5 pixels and three colours (32 x 24
    values); otherwise whole.

    Args:
        train: clips to fit on.
        test: clips to score on.
        raw: pixels of the same clips from `render_clips`, (train, test), each
            uint8 [clips, frames, H, W, 3]; where given, raw frames are tried as well.

    Returns:
        {"accuracy": of the best, "name": which it is, "chance": accuracy of naming the test
        set's most frequent class, "accuracies": {name: accuracy}}; all from 0 to 1. The best is
        chosen on the test clips, in the baseline's favour.

    Raises:
        DataError: scikit-learn is not installed.
        ShapeError: `train` and `test`, or `raw` and they, do not belong together.
    """
    pairs = [("feature", _flatten(train), _flatten(test))]
    if raw is not None:
        for field, pixels, clips in (("raw[0]", raw[0], train), ("raw[1]", raw[1], test)):
            if pixels.ndim != 5 or len(pixels) != len(clips):
                raise ShapeError(
                    f"expected [{len(clips)}, frames, H, W, 3]", field=field, value=pixels.shape
                )
        pairs.append(("raw", raw[0], raw[1]))
    if train.frames.shape[2] != test.frames.shape[2] or train.classes != test.classes:
        raise ShapeError("train and test are of different data sets", field="test")
    accuracies: dict[str, float] = {}
    for kind, fit_on, score_on in pairs:
        for place in ("first", "middle", "last"):
            fit_values, score_values = _frame(fit_on, place), _frame(score_on, place)
            for name, make in _classifiers().items():
                accuracies[f"{name}, {place} {kind} frame"] = _accuracy(
                    make(), fit_values, train.labels, score_values, test.labels
                )
    best = max(accuracies, key=lambda name: accuracies[name])
    chance = np.bincount(test.labels).max() / len(test.labels)
    return {
        "accuracy": accuracies[best],
        "name": best,
        "chance": float(chance),
        "accuracies": accuracies,
    }


def _flatten(clips: ClipSet) -> NDArray[np.uint8]:
    # A view: [clips, steps, H, W, 3] for video, [clips, steps, inputs] otherwise.
    return clips.frames.reshape(*clips.frames.shape[:2], *(clips.frame_shape or (-1,)))


def _frame(clips: NDArray[np.uint8], place: str) -> NDArray[np.float32]:
    step = {"first": 0, "middle": clips.shape[1] // 2, "last": clips.shape[1] - 1}[place]
    frames = clips[:, step]
    if frames.ndim != 4:
        return frames.reshape(len(frames), -1).astype(np.float32)
    height, width = (extent // _BLOCK for extent in frames.shape[1:3])
    averages = np.empty((len(frames), height * width), np.float32)
    for index, frame in enumerate(frames):  # one at a time: a set may be larger than the memory
        cut = frame[: height * _BLOCK, : width * _BLOCK]
        blocks = cut.reshape(height, _BLOCK, width, _BLOCK * frame.shape[2])
        averages[index] = blocks.mean(axis=(1, 3), dtype=np.float32).ravel()
    return averages


def _classifiers() -> dict[str, Callable[[], Any]]:
    try:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
    except ImportError:
        raise DataError(
            "is not installed", field="package", value="scikit-learn", remedy=REMEDY
        ) from None
    return {
        "logistic regression": lambda: LogisticRegression(C=0.01, max_iter=60),
        "random forest": lambda: RandomForestClassifier(100, random_state=0, n_jobs=2),
        "nearest neighbours": lambda: KNeighborsClassifier(5, weights="distance"),
    }


def _accuracy(
    classifier: Any,
    fit_values: NDArray[np.float32],
    fit_labels: NDArray[np.int64],
    values: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> float:
    mean, deviation = fit_values.mean(axis=0), fit_values.std(axis=0) + 1e-3
    with warnings.catch_warnings():
        # Logistic regression is stopped early on purpose; with so few clips it only overfits.
        warnings.simplefilter("ignore")
        classifier.fit((fit_values - mean) / deviation, fit_labels)
        found = classifier.predict((values - mean) / deviation)
    return float(np.mean(found == labels))
