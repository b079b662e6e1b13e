"""How far one gets without a memory: the classifiers that a network with one has to beat.

The classes of our data sets are defined by time. Whatever a classifier of one frame reaches is what
the data set gives away without looking at time, and whatever one of a clip's mean reaches, what it
gives away without its order. Where a classifier of all frames side by side reaches as much as the
network, a memory was not needed either.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.clip_sets import ClipSet, mean_frames
from fdht_models.data.logistic import logistic_predictions, logistic_predictions_in_parts
from fdht_models.data.packages import import_package
from fdht_models.errors import ShapeError
from fdht_models.metrics import BaselineRow

#: Rows of the table.
LARGEST_CLASS, MEAN_PICTURE = "largest class", "mean picture"
MEAN_FEATURE, MEAN_FRAME = "mean feature", "mean frame"
SINGLE_FRAME, ALL_FRAMES = "best single frame", "all frames"
#: Clips that a classifier is fitted to at most, the first of the set, which hold all classes.
MOST_CLIPS = 10_000
#: Logistic regression sees frames whole: of so many clips, or of as many as have so many values
#: together. These are 1,500 of video, and more of small frames.
_LOGISTIC_CLIPS, _LOGISTIC_VALUES = 1500, 8_000_000
#: Products of values for all frames of video, half of clips^2 x values a clip, at most: those of
#: 1,500 clips of seven frames; and the fewest clips that are worth a figure: regression on fewer
#: says more about their number than about the set.
_PRODUCTS, _FEWEST = 455 * 10**9, 300
#: Rows and columns of grey values to which video is averaged for forests and neighbours, at most.
_ROWS, _COLUMNS = 24, 32

_PLACES = ("first", "middle", "last")
_LOGISTIC = "logistic regression"

_Frames = NDArray[np.uint8]
_Values = NDArray[np.float32]
_Labels = NDArray[np.int64]
#: Mean pictures of training and test clips, [clips, values] each; or why there are none; or None
#: where there is nothing to look at but the inputs.
Pictures = tuple[_Values, _Values] | str | None


@dataclass(frozen=True)
class Baseline(BaselineRow):
    """A row of the table, with the classes that it gives the test clips, [clips]."""

    predictions: _Labels = field(repr=False, compare=False)


@dataclass(frozen=True)
class BaselineTable:
    """All rows, and why others are missing, by name."""

    rows: tuple[Baseline, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def row(self, name: str) -> Baseline | None:
        """The row of that name, if it is there."""
        return next((row for row in self.rows if row.name == name), None)


def largest_class(test: ClipSet) -> Baseline:
    """Always the test clips' most frequent class; see `fdht_models.data.significance`."""
    classes, counts = np.unique(test.labels, return_counts=True)
    guess = int(classes[counts.argmax()])
    found = np.full(len(test), guess, np.int64)
    name = f"always '{test.classes[guess]}'"
    right = float(np.mean(found == test.labels))
    chosen = "the most frequent class of the test clips"
    return Baseline(LARGEST_CLASS, name, right, "counted", 0, chosen, {name: right}, found)


def baseline_table(train: ClipSet, test: ClipSet, pictures: Pictures = None) -> BaselineTable:
    """Fits the classifiers without a memory, and returns what each gets.

    Logistic regression sees every value of a frame, of the mean over a clip's frames, of the mean
    picture, and of all frames side by side; its strength is chosen by cross-validation among
    training clips, with sources kept whole where they are known. Of the first, the middle or the
    last frame, a random forest and k nearest neighbours see video averaged over blocks to at most
    24 x 32 grey values. Among the nine of single frames the best on the test clips is taken, in
    the baseline's favour.

    Args:
        train: clips to fit on: the first 10,000; logistic regression fewer of large frames (see
            `logistic_clips`, `clips_of_all_frames`).
        test: clips to score on.
        pictures: mean pictures of the first training clips and of all test clips, where the inputs
            are a feature of pictures.

    Raises:
        DataError: scikit-learn is not installed.
        ShapeError: `train` and `test`, or `pictures` and they, do not belong together.
    """
    _check(train, test, pictures)
    left_out: dict[str, str] = {}
    rows = [largest_class(test)]
    if isinstance(pictures, str):
        left_out[MEAN_PICTURE] = pictures
    elif pictures is not None:
        rows.append(_logistic_row(MEAN_PICTURE, pictures, train, test))
    whole = logistic_clips(len(train), train.frames.shape[2])
    means = mean_frames(train.frames[:whole]), mean_frames(test.frames)
    rows.append(_logistic_row(_mean_of_inputs(train, pictures), means, train, test))
    rows.append(_best_single_frame(train, test, whole))
    count = clips_of_all_frames(len(train), *train.frames.shape[1:])
    if count:
        rows.append(_all_frames(train, test, count))
    else:
        values = train.frames.shape[1] * train.frames.shape[2]
        left_out[ALL_FRAMES] = f"{values:,} values a clip are too many for {_FEWEST} clips"
    return BaselineTable(tuple(rows), left_out)


