"""How far one gets without a memory: the classifiers that a network with one has to beat.

The classes of our data sets are defined by time. Whatever a classifier of one frame reaches is what
the data set gives away without looking at time, and whatever one of a clip's mean reaches, what it
gives away without its order.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.chance import chance_of
from fdht_models.data.logistic import logistic_predictions
from fdht_models.data.packages import REMEDY
from fdht_models.data.types import ClipSet
from fdht_models.errors import DataError, ShapeError

#: Clips that a classifier is fitted to at most, the first of the set, which hold all classes.
MOST_CLIPS = 10_000
#: Logistic regression sees frames whole: of so many clips, or of as many as have so many
#: coordinates together. These are 1,500 of video, and more of small frames.
_LOGISTIC_CLIPS, _LOGISTIC_COORDINATES = 1500, 1500**2
#: Rows and columns of grey values to which video is averaged for forests and neighbours, at most.
_ROWS, _COLUMNS = 24, 32

_PLACES = ("first", "middle", "last")
_LOGISTIC = "logistic regression"


def single_frame_baseline(
    train: ClipSet,
    test: ClipSet,
    raw: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None,
) -> dict[str, Any]:
    """Returns the accuracies of the best classifiers that see one frame, or the mean of all.

    Of the first, the middle or the last frame, logistic regression sees every value; its strength
    is chosen by cross-validation, with sources kept whole where they are known. A random forest
    and k nearest neighbours see video averaged over blocks to at most 24 x 32 grey values.
    Of the mean over a clip's frames, logistic regression sees every value.

    Args:
        train: clips to fit on: the first 10,000; logistic regression on 57,600 inputs the first
            1,500 (see `logistic_clips`).
        test: clips to score on.
        raw: pixels of the same clips from `render_clips`, (train, test), each
            uint8 [clips, frames, H, W, 3]; where given, raw frames and pictures are tried as well.

    Returns:
        {"accuracy": of the best on a single frame, "name": which it is, "accuracies": {name:
        accuracy}, "mean_frame": the same of the mean over a clip: {"accuracy", "name",
        "accuracies"}, "chance": accuracy of naming the test set's most frequent class}; all from 0
        to 1. The best is chosen on the test clips, in the baseline's favour.

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
    single: dict[str, float] = {}
    mean: dict[str, float] = {}
    labels = (train.labels, test.labels)
    for kind, fit_on, score_on in pairs:
        fit_on = fit_on[:MOST_CLIPS]
        whole = fit_on[: logistic_clips(len(fit_on), int(np.prod(fit_on.shape[2:])))]
        for place in (*_PLACES, "mean"):
            name = f"{_LOGISTIC}, {place} {kind} frame"
            found = mean if place == "mean" else single
            found[name] = _logistic_accuracy(
                (_whole(whole, place), _whole(score_on, place)), labels, train.groups
            )
        for place in _PLACES:
            small = _small(fit_on, place), _small(score_on, place)
            for name, make in _classifiers().items():
                single[f"{name}, {place} {kind} frame"] = _accuracy(make(), small, labels)
    return {
        **_best(single),
        "mean_frame": _best(mean),
        "chance": chance_of(test.labels),
    }


def logistic_clips(clips: int, inputs: int) -> int:
    """How many of the clips logistic regression is fitted to, so that it takes seconds."""
    enough = max(_LOGISTIC_CLIPS, _LOGISTIC_COORDINATES // inputs)
    return min(clips, MOST_CLIPS, enough)


def _best(accuracies: dict[str, float]) -> dict[str, Any]:
    name = max(accuracies, key=lambda one: accuracies[one])
    return {"accuracy": accuracies[name], "name": name, "accuracies": accuracies}


def _flatten(clips: ClipSet) -> NDArray[np.uint8]:
    # A view: [clips, steps, H, W, 3] for video, [clips, steps, inputs] otherwise.
    return clips.frames.reshape(*clips.frames.shape[:2], *(clips.frame_shape or (-1,)))


def _frame(clips: NDArray[np.uint8], place: str) -> NDArray[np.uint8]:
    return clips[:, {"first": 0, "middle": clips.shape[1] // 2, "last": clips.shape[1] - 1}[place]]


def _whole(clips: NDArray[np.uint8], place: str) -> NDArray[np.float32]:
    """Every value of a frame, or of the mean over all frames: float32 [clips, inputs]."""
    if place != "mean":
        frames = _frame(clips, place)
        return frames.reshape(len(frames), -1).astype(np.float32)
    means = np.empty((len(clips), int(np.prod(clips.shape[2:]))), np.float32)
    for index, clip in enumerate(clips):  # one at a time: a set may be larger than the memory
        means[index] = clip.reshape(len(clip), -1).mean(axis=0, dtype=np.float32)
    return means


def _small(clips: NDArray[np.uint8], place: str) -> NDArray[np.float32]:
    """A frame of video as at most 24 x 32 averages, what is no video whole: [clips, values].

    A block is as small as the limit allows; rows and columns that fill no block are left out.
    """
    frames = _frame(clips, place)
    if frames.ndim != 4:
        return frames.reshape(len(frames), -1).astype(np.float32)
    high, wide = -(-frames.shape[1] // _ROWS), -(-frames.shape[2] // _COLUMNS)
    rows, columns = frames.shape[1] // high, frames.shape[2] // wide
    averages = np.empty((len(frames), rows * columns), np.float32)
    for index, frame in enumerate(frames):
        cut = frame[: rows * high, : columns * wide]
        blocks = cut.reshape(rows, high, columns, wide * frame.shape[2])
        averages[index] = blocks.mean(axis=(1, 3), dtype=np.float32).ravel()
    return averages


def _classifiers() -> dict[str, Callable[[], Any]]:
    try:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.neighbors import KNeighborsClassifier
    except ImportError:
        raise DataError(
            "is not installed", field="package", value="scikit-learn", remedy=REMEDY
        ) from None
    return {
        "random forest": lambda: RandomForestClassifier(100, random_state=0, n_jobs=2),
        "nearest neighbours": lambda: KNeighborsClassifier(5, weights="distance"),
    }


_Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
_Labels = tuple[NDArray[np.int64], NDArray[np.int64]]


def _logistic_accuracy(values: _Pair, labels: _Labels, groups: NDArray[np.int64] | None) -> float:
    count = len(values[0])
    groups = None if groups is None else groups[:count]
    found, _ = logistic_predictions(values[0], labels[0][:count], values[1], groups)
    return float(np.mean(found == labels[1]))


def _accuracy(classifier: Any, values: _Pair, labels: _Labels) -> float:
    fit_on, score_on = values
    mean, deviation = fit_on.mean(axis=0), fit_on.std(axis=0) + 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier.fit((fit_on - mean) / deviation, labels[0][: len(fit_on)])
        found = classifier.predict((score_on - mean) / deviation)
    return float(np.mean(found == labels[1]))
