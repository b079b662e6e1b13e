"""Truncated SVD on trees and trains: hierarchical Tucker and tensor train.

Both project the tensor, node after node from the leaves to the root (the modes from left to
right), onto the leading left singular vectors of what the projections before have left of it.

Error. Let P_1, P_2, .. be the projections in this order and A_j = P_j .. P_1 A. Projections on
disjoint sets of modes commute, and a node's lies within those of its children. So A_j lies in the
range of P_1 .. P_j, A_{j-1} - A_j is orthogonal to it, and by Pythagoras

    |A - A_last|^2 = sum over nodes of the squares of the discarded singular values:

the error *is* that sum, which for the classical algorithm (Grasedyck 2010; Kressner and Tobler's
htucker), where nodes of one level are truncated side by side, is a bound only.

Against the best approximation. Whatever was projected before a node t acts within t or within its
complement, so the unfolding of A_{j-1} at t is that of A between two contractions, and its
singular values are at most those of A. A's discarded ones at t alone make up at most the square of
the error of the best approximation, whose unfolding at t has no higher rank. The two children of
the root have the same unfolding, and what both discard is together at most what the smaller rank
of the two discards from A. Of the 2 d - 2 nodes below the root, 2 d - 3 count: the error is at most
sqrt(2 d - 3) of the best. For a train, with its d - 1 unfoldings, it is sqrt(d - 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fdht_models.tensor.decompose.unfolding import Arrays, Real, left_basis, unfold
from fdht_models.tensor.formats.trees import Tree, inner_nodes
from fdht_models.tensor.network import TensorNetwork


def hierarchical_svd(tensor: Real, network: TensorNetwork, tree: Tree) -> tuple[Arrays, float]:
    """Hierarchical Tucker.

    Besides the tensor it takes a copy for its unfolding and two for the first triangular factor;
    each step shrinks it.

    Args:
        tensor: with one axis a pair of modes.
        network: made by `hierarchical_tucker`.
        tree: its dimension tree.

    Returns:
        The cores, and the square of the error: the sum of the squares of all discarded singular
        values.
    """
    modes = tensor.ndim
    shapes = {f"U{k}": network.shape(f"U{k}") for k in range(1, modes + 1)}
    core, bases, lost = mode_bases(tensor, range(modes), [shape[-1] for shape in shapes.values()])
    arrays = {name: basis.reshape(shapes[name]) for name, basis in zip(shapes, bases, strict=True)}
    spans = [(k, k) for k in range(1, modes + 1)]  # of the core's axes
    for node in inner_nodes(tree):
        shape = network.shape(node.name)
        left = spans.index((node.first, node.split))
        if node.last - node.first + 1 == modes:
            arrays[node.name] = core
            break
        core = core.reshape(*core.shape[:left], -1, *core.shape[left + 2 :])
        spans[left : left + 2] = [(node.first, node.last)]
        basis, discarded = left_basis(unfold(core, left), shape[-1])
        arrays[node.name] = basis.reshape(shape)
        core, lost = _projected(core, basis, left), lost + discarded
    return arrays, lost


def train_svd(tensor: Real, network: TensorNetwork) -> tuple[Arrays, float]:
    """Tensor train of a matrix (Oseledets 2011, algorithm 1, on paired modes).

    Args:
        tensor: with one axis a pair of modes.
        network: made by `tensor_train`.

    Returns:
        The cores, and the square of the error, as `hierarchical_svd` does.
    """
    arrays, lost, rest = {}, 0.0, tensor.reshape(1, -1)
    for k, size in enumerate(tensor.shape[:-1], 1):
        before = rest.shape[0]
        rest = rest.reshape(before * size, -1)
        basis, discarded = left_basis(rest, network.sizes[f"r{k}"])
        arrays[f"G{k}"] = _train_core(basis.reshape(before, size, -1), network, k)
        rest, lost = basis.T @ rest, lost + discarded
    arrays[f"G{tensor.ndim}"] = _train_core(rest[..., None], network, tensor.ndim)
    return arrays, lost


def mode_bases(
    tensor: Real, axes: Sequence[int], ranks: Sequence[int]
) -> tuple[Real, list[Real], float]:
    """Sequentially truncated higher-order SVD (Vannieuwenhoven et al. 2012) of some axes.

    Returns:
        What is left of the tensor, an orthonormal [size, rank] for each of `axes`, and the square
        of the error.
    """
    core, bases, lost = tensor, [], 0.0
    for axis, rank in zip(axes, ranks, strict=True):
        basis, discarded = left_basis(unfold(core, axis), rank)
        bases.append(basis)
        core, lost = _projected(core, basis, axis), lost + discarded
    return core, bases, lost


def _projected(tensor: Real, basis: Real, axis: int) -> Real:
    """The tensor in the coordinates of a basis of one axis."""
    return np.moveaxis(np.tensordot(tensor, basis, axes=(axis, 0)), -1, axis)


def _train_core(values: Real, network: TensorNetwork, k: int) -> Real:
    """[rank before, n_k m_k, rank after] as the network has it, the end ranks of 1 left out."""
    inner = values.reshape(
        values.shape[0], network.sizes[f"i{k}"], network.sizes[f"o{k}"], values.shape[-1]
    )
    return np.ascontiguousarray(inner.transpose(1, 2, 0, 3)).reshape(network.shape(f"G{k}"))
