"""Reads video files frame by frame and turns frames into the core's input."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_host.ahead import Ahead
from fdht_models.arguments import count
from fdht_models.errors import FdhtError
from fdht_models.features import Feature, get_feature
from fdht_models.media import PixelConverter, VideoFile, VideoInfo, shown_size
from fdht_models.media.messages import damaged, empty, other_size

Frame = npt.NDArray[np.uint8]
#: Numbers of frames, and PyAV's frames.
Numbered = Generator[tuple[int, Any], None, None]
_ALL_PROCESSORS = 0
#: Frames that are handed over at once, and bytes of them beyond which fewer are.
_FEW, _FEW_BYTES = 8, 2 << 20
#: Pixels; more than any frame that a network here could read.
_LONGEST_SIDE = 16_384


@dataclass
class VideoTimes:
    """Seconds that each phase took so far, and what went through it; filled by the iterators."""

    decode_seconds: float = 0.0
    resize_seconds: float = 0.0
    feature_seconds: float = 0.0
    #: Of clips that are read as in training, in one go: decoding, resizing and feature together.
    read_seconds: float = 0.0
    frames: int = 0
    resized: int = 0
    features: int = 0
    read_inputs: int = 0

    def add(self, others: VideoTimes) -> None:
        """Adds what another file took."""
        for name, value in vars(others).items():
            setattr(self, name, getattr(self, name) + value)


def probe(path: Path) -> VideoInfo:
    """Opens a video, decodes its first frame and returns what it is.

    Height and width are those of the first frame as it is shown, turned where the file says so.

    Raises:
        DataError: missing, unreadable, without a video stream or a decoder for it, or without a
            single frame.
    """
    with VideoFile(path, _ALL_PROCESSORS) as video:
        for number, frame in _checked(video, VideoTimes()):
            height, width = shown_size(path, frame, number)
            return dataclasses.replace(
                video.info, height=height, width=width, pixel_format=frame.format.name
            )
    raise empty(path)


def decode(
    path: Path,
    height: int,
    width: int,
    *,
    limit: int | None = None,
    strict_size: bool = False,
    times: VideoTimes | None = None,
    stride: int = 1,
    starts: Collection[int] = (0,),
    overlapped: bool = False,
) -> Generator[Frame, None, None]:
    """Decodes a video frame by frame as RGB, each frame resized to `width` x `height`.

    The picture is turned as the file says, and stretched to the shape that the model was trained
    on (see `fdht_models.media.PixelConverter`); where the sizes are equal already, values of an RGB
    video come through unchanged. The file is opened by this call, so that a bad path fails before
    anything else is started.

    Args:
        path: the video file.
        height: rows that the model wants.
        width: columns that the model wants.
        limit: stop after so many frames.
        strict_size: refuse a video that would have to be resized.
        times: where to add up the seconds of decoding and of resizing.
        stride: give out every so many frames only; the others are decoded and nothing more.
        starts: frame numbers from which frames are counted anew: the first of a clip is given out.
        overlapped: decode in a thread of its own, a few frames ahead; not done with `limit`.

    Returns:
        Iterator over uint8[height, width, 3], row-major, C-contiguous.

    Raises:
        DataError: at once, if the file is missing, unreadable, without a video stream or a decoder
            for it, or begins with another size with `strict_size`; while iterating, if it holds no
            frame, is damaged or cut short, is turned by an odd angle, or changes its size with
            `strict_size` - frames before it have been given out, the message says where.
        ConfigError: a size or limit is no whole number, or none that a picture can have.
    """
    height = count(height, "height", most=_LONGEST_SIDE)
    width = count(width, "width", most=_LONGEST_SIDE)
    limit = None if limit is None else count(limit, "limit", least=0)
    stride = count(stride, "stride")
    video = VideoFile(path, _ALL_PROCESSORS)
    pictures = _decode(
        _in_a_thread if overlapped and limit is None else _as_asked,
        video,
        (height, width),
        limit,
        strict_size,
        times or VideoTimes(),
        stride,
        frozenset(starts),
    )
    if not strict_size:
        return pictures
    return _from(list(itertools.islice(pictures, 1)), pictures)


def features(
    frames: Iterable[Frame],
    feature: str | None,
    *,
    dead_zone: int = 0,
    starts: Collection[int] = (),
    times: VideoTimes | None = None,
    rows: Iterator[Frame] | None = None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Turns frames into what the core reads: uint8[inputs] a step.

    Args:
        frames: uint8[H, W, 3] in order.
        feature: a name of `fdht_models.features.FEATURES`, or None for the pixels themselves.
        dead_zone: the largest difference that counts as none; see `get_feature`.
        starts: frame numbers at which a new clip begins: a feature that compares two frames never
            compares frames of two clips. Frame 0 always begins one.
        times: where to add up the seconds.
        rows: uint8[inputs] each: where the next step is written to; None: arrays of their own.

    Raises:
        ConfigError: an unknown feature.
    """
    found = get_feature(feature or "pixels", dead_zone)
    return _features(frames, found, starts, times or VideoTimes(), rows or itertools.repeat(None))


