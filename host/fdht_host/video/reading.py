"""Reads video files frame by frame and turns frames into the core's input."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from fdht_host.video._messages import damaged, empty, reason, unreadable, without_stream
from fdht_models.errors import DataError
from fdht_models.features import Feature, get_feature

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    `frames` and `seconds` are what the container declares, and None where it does not; `rate` is in
    frames per second.
    """

    path: Path
    height: int
    width: int
    rate: Fraction | None
    frames: int | None
    seconds: float | None
    codec: str
    pixel_format: str

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON-able description that the report shows."""
        return {
            "file": self.path.name,
            "height": self.height,
            "width": self.width,
            "rate": None if self.rate is None else float(self.rate),
            "frames_declared": self.frames,
            "seconds_declared": self.seconds,
            "codec": self.codec,
            "pixel_format": self.pixel_format,
        }


@dataclass
class VideoTimes:
    """Seconds that each phase took so far, and what went through it; filled by the iterators."""

    decode_seconds: float = 0.0
    resize_seconds: float = 0.0
    feature_seconds: float = 0.0
    frames: int = 0
    features: int = 0


def probe(path: Path) -> VideoInfo:
    """Opens a video, decodes its first frame and returns what it is.

    Raises:
        DataError: missing, unreadable, without a video stream or without a single frame.
    """
    with _open(path) as container:
        info = _describe(path, container)
        for _ in _frames(path, container, VideoTimes()):
            return info
    raise empty(path)


def decode(
    path: Path,
    height: int,
    width: int,
    *,
    limit: int | None = None,
    strict_size: bool = False,
    times: VideoTimes | None = None,
) -> Iterator[Frame]:
    """Decodes a video frame by frame as RGB, each frame resized to `width` x `height`.

    The picture is stretched to the shape that the model was trained on (bilinear, swscale); where
    the sizes are equal already, values of an RGB video come through unchanged. The file is opened
    by this call, so that a bad path fails before anything else is started.

    Args:
        path: the video file.
        height: rows that the model wants.
        width: columns that the model wants.
        limit: stop after so many frames.
        strict_size: refuse a video that would have to be resized.
        times: where to add up the seconds of decoding and of resizing.

    Returns:
        Iterator over uint8[height, width, 3], row-major, C-contiguous.

    Raises:
        DataError: at once, if the file is missing, unreadable, without a video stream, or of
            another size with `strict_size`; while iterating, if it holds no frame, is damaged or
            cut short - frames before the damage have been given out, the message says where.
    """
    container = _open(path)
    try:
        info = _describe(path, container)
        if strict_size and (info.height, info.width) != (height, width):
            raise DataError(
                f"the model wants {width}x{height}",
                field=f"{path}: frame size",
                value=f"{info.width}x{info.height}",
                remedy="give a video of that size, or allow resizing",
            )
    except BaseException:
        container.close()
        raise
    return _decode(path, container, height, width, limit, times or VideoTimes())


def features(
    frames: Iterable[Frame],
    feature: str | None,
    *,
    starts: Collection[int] = (),
    times: VideoTimes | None = None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Turns frames into what the core reads: uint8[inputs] a step.

    Args:
        frames: uint8[H, W, 3] in order.
        feature: a name of `fdht_models.features.FEATURES`, or None for the pixels themselves.
        starts: frame numbers at which a new clip begins: a feature that compares two frames never
            compares frames of two clips. Frame 0 always begins one.
        times: where to add up the seconds.

    Raises:
        ConfigError: an unknown feature.
    """
    found = None if feature is None else get_feature(feature)
    return _features(frames, found, starts, times or VideoTimes())


def _open(path: Path) -> Any:
    try:
        container = av.open(str(path), mode="r")
    except (av.error.FFmpegError, OSError) as error:
        raise unreadable(path, error) from error
    if container.streams.video:
        # Frames are decoded ahead on the other cores; the order stays.
        container.streams.video[0].thread_type = "AUTO"
        return container
    container.close()
    raise without_stream(path)


