"""One picture as RGB: exactly, or not at all."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import DataError
from fdht_models.files import read_file
from fdht_models.media.exif import pages_of_picture, turn_of_picture
from fdht_models.media.library import Failure, attempt, av
from fdht_models.media.messages import empty
from fdht_models.media.pixels import PixelConverter
from fdht_models.media.video import VideoFile

#: Formats of 16 bits whose values PyAV gives out: (FFmpeg's name without byte order, channels).
_DEEP = {"gray16": 1, "rgb48": 3, "rgba64": 4}
_FLATTEN = "save it without transparency"
_PLAIN = "save it as RGB or grey with 8 bits a channel"


def read_picture(path: Path, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Reads one picture as uint8 [height, width, 3], RGB, turned as the file says, stretched.

    Palettes are resolved, grey is put into all three channels; 16 bits become 8 by
    rint(value * 255 / 65535); an alpha channel that is opaque everywhere is left out.

    Args:
        path: the file.
        height: rows that are returned.
        width: columns.

    Raises:
        DataError: it cannot be read, holds several pictures, is transparent somewhere, or has
            colours that cannot be converted exactly (inks, floating point).
    """
    with VideoFile(path) as video:
        frames = list(itertools.islice(video.frames(), 2))
        damage = video.damage
    if damage is not None:
        raise _refused(path, f"cannot be decoded ({damage.why})", "save or copy it again")
    if not frames:
        raise empty(path)
    data = read_file(path)
    if len(frames) > 1 or pages_of_picture(data) > 1:
        raise _refused(path, "holds several pictures", "save each in a file of its own")
    frame = attempt(lambda: _plain(path, frames[0]))
    if isinstance(frame, Failure):
        raise _refused(path, f"cannot be shown ({frame.why})", _PLAIN) from frame.error
    turn = turn_of_picture(data)
    turned_height, turned_width = turn.size(height, width)
    picture = PixelConverter(path, turned_height, turned_width).convert(frame, 0, turn=False)
    return np.ascontiguousarray(turn.apply(picture))


def _plain(path: Path, frame: Any) -> Any:
    """The same picture in a format that is converted exactly."""
    name = frame.format.name
    depth = max(component.bits for component in frame.format.components)
    alpha = any(component.is_alpha for component in frame.format.components)
    if name.startswith("gbr") or name == "rgb0":
        raise _refused(path, "has inks (CMYK), not colours", _PLAIN)
    if name.startswith("yuva"):
        if not _is_opaque(np.asarray(frame.planes[3]), frame, 3):
            raise _refused(path, "is transparent somewhere", _FLATTEN)
        return frame
    if depth > 8:
        return _of_values(path, _eight_bits(path, frame))
    if alpha or frame.format.has_palette:
        return _of_values(path, frame.to_ndarray(format="rgba"))
    return frame


def _eight_bits(path: Path, frame: Any) -> npt.NDArray[np.uint8]:
    if frame.format.name[:-2] not in _DEEP:
        raise _refused(path, f"has pixels of FFmpeg's kind {frame.format.name}", _PLAIN)
    # A product of 255 and 16 bits fits 32; no value lies half way, for 65535 / 255 is odd.
    values = frame.to_ndarray().astype(np.uint32)
    codes = ((values * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(codes[:, :, None], 3, axis=2) if codes.ndim == 2 else codes


def _of_values(path: Path, values: npt.NDArray[np.uint8]) -> Any:
    """A frame of RGB, or of RGB and an alpha channel that must be opaque."""
    if values.shape[2] == 4 and (values[:, :, 3] != 255).any():
        raise _refused(path, "is transparent somewhere", _FLATTEN)
    rgb = np.ascontiguousarray(values[:, :, :3])
    return av().VideoFrame.from_ndarray(rgb, format="rgb24")


def _is_opaque(plane: npt.NDArray[Any], frame: Any, number: int) -> bool:
    lines = plane.view(np.uint8).reshape(-1, frame.planes[number].line_size)
    return bool((lines[: frame.height, : frame.width] == 255).all())


def _refused(path: Path, why: str, remedy: str) -> DataError:
    return DataError(why, field=str(path), remedy=remedy)
