"""A folder of pictures as a clip: which files are its frames, and in which order."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fdht_models.errors import DataError
from fdht_models.media.library import reason

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
