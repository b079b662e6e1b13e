"""Lists joined with files by name, with what either side has left over.

Every set that tells splits or labels elsewhere than in its clips' own names is read through `join`,
so that no clip and no line of a list is lost without a word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Generic, TypeVar

Listed = TypeVar("Listed")
There = TypeVar("There")


@dataclass(frozen=True)
class Join(Generic[Listed, There]):
    """What belongs together, and what is left over.

    Attributes:
        pairs: (entry, file) of one name, in the order of the files.
        absent: entries without a file, in their order.
        unlisted: files without an entry, in their order.
    """

    pairs: tuple[tuple[Listed, There], ...]
    absent: tuple[Listed, ...]
    unlisted: tuple[There, ...]


def join(
    listed: Mapping[str, Listed], there: Iterable[tuple[str, There]], empty: Collection[str] = ()
) -> Join[Listed, There]:
    """Joins the entries of lists with files.

    Args:
        listed: entries by name; see `name_key`.
        there: (name, file); several files may have one name.
        empty: names of files that are there and empty. These are told by themselves; what belongs
            to them is not left over.
    """
    pairs: list[tuple[Listed, There]] = []
    unlisted: list[There] = []
    found = set(empty)
    for name, file in there:
        if name in listed:
            pairs.append((listed[name], file))
            found.add(name)
        elif name not in empty:
            unlisted.append(file)
    absent = [entry for name, entry in listed.items() if name not in found]
    return Join(tuple(pairs), tuple(absent), tuple(unlisted))


def composed(name: object) -> str:
    """A name or path with its letters composed (NFC), as names are compared."""
    return unicodedata.normalize("NFC", str(name))


def name_key(name: str, suffixes: Collection[str] = ()) -> str:
    """A name as it is compared: without one of the suffixes, in lower case, composed (NFC).

    Archives unpacked on some systems have other cases or decomposed letters, and clips that were
    converted have another suffix than the lists name.
    """
    path = PurePosixPath(name)
    text = str(path.with_suffix("")) if path.suffix.lower() in suffixes else str(path)
    return composed(text).casefold()
