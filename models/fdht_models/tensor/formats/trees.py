"""Dimension trees of hierarchical Tucker, and how their transfer tensors merge into a chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fdht_models.errors import ShapeError

#: A dimension tree: a mode number, or a pair of subtrees.
Tree: TypeAlias = "int | tuple[Tree, Tree]"


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
