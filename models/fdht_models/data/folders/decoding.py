"""Videos to clips: decoded by PyAV, resized, sampled, turned into features, padded.

Frames are counted, never timed: a wrong or missing frame rate changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.folders.protocols import TT_RNN, choose_frames, pad_front
from fdht_models.data.folders.pyav import av, reason
from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.folders.types import Clip
from fdht_models.errors import DataError
from fdht_models.features import features_of, get_feature

_OTHER_FILE = "copy the video again"
_LEAST_SHARE = 0.9


@dataclass(frozen=True)
class Decoded:
    """A clip: uint8 [steps, inputs], and what was wrong with its file ("" if nothing was)."""

    values: NDArray[np.uint8]
    damage: str = ""


def read_video(request: FolderRequest, clip: Clip) -> Decoded:
    """Decodes one clip as a completed request says.

    Of a video that is damaged half way, the frames before the damage are used, as OpenCV and the
    programs built on it do.

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
    count = 0
    with _frames(path) as stream:
        for _ in stream:
            count += 1
    return count, stream.damage


def _pixels(
    path: Path, chosen: Collection[int], height: int, width: int
) -> tuple[list[NDArray[np.uint8]], str]:
    """The chosen frames as uint8 [H, W, 3] each, as far as there are any."""
    found: list[NDArray[np.uint8]] = []
    if not chosen:
        return found, ""
    last = max(chosen)
    with _frames(path) as stream:
        for number, frame in enumerate(stream):
            if number in chosen:
                picture = frame.reformat(width=width, height=height, format="rgb24")
                found.append(np.ascontiguousarray(picture.to_ndarray()))
            if number >= last:
                break
    return found, stream.damage


class _Stream:
    """Frames of a video until its end or its first damage, which is kept in `damage`."""

    def __init__(self, container: Any, errors: tuple[type[BaseException], ...]) -> None:
        self._container, self._errors = container, errors
        self.damage = ""

    def __iter__(self) -> Iterator[Any]:
        number = 0
        try:
            for frame in self._container.decode(video=0):
                yield frame
                number += 1
        except self._errors as error:
            self.damage = f"cannot be decoded after {number} frames: {reason(error)}"
            return
        # Declared counts are a little off in undamaged files too; a cut one lacks more than that.
        declared = self._container.streams.video[0].frames
        if number < _LEAST_SHARE * declared:
            self.damage = f"ends after {number} of {declared} frames"


@contextmanager
def _frames(path: Path) -> Iterator[_Stream]:
    library = av()
    errors = (library.error.FFmpegError, OSError)
    try:
        # Absolute, so that a colon in a name is not taken for a protocol.
        container = library.open(str(path.absolute()), mode="r")
    except errors as error:
        raise DataError(
            f"cannot be read ({reason(error)})", field=str(path), remedy=_OTHER_FILE
        ) from error
    with container:
        if not container.streams.video:
            raise DataError("holds no video stream", field=str(path), remedy=_OTHER_FILE)
        # Clips are decoded in parallel, each by one thread.
        container.streams.video[0].codec_context.thread_count = 1
        yield _Stream(container, errors)
