"""Hierarchical Tucker (HT); with input and hidden state integrated it is FDHT."""

from __future__ import annotations

from collections.abc import Sequence

from fdht_models.errors import ShapeError
from fdht_models.tensor.formats.modes import check_paired, mode_sizes, names, rank_list
from fdht_models.tensor.formats.trees import Tree, balanced_tree, inner_nodes, leaves
from fdht_models.tensor.network import Core, TensorNetwork


def hierarchical_tucker(
    input_modes: Sequence[int],
    output_modes: Sequence[int],
    leaf_rank: int | Sequence[int],
    inner_rank: int,
    tree: Tree | None = None,
    name: str = "ht",
) -> TensorNetwork:
    """Hierarchical Tucker format of a (prod m) x (prod n) matrix (Yin et al. 2020, section 3).

    Leaf frames `U{k}` of n_k x m_k x r_k, transfer tensors `B{a}_{b}` of r_left x r_right x
    r_node, and a root of r_left x r_right.

    Args:
        input_modes: n_1 .. n_d.
        output_modes: m_1 .. m_d.
        leaf_rank: rank of every leaf, or one rank a leaf.
        inner_rank: rank of every inner node but the root.
        tree: dimension tree with leaves 1 .. d from left to right; balanced by default.
        name: the format's name, for people.

    Raises:
        ShapeError: modes, ranks and tree do not fit together.
    """
    modes = check_paired(input_modes, output_modes)
    tree = balanced_tree(modes) if tree is None else tree
    if leaves(tree) != tuple(range(1, modes + 1)):
        raise ShapeError(
            f"its leaves must be 1..{modes} from left to right",
            field="tree",
            value=tree,
            remedy=f"for example {balanced_tree(modes)}",
        )
    ranks = rank_list(leaf_rank, modes, "leaf_rank", "leaves")
    (inner,) = rank_list(inner_rank, 1, "inner_rank", "")
    sizes = mode_sizes(input_modes, output_modes)
    sizes |= {f"r{k}": rank for k, rank in enumerate(ranks, 1)}
    cores = [Core(f"U{k}", (f"i{k}", f"o{k}", f"r{k}")) for k in range(1, modes + 1)]
    for node in inner_nodes(tree):
        indices = [_bond(node.first, node.split), _bond(node.split + 1, node.last)]
        if (node.first, node.last) != (1, modes):
            indices.append(_bond(node.first, node.last))
            sizes[indices[-1]] = inner
        cores.append(Core(node.name, tuple(indices)))
    return TensorNetwork(name, sizes, names("i", modes), names("o", modes), tuple(cores))


def _bond(first: int, last: int) -> str:
    return f"r{first}" if first == last else f"t{first}_{last}"
