"""A trained dense LSTM or GRU in a tensor format: gate orders, the hidden state's box, its errors.

Works on arrays; `fdht_models.training.decompose` takes them from Keras layers and puts them back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ConfigError, NumericError, ShapeError
from fdht_models.tensor.decompose.api import Decomposition, decompose
from fdht_models.tensor.decompose.ranks import scaled
from fdht_models.tensor.decompose.unfolding import Arrays, Fitting, Real
from fdht_models.tensor.formats.modes import check_product
from fdht_models.tensor.recurrent import DENSE_HIDDEN, GATES, RecurrentShape

#: Keras' gates in the order of its columns, by our names; its LSTM's input gate is our update.
KERAS_GATES: Mapping[str, tuple[str, ...]] = {
    "lstm": ("update", "forget", "candidate", "output"),
    "gru": ("update", "reset", "candidate"),
}
#: A recurrent bias of a GRU's candidate up to this is less than float32 rounds at a
#: pre-activation of 8, and is dropped.
_NEGLIGIBLE = 2.0**-20


@dataclass(frozen=True)
class DenseCell:
    """Weights of a dense recurrent layer, in our order of gates.

    Attributes:
        cell: "lstm" or "gru".
        input: W_x, [gates x H, inputs].
        hidden: W_h, [gates x H, H].
        bias: [gates x H].
    """

    cell: str
    input: npt.NDArray[Any]
    hidden: npt.NDArray[Any]
    bias: npt.NDArray[Any]


@dataclass(frozen=True)
class CellDecomposition:
    """A dense recurrent layer in a tensor format.

    Attributes:
        shape: the layer that it becomes.
        arrays: cores by name, with `H` where W_h stays dense.
        bias: [gates x H].
        decomposition: of the matrix that was decomposed; for an integrated layer that is
            [W_x | W_h] in its box, with zeros around it that are never used.
        error: relative error of what the layer uses of the decomposed matrix: of [W_x | W_h]
            where they are integrated, of W_x otherwise.
        error_input: relative error of W_x.
        error_hidden: relative error of W_h; 0 where it stays dense.
    """

    shape: RecurrentShape
    arrays: Arrays
    bias: npt.NDArray[Any]
    decomposition: Decomposition
    error: float
    error_input: float
    error_hidden: float


def cell_from_keras(
    kernel: npt.ArrayLike, recurrent_kernel: npt.ArrayLike, bias: npt.ArrayLike | None
) -> DenseCell:
    """Weights as Keras keeps them, in our order of gates.

    Keras' LSTM has i, f, c, o where we have forget, update (i), candidate (c), output; its GRU
    z, r, h where we have reset (r), update (z), candidate (h).

    A GRU has two biases; ours one. Those of reset and update are added up. That of the candidate
    is multiplied by the reset gate in Keras, so that it must be zero.

    Args:
        kernel: [inputs, gates x H].
        recurrent_kernel: [H, gates x H].
        bias: [gates x H] of an LSTM, [2, gates x H] of a GRU with `reset_after`; None: zeros.

    Raises:
        ShapeError: they do not fit together.
        ConfigError: it is a GRU without `reset_after`, or its candidate has a recurrent bias.
        NumericError: a value is not finite.
    """
    arrays = {"kernel": np.asarray(kernel), "recurrent_kernel": np.asarray(recurrent_kernel)}
    units, cell = _units_and_cell(arrays["kernel"], arrays["recurrent_kernel"])
    rows = len(GATES[cell]) * units
    if bias is not None:
        arrays["bias"] = np.asarray(bias)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise NumericError(
                "is not finite everywhere", field=name, remedy="look where the training diverged"
            )
    folded = _folded_bias(arrays.get("bias"), cell, units)
    order = [KERAS_GATES[cell].index(gate) for gate in GATES[cell]]

    def ours(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        columns = array.reshape(-1, len(order), units)[:, order]
        return np.ascontiguousarray(columns.reshape(-1, rows).T)

    return DenseCell(
        cell, ours(arrays["kernel"]), ours(arrays["recurrent_kernel"]), ours(folded[None])[:, 0]
    )


def decompose_cell(
    dense: DenseCell, shape: RecurrentShape, fitting: Fitting | None = None
) -> CellDecomposition:
    """Decomposes W_x, or [W_x | W_h] where the shape integrates them.

    Args:
        dense: the trained layer.
        shape: the layer that it becomes.
        fitting: of the iterative fits.

    Raises:
        FdhtError: layer and shape do not fit together, or see `decompose`.
    """
    _check_fit(dense, shape)
    modes = [shape.network.sizes[index] for index in shape.network.inputs]
    found = decompose(embedded(dense, shape), shape.format, modes, shape.output_modes, fitting)
    input_error, hidden_error = _squared_errors(dense, shape, found)
    input_total, hidden_total = (_squared(values) for values in (dense.input, dense.hidden))
    arrays = dict(found.arrays)
    total = input_total
    if shape.integrated:
        total += hidden_total
    else:
        arrays[DENSE_HIDDEN] = _dense_hidden(dense, shape)
    return CellDecomposition(
        shape,
        arrays,
        dense.bias,
        found,
        _relative(input_error + hidden_error, total),
        _relative(input_error, input_total),
        _relative(hidden_error, hidden_total),
    )


def scaled_shape(shape: RecurrentShape, factor: float) -> RecurrentShape:
    """The shape with its ranks multiplied; see `scaled`."""
    modes = tuple(shape.network.sizes[index] for index in shape.network.inputs)
    return replace(shape, format=scaled(shape.format, factor, modes, shape.output_modes))


def embedded(dense: DenseCell, shape: RecurrentShape) -> npt.NDArray[Any]:
    """The matrix that is decomposed: W_x, or W_x and W_h where `RecurrentShape` lays x and h.

    x takes the first n_1 slices of the first input mode, h a box in the corner of p_1 more.
    """
    if not shape.integrated:
        return dense.input
    rows = len(dense.bias)
    first, *rest = shape.input_modes
    sides = shape.hidden_sides
    whole = np.zeros((rows, first + sides[0], *rest), dense.input.dtype)
    whole[:, :first] = dense.input.reshape(rows, first, *rest)
    whole[_corner(shape)] = dense.hidden.reshape(rows, *sides)
    return whole.reshape(rows, -1)


def _corner(shape: RecurrentShape) -> tuple[slice, ...]:
    """Where h meets the matrix of [rows, n_1 + p_1, n_2, .., n_d]."""
    sides = shape.hidden_sides[1:]
    return (slice(None), slice(shape.input_modes[0], None), *(slice(side) for side in sides))


def _dense_hidden(dense: DenseCell, shape: RecurrentShape) -> Real:
    """W_h with axes as the layer's core `H` has them."""
    network = shape.hidden_network
    found = dense.hidden.astype(np.float64).reshape(*shape.output_modes, shape.units)
    axes = {index: axis for axis, index in enumerate((*network.outputs, *network.inputs))}
    order = [axes[index] for index in network.core(DENSE_HIDDEN).indices]
    return np.ascontiguousarray(found.transpose(order))


