"""What every decomposition works with: matrices as tensors, singular subspaces, tensorly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fdht_models.versions import required_module

Real: TypeAlias = "npt.NDArray[np.float64]"
Arrays: TypeAlias = "dict[str, Real]"


@dataclass(frozen=True)
class Fitting:
    """How long the iterative fits (TR, BT, Tucker, CP, KCP) go on, and where they begin.

    Attributes:
        sweeps: most passes over all cores.
        tolerance: a fit ends when a pass lowers the relative error by less than this.
        seed: of random beginnings.
    """

    sweeps: int = 100
    tolerance: float = 1e-8
    seed: int = 0


def mode_tensor(matrix: Real, input_modes: Sequence[int], output_modes: Sequence[int]) -> Real:
    """A view of [outputs, inputs] with axes (i_1 .. i_p, o_1 .. o_q)."""
    split = matrix.reshape(*output_modes, *input_modes)
    count = len(output_modes)
    return split.transpose(*range(count, split.ndim), *range(count))


def paired_tensor(matrix: Real, input_modes: Sequence[int], output_modes: Sequence[int]) -> Real:
    """A copy of [outputs, inputs] with one axis of n_k m_k values, (i_k, o_k), for each k."""
    modes = len(input_modes)
    tensor = mode_tensor(matrix, input_modes, output_modes)
    paired = tensor.transpose([axis for k in range(modes) for axis in (k, modes + k)])
    sizes = [n * m for n, m in zip(input_modes, output_modes, strict=True)]
    # ascontiguousarray would give the matrix itself where all modes of one side are 1.
    return np.array(paired, order="C").reshape(sizes)


def split_pairs(tensor: Real, input_modes: Sequence[int], output_modes: Sequence[int]) -> Real:
    """A view of `paired_tensor` with axes (i_1 .. i_d, o_1 .. o_d)."""
    modes = len(input_modes)
    split = tensor.reshape(
        [size for pair in zip(input_modes, output_modes, strict=True) for size in pair]
    )
    return split.transpose(*range(0, 2 * modes, 2), *range(1, 2 * modes, 2))


def unfold(tensor: Real, axis: int) -> Real:
    """The matrix whose rows are one axis; columns are the others, row-major."""
    return np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1)


def left_basis(matrix: Real, rank: int) -> tuple[Real, float]:
    """The leading left singular vectors of a matrix, and what they leave out.

    Of a wide matrix only the triangular factor R of its transpose is decomposed, so that the
    right singular vectors, which are as large as the matrix, are never made. Unlike an
    eigendecomposition of A A^T this squares nothing.

    Args:
        matrix: [rows, columns].
        rank: vectors wanted. Vectors beyond the smaller side, of which the matrix needs none, are
            any that complete the basis; those beyond the rows are zero.

    Returns:
        Orthonormal [rows, rank], and the sum of the squares of the discarded singular values.
    """
    rows, columns = matrix.shape
    if columns > rows:
        matrix = np.asarray(np.linalg.qr(matrix.T, mode="r")).T
    vectors, values, _ = np.linalg.svd(matrix, full_matrices=False)
    basis = _completed(vectors[:, :rank], min(rank, rows))
    missing = np.zeros((rows, rank - basis.shape[1]))
    return np.hstack([basis, missing]), float(np.sum(values[rank:] ** 2))


def _completed(basis: Real, count: int) -> Real:
    """An orthonormal basis of `count` vectors that begins with those of `basis`."""
    rows, found = basis.shape
    if found >= count:
        return basis
    extra = np.random.default_rng(0).normal(size=(rows, count - found))
    for _ in range(2):  # once more, for what rounding left
        extra -= basis @ (basis.T @ extra)
    return np.hstack([basis, np.linalg.qr(extra)[0]])


def padded(array: Real, shape: Sequence[int]) -> Real:
    """The array in the leading corner of zeros."""
    found = np.zeros(tuple(shape))
    found[tuple(slice(size) for size in array.shape)] = array
    return found


def random_arrays(shapes: dict[str, tuple[int, ...]], seed: int) -> Arrays:
    """Normal values of about unit norm a core."""
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(size=shape) / math.sqrt(math.prod(shape))
        for name, shape in shapes.items()
    }


@contextmanager
def tensorly_tools() -> Iterator[tuple[Any, Any]]:
    """`tensorly` and `tensorly.decomposition` on NumPy, whatever backend the process uses.

    Imported here and nowhere else: a board does not install it.

    Raises:
        ToolError: it is not installed.
    """
    tensorly, decomposition = (
        required_module(name, "install the training tools: pip install fdht[train]")
        for name in ("tensorly", "tensorly.decomposition")
    )
    with tensorly.backend_context("numpy", local_threadsafe=True):
        yield tensorly, decomposition
