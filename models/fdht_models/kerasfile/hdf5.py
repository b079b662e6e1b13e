"""HDF5 files that others wrote: groups, texts and real arrays, all of them inside the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fdht_models.errors import ArtifactError
from fdht_models.tensor.decompose.api import MOST_VALUES

AS_ARRAYS = (
    "or save its arrays: np.savez('dense.npz', **dict(zip(('kernel', 'recurrent_kernel', 'bias'), "
    "layer.get_weights())))"
)
#: Groups in groups, and entries of a group: more is no model, or a circle of hard links.
_DEEPEST, _MOST_ENTRIES = 24, 100_000


@dataclass(frozen=True)
class Group:
    """A group of an HDF5 file.

    Args:
        file: of which messages speak.
        place: path inside the file; empty at the root.
        handle: the group of h5py; the file must stay open.
    """

    file: str
    place: str
    handle: Any

    def names(self) -> tuple[str, ...]:
        """Names of the entries, sorted.

        Raises:
            ArtifactError: the file is damaged.
        """
        with _damage(self.file, self.place):
            if len(self.handle) > _MOST_ENTRIES:
                raise ValueError(f"{len(self.handle)} entries")
            return tuple(sorted(map(str, self.handle)))

    def group(self, path: str) -> Group | None:
        """A group in this one, by its path; None if there is none.

        Raises:
            ArtifactError: it is a link out of the file or to another place, or is damaged.
        """
        found = self._entry(path)
        if not isinstance(found, h5py.Group):
            return None
        return Group(self.file, _joined(self.place, path), found)

    def array(self, path: str) -> npt.NDArray[Any] | None:
        """A real array in this group, by its path; None if there is none.

        Raises:
            ArtifactError: it is a link, lies in another file, is damaged, too large, or not of
                floating point.
        """
        found = self._entry(path)
        if not isinstance(found, h5py.Dataset):
            return None
        place = _joined(self.place, path)
        with _damage(self.file, place):
            elsewhere = bool(found.external) or found.is_virtual
            kind, size = found.dtype.kind, int(found.size or 0)
        field = f"{self.file}: {place}"
        if elsewhere:
            raise ArtifactError(
                "lies in another file, which is not opened", field=field, remedy=_again()
            )
        if kind != "f":
            raise ArtifactError(
                "must be of floating point",
                field=field,
                value=str(found.dtype),
                remedy="save the model before it is quantised",
            )
        if size > MOST_VALUES:
            raise ArtifactError(
                f"has {size:,} values; at most {MOST_VALUES:,} are decomposed",
                field=field,
                remedy="choose a smaller layer",
            )
        with _damage(self.file, place):
            return np.asarray(found[()])

    def text(self, name: str) -> str | None:
        """An attribute that is a text, or None.

        Raises:
            ArtifactError: it is something else, or damaged.
        """
        with _damage(self.file, _joined(self.place, name)):
            found = self.handle.attrs.get(name)
            if isinstance(found, bytes):
                found = found.decode()
            if found is not None and not isinstance(found, str):
                raise TypeError(f"is no text but {type(found).__name__}")
            return found

    def has(self, name: str) -> bool:
        """Whether there is such an attribute."""
        with _damage(self.file, _joined(self.place, name)):
            return name in self.handle.attrs

    def arrays(self) -> Iterator[str]:
        """Paths of all arrays in this group and the groups in it.

        Raises:
            ArtifactError: the file is damaged, or holds a link.
        """
        yield from _arrays(self, self, "", 0)

    def _entry(self, path: str) -> Any:
        """What a path leads to through hard links alone, or None."""
        handle = self.handle
        for part in filter(None, path.split("/")):
            with _damage(self.file, _joined(self.place, path)):
                if not isinstance(handle, h5py.Group):
                    return None
                link = handle.get(part, getlink=True)
                if link is not None and not isinstance(link, h5py.HardLink):
                    raise ArtifactError(
                        "is a link to another place or file, which is not followed",
                        field=f"{self.file}: {_joined(self.place, path)}",
                        remedy=_again(),
                    )
                if link is None:
                    return None
                handle = handle[part]
        return handle


@contextmanager
def open_hdf5(source: Any, file: Path) -> Iterator[Group]:
    """Opens an HDF5 file for reading.

    Args:
        source: a path, or a file object.
        file: of which messages speak.

    Raises:
        ArtifactError: it is damaged.
    """
    with _damage(str(file), ""):
        opened = h5py.File(source, "r")
    try:
        yield Group(str(file), "", opened)
    finally:
        opened.close()


@contextmanager
def _damage(file: str, place: str) -> Iterator[None]:
    """h5py raises what its library meets; here it becomes an error of ours."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"cannot be read ({_first_line(error)})",
            field=f"{file}: {place}" if place else file,
            remedy=_again(),
        ) from error


def _arrays(root: Group, group: Group, path: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ArtifactError(
            "has groups in groups without end", field=f"{root.file}: {root.place}", remedy=_again()
        )
    for name in group.names():
        below, whole = group.group(name), _joined(path, name)
        if below is None:
            yield whole
        else:
            yield from _arrays(root, below, whole, depth + 1)


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _again() -> str:
    return f"save the model again, {AS_ARRAYS}"
