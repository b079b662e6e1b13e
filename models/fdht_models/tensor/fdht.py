"""FDHT: all matrices of an LSTM integrated into one, which is put in HT format.

[f; u; c~; o] = W [x_t; h_{t-1}] + b (Yin et al., CVPR 2021). 57,600 + 256 = 2^9 x 113 does not
factor, so h is laid into one more slice of the first input mode, as a box p_2 x ... x p_d in the
corner of that slice; the zeros around it are never computed. By linearity W [x; h] = W_x x + W_h h,
and both parts share the cores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fdht_models.errors import ShapeError
from fdht_models.tensor.formats import (
    Tree,
    balanced_tree,
    hierarchical_tucker,
    merge_groups,
    transfer_owners,
)
from fdht_models.tensor.network import TensorNetwork
from fdht_models.tensor.plan import ContractionPlan, plan_contraction, streaming_order

#: Order of the gates in W, b and the first output mode: forget, update, candidate, output.
GATES = ("forget", "update", "candidate", "output")


@dataclass(frozen=True)
class FdhtShape:
    """Modes and ranks of an FDHT-LSTM.

    Args:
        input_modes: n_1 .. n_d of one frame, row-major.
        output_modes: m_1 .. m_d with the gate factor 4 in m_1; their product is 4 H.
        hidden_box: p_2 .. p_d, whose product is H and which fits into n_2 .. n_d.
        leaf_rank: rank of every leaf frame, or one a leaf.
        inner_rank: rank of every transfer tensor but the root.
        tree: dimension tree; balanced by default.

    Raises:
        ShapeError: they do not fit together.
    """

    input_modes: tuple[int, ...]
    output_modes: tuple[int, ...]
    hidden_box: tuple[int, ...]
    leaf_rank: int | tuple[int, ...]
    inner_rank: int
    tree: Tree | None = None

    def __post_init__(self) -> None:
        if not self.output_modes or self.output_modes[0] % len(GATES):
            raise ShapeError(
                "its first mode carries the four gates and must be a multiple of 4",
                field="output_modes",
                value=list(self.output_modes),
            )
        if len(self.hidden_box) != len(self.input_modes) - 1:
            raise ShapeError(
                f"needs {len(self.input_modes) - 1} sides, one for each input mode but the first",
                field="hidden_box",
                value=list(self.hidden_box),
            )
        if math.prod(self.hidden_box) != self.units:
            raise ShapeError(
                f"the product of its sides must be the {self.units} hidden units",
                field="hidden_box",
                value=list(self.hidden_box),
                remedy="change it or output_modes (whose product is 4 times the hidden units)",
            )
        for side, mode in zip(self.hidden_box, self.input_modes[1:], strict=True):
            if side > mode:
                raise ShapeError(
                    f"side {side} is longer than its input mode {mode}",
                    field="hidden_box",
                    value=list(self.hidden_box),
                )
        self.network  # noqa: B018 - builds it, so that bad modes and ranks are refused here

    @property
    def units(self) -> int:
        """Hidden units H."""
        return math.prod(self.output_modes) // len(GATES)

    @property
    def input_size(self) -> int:
        """Values in a frame."""
        return math.prod(self.input_modes)

    @cached_property
    def dimension_tree(self) -> Tree:
        """The tree in use."""
        return balanced_tree(len(self.input_modes)) if self.tree is None else self.tree

    @cached_property
    def network(self) -> TensorNetwork:
        """W as an HT network; its first input mode has the slice for h."""
        modes = (self.input_modes[0] + 1, *self.input_modes[1:])
        return hierarchical_tucker(
            modes, self.output_modes, self.leaf_rank, self.inner_rank, self.dimension_tree, "fdht"
        )

    @property
    def parameter_count(self) -> int:
        """Parameters of the LSTM: leaf frames, transfer tensors and bias."""
        return self.network.parameter_count + len(GATES) * self.units

    @property
    def dense_parameter_count(self) -> int:
        """Parameters of the LSTM that this one stands for."""
        return len(GATES) * self.units * (self.input_size + self.units + 1)

    @cached_property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Which cores make which chain core `C1` .. `Cd`: fewest MACs, then fewest words."""
        candidates = (
            merge_groups(self.dimension_tree, owners)
            for owners in transfer_owners(self.dimension_tree)
        )

        def cost(groups: dict[str, tuple[str, ...]]) -> tuple[int, int]:
            chain = self.network.merged(groups)
            part = chain.resized(self._input_sizes)
            return plan_contraction(part, streaming_order(part)).macs, chain.parameter_count

        return min(candidates, key=cost)

    @cached_property
    def chain(self) -> TensorNetwork:
        """The merged chain: one core a mode, the same function."""
        return self.network.merged(self.groups)

    @property
    def constant_count(self) -> int:
        """Constants of the LSTM that the chip holds: chain cores and bias."""
        return self.chain.parameter_count + len(GATES) * self.units

    @cached_property
    def input_plan(self) -> ContractionPlan:
        """How W_x x is computed while a frame streams, last mode first."""
        part = self.chain.resized(self._input_sizes)
        return plan_contraction(part, streaming_order(part))

    @cached_property
    def hidden_plan(self) -> ContractionPlan:
        """How W_h h is computed; its cores are the leading parts of the chain's."""
        sizes = {"i1": 1} | {f"i{k}": side for k, side in enumerate(self.hidden_box, 2)}
        part = self.chain.resized(sizes)
        return plan_contraction(part, streaming_order(part))

    @property
    def _input_sizes(self) -> dict[str, int]:
        return {"i1": self.input_modes[0]}


def as_tree(value: object) -> Tree:
    """A dimension tree from nested lists, as configuration files write it."""
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
