"""Files of Keras 2 and 3 opened: `.keras` (a zip file), `.h5` (HDF5) and `.weights.h5`.

Of HDF5 are read groups, texts and real arrays, all of them inside the file.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fdht_models.documents import parse_json
from fdht_models.errors import ArtifactError, first_line
from fdht_models.tensor.decompose.api import MOST_VALUES

#: Names inside a `.keras` file.
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
#: Bytes: of a text in a `.keras` file, and of its weights.
_LONGEST_TEXT, _MOST_BYTES = 64 << 20, 8 * MOST_VALUES
#: How the arrays of a layer are saved without its model.
AS_NPZ = (
    "np.savez('dense.npz', **dict(zip(('kernel', 'recurrent_kernel', 'bias'), "
    "layer.get_weights())))"
)
AS_ARRAYS = f"or save its arrays: {AS_NPZ}"
_AGAIN = f"save the model again, {AS_ARRAYS}"
_REMEDY = f"save the model with model.save('dense.keras'), {AS_ARRAYS}"
#: Groups in groups, and entries of a group: more is no model, or a circle of hard links.
_DEEPEST, _MOST_ENTRIES = 24, 100_000


@dataclass(frozen=True)
class SavedModel:
    """An open file.

    Attributes:
        config: of the model as Keras writes it, or None where a file has weights only.
        major: of the Keras that wrote it; None if the file does not say.
        root: the group in which weights lie.
        stored: weights lie as `saving_lib` puts them ("layers/lstm/cell/vars/0"), not by the names
            of layers and variables.
    """

    config: dict[str, Any] | None
    major: int | None
    root: Group
    stored: bool


@contextmanager
def open_model(path: Path) -> Iterator[SavedModel]:
    """Opens a model or its weights.

    Raises:
        ArtifactError: the file cannot be read, or is of another kind.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise ArtifactError(f"cannot be read ({error.strerror})", field=str(path)) from error
    if start == b"PK\x03\x04":
        with _open_zip(path) as found:
            yield found
    else:
        with _open_plain(path) as found:
            yield found


@contextmanager
def _open_zip(path: Path) -> Iterator[SavedModel]:
    try:
        with zipfile.ZipFile(path) as archive:
            config = _json(archive, _CONFIG, path)
            metadata = _json(archive, _METADATA, path)
            weights = io.BytesIO(_member(archive, _WEIGHTS, _MOST_BYTES, path))
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ArtifactError(f"cannot be read ({error})", field=str(path), remedy=_REMEDY) from error
    with open_hdf5(weights, path) as root:
        yield SavedModel(config, _major(metadata.get("keras_version")), root, stored=True)


@contextmanager
def _open_plain(path: Path) -> Iterator[SavedModel]:
    with open_hdf5(path, path) as root:
        text = root.text("model_config")
        if text is not None:
            weights = root.group("model_weights")
            if weights is None:
                raise ArtifactError("has no weights", field=str(path), remedy=_REMEDY)
            config = _parsed(text, f"{path}: model_config")
            yield SavedModel(config, _major(root.text("keras_version")), weights, stored=False)
            return
        if not root.has("layer_names") and root.group("layers") is None:
            raise ArtifactError("is no file of Keras", field=str(path), remedy=_REMEDY)
        stored = not root.has("layer_names")
        major = None if stored else _major(root.text("keras_version"))
        yield SavedModel(None, major, root, stored)


def _json(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, Any]:
    content = _member(archive, name, _LONGEST_TEXT, path)
    try:
        return _parsed(content.decode(), f"{path}: {name}")
    except UnicodeDecodeError as error:
        raise ArtifactError("is no text", field=f"{path}: {name}", remedy=_REMEDY) from error


def _member(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    try:
        entry = archive.getinfo(name)
    except KeyError as error:
        raise ArtifactError(
            f"holds no {name}, as models of Keras do", field=str(path), remedy=_REMEDY
        ) from error
    if entry.file_size > most:
        raise ArtifactError(
            f"is longer than {most:,} bytes",
            field=f"{path}: {name}",
            value=entry.file_size,
            remedy="choose a smaller model",
        )
    return archive.read(entry)


def _parsed(text: str, field: str) -> dict[str, Any]:
    found = parse_json(text, field, error=ArtifactError, remedy=_REMEDY, strict=False)
    if not isinstance(found, dict):
        raise ArtifactError("must be an object", field=field, remedy=_REMEDY)
    return found


def _major(version: object) -> int | None:
    found = re.match(r"\d{1,4}", version) if isinstance(version, str) else None
    return int(found.group()) if found else None


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
                "lies in another file, which is not opened", field=field, remedy=_AGAIN
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

    def arrays(self, depth: int = 0) -> Iterator[str]:
        """Paths of all arrays in this group and the groups in it, which is so deep in others.

        Raises:
            ArtifactError: the file is damaged, or holds a link.
        """
        if depth > _DEEPEST:
            field = f"{self.file}: {self.place}"
            raise ArtifactError("has groups in groups without end", field=field, remedy=_AGAIN)
        for name in self.names():
            below = self.group(name)
            if below is None:
                yield name
            else:
                yield from (f"{name}/{path}" for path in below.arrays(depth + 1))

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
                        remedy=_AGAIN,
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
            f"cannot be read ({first_line(error)})",
            field=f"{file}: {place}" if place else file,
            remedy=_AGAIN,
        ) from error


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
