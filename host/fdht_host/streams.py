"""Streams clips and videos through a board and holds every logit against the reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_host.accelerator import Accelerator
from fdht_host.video import VideoLabels, VideoTimes, decode, features, probe, read_labels
from fdht_models.errors import ConfigError, DataError, FdhtError
from fdht_models.features import get_feature
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

Progress = Callable[[str, int, int], None]
Logits = npt.NDArray[np.int64]
#: Features a call where nothing else ends one.
_BLOCK = 64


@dataclass(eq=False)
class ClipRun:
    """A labelled set as far as it was run; grows with every clip.

    Args:
        labels: truth, int64[clips].
        predictions: from the logits of each clip's last frame, int64[clips].
        compared: logits compared with the reference.
        mismatches: how many of them differ.
        frames: frames run.
        seconds: on the host's clock, the comparison left out.
    """

    labels: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    predictions: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    compared: int = 0
    mismatches: int = 0
    frames: int = 0
    seconds: float = 0.0

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


@dataclass(eq=False)
class VideoRun:
    """A video file as far as it was run; see `ClipRun`."""

    path: Path
    segments: list[Segment] = field(default_factory=list)
    compared: int = 0
    mismatches: int = 0
    frames: int = 0
    seconds: float = 0.0
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
    run: ClipRun | None = None,
) -> ClipRun:
    """Runs clips, each from a zero state.

    Args:
        accelerator: the board.
        network: what it runs.
        frames: codes [clips, steps, inputs].
        labels: int64[clips].
        progress: told after each clip.
        run: filled clip by clip, so that something is left where one fails; by default a new one.

    Returns:
        `run`.
    """
    run = run or ClipRun()
    reference = ReferenceModel(network)
    predictions = np.empty(len(frames), np.int64)
    for position, clip in enumerate(frames):
        started = time.perf_counter()
        logits = accelerator.infer(clip, reset=True)
        run.seconds += time.perf_counter() - started
        reference.reset()
        mismatches = int(np.count_nonzero(logits != reference.run(np.asarray(clip))))
        predictions[position] = np.argmax(logits[-1])
        run.mismatches += mismatches
        run.compared += logits.size
        run.frames += len(clip)
        run.labels = np.asarray(labels)[: position + 1]
        run.predictions = predictions[: position + 1]
        progress("test clips", position + 1, len(frames))
    return run


def confusion(run: ClipRun, classes: int) -> list[list[int]]:
    """Counts, [truth][prediction]."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (run.labels, run.predictions), 1)
    table: list[list[int]] = counts.tolist()
    return table


def look_at_video(network: QuantizedNetwork, path: Path, resize: bool) -> None:
    """Refuses what `stream_video` would at its first frame.

    Raises:
        ConfigError, DataError: as `stream_video`.
    """
    if network.feature is None:
        raise ConfigError(
            "does not take video",
            field="source",
            value=path.name,
            remedy="use --source test with this experiment",
        )
    read_labels(path)
    for _ in decode(path, *network.frame_shape[:2], strict_size=not resize, limit=1):
        pass


def stream_video(
    accelerator: Accelerator,
    network: QuantizedNetwork,
    path: Path,
    clip_frames: int,
    resize: bool,
    progress: Progress,
    run: VideoRun | None = None,
) -> VideoRun:
    """Runs a video file: decoded frame by frame, resized, turned into features.

    Where labels stand beside it, the state is reset at the start of each labelled clip and of what
    lies between clips; otherwise every `clip_frames` frames (0: never).

    Args:
        accelerator: the board.
        network: what it runs.
        path: the video.
        clip_frames: see above.
        resize: allow another size than the network's.
        progress: told after each call of the core.
        run: filled call by call, so that something is left where one fails; by default a new one.

    Returns:
        `run`.

    Raises:
        ConfigError: the model does not take video.
        DataError: the video cannot be read, is empty, or has another size with `resize` off.
    """
    look_at_video(network, path, resize)
    run = run or VideoRun(path)
    info, labels = probe(path), read_labels(path)
    run.info = info.to_json()
    height, width = network.frame_shape[:2]
    pictures = decode(path, height, width, strict_size=not resize, times=run.times)
    starts = [] if labels is None else [stretch.start for stretch in labels.stretches]
    stream = features(pictures, network.feature, starts=frozenset(starts), times=run.times)
    reference = ReferenceModel(network)
    failure: FdhtError | None = None
    for length, reset, label in _plan(str(network.feature), labels, clip_frames):
        started = time.perf_counter()
        block, failure = _take(stream, length)
        if failure is not None and len(block) < length:
            label = None  # of a clip of which not all is there
        if not len(block):
            break
        logits = accelerator.infer(block, reset=reset)
        run.seconds += time.perf_counter() - started
        if reset:
            reference.reset()
        run.mismatches += int(np.count_nonzero(logits != reference.run(block)))
        run.compared += logits.size
        predicted = network.classes[int(np.argmax(logits[-1]))]
        run.segments.append(Segment(run.frames, len(block), predicted, label))
        run.frames += len(block)
        progress(path.name, run.frames, info.frames or 0)
        if failure is not None:
            break
    if failure is not None:
        raise failure
    if not run.segments:
        raise DataError(
            "has too few frames for a single result",
            field=str(path),
            value=run.times.frames,
            remedy="give a longer video",
        )
    return run


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


def _take(
    stream: Iterator[npt.NDArray[Any]], count: int
) -> tuple[npt.NDArray[Any], FdhtError | None]:
    """The next frames of a stream, at most `count`, and why there are no more if it failed."""
    frames: list[npt.NDArray[Any]] = []
    failure: FdhtError | None = None
    try:
        # The counter comes first: `zip` would otherwise take one frame more, and drop it.
        frames.extend(frame.copy() for _, frame in zip(range(count), stream, strict=False))
    except FdhtError as error:
        failure = error  # the frames before it are good
    return np.stack(frames) if frames else np.zeros((0, 0), np.uint8), failure
