"""Walks a user's folder: its files, its archives, and what may be ignored."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from fdht_models.data.folders.listing import FolderSet, Problem
from fdht_models.data.folders.sentences import name_some
from fdht_models.errors import DataError
from fdht_models.files import read_text_file

VIDEO_SUFFIXES = (".avi", ".mpg", ".mpeg", ".mp4", ".mkv", ".mov", ".m4v", ".webm", ".wmv")
_ARCHIVES = (".zip", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".gz")
#: Written by operating systems, never part of a data set. Names with a leading dot are as well.
_LITTER = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin")
Name = TypeVar("Name", bound=Hashable)

_KINDS = 5  # kinds of files that a message names


@dataclass(frozen=True)
class Tree:
    """A folder's files, by their paths relative to it.

    Attributes:
        root: the folder.
        files: all files with data in them, sorted, without what operating systems leave behind.
        empty: files of zero bytes.
        archives: the archives among `files`.
        folders: all folders below `root`.
        again: folders that are reached a second time, by a link, and were not read again.
    """

    root: Path
    files: tuple[PurePosixPath, ...]
    empty: tuple[PurePosixPath, ...]
    archives: tuple[PurePosixPath, ...]
    folders: tuple[PurePosixPath, ...]
    again: tuple[PurePosixPath, ...] = ()

    def of_type(self, suffixes: Collection[str]) -> list[PurePosixPath]:
        """The files whose names end in one of the suffixes, in upper or lower case."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def empty_of_type(self, suffixes: Collection[str]) -> list[Problem]:
        """The empty files of these suffixes, as problems."""
        return [
            Problem(str(path), "is empty") for path in self.empty if path.suffix.lower() in suffixes
        ]


def walk(root: Path, title: str, remedy: str = "") -> Tree:
    """Lists a folder and all below it; symbolic links are followed once.

    Args:
        root: the folder.
        title: of the set that is looked for, for the message.
        remedy: what to do where there is no such folder, if there is more to say.

    Raises:
        DataError: there is no such folder, or it cannot be read.
    """
    if is_archive(root.name) and root.is_file():
        raise DataError(
            "is an archive", field=str(root), remedy="unpack it and give the folder it makes"
        )
    if not root.is_dir():
        raise DataError(
            "there is no such folder",
            field=str(root),
            remedy=remedy or f"give the folder that {title} was unpacked to",
        )
    files: list[PurePosixPath] = []
    empty: list[PurePosixPath] = []
    folders: list[PurePosixPath] = []
    again: list[PurePosixPath] = []
    seen: set[str] = set()
    for place, below, names in os.walk(root, followlinks=True, onerror=_refuse):
        true_place = os.path.realpath(place)
        if true_place in seen:  # a link back up, or a second way to the same folder
            below.clear()
            again.append(PurePosixPath(Path(place).relative_to(root).as_posix()))
            continue
        seen.add(true_place)
        below[:] = sorted(name for name in below if not _is_litter(name))
        relative = PurePosixPath(Path(place).relative_to(root).as_posix())
        folders += [relative / name for name in below]
        for name in names:
            if not _is_litter(name):
                path = relative / name
                (files if _size(root / path) else empty).append(path)
    archives = [path for path in files if is_archive(path.name)]
    return Tree(root, *(tuple(sorted(paths)) for paths in (files, empty, archives, folders, again)))


def sort_files(
    paths: Iterable[PurePosixPath], name: Callable[[PurePosixPath], Name | None]
) -> tuple[dict[Name, PurePosixPath], list[PurePosixPath], list[PurePosixPath]]:
    """The first file of each name, copies of these, and files that have no name."""
    found: dict[Name, PurePosixPath] = {}
    copies: list[PurePosixPath] = []
    nameless: list[PurePosixPath] = []
    for path in paths:
        called = name(path)
        if called is None:
            nameless.append(path)
        elif found.setdefault(called, path) != path:
            copies.append(path)
    return found, copies, nameless


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


def is_archive(name: str) -> bool:
    """True if a file of this name is probably an archive."""
    return name.lower().endswith(_ARCHIVES)


def nothing_found(tree: Tree, known: FolderSet) -> DataError:
    """The error of a folder without clips: what was looked for, where, and what is there."""
    found = _contents(tree)
    if tree.archives:
        remedy = f"unpack {name_some(tree.archives)} there"
    else:
        remedy = f"give the folder that {known.title} was unpacked to"
    return DataError(
        f"holds no clip of {known.title}; looked there and in all folders below for "
        f"{known.layout}; found {found}",
        field=str(tree.root),
        remedy=remedy,
    )


def read_lines(file: Path) -> list[str]:
    """The lines of a text file that are not blank, without white space around them.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    text = read_text_file(file, remedy="check its permissions")
    return [line for line in map(str.strip, text.splitlines()) if line]


def damaged_line(file: Path, number: int, line: str, why: str) -> DataError:
    """The error of a line of a published list or label file, numbered from 1."""
    return DataError(
        why, field=f"{file}: line {number}", value=line[:60], remedy="unpack the set again"
    )


def _contents(tree: Tree) -> str:
    kinds = Counter(path.suffix.lower() or "without suffix" for path in tree.files)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_KINDS))
    parts = [f"{len(tree.files)} files ({counts})" if tree.files else "no file with data in it"]
    if tree.empty:
        parts.append(f"{len(tree.empty)} empty files")
    if tree.folders:
        parts.append(f"{len(tree.folders)} folders ({name_some(tree.folders)})")
    return ", ".join(parts)


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a link to nowhere
        return 0


def _refuse(error: OSError) -> None:
    raise DataError(
        f"cannot be read ({error.strerror})",
        field=str(error.filename),
        remedy="check the permissions of the folder",
    ) from error