def _squared_errors(
    dense: DenseCell, shape: RecurrentShape, found: Decomposition
) -> tuple[float, float]:
    """Squares of the errors of W_x and W_h."""
    rows = len(dense.bias)
    if not shape.integrated:
        return (found.error**2) * _squared(dense.input), 0.0
    whole = found.network.dense(found.arrays).reshape(rows, -1, *shape.input_modes[1:])
    from_input = whole[:, : shape.input_modes[0]].reshape(rows, -1) - dense.input
    from_hidden = whole[_corner(shape)].reshape(rows, -1) - dense.hidden
    return _squared(from_input), _squared(from_hidden)


def _squared(values: npt.NDArray[Any]) -> float:
    return float(np.linalg.norm(values.astype(np.float64, copy=False).ravel())) ** 2


def _relative(error: float, total: float) -> float:
    return math.sqrt(error / total) if total else 0.0


def _check_fit(dense: DenseCell, shape: RecurrentShape) -> None:
    if dense.cell != shape.cell:
        raise ConfigError(
            f"the dense layer is of kind '{dense.cell}'",
            field="cell",
            value=shape.cell,
            remedy=f"choose '{dense.cell}', or another layer",
        )
    check_product("output_modes", shape.output_modes, len(dense.bias))
    check_product("input_modes", shape.input_modes, dense.input.shape[1])


def _units_and_cell(kernel: npt.NDArray[Any], recurrent: npt.NDArray[Any]) -> tuple[int, str]:
    kinds = {len(gates): cell for cell, gates in KERAS_GATES.items()}
    if kernel.ndim != 2 or recurrent.ndim != 2 or kernel.shape[1] != recurrent.shape[1]:
        raise ShapeError(
            "kernel and recurrent_kernel must be matrices of equally many columns",
            field="weights",
            value=[list(kernel.shape), list(recurrent.shape)],
            remedy="give them as Keras has them: [inputs, gates x H] and [H, gates x H]",
        )
    units, columns = recurrent.shape
    if not units or columns % units or columns // units not in kinds:
        raise ShapeError(
            "has neither 4 (LSTM) nor 3 (GRU) columns for each of its rows",
            field="recurrent_kernel",
            value=list(recurrent.shape),
            remedy="give it as Keras has it: [H, gates x H]",
        )
    return units, kinds[columns // units]


def _folded_bias(bias: npt.NDArray[Any] | None, cell: str, units: int) -> npt.NDArray[Any]:
    """One bias for each row, in Keras' order of gates."""
    columns = len(KERAS_GATES[cell]) * units
    if bias is None:
        return np.zeros(columns, np.float32)
    if cell == "gru" and bias.shape == (columns,):
        raise ConfigError(
            "has one row: the reset gate of this GRU acts before its matrix, but here it acts "
            "behind it",
            field="bias",
            value=list(bias.shape),
            remedy="train it with reset_after=True, Keras' default",
        )
    wanted = (columns,) if cell == "lstm" else (2, columns)
    if bias.shape != wanted:
        raise ShapeError(f"must have shape {list(wanted)}", field="bias", value=list(bias.shape))
    if cell == "lstm":
        return bias
    candidate = float(np.abs(bias[1, 2 * units :]).max())
    if candidate > _NEGLIGIBLE:
        raise ConfigError(
            "the reset gate multiplies the candidate's recurrent bias, which is up to "
            f"{candidate:.3g}; our GRU has one bias, outside of the gate",
            field="bias",
            remedy="train the dense GRU with bias_constraint=InputBiasOnly() or use_bias=False",
        )
    return np.asarray(bias[0] + np.concatenate([bias[1, : 2 * units], np.zeros(units)]))
