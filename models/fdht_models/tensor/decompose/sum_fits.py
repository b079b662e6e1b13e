"""Fits of Tucker, CP, block-term Tucker, Kronecker-CP and tensor ring.

Only Tucker comes with a bound. The others are non-convex, some without a best approximation at
all; each begins where a method of the literature ends, and alternating least squares goes on from
there (`alternating.refine`). What they reach is measured, not promised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fdht_models.tensor.decompose.alternating import refine
from fdht_models.tensor.decompose.chains import mode_bases
from fdht_models.tensor.decompose.ranks import tucker_limits
from fdht_models.tensor.decompose.unfolding import (
    Arrays,
    Fitting,
    Real,
    left_basis,
    mode_tensor,
    padded,
    paired_tensor,
    random_arrays,
    split_pairs,
    tensorly_tools,
    unfold,
)
from fdht_models.tensor.network import TensorNetwork

Modes = Sequence[int]

#: tensorly's CP reads the tensor, and makes a Khatri-Rao product, once for each factor. Beyond so
#: many values of either, the same sweeps are left to `refine`, which takes less time and memory.
_MOST_FOR_TENSORLY = 1 << 22
#: Passes over the blocks of a block-term fit before all its cores are refined together.
_DEFLATIONS = 3
#: Size of the random values that fill up a beginning of lower rank.
_NOISE = 1e-3


def fit_tucker(
    matrix: Real, network: TensorNetwork, modes: tuple[Modes, Modes], fitting: Fitting
) -> tuple[Arrays, float]:
    """Higher-order orthogonal iteration by tensorly, from the truncated higher-order SVD.

    Returns:
        The cores, and the square of the error of that SVD, which the iteration only lowers.
    """
    tensor = mode_tensor(matrix, *modes)
    carried = network.core("G").indices
    axes = [axis for axis, index in enumerate(carried) if index.startswith("r_")]
    ranks = [network.sizes[carried[axis]] for axis in axes]
    core, factors, lost = _orthogonal_iteration(tensor, axes, ranks, fitting)
    names = [core.name for core in network.cores if core.name != "G"]
    return {**dict(zip(names, factors, strict=True)), "G": core}, lost


def fit_canonical(
    matrix: Real, network: TensorNetwork, modes: tuple[Modes, Modes], fitting: Fitting
) -> Arrays:
    """CP: tensorly's `parafac` from singular vectors, then sweeps of our own."""
    tensor = mode_tensor(matrix, *modes)
    factors = _parafac(tensor, network.sizes["r"], fitting)
    return refine(network, dict(zip(network.core_names, factors, strict=True)), tensor, fitting)


def fit_blocks(
    matrix: Real, network: TensorNetwork, modes: tuple[Modes, Modes], fitting: Fitting
) -> Arrays:
    """Block terms: deflation, then sweeps over all blocks together.

    Each block is fitted in turn as a Tucker tensor (orthogonal iteration) to what the others leave
    of the matrix, three times round; then alternating least squares refine all cores.
    """
    residual = paired_tensor(matrix, *modes)
    blocks = network.sizes["b"]
    ranks = tucker_limits(residual.shape, [network.sizes["r1"]] * residual.ndim)
    fits: dict[int, tuple[Real, list[Real]]] = {}
    for turn in range(_DEFLATIONS * blocks):
        block = turn % blocks
        if block in fits:
            residual += _tucker_tensor(*fits[block])
        core, factors, _ = _orthogonal_iteration(residual, range(residual.ndim), ranks, fitting)
        fits[block] = (core, factors)
        residual -= _tucker_tensor(core, factors)
    arrays: Arrays = {}
    for k in range(1, residual.ndim + 1):
        shape = network.shape(f"U{k}")
        parts = [
            padded(found[k - 1], (residual.shape[k - 1], shape[-1])) for _, found in fits.values()
        ]
        arrays[f"U{k}"] = np.stack(parts).reshape(shape)
    shape = network.shape("G")
    arrays["G"] = np.stack([padded(core, shape[1:]) for core, _ in fits.values()])
    del residual
    return refine(network, arrays, split_pairs(paired_tensor(matrix, *modes), *modes), fitting)


def fit_kronecker(
    matrix: Real, network: TensorNetwork, modes: tuple[Modes, Modes], fitting: Fitting
) -> Arrays:
    """Kronecker-CP: a sum of Kronecker products, then CP of each factor, then sweeps.

    In the tensor of paired modes a Kronecker product is an outer product (Van Loan and Pitsianis
    1993; Phan et al. 2012), so that a sum of S is a CP decomposition of rank S. The CP of a factor
    of m_k x n_k is its truncated SVD. Alternating least squares then refine all vectors.
    """
    tensor = paired_tensor(matrix, *modes)
    factors = _parafac(tensor, network.sizes["s"], fitting)
    arrays: Arrays = {}
    for k, (n, m) in enumerate(zip(*modes, strict=True), 1):
        rank = network.sizes[f"r{k}"]
        left, values, right = np.linalg.svd(factors[k - 1].T.reshape(-1, n, m), False)
        root = np.sqrt(values[:, None, :rank])
        for name, vectors in ((f"V{k}", left), (f"U{k}", right.swapaxes(1, 2))):
            arrays[name] = padded(vectors[:, :, :rank] * root, network.shape(name))
    return refine(network, arrays, split_pairs(tensor, *modes), fitting)


