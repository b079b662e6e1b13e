"""Still pictures: one as RGB, exactly or not at all, and a folder of them as a clip."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import DataError
from fdht_models.files import read_file
from fdht_models.media.library import Failure, attempt, av, reason
from fdht_models.media.messages import empty
from fdht_models.media.orientation import pages_of_picture, turn_of_picture
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


#: Suffixes of pictures, in small letters.
PICTURES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".webp",
)
_NUMBER = re.compile(r"([0-9]+)")
_NAMED = 3
_IGNORED = {"thumbs.db", "desktop.ini"}

Key = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Pictures:
    """The pictures of a folder.

    Attributes:
        paths: in natural order: `frame2` before `frame10`, whatever the case of letters.
        note: what is odd and no reason for a refusal: numbers that are not evenly spaced, files
            that are no pictures; "" if nothing is.
    """

    paths: tuple[Path, ...]
    note: str = ""


def is_picture(path: Path) -> bool:
    """True if a name is a picture's: by its suffix, and it is not hidden."""
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def list_pictures(folder: Path) -> Pictures:
    """Lists the pictures that lie in a folder itself; those in folders below belong to other clips.

    Raises:
        DataError: the folder cannot be read, holds no picture, or two pictures of one number.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"cannot be read ({reason(error)})", field=str(folder), remedy="check the path"
        ) from error
    pictures = [path for path in entries if is_picture(path)]
    if not pictures:
        raise DataError(
            "holds no picture", field=str(folder), remedy="put " + ", ".join(PICTURES) + " there"
        )
    order = sorted(pictures, key=lambda path: natural_key(path.stem))
    for before, after in itertools.pairwise(order):
        if natural_key(before.stem) == natural_key(after.stem):
            raise DataError(
                f"{before.name} and {after.name} have one number",
                field=str(folder),
                remedy="keep one of the two",
            )
    others = [
        path.name
        for path in entries
        if path not in pictures and path.name[0] != "." and path.name.lower() not in _IGNORED
    ]
    notes = [_numbering_note(order), _others_note(others)]
    return Pictures(tuple(order), "; ".join(note for note in notes if note))


def natural_key(name: str) -> Key:
    """Sorts names by the numbers in them, and by text without case otherwise."""
    parts = _NUMBER.split(name.casefold())
    numbers = [int(part) for part in parts[1::2]] + [-1]
    return tuple(zip(parts[::2], numbers, strict=True))


def _numbering_note(order: Sequence[Path]) -> str:
    """Says where numbers jump: a picture is perhaps missing. Numbers by tens are no jump."""
    names = [_NUMBER.split(path.stem.casefold()) for path in order]
    patterns = {(*name[:-2], name[-1]) if len(name) > 1 else None for name in names}
    if len(patterns) > 1 or None in patterns or len(order) < 3:
        return ""
    numbers = [int(name[-2]) for name in names]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    usual = sorted(steps)[len(steps) // 2]
    odd = [place for place, step in enumerate(steps) if step != usual]
    if not odd:
        return ""
    before, after = order[odd[0]].name, order[odd[0] + 1].name
    others = len(odd) - 1
    more = f" and in {others} more place{'s' * (others > 1)}" if others else ""
    return f"numbers jump between {before} and {after}{more}"


def _others_note(names: Sequence[str]) -> str:
    if not names:
        return ""
    named = ", ".join(names[:_NAMED]) + (", .." if len(names) > _NAMED else "")
    return f"left out: {named}" + (f" ({len(names)} in all)" if len(names) > _NAMED else "")
