"""Trained dense layers out of files: models of Keras 2 and 3, their weights, and named arrays.

Nothing in a file is run: models are read by `fdht_models.kerasfile`, arrays without pickles.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ArtifactError, ConfigError, NumericError, ShapeError
from fdht_models.kerasfile import read_model
from fdht_models.tensor.decompose.recurrent_weights import DenseCell, cell_from_keras
from fdht_models.training.array_files import Arrays, read_arrays

#: Arrays that a .npz file of dense weights must hold, and those that it may hold.
_NEEDED = ("kernel", "recurrent_kernel")
_KNOWN = (*_NEEDED, "bias", "head_kernel", "head_bias")
_AS_NPZ = (
    "np.savez('dense.npz', **dict(zip(('kernel', 'recurrent_kernel', 'bias'), "
    "layer.get_weights())))"
)


@dataclass(frozen=True)
class DenseLayer:
    """A trained dense layer, and what else its file knows.

    Attributes:
        name: of the layer, or of its file.
        cell: its weights.
        functions: our names of its gate functions, recurrent activation first; None if not known.
        head: kernel and bias of the classifier behind it, if there is one.
        notes: what of the file was folded, left out or not taken, a line each.
    """

    name: str
    cell: DenseCell
    functions: tuple[str, str] | None
    head: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None
    notes: tuple[str, ...]


def load_dense(path: Path, layer: str | None, classes: int) -> DenseLayer:
    """Reads a trained dense layer; see `decompose_stage` for the files.

    Args:
        path: the file.
        layer: name of the layer in a Keras model.
        classes: of the classifier to look for.

    Raises:
        ArtifactError: the file cannot be read.
        FdhtError: there is no such layer in it, or it cannot be used.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        return _load_arrays(path, layer, classes)
    if kind in (".keras", ".h5", ".hdf5"):
        found = read_model(path, layer, classes)
        cell = cell_from_keras(found.kernel, found.recurrent_kernel, found.bias)
        return DenseLayer(found.name, cell, found.functions, found.head, found.notes)
    raise ConfigError(
        "is neither a Keras model (.keras, .h5, .weights.h5) nor a file of arrays (.npz)",
        field="weights",
        value=str(path),
        remedy=_AS_NPZ,
    )


def _load_arrays(path: Path, layer: str | None, classes: int) -> DenseLayer:
    if layer is not None:
        raise ConfigError("a .npz file holds one layer only", field="layer", value=layer)
    try:
        arrays = read_arrays(path)
    except ArtifactError as error:
        raise ArtifactError(error.problem, field=error.field, remedy=_AS_NPZ) from error
    for name in _NEEDED:
        if name not in arrays:
            raise ArtifactError(
                f"there is no array {name!r}",
                field=str(path),
                value=sorted(arrays),
                remedy=_AS_NPZ,
            )
    for name in set(_KNOWN) & set(arrays):
        if arrays[name].dtype.kind not in "fiu":
            raise ArtifactError(
                "must be real numbers", field=f"{path}: {name}", value=str(arrays[name].dtype)
            )
    cell = cell_from_keras(arrays["kernel"], arrays["recurrent_kernel"], arrays.get("bias"))
    head = _head(arrays, cell.hidden.shape[1], classes)
    notes = []
    if head is None:
        notes.append("no classifier was found beside the layer: it begins with random weights")
    if others := sorted(set(arrays) - set(_KNOWN)):
        notes.append(f"arrays left out: {', '.join(others)}")
    return DenseLayer(path.name, cell, None, head, tuple(notes))


def _head(
    arrays: Arrays, units: int, classes: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
    """The classifier among arrays."""
    if "head_kernel" not in arrays:
        if "head_bias" in arrays:
            raise ArtifactError("is there without head_kernel", field="head_bias", remedy="add it")
        return None
    kernel, wanted = arrays["head_kernel"], (units, classes)
    bias = arrays.get("head_bias", np.zeros(classes))
    if kernel.shape != wanted or bias.shape != wanted[1:]:
        raise ShapeError(
            f"must have shape {list(wanted)}, [hidden units, classes], and head_bias "
            f"{list(wanted[1:])}",
            field="head_kernel",
            value=[list(kernel.shape), list(bias.shape)],
        )
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise NumericError(
            "is not finite everywhere",
            field="head_kernel or head_bias",
            remedy="look where the training diverged",
        )
    return kernel, bias
