"""Streams clips and videos through a board and holds every logit against the reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_host.accelerator import Accelerator
from fdht_host.video import VideoLabels, VideoTimes, decode, features, probe, read_labels
from fdht_models.errors import ConfigError, DataError
from fdht_models.features import get_feature
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

Progress = Callable[[str, int, int], None]
Logits = npt.NDArray[np.int64]
#: Features a call where nothing else ends one.
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class ClipRun:
    """A labelled set, run.

    Args:
        labels: truth, int64[clips].
        predictions: from the logits of each clip's last frame, int64[clips].
        compared: logits compared with the reference.
        mismatches: how many of them differ.
        frames: frames run.
        seconds: on the host's clock, the comparison left out.
    """

    labels: npt.NDArray[np.int64]
    predictions: npt.NDArray[np.int64]
    compared: int
    mismatches: int
    frames: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of clips classified rightly."""
        return float(np.mean(self.labels == self.predictions))


@dataclass(frozen=True)
class Segment:
    """Frames of a video in one call: what was seen, and what they show if that is known."""

    start: int
    frames: int
    predicted: str
    label: str | None


@dataclass(frozen=True, eq=False)
class VideoRun:
    """A video file, run; see `ClipRun`."""

    path: Path
    segments: Sequence[Segment]
    compared: int
    mismatches: int
    frames: int
    seconds: float
    info: dict[str, Any] = field(default_factory=dict)
    times: VideoTimes = field(default_factory=VideoTimes)

    def to_json(self) -> dict[str, Any]:
        """The report's section `video`."""
        labelled = [segment for segment in self.segments if segment.label is not None]
        return {
            **self.info,
            "file": self.path.name,
            "frames": self.times.frames,
            "features": self.frames,
            "predictions": [vars(segment) for segment in self.segments],
            "labelled": len(labelled),
            "correct": sum(segment.predicted == segment.label for segment in labelled),
            "seconds": self.seconds,
        }


def stream_clips(
    accelerator: Accelerator,
    network: QuantizedNetwork,
    frames: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    progress: Progress,
) -> ClipRun:
    """Runs clips, each from a zero state.

    Args:
        accelerator: the board.
        network: what it runs.
        frames: codes [clips, steps, inputs].
        labels: int64[clips].
        progress: told after each clip.
    """
    reference = ReferenceModel(network)
    predictions = np.empty(len(frames), np.int64)
    mismatches, seconds = 0, 0.0
    for position, clip in enumerate(frames):
        started = time.perf_counter()
        logits = accelerator.infer(clip, reset=True)
        seconds += time.perf_counter() - started
        reference.reset()
        mismatches += int(np.count_nonzero(logits != reference.run(np.asarray(clip))))
        predictions[position] = np.argmax(logits[-1])
        progress("test clips", position + 1, len(frames))
    count = frames.shape[0] * frames.shape[1]
    compared = count * len(network.classes)
    return ClipRun(np.asarray(labels), predictions, compared, mismatches, count, seconds)


def confusion(run: ClipRun, classes: int) -> list[list[int]]:
    """Counts, [truth][prediction]."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (run.labels, run.predictions), 1)
    table: list[list[int]] = counts.tolist()
    return table


def stream_video(
    accelerator: Accelerator,
    network: QuantizedNetwork,
    path: Path,
    clip_frames: int,
    resize: bool,
    progress: Progress,
) -> VideoRun:
    """Runs a video file: decoded frame by frame, resized, turned into features.

    Where labels stand beside it, the state is reset at the start of each labelled clip and of what
    lies between clips; otherwise every `clip_frames` frames (0: never).

    Raises:
        ConfigError: the model does not take video.
        DataError: the video cannot be read, is empty, or has another size with `resize` off.
    """
    if network.feature is None:
        raise ConfigError(
            "does not take video",
            field="source",
            value=path.name,
            remedy="use --source test with this experiment",
        )
    info, labels = probe(path), read_labels(path)
    height, width = network.frame_shape[:2]
    times = VideoTimes()
    pictures = decode(path, height, width, strict_size=not resize, times=times)
    starts = [] if labels is None else [stretch.start for stretch in labels.stretches]
    stream = features(pictures, network.feature, starts=frozenset(starts), times=times)
    segments: list[Segment] = []
    mismatches = frames = 0
    seconds = 0.0
    reference = ReferenceModel(network)
    for length, reset, label in _plan(network.feature, labels, clip_frames):
        started = time.perf_counter()
        block = _take(stream, length)
        if block is None:
            break
        logits = accelerator.infer(block, reset=reset)
        seconds += time.perf_counter() - started
        if reset:
            reference.reset()
        mismatches += int(np.count_nonzero(logits != reference.run(block)))
        predicted = network.classes[int(np.argmax(logits[-1]))]
        segments.append(Segment(frames, len(block), predicted, label))
        frames += len(block)
        progress(path.name, frames, info.frames or 0)
    if not segments:
        raise DataError(
            "has too few frames for a single result",
            field=str(path),
            value=times.frames,
            remedy="give a longer video",
        )
    compared = frames * len(network.classes)
    return VideoRun(path, segments, compared, mismatches, frames, seconds, info.to_json(), times)


def _plan(
    feature: str, labels: VideoLabels | None, clip_frames: int
) -> Iterator[tuple[int, bool, str | None]]:
    """Yields, for each call: features at most, whether to reset the state, and the label.

    Without labels it has no end.
    """
    if labels is None:
        yield clip_frames or _BLOCK, True, None
        while True:
            yield clip_frames or _BLOCK, clip_frames > 0, None
    # A feature of two pictures has none for the first of a stretch.
    lost = int(get_feature(feature).needs_previous)
    for stretch in labels.stretches:
        if stretch.frames > lost:
            label = None if stretch.label is None else labels.classes[stretch.label]
            yield stretch.frames - lost, True, label


def _take(stream: Iterator[npt.NDArray[Any]], count: int) -> npt.NDArray[Any] | None:
    """The next frames of a stream, at most `count`; None at its end."""
    # The counter comes first: `zip` would otherwise take one frame more, and drop it.
    frames = [frame.copy() for _, frame in zip(range(count), stream, strict=False)]
    return np.stack(frames) if frames else None
