"""`decompose`: a dense matrix in any tensor format."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import NumericError, ShapeError
from fdht_models.tensor.decompose.chains import hierarchical_svd, train_svd
from fdht_models.tensor.decompose.ranks import check_usable
from fdht_models.tensor.decompose.sum_fits import (
    fit_blocks,
    fit_canonical,
    fit_kronecker,
    fit_ring,
    fit_tucker,
)
from fdht_models.tensor.decompose.unfolding import (
    Arrays,
    Fitting,
    Real,
    mode_tensor,
    paired_tensor,
    random_arrays,
)
from fdht_models.tensor.formats import Format, HierarchicalTucker
from fdht_models.tensor.formats.modes import check_product
from fdht_models.tensor.network import TensorNetwork

#: Largest matrix: 2^27 values are 1 GiB in float64, and about five times that while it works.
MOST_VALUES = 1 << 27

_FITS = {
    "tr": fit_ring,
    "bt": fit_blocks,
    "cp": fit_canonical,
    "kcp": fit_kronecker,
}


@dataclass(frozen=True)
class Decomposition:
    """A matrix in a tensor format.

    Attributes:
        arrays: float64 arrays of the cores by name; `network.dense(arrays)` is the approximation.
        network: the format.
        error: Frobenius norm of the difference over that of the matrix, measured. 0 for a matrix
            of zeros.
        bound: what the method promises: `error` is at most this, but for rounding. HT and TT: the
            discarded singular values, whose root of squares it is, equals the error. Tucker: that
            of the truncated higher-order SVD with which its iteration begins. None where there is
            no promise.
    """

    arrays: Arrays
    network: TensorNetwork
    error: float
    bound: float | None


def decompose(
    matrix: npt.ArrayLike,
    format: Format,
    input_modes: Sequence[int],
    output_modes: Sequence[int],
    fitting: Fitting | None = None,
) -> Decomposition:
    """Approximates a matrix W by a tensor network.

    HT and TT are truncated by singular values, within sqrt(2 d - 3) and sqrt(d - 1) of the best
    approximation of these ranks; Tucker within sqrt(its factors). TR, BT, CP and KCP are fitted by
    alternating least squares without such a promise. `dense` is exact.

    Memory: besides `matrix`, four to five times its size in float64 (a scaled copy, the tensor,
    its unfolding and LAPACK's copy of that; at the end the approximation and its difference).

    Args:
        matrix: [outputs, inputs], any real type.
        format: the decomposition and its ranks.
        input_modes: n_1 .. n_p, whose product is the number of columns.
        output_modes: m_1 .. m_q, whose product is the number of rows.
        fitting: of the iterative fits.

    Raises:
        ShapeError: modes and matrix do not fit together, a rank is larger than the modes allow, or
            the matrix is too large.
        NumericError: a value is not finite.
        ToolError: tensorly, which Tucker, TR, BT, CP and KCP need, is not installed.
    """
    inputs, outputs = tuple(input_modes), tuple(output_modes)
    found = np.asarray(matrix)
    _check_shape(found, inputs, outputs)
    network = format.network(inputs, outputs)
    check_usable(format, inputs, outputs)
    values, exponent = _scaled(found)
    if exponent is None:
        return Decomposition(_zeros(network), network, 0.0, 0.0)
    arrays, lost = _fit(values, format, network, (inputs, outputs), fitting or Fitting())
    network.check(arrays)
    norm = float(np.linalg.norm(values))
    # Not in place: of a single core, the dense matrix is a view.
    error = float(np.linalg.norm(network.dense(arrays) - values)) / norm
    bound = None if lost is None else math.sqrt(lost) / norm
    return Decomposition(_unscaled(arrays, exponent), network, error, bound)


def _fit(
    values: Real,
    form: Format,
    network: TensorNetwork,
    modes: tuple[tuple[int, ...], tuple[int, ...]],
    fitting: Fitting,
) -> tuple[Arrays, float | None]:
    """The cores, and the square of the largest error where the method knows it."""
    if form.name == "dense":
        return {"W": mode_tensor(values, *modes).copy()}, 0.0
    if isinstance(form, HierarchicalTucker):
        tree = form.tree_of(len(modes[0]))
        return hierarchical_svd(paired_tensor(values, *modes), network, tree)
    if form.name == "tt":
        return train_svd(paired_tensor(values, *modes), network)
    if form.name == "tucker":
        return fit_tucker(values, network, modes, fitting)
    return _FITS[form.name](values, network, modes, fitting), None


def _check_shape(
    matrix: npt.NDArray[Any], inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> None:
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
        raise ShapeError(
            "must be a matrix of real numbers, [outputs, inputs]",
            field="matrix",
            value=f"{matrix.dtype}{list(matrix.shape)}",
        )
    check_product("output_modes", outputs, matrix.shape[0])
    check_product("input_modes", inputs, matrix.shape[1])
    if matrix.size > MOST_VALUES:
        raise ShapeError(
            f"has {matrix.size:,} values ({matrix.size * 8 / 2**30:.1f} GiB in float64, of which "
            f"five times as much is needed); at most {MOST_VALUES:,} are decomposed at once",
            field="matrix",
            value=list(matrix.shape),
            remedy="decompose it gate by gate, or train the tensorized layer from scratch",
        )


def _scaled(matrix: npt.NDArray[Any]) -> tuple[Real, int | None]:
    """The matrix in float64 times a power of two, all values below 1, and that power's exponent.

    So no square over- or underflows, and thresholds mean the same for every matrix. The exponent
    is None if all values are zero.
    """
    values = np.array(matrix, np.float64, order="C")
    if not np.isfinite(values).all():
        place = np.argwhere(~np.isfinite(values))[0].tolist()
        raise NumericError(
            f"is {values[tuple(place)]} at {place}",
            field="matrix",
            value=list(matrix.shape),
            remedy="look where the training diverged",
        )
    largest = max(float(values.max()), -float(values.min()))
    if largest == 0:
        return values, None
    exponent = math.frexp(largest)[1]
    return np.ldexp(values, -exponent, out=values), exponent


def _unscaled(arrays: Arrays, exponent: int) -> Arrays:
    """The cores times 2^exponent in all, shared out so that no single one over- or underflows."""
    shares = [(exponent + place) // len(arrays) for place in range(len(arrays))]
    return {
        name: np.ldexp(np.ascontiguousarray(array), share)
        for (name, array), share in zip(arrays.items(), shares, strict=True)
    }


def _zeros(network: TensorNetwork) -> Arrays:
    """A network of the zero matrix that can be trained: all cores but the last are random."""
    arrays = random_arrays({name: network.shape(name) for name in network.core_names}, 0)
    last = network.core_names[-1]
    return {**arrays, last: np.zeros(network.shape(last))}
