"""Files that ship inside installed packages, found without importing the package."""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import DataError

REMEDY = "pip install fdht[train]"


def import_package(module: str, package: str | None = None) -> Any:
    """Imports a module of a package that may not be there.

    Args:
        module: its dotted name.
        package: what is installed, if that is called otherwise.

    Raises:
        DataError: it is not installed.
    """
    try:
        importlib.import_module(module.partition(".")[0])
        return importlib.import_module(module)
    except ImportError:
        named = package or module
        raise DataError("is not installed", field="package", value=named, remedy=REMEDY) from None


def package_file(package: str, relative: str) -> Path:
    """Returns the path of a file inside an installed package.

    The package is not imported: that would take seconds (scikit-learn) or fail for want of
    a library that we do not need (seglearn asks for pandas).

    Raises:
        DataError: the package, or the file in it, is not there.
    """
    specification = importlib.util.find_spec(package)
    if specification is None or specification.origin is None:
        raise DataError("is not installed", field="package", value=package, remedy=REMEDY)
    path = Path(specification.origin).parent / relative
    if not path.is_file():
        raise DataError(f"the installed {package} has no such file", field=str(path), remedy=REMEDY)
    return path


def digest_array(array: NDArray[np.generic]) -> str:
    """SHA-256 (hex) of an array's type, shape and values."""
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


@functools.cache
def digits(split: str) -> NDArray[np.float32]:
    """Returns scikit-learn's handwritten digits of a split: float32 [digits, 8, 8], 0 to 1.

    The file is the one that `sklearn.datasets.load_digits` reads, cut once in its own order. No
    two of its images are equal, so a test digit was never seen in training.

    Raises:
        DataError: scikit-learn is not installed.
    """
    path = package_file("sklearn", "datasets/data/digits.csv.gz")
    try:
        with gzip.open(path, "rt") as stream:
            table = np.loadtxt(stream, delimiter=",", dtype=np.float32)
        images = (table[:, :64] / 16).reshape(-1, 8, 8)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"cannot be read ({error})", field=str(path), remedy=REMEDY) from error
    images.setflags(write=False)
    return images[:_TRAINING_DIGITS] if split == "train" else images[_TRAINING_DIGITS:]


_TRAINING_DIGITS = 1300  # of 1,797
