"""Videos to clips: decoded by PyAV, resized, sampled, turned into features, padded.

Frames are counted, never timed: a wrong or missing frame rate changes nothing of what is chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import ConfigError, DataError
from fdht_models.features import features_of
from fdht_models.media import Damage, PixelConverter, VideoFile
from fdht_models.preprocessing.protocols import choose_frames, pad_front
from fdht_models.preprocessing.types import ClipInputs, Picture, Sampling

_OTHER_FILE = "copy the video again"


def read_video(
    path: Path,
    key: str,
    sampling: Sampling,
    picture: Picture,
    span: tuple[float, float] | None = None,
) -> ClipInputs:
    """Decodes one clip.

    Of a video that is damaged half way, the frames before the first damage are used, and the clip
    counts as damaged; what damage is, `fdht_models.media.VideoFile` says.

    Args:
        path: the video.
        key: names the clip; random choices depend on it.
        sampling: which frames.
        picture: what is made of them.
        span: [first, last) in seconds; None for the whole file.

    Raises:
        DataError: the file holds no frame, or too few for the feature.
    """
    if span is not None:
        raise ConfigError("parts of videos are not read yet", field="span", value=span)
    least = picture.frames_before + 1
    wanted = sampling.steps + picture.frames_before
    count, damage, rate = _count(path)
    chosen = choose_frames(sampling.protocol, count, wanted, sampling.seed, key, sampling.stride)
    frames, late = _pixels(path, chosen, picture.height, picture.width)
    if len(frames) < least:
        found = "one frame, and the feature compares two" if frames else "no frame"
        why = f" ({damage or late})" if damage or late else ""
        raise DataError(f"holds {found}{why}", field=str(path), remedy=_OTHER_FILE)
    values = pad_front(
        features_of(picture.feature, np.stack(frames), picture.dead_zone), sampling.steps
    )
    return ClipInputs(values, count, len(frames), damage or late, time_step_of(chosen, rate))


def time_step_of(chosen: Sequence[int], rate: Fraction | None) -> float | None:
    """Seconds from one chosen frame to the next, the median; None if that is not known."""
    if rate is None or len(chosen) < 2:
        return None
    return float(np.median(np.diff(chosen)) / rate)


def _count(path: Path) -> tuple[int, str, Fraction | None]:
    """Frames that can be decoded - what containers declare is often wrong -, damage, and rate."""
    with VideoFile(path) as video:
        count = sum(1 for _ in video.frames())
        return count, _note(video.damage), video.info.rate


def _pixels(
    path: Path, chosen: Collection[int], height: int, width: int
) -> tuple[list[NDArray[np.uint8]], str]:
    """The chosen frames as uint8 [H, W, 3] each, as far as there are any."""
    found: list[NDArray[np.uint8]] = []
    if not chosen:
        return found, ""
    last = max(chosen)
    converter = PixelConverter(path, height, width)
    with VideoFile(path) as video:
        for number, frame in enumerate(video.frames()):
            if number in chosen:
                found.append(converter.convert(frame, number))
            if number >= last:
                break
        return found, _note(video.damage)


def _note(damage: Damage | None) -> str:
    if damage is None:
        return ""
    return (
        damage.why
        if damage.cut
        else f"cannot be decoded after {damage.frames} frames: {damage.why}"
    )
