"""An array of objects out of a `.npy` file, which is a pickle: nothing but arrays is made of it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

#: All that a pickle of arrays, texts and numbers names. A pickle may name any function else, and
#: have it called.
_ALLOWED = frozenset(
    {
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("_codecs", "encode"),
    }
)

#: NumPy's module of the file format, which has no types.
_HEADER: Any = np.lib.format


class _ArraysOnly(pickle.Unpickler):
    """Refuses every name but those that arrays need."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")
        return super().find_class(module, name)


def read_objects(path: Path) -> Any:
    """What a `.npy` file of objects holds: a dictionary of arrays, for example.

    Raises:
        OSError, ValueError: it cannot be read, or is another file.
        pickle.UnpicklingError: it is damaged, or names anything but arrays, which is not called.
    """
    with path.open("rb") as stream:
        version = _HEADER.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"version {version} of the format")
        shape, _, dtype = _HEADER.read_array_header_1_0(stream)
        if not dtype.hasobject or shape != ():
            raise ValueError("it holds no single object")
        found = np.asarray(_ArraysOnly(stream).load(), object)
        return found.item()