def frame_pairs(
    frames: Iterable[Frame], starts: Collection[int] = ()
) -> Iterator[tuple[Frame, Frame]]:
    """Frames that have one before them in their clip, each with that one: for a core that computes
    the feature of the two.

    Args:
        frames: as those of `features`.
        starts: likewise.

    Yields:
        (uint8[inputs] the frame before, uint8[inputs]); nothing is copied.
    """
    previous: Frame | None = None
    for number, frame in enumerate(frames):
        flat = frame.reshape(-1)
        if previous is not None and number not in starts:
            yield previous, flat
        previous = flat


def _checked(video: VideoFile, times: VideoTimes) -> Iterator[tuple[int, Any]]:
    """Yields numbers and frames, timing the decoder alone; raises on damage and without a frame."""
    frames = video.frames()
    for number in itertools.count():
        begin = time.perf_counter()
        frame = next(frames, None)
        times.decode_seconds += time.perf_counter() - begin
        if frame is None:
            break
        yield number, frame
    if video.damage is not None:
        damage = video.damage
        why = f"the file {damage.why}" if damage.cut else damage.why
        raise damaged(video.path, damage.frames, why)
    if number == 0:
        raise empty(video.path)


def _from(first: list[Frame], others: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
    with closing(others):
        yield from first
        yield from others


def _as_asked(video: VideoFile, times: VideoTimes) -> Numbered:
    """Yields what `_checked` does, each when it is asked for, and closes the file."""
    with video:
        yield from _checked(video, times)


def _in_a_thread(video: VideoFile, times: VideoTimes) -> Numbered:
    """Yields what `_checked` does, decoded in a thread some frames ahead, which closes the file."""
    with Ahead(_few_at_a_time(video)) as parts:
        for few, seconds in parts:
            times.decode_seconds += seconds
            yield from few


def _few_at_a_time(
    video: VideoFile,
) -> Generator[tuple[tuple[list[tuple[int, Any]], float], int], None, None]:
    """Yields frames, and the seconds of the decoder, with their bytes.

    Several at once: to hand over single ones would take as long as to decode small ones.
    """
    times, told = VideoTimes(), 0.0
    few: list[tuple[int, Any]] = []
    size, failure = 0, None
    with video:
        frames = _checked(video, times)
        while failure is None:
            try:
                few.append(next(frames))
            except (StopIteration, FdhtError) as error:
                failure = error  # what came before it is good
            else:
                size += sum(plane.buffer_size for plane in few[-1][1].planes)
            if few and (failure is not None or len(few) == _FEW or size >= _FEW_BYTES):
                yield (few, times.decode_seconds - told), size
                few, size, told = [], 0, times.decode_seconds
    if isinstance(failure, FdhtError):
        raise failure


def _decode(
    frames_of: Callable[[VideoFile, VideoTimes], Numbered],
    video: VideoFile,
    size: tuple[int, int],
    limit: int | None,
    strict_size: bool,
    times: VideoTimes,
    stride: int,
    starts: Collection[int],
) -> Generator[Frame, None, None]:
    converter = PixelConverter(video.path, *size)
    first = 0  # of the clip
    if limit is not None and limit <= 0:
        video.close()
        return
    with closing(frames_of(video, times)) as frames:
        for number, frame in frames:
            first = number if number in starts else first
            begin = time.perf_counter()
            if strict_size:
                found = shown_size(video.path, frame, number)
                if found != size:
                    raise other_size(video.path, number, found, size)
            wanted = (number - first) % stride == 0
            picture = converter.convert(frame, number) if wanted else None
            times.resize_seconds += time.perf_counter() - begin
            times.frames += 1
            if picture is not None:
                times.resized += 1
                yield picture
            if limit is not None and number + 1 >= limit:
                return


def _features(
    frames: Iterable[Frame],
    feature: Feature,
    starts: Collection[int],
    times: VideoTimes,
    rows: Iterator[Frame | None],
) -> Iterator[npt.NDArray[np.uint8]]:
    previous: Frame | None = None
    for number, frame in enumerate(frames):
        if number in starts:
            previous = None
        begin = time.perf_counter()
        if previous is None and feature.needs_previous:
            previous = frame
            continue
        value = feature.function(frame if previous is None else previous, frame, out=next(rows))
        times.feature_seconds += time.perf_counter() - begin
        times.features += 1
        previous = frame
        yield value
