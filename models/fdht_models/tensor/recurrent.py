"""RecurrentShape: cell, format, modes and ranks of a tensorized recurrent layer.

The input-to-hidden matrix W_x alone may be decomposed, as the TT, TR, BT and HT papers do, with a
dense W_h beside it; or all matrices are integrated into one, W [x_t; h_{t-1}], which is then
decomposed (FDHT; Yin et al., CVPR 2021). For the latter 57,600 + 256 = 2^9 x 113 does not factor,
so h is laid into more slices of the first input mode, as a box in the corner of those slices; the
zeros around it are never computed. By linearity W [x; h] = W_x x + W_h h, and both parts share
the cores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from fdht_models.errors import ShapeError, require_known
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.formats import Format, Groups, HierarchicalTucker
from fdht_models.tensor.formats.trees import Tree
from fdht_models.tensor.network import Core, TensorNetwork
from fdht_models.tensor.plan import ContractionPlan, plan_contraction
from fdht_models.tensor.planner import best_plan

#: Gates of a cell in the order in which W, b and the first output mode have them. A "linear" cell
#: is a matrix without recurrence: some papers count one gate's only.
GATES: Mapping[str, tuple[str, ...]] = {
    **{name: kind.gates for name, kind in KINDS.items()},
    "linear": ("output",),
}
#: Added to the name of a stored core for its slices that meet h, and the name of a dense W_h.
HIDDEN_SUFFIX, DENSE_HIDDEN = "_hidden", "H"


@dataclass(frozen=True)
class RecurrentShape:
    """A cell, a format, modes and ranks.

    Args:
        format: the decomposition and its ranks.
        input_modes: n_1 .. n_d of one frame, row-major.
        output_modes: m_1 .. m_e with the number of gates as a factor in m_1; their product is
            gates x H.
        hidden_box: p_2 .. p_d or p_1 .. p_d, whose product is H: h is laid into p_1 (1 if not
            given) more slices of mode 1, and p_k values of mode k. None: W_h is a dense matrix of
            its own.
        cell: a key of `GATES`.
        objective: what the order of contraction minimises; see `best_plan`.

    Raises:
        ShapeError: they do not fit together.
        ConfigError: no such cell or objective.
    """

    format: Format
    input_modes: tuple[int, ...]
    output_modes: tuple[int, ...]
    hidden_box: tuple[int, ...] | None = None
    cell: str = "lstm"
    objective: str = "macs"

    def __post_init__(self) -> None:
        require_known(self.cell, GATES, "cell", "is not a cell")
        gates = len(self.gates)
        if not self.output_modes or self.output_modes[0] % gates:
            raise ShapeError(
                f"its first mode carries the {gates} gates and must be a multiple of {gates}",
                field="output_modes",
                value=list(self.output_modes),
            )
        if self.hidden_box is not None:
            self._check_box(self.hidden_box)
        self.network  # noqa: B018 - builds it, so that bad modes and ranks are refused here

    def _check_box(self, box: tuple[int, ...]) -> None:
        shown = list(box)
        if self.cell == "linear" or self.format.name == "dense":
            raise ShapeError("there is nothing to integrate", field="hidden_box", value=shown)
        if len(box) not in (len(self.input_modes) - 1, len(self.input_modes)):
            raise ShapeError(
                f"needs {len(self.input_modes) - 1} sides, one for each input mode but the first",
                field="hidden_box",
                value=shown,
            )
        if math.prod(box) != self.units:
            raise ShapeError(
                f"the product of its sides must be the {self.units} hidden units",
                field="hidden_box",
                value=shown,
                remedy=f"change it or output_modes (whose product is {len(self.gates)} times the "
                "hidden units)",
            )
        for side, mode in zip(self.hidden_sides[1:], self.input_modes[1:], strict=True):
            if side > mode:
                raise ShapeError(
                    f"side {side} is longer than its input mode {mode}",
                    field="hidden_box",
                    value=shown,
                )

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the gates."""
        return GATES[self.cell]

    @property
    def integrated(self) -> bool:
        """Is W_h part of the decomposed matrix?"""
        return self.hidden_box is not None

    @property
    def recurrent(self) -> bool:
        """Has the layer a hidden state at all?"""
        return self.cell != "linear"

    @property
    def units(self) -> int:
        """Hidden units H."""
        return math.prod(self.output_modes) // len(self.gates)

    @property
    def input_size(self) -> int:
        """Values in a frame."""
        return math.prod(self.input_modes)

    @property
    def hidden_sides(self) -> tuple[int, ...]:
        """p_1 .. p_d: slices of the first mode that h takes, and its box in them.

        Raises:
            ShapeError: W_h is dense.
        """
        if self.hidden_box is None:
            raise ShapeError("W_h is dense and has no box", field="hidden_box")
        missing = len(self.input_modes) - len(self.hidden_box)
        return (1,) * missing + self.hidden_box

    @cached_property
    def network(self) -> TensorNetwork:
        """The decomposed matrix; integrated, its first input mode has the slices for h."""
        slices = self.hidden_sides[0] if self.integrated else 0
        modes = (self.input_modes[0] + slices, *self.input_modes[1:])
        return self.format.network(modes, self.output_modes)

    @cached_property
    def hidden_network(self) -> TensorNetwork:
        """A dense W_h as a network of one core `H`.

        Its sums come in the order of W_x x, so that a streaming engine can add the two.
        """
        outputs = self.network.outputs
        sizes = {"h": self.units} | {index: self.network.sizes[index] for index in outputs}
        core = Core(DENSE_HIDDEN, ("h", *self.input_plan.stages[-1].output_indices))
        return TensorNetwork("dense", sizes, ("h",), outputs, (core,))

    @property
    def matrix_parameter_count(self) -> int:
        """Parameters of the decomposed matrix alone, as the papers count them."""
        return self.network.parameter_count

    @property
    def parameter_count(self) -> int:
        """Parameters of the whole layer: the decomposed matrix, a dense W_h, and the bias."""
        if not self.recurrent:
            return self.matrix_parameter_count
        rows = len(self.gates) * self.units
        return self.matrix_parameter_count + rows + (0 if self.integrated else rows * self.units)

    @property
    def dense_matrix_parameter_count(self) -> int:
        """Parameters of the matrix that the decomposed one stands for."""
        columns = self.input_size + (self.units if self.integrated else 0)
        return len(self.gates) * self.units * columns

    @property
    def dense_parameter_count(self) -> int:
        """Parameters of the layer that this one stands for."""
        if not self.recurrent:
            return self.dense_matrix_parameter_count
        return len(self.gates) * self.units * (self.input_size + self.units + 1)

    @cached_property
    def groups(self) -> Groups:
        """Which cores make which stored core.

        Chosen are, in this order: no bonds that pass a stage by, which a streaming engine would
        have to keep; the least cost by `objective`; the fewest words.
        """

        def cost(groups: Groups) -> tuple[int, int, int, int]:
            stored = self.network.merged(groups)
            plan = best_plan(stored.resized(self._input_sizes), self.objective)
            passing = sum(bool(plan.passing(place)) for place in range(len(plan.stages)))
            figures = {"macs": plan.macs, "buffer": plan.peak_buffer, "cycles": plan.turns}
            return passing, figures[self.objective], plan.macs, stored.parameter_count

        return min(self.format.storages(self.network), key=cost)

    @cached_property
    def stored(self) -> TensorNetwork:
        """The network of the stored cores: the same function, with small cores merged."""
        return self.network.merged(self.groups)

    @cached_property
    def first_core(self) -> str:
        """The stored core that carries input mode 1, and with it the slices for h."""
        first = self.stored.inputs[0]
        return next(core.name for core in self.stored.cores if first in core.indices)

    @property
    def stored_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays that the chip holds, by name."""
        shapes = {name: self.stored.shape(name) for name in self.stored.core_names}
        if not self.recurrent:
            return shapes
        if not self.integrated:
            return {**shapes, DENSE_HIDDEN: self.hidden_network.shape(DENSE_HIDDEN)}
        name, mode = self.first_core, self.stored.inputs[0]
        for suffix, slices in (("", self.input_modes[0]), (HIDDEN_SUFFIX, self.hidden_sides[0])):
            shapes[name + suffix] = self.stored.resized({mode: slices}).shape(name)
        return shapes

    @property
    def stored_names(self) -> tuple[str, ...]:
        """Names of the arrays that the chip holds: the stored cores and what meets h."""
        return tuple(self.stored_shapes)

    @property
    def constant_count(self) -> int:
        """Constants of the layer that the chip holds: `stored_shapes` and the bias."""
        rows = len(self.gates) * self.units if self.recurrent else 0
        return rows + sum(math.prod(shape) for shape in self.stored_shapes.values())

    @cached_property
    def input_plan(self) -> ContractionPlan:
        """How W_x x is computed while a frame streams, last mode first."""
        return best_plan(self.stored.resized(self._input_sizes), self.objective)

    @cached_property
    def hidden_plan(self) -> ContractionPlan:
        """How W_h h is computed: with the leading parts of the stored cores, in the same order.

        Raises:
            ShapeError: the layer has no hidden state.
        """
        if not self.recurrent:
            raise ShapeError("has no hidden state", field="cell", value=self.cell)
        if not self.integrated:
            return plan_contraction(self.hidden_network, (DENSE_HIDDEN,))
        sizes = dict(zip(self.stored.inputs, self.hidden_sides, strict=True))
        order = [stage.core for stage in self.input_plan.stages]
        return plan_contraction(self.stored.resized(sizes), order)

    @property
    def input_cores(self) -> tuple[str, ...]:
        """Stored core of each stage of W_x x."""
        return tuple(stage.core for stage in self.input_plan.stages)

    @property
    def hidden_cores(self) -> tuple[str, ...]:
        """Stored core of each stage of W_h h."""
        return tuple(
            stage.core + HIDDEN_SUFFIX if stage.core == self.first_core else stage.core
            for stage in self.hidden_plan.stages
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the layer's contractions for one frame."""
        return self.input_plan.macs + (self.hidden_plan.macs if self.recurrent else 0)

    @property
    def matrix_macs(self) -> int:
        """Those of the decomposed matrix alone, as the papers count them: no dense W_h."""
        return self.macs if self.integrated else self.input_plan.macs

    @property
    def naive_matrix_macs(self) -> int:
        """The same with the cores as the format lists them, none of them merged."""
        order = self.network.core_names
        macs = plan_contraction(self.network.resized(self._input_sizes), order).macs
        if not self.integrated:
            return macs
        sizes = dict(zip(self.network.inputs, self.hidden_sides, strict=True))
        return macs + plan_contraction(self.network.resized(sizes), order).macs

    @property
    def _input_sizes(self) -> dict[str, int]:
        return {self.network.inputs[0]: self.input_modes[0]}


def fdht_shape(
    input_modes: tuple[int, ...],
    output_modes: tuple[int, ...],
    hidden_box: tuple[int, ...],
    leaf_rank: int | tuple[int, ...],
    inner_rank: int,
    tree: Tree | str = "balanced",
) -> RecurrentShape:
    """An FDHT-LSTM: hierarchical Tucker, integrated; see `RecurrentShape`.

    Raises:
        ShapeError: modes, ranks and tree do not fit together.
    """
    form = HierarchicalTucker(leaf_rank, inner_rank, tree)
    return RecurrentShape(form, input_modes, output_modes, hidden_box)
