"""Videos and folders of pictures to clips: read, resized, sampled, turned into features, padded."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fdht_models.errors import DataError
from fdht_models.media import FrameClock
from fdht_models.preprocessing.definition import ClipInputs, Picture, Sampling
from fdht_models.preprocessing.frames import Frames, read_frames, read_pictures
from fdht_models.preprocessing.protocols import (
    Span,
    choose_frames,
    exact_span,
    outside,
    pad_front,
    repeat_front,
)

_OTHER_FILE = "copy the video again"


def read_video(
    path: Path,
    key: str,
    sampling: Sampling,
    picture: Picture,
    span: Span | None = None,
    *,
    threads: int = 1,
    check_all: bool = False,
    raw: bool = False,
) -> ClipInputs:
    """Reads one clip: a video, a part of it, or a folder of pictures.

    Of a video that is damaged half way, the frames before the first damage are used, and the clip
    counts as damaged; what damage is, `fdht_models.media.VideoFile` says. Only what the protocol
    needs is decoded where that gives the same integers (`fdht_models.preprocessing.frames`), so
    damage of pictures that nothing needs goes unseen; damaged packets and missing bytes do not.

    Frames are counted by the protocol, not timed. A span goes by time stamps, from the first frame
    shown; where a file has none, by the rate that it states.

    Args:
        path: the video, or a folder of pictures.
        key: names the clip; random choices depend on it.
        sampling: which frames.
        picture: what is made of them.
        span: [first, last) in seconds; None for the whole file.
        threads: of the decoder; 0 takes one a processor. The integers are the same.
        check_all: decode all frames, so that all damage is seen.
        raw: give the frames as they are, `picture.frames_before` more than inputs, for a core that
            computes the feature. The first stands again before a clip that is too short: then
            nothing moves, and the inputs are zeros as ever.

    Raises:
        DataError: the file holds no frame, or too few for the feature; there is no frame in the
            span, or the file ends before it does.
    """
    wanted = sampling.steps + picture.frames_before
    choose = functools.partial(_choose, path, key, sampling, wanted, span)
    if path.is_dir():
        found = read_pictures(path, choose, picture.height, picture.width)
    else:
        found = read_frames(
            path, choose, picture.height, picture.width, threads=threads, check_all=check_all
        )
    part = _part(path, found.clock, span)
    # Damage behind a part is none of that part.
    damage = found.damage if part.stop == found.clock.count else ""
    _check_enough(path, found, picture.frames_before + 1, len(part), sampling.protocol)
    frames = np.stack(found.pictures).reshape(len(found.pictures), -1)
    values = (
        repeat_front(frames, wanted) if raw else pad_front(picture.features(frames), sampling.steps)
    )
    return ClipInputs(
        values,
        len(part),
        len(found.pictures),
        damage,
        time_step_of(found.chosen, found.clock),
    )


def time_step_of(chosen: Sequence[int], clock: FrameClock) -> float | None:
    """Seconds from one chosen frame to the next, the median; None if that is not known."""
    times = [time for time in map(clock.time, chosen) if time is not None]
    if len(times) < 2:
        return None
    return float(statistics.median(np.diff(np.array(times, object))))


def _choose(
    path: Path,
    key: str,
    sampling: Sampling,
    wanted: int,
    span: Span | None,
    clock: FrameClock,
) -> list[int]:
    """The frames that the protocol takes of a span."""
    part = _part(path, clock, span)
    chosen = choose_frames(
        sampling.protocol, len(part), wanted, sampling.seed, key, sampling.stride
    )
    return [part.start + frame for frame in chosen]


def _part(path: Path, clock: FrameClock, span: Span | None) -> range:
    """The frames of a span, or all.

    Raises:
        DataError: there is none, or the video ends before the span does.
    """
    if span is None or not clock.count:
        return range(clock.count)
    first, last = exact_span(path, span)
    seconds = clock.seconds
    if seconds is None:
        raise DataError(
            "has no time stamps and no rate, and so no seconds",
            field=str(path),
            remedy="take the whole of it as a clip",
        )
    if last is None:
        last = seconds + clock.step
    part = clock.within(first, last)
    # A table may round the length of a file: up to a frame's.
    if clock.complete and last > seconds + clock.step:
        raise outside(path, span, seconds, behind=True)
    if not part:
        raise outside(path, span, seconds, behind=False)
    return part


def _check_enough(path: Path, found: Frames, least: int, there: int, protocol: str) -> None:
    if len(found.pictures) >= least:
        return
    held, remedy = "no frame", _OTHER_FILE
    if found.pictures:
        held, remedy = "one frame, and the feature compares two", "give a longer clip"
        if there > 1:
            held = f"{there} frames, of which '{protocol}' takes one, and the feature compares two"
    why = f" ({found.damage})" if found.damage else ""
    raise DataError(f"holds {held}{why}", field=str(path), remedy=remedy)
