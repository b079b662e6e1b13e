"""Files of Keras 2 and 3 opened: `.keras` (a zip file), `.h5` (HDF5) and `.weights.h5`."""

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

from fdht_models.documents import parse_json
from fdht_models.errors import ArtifactError
from fdht_models.kerasfile.hdf5 import AS_ARRAYS, Group, open_hdf5
from fdht_models.tensor.decompose.api import MOST_VALUES

#: Names inside a `.keras` file.
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
#: Bytes: of a text in a `.keras` file, and of its weights.
_LONGEST_TEXT, _MOST_BYTES = 64 << 20, 8 * MOST_VALUES
_REMEDY = f"save the model with model.save('dense.keras'), {AS_ARRAYS}"


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