def _describe(path: Path, container: Any) -> VideoInfo:
    stream = container.streams.video[0]
    codec = stream.codec_context
    seconds = None
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    elif "DURATION" in stream.metadata:  # how Matroska states it
        seconds = _clock_seconds(stream.metadata["DURATION"])
    return VideoInfo(
        path=path,
        height=codec.height,
        width=codec.width,
        rate=stream.average_rate,
        frames=stream.frames or None,
        seconds=seconds,
        codec=codec.name,
        pixel_format=str(codec.pix_fmt),
    )


def _clock_seconds(text: str) -> float | None:
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _frames(path: Path, container: Any, times: VideoTimes) -> Iterator[Any]:
    """Yields PyAV's frames, timing the decoder alone; raises on damage and on a missing end."""
    stream = container.streams.video[0]
    info = _describe(path, container)
    decoder = container.decode(stream)
    end = 0.0
    while True:
        begin = time.perf_counter()
        try:
            frame = next(decoder, None)
        except (av.error.FFmpegError, OSError) as error:
            raise damaged(path, times.frames, reason(error)) from error
        finally:
            times.decode_seconds += time.perf_counter() - begin
        if frame is None:
            break
        if frame.is_corrupt:
            raise damaged(path, times.frames, "the decoder could not restore it")
        end = _end_of(frame, stream, end)
        yield frame
        times.frames += 1
    if times.frames == 0:
        raise empty(path)
    _check_end(path, info, times.frames, end)


def _end_of(frame: Any, stream: Any, former: float) -> float:
    """Seconds from the stream's start to the end of a frame."""
    if frame.pts is None or frame.time_base is None:
        return math.inf  # no time stamps: nothing to compare with
    start = stream.start_time or 0
    shown = float((frame.pts - start) * frame.time_base)
    length = float(frame.duration * frame.time_base) if frame.duration else 0.0
    return max(former, shown + length)


def _check_end(path: Path, info: VideoInfo, frames: int, end: float) -> None:
    # A file cut short ends without an error from FFmpeg; only the declared length tells. Both
    # declarations must disagree where both are made: edit lists may hide frames on purpose.
    missing_frames = info.frames is None or frames < info.frames
    slack = 1.5 / float(info.rate) if info.rate else 0.1
    missing_time = info.seconds is not None and end + slack < info.seconds
    if missing_frames and missing_time:
        raise damaged(path, frames, f"the file ends {info.seconds - end:.2f} s early")  # type: ignore[operator]


def _decode(
    path: Path, container: Any, height: int, width: int, limit: int | None, times: VideoTimes
) -> Iterator[Frame]:
    first = times.frames  # one `VideoTimes` may add up several videos
    own = VideoTimes()
    try:
        if limit is not None and limit <= 0:
            return
        for frame in _frames(path, container, own):
            begin = time.perf_counter()
            pixels = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
            pixels = np.ascontiguousarray(pixels)
            times.resize_seconds += time.perf_counter() - begin
            times.frames = first + own.frames + 1
            yield pixels
            if limit is not None and own.frames + 1 >= limit:
                return
    finally:
        times.decode_seconds += own.decode_seconds
        container.close()


def _features(
    frames: Iterable[Frame], feature: Feature | None, starts: Collection[int], times: VideoTimes
) -> Iterator[npt.NDArray[np.uint8]]:
    previous: Frame | None = None
    for number, frame in enumerate(frames):
        if number in starts:
            previous = None
        begin = time.perf_counter()
        if feature is None:
            value = frame.reshape(-1)
        elif previous is None and feature.needs_previous:
            previous = frame
            continue
        else:
            value = feature.function(frame if previous is None else previous, frame)
        times.feature_seconds += time.perf_counter() - begin
        times.features += 1
        previous = frame
        yield value