def logistic_clips(clips: int, values: int) -> int:
    """How many of the clips logistic regression is fitted to, so that it takes seconds."""
    enough = max(_LOGISTIC_CLIPS, _LOGISTIC_VALUES // values)
    return min(clips, MOST_CLIPS, enough)


def clips_of_all_frames(clips: int, steps: int, inputs: int) -> int:
    """The same of all frames of a clip side by side; 0 where there would be too few."""
    values = steps * inputs
    most = int(np.sqrt(2 * _PRODUCTS / values))
    return min(logistic_clips(clips, values), most) if most >= min(_FEWEST, clips) else 0


def _mean_of_inputs(train: ClipSet, pictures: Pictures) -> str:
    if len(train.frame_shape) != 3:
        return MEAN_FRAME
    return MEAN_PICTURE if pictures is None else MEAN_FEATURE


def _check(train: ClipSet, test: ClipSet, pictures: Pictures) -> None:
    if train.frames.shape[1:] != test.frames.shape[1:] or train.classes != test.classes:
        raise ShapeError("train and test are of different data sets", field="test")
    if pictures is None or isinstance(pictures, str):
        return
    for place, (pixels, clips) in enumerate(zip(pictures, (train, test), strict=True)):
        enough = len(pixels) == len(clips) if place else 0 < len(pixels) <= len(clips)
        if pixels.ndim != 2 or not enough or pixels.shape[1] != pictures[0].shape[1]:
            raise ShapeError(
                f"expected [{len(clips)}, values]", field=f"pictures[{place}]", value=pixels.shape
            )


def _logistic_row(
    name: str, values: tuple[_Values, _Values], train: ClipSet, test: ClipSet
) -> Baseline:
    labels, groups = _known(train, len(values[0]))
    found, strength = logistic_predictions(values[0], labels, values[1], groups)
    return _regression_row(name, found, strength, len(labels), test)


def _all_frames(train: ClipSet, test: ClipSet, count: int) -> Baseline:
    labels, groups = _known(train, count)
    fit_on, score_on = train.frames[:count], test.frames
    if fit_on[0].size <= count:
        fitted, scored = (frames.reshape(len(frames), -1) for frames in (fit_on, score_on))
        found, strength = logistic_predictions(fitted, labels, scored, groups)
    else:  # frame after frame: side by side they may be larger than the memory

        def parts() -> Iterator[tuple[_Frames, _Frames]]:
            for step in range(fit_on.shape[1]):
                yield fit_on[:, step], score_on[:, step]

        found, strength = logistic_predictions_in_parts(parts, labels, groups)
    return _regression_row(ALL_FRAMES, found, strength, count, test)


def _regression_row(
    name: str, found: _Labels, strength: float, clips: int, test: ClipSet
) -> Baseline:
    chosen = f"inverse strength {strength:g}, by cross-validation"
    return _row(name, {f"{_LOGISTIC}, {name}": found}, test, clips, chosen)


def _best_single_frame(train: ClipSet, test: ClipSet, whole: int) -> Baseline:
    labels, groups = _known(train, whole)
    many = train.of(slice(MOST_CLIPS))
    found: dict[str, _Labels] = {}
    for place in _PLACES:
        seen = _place(train.frames[:whole], place), _place(test.frames, place)
        name = f"{_LOGISTIC}, {place} frame"
        found[name], _ = logistic_predictions(seen[0], labels, seen[1], groups)
        fit_on, score_on = _small(many, place), _small(test, place)
        for name, make in _classifiers().items():
            found[f"{name}, {place} frame"] = _predictions(make(), fit_on, many.labels, score_on)
    chosen = f"the best of {len(found)} on the test clips"
    row = _row(SINGLE_FRAME, found, test, len(many), chosen)
    return replace(row, clips=whole) if row.classifier.startswith(_LOGISTIC) else row


def _row(
    name: str, found: Mapping[str, _Labels], test: ClipSet, clips: int, chosen: str
) -> Baseline:
    tried = {one: float(np.mean(guess == test.labels)) for one, guess in found.items()}
    best = max(tried, key=lambda one: tried[one])
    return Baseline(name, best, tried[best], "measured", clips, chosen, tried, found[best])


def _known(train: ClipSet, count: int) -> tuple[_Labels, _Labels | None]:
    """Labels and sources of the first clips."""
    return train.labels[:count], None if train.groups is None else train.groups[:count]


def _place(frames: _Frames, place: str) -> _Frames:
    steps = frames.shape[1]
    return frames[:, {"first": 0, "middle": steps // 2, "last": steps - 1}[place]]


def _small(clips: ClipSet, place: str) -> _Values:
    """A frame of video as at most 24 x 32 averages, what is no video whole: [clips, values].

    A block is as small as the limit allows; rows and columns that fill no block are left out.
    """
    frames, shape = _place(clips.frames, place), clips.frame_shape
    if len(shape) != 3:
        return frames.astype(np.float32)
    high, wide = -(-shape[0] // _ROWS), -(-shape[1] // _COLUMNS)
    rows, columns = shape[0] // high, shape[1] // wide
    averages = np.empty((len(frames), rows * columns), np.float32)
    for index, frame in enumerate(frames):
        cut = frame.reshape(shape)[: rows * high, : columns * wide]
        blocks = cut.reshape(rows, high, columns, wide * shape[2])
        averages[index] = blocks.mean(axis=(1, 3), dtype=np.float32).ravel()
    return averages


def _classifiers() -> dict[str, Callable[[], Any]]:
    ensemble = import_package("sklearn.ensemble", "scikit-learn")
    neighbors = import_package("sklearn.neighbors", "scikit-learn")
    return {
        # Each tree sees a half of the clips, drawn anew: as good on ours, in half the time.
        "random forest": lambda: ensemble.RandomForestClassifier(
            100, max_samples=0.5, random_state=0, n_jobs=2
        ),
        "nearest neighbours": lambda: neighbors.KNeighborsClassifier(5, weights="distance"),
    }


def _predictions(classifier: Any, fit_on: _Values, labels: _Labels, score_on: _Values) -> _Labels:
    mean, deviation = fit_on.mean(axis=0), fit_on.std(axis=0) + 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier.fit((fit_on - mean) / deviation, labels)
        return np.asarray(classifier.predict((score_on - mean) / deviation), np.int64)
