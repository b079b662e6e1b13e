"""Videos to clips: decoded by PyAV, resized, sampled, turned into features, padded.

Frames are counted, never timed: a wrong or missing frame rate changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.folders.protocols import TT_RNN, choose_frames, pad_front
from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.folders.types import Clip
from fdht_models.errors import DataError
from fdht_models.features import features_of, get_feature
from fdht_models.media import Damage, PixelConverter, VideoFile

_OTHER_FILE = "copy the video again"


@dataclass(frozen=True)
class Decoded:
    """A clip: uint8 [steps, inputs], and what was wrong with its file ("" if nothing was)."""

    values: NDArray[np.uint8]
    damage: str = ""


def read_video(request: FolderRequest, clip: Clip) -> Decoded:
    """Decodes one clip as a completed request says.

    Of a video that is damaged half way, the frames before the first damage are used, and the clip
    counts as damaged; what damage is, `fdht_models.media.VideoFile` says.

    Raises:
        DataError: the file holds no frame, or too few for the feature.
    """
    assert request.protocol is not None and request.steps is not None and request.feature
    path = request.root / clip.path
    least = 2 if get_feature(request.feature).needs_previous else 1
    wanted = request.steps + least - 1
    if request.protocol == TT_RNN:
        stride = request.folder_set.stride
        chosen: Collection[int] = range(0, wanted * stride, stride)
        damage = ""
    else:
        count, damage = _count(path)
        chosen = choose_frames(request.protocol, count, wanted, request.seed, clip.key)
    frames, late = _pixels(path, chosen, request.height, request.width)
    if len(frames) < least:
        found = "one frame, and the feature compares two" if frames else "no frame"
        why = f" ({damage or late})" if damage or late else ""
        raise DataError(f"holds {found}{why}", field=str(path), remedy=_OTHER_FILE)
    values = features_of(request.feature, np.stack(frames))
    return Decoded(pad_front(values, request.steps), damage or late)


def _count(path: Path) -> tuple[int, str]:
    """Frames that can be decoded - what containers declare is often wrong - and the damage."""
    with VideoFile(path) as video:
        count = sum(1 for _ in video.frames())
        return count, _note(video.damage)


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
