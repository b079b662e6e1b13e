"""Hierarchical Tucker (HT); with input and hidden state integrated it is FDHT.

Also its dimension trees, and how their transfer tensors merge into a chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fdht_models.errors import ShapeError
from fdht_models.tensor.formats.modes import check_paired, mode_sizes, names, rank_list
from fdht_models.tensor.network import Core, TensorNetwork

#: A dimension tree: a mode number, or a pair of subtrees.
Tree: TypeAlias = "int | tuple[Tree, Tree]"


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


@dataclass(frozen=True)
class TreeNode:
    """An inner node over modes first..last; the left subtree ends with mode `split`."""

    first: int
    split: int
    last: int

    @property
    def name(self) -> str:
        """Name of its transfer tensor."""
        return f"B{self.first}_{self.last}"


def balanced_tree(modes: int) -> Tree:
    """The balanced dimension tree over modes 1..modes, e.g. ((1, 2), (3, 4))."""

    def build(first: int, last: int) -> Tree:
        if first == last:
            return first
        split = first + (last - first + 1) // 2 - 1
        return (build(first, split), build(split + 1, last))

    return build(1, modes)


def unbalanced_tree(modes: int) -> Tree:
    """The tree that splits off one mode at a time, as a tensor train does: (1, (2, (3, 4)))."""
    tree: Tree = modes
    for mode in range(modes - 1, 0, -1):
        tree = (mode, tree)
    return tree


def leaves(tree: Tree) -> tuple[int, ...]:
    """Mode numbers of the leaves from left to right."""
    return (tree,) if isinstance(tree, int) else leaves(tree[0]) + leaves(tree[1])


def inner_nodes(tree: Tree) -> Iterator[TreeNode]:
    """Inner nodes, children before parents; the root comes last."""
    if isinstance(tree, int):
        return
    yield from inner_nodes(tree[0])
    yield from inner_nodes(tree[1])
    left, right = leaves(tree[0]), leaves(tree[1])
    yield TreeNode(left[0], left[-1], right[-1])


def transfer_owners(tree: Tree) -> Iterator[dict[str, int]]:
    """Every way to give each transfer tensor to a leaf beside its split.

    A node whose left subtree ends with mode s sits between leaves s and s + 1; merging it into
    either turns the tree into a chain of one core a mode.
    """
    nodes = list(inner_nodes(tree))
    for choice in range(1 << len(nodes)):
        yield {
            node.name: node.split + ((choice >> position) & 1)
            for position, node in enumerate(nodes)
        }


def merge_groups(tree: Tree, owners: dict[str, int]) -> dict[str, tuple[str, ...]]:
    """Groups for `TensorNetwork.merged`: chain core `C{k}` = leaf k and the transfers it owns."""
    groups = {}
    for k in leaves(tree):
        owned = [node.name for node in inner_nodes(tree) if owners[node.name] == k]
        groups[f"C{k}"] = (f"U{k}", *owned)
    return groups


def as_tree(value: object) -> Tree:
    """A dimension tree from nested lists, as configuration files write it.

    Raises:
        ShapeError: it is something else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return (as_tree(value[0]), as_tree(value[1]))
    raise ShapeError(
        "must be a mode number or a pair of subtrees",
        field="tree",
        value=value,
        remedy="for example [[1, 2], [3, 4]]",
    )