def fit_ring(
    matrix: Real, network: TensorNetwork, modes: tuple[Modes, Modes], fitting: Fitting
) -> Arrays:
    """Tensor ring: tensorly's TR-SVD where its ranks allow one, then sweeps.

    The first step of TR-SVD needs two neighbouring ranks whose product is no larger than the mode
    between them. The ring is turned so that the step keeps most of its mode. Where there is none
    (published ranks are too large for their modes), the sweeps begin with random cores.
    """
    tensor = mode_tensor(matrix, *modes)
    ranks = [network.sizes[f"r{k}"] for k in range(tensor.ndim)]
    shapes = {name: network.shape(name) for name in network.core_names}
    arrays = random_arrays(shapes, fitting.seed)
    products = [ranks[k] * ranks[(k + 1) % tensor.ndim] for k in range(tensor.ndim)]
    kept = [
        product / size if product <= min(size, tensor.size // size) else 0.0
        for product, size in zip(products, tensor.shape, strict=True)
    ]
    first = int(np.argmax(kept))
    if kept[first]:
        turn = [*range(first, tensor.ndim), *range(first)]
        # tensorly lowers ranks in this list where they exceed an unfolding's.
        turned = [ranks[k] for k in (*turn, first)]
        with tensorly_tools() as (_, decomposition):
            cores = decomposition.tensor_ring(tensor.transpose(turn), turned)
        for k, core in zip(turn, cores, strict=True):
            name = network.core_names[k]
            filled = core.shape == shapes[name]
            arrays[name] = core if filled else padded(core, shapes[name]) + _NOISE * arrays[name]
    return refine(network, arrays, tensor, fitting)


def _orthogonal_iteration(
    tensor: Real, axes: Sequence[int], ranks: Sequence[int], fitting: Fitting
) -> tuple[Real, list[Real], float]:
    """Tucker on some axes: core, orthonormal factors, squared error of the SVD it begins with."""
    core, factors, lost = mode_bases(tensor, axes, ranks)
    if not axes or not np.any(core):
        return core, factors, lost
    with tensorly_tools() as (_, decomposition):
        (core, factors), _ = decomposition.partial_tucker(
            tensor,
            list(ranks),
            modes=list(axes),
            init=factors,
            n_iter_max=fitting.sweeps,
            tol=fitting.tolerance,
        )
    return core, factors, lost


def _parafac(tensor: Real, rank: int, fitting: Fitting) -> list[Real]:
    """CP factors, [size, rank] a mode, the norm in the first.

    They begin as singular vectors of the unfoldings, filled up with random ones, and tensorly
    sweeps over them unless they are too large, or its equations are singular: then the beginning
    is returned.
    """
    generator = np.random.default_rng(fitting.seed)
    factors = []
    for axis, size in enumerate(tensor.shape):
        count = min(rank, size)
        basis, _ = left_basis(unfold(tensor, axis), count)
        scale = np.linalg.norm(tensor) if axis == 0 else 1.0
        extra = generator.normal(size=(size, rank - count)) / math.sqrt(size)
        factors.append(np.hstack([basis, extra]) * scale)
    wide = [axis for axis, size in enumerate(tensor.shape) if size > 1]
    if len(wide) < 2:
        return factors
    squeezed = tensor.reshape([tensor.shape[axis] for axis in wide])
    product = rank * tensor.size // min(squeezed.shape)
    if max(product, tensor.size) > _MOST_FOR_TENSORLY:
        return factors
    found = _sweeps_of_tensorly(squeezed, [factors[axis] for axis in wide], fitting)
    if found is None:
        return factors
    whole = dict(zip(wide, found, strict=True))
    return [whole.get(axis, np.ones((1, rank))) for axis in range(tensor.ndim)]


def _sweeps_of_tensorly(tensor: Real, factors: list[Real], fitting: Fitting) -> list[Real] | None:
    """Factors after tensorly's sweeps; None where its normal equations are singular."""
    rank = factors[0].shape[1]
    with tensorly_tools() as (_, decomposition), np.errstate(all="ignore"):
        try:
            # What overflows is not finite, and is refused below.
            _, found = decomposition.parafac(
                tensor,
                rank,
                init=(np.ones(rank), factors),
                n_iter_max=fitting.sweeps,
                tol=fitting.tolerance,
            )
        except np.linalg.LinAlgError:
            return None
    finite = all(np.isfinite(factor).all() for factor in found)
    return list(found) if finite else None


def _tucker_tensor(core: Real, factors: Sequence[Real]) -> Real:
    """The tensor of a Tucker decomposition of all axes."""
    for factor in factors:  # each takes the leading axis and puts its own behind the others
        core = np.tensordot(core, factor, axes=(0, 1))
    return core
