"""Files of named arrays (.npz): written whole or not at all, and refused when damaged."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.artifacts import write_bytes
from fdht_models.errors import ArtifactError
from fdht_models.files import read_file

#: Weights of a model by their names.
Weights = dict[str, npt.NDArray[np.float32]]

Arrays = dict[str, npt.NDArray[Any]]
#: What numpy and zipfile raise over a damaged file; an array of objects, which is a pickle, and so
#: code, is a ValueError.
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    AttributeError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_arrays(path: Path) -> Arrays:
    """Reads an .npz file.

    Raises:
        ArtifactError: it is missing or damaged, or holds pickled objects, which are never loaded.
    """
    try:
        # Read first: given a path, numpy leaves the file open when it is damaged.
        with np.load(
            io.BytesIO(read_file(path, error=ArtifactError, remedy="train the experiment again")),
            allow_pickle=False,
        ) as kept:
            return {name: kept[name] for name in kept.files}
    except _DAMAGE as error:
        raise ArtifactError(
            f"cannot be read ({error})", field=str(path), remedy="train the experiment again"
        ) from error


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes an .npz file atomically.

    Raises:
        ArtifactError: it cannot be written; a file that was there before is untouched.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))
    write_bytes(path, buffer.getvalue())
