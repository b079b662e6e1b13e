"""ContractionPlan: in which order the cores of a network are contracted into the input.

Keras' forward pass, the integer reference, the cost model and the HLS writer read the same plan.
The order of a stage's output indices is the order in which a streaming implementation emits them:
remaining input modes first, then the output modes in the order in which they appear, then bonds,
those that live longest first: the bonds that the next stage sums are the innermost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fdht_models.errors import ArtifactError, ShapeError
from fdht_models.records import JsonRecord, first_difference, read_record
from fdht_models.tensor.network import Core, TensorNetwork, einsum_subscripts

#: Name of the batch index that every stage carries in front.
_BATCH = "batch"
#: Products of all sizes of a stage that is believed, far above what one processor ever contracts.
_MOST_ENTRIES = 2**48
_REMEDY = "run fdht train again"


@dataclass(frozen=True)
class Stage(JsonRecord):
    """One contraction: the running tensor with one core.

    Args:
        core: name of the core.
        input_indices: indices of the running tensor before.
        core_indices: indices of the core, in the order of its axes.
        output_indices: indices of the running tensor after.
        sizes: size of every index named here.
    """

    core: str
    input_indices: tuple[str, ...]
    core_indices: tuple[str, ...]
    output_indices: tuple[str, ...]
    sizes: Mapping[str, int]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the running tensor before, without batch."""
        return tuple(self.sizes[index] for index in self.input_indices)

    @property
    def core_shape(self) -> tuple[int, ...]:
        """Shape of the core."""
        return tuple(self.sizes[index] for index in self.core_indices)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the running tensor after, without batch."""
        return tuple(self.sizes[index] for index in self.output_indices)

    @property
    def summed(self) -> tuple[str, ...]:
        """Indices that this stage sums."""
        return tuple(index for index in self.input_indices if index not in self.output_indices)

    @property
    def shared(self) -> tuple[str, ...]:
        """Indices that the running tensor and the core have in common and that stay open.

        They number the terms of a sum (CP, BT, KCP): each of their values has its own weights.
        """
        return tuple(
            index
            for index in self.core_indices
            if index in self.input_indices and index in self.output_indices
        )

    @property
    def added(self) -> tuple[str, ...]:
        """Indices that the core brings in."""
        return tuple(index for index in self.core_indices if index not in self.input_indices)

    @property
    def terms(self) -> int:
        """Products in one output value."""
        return math.prod(self.sizes[index] for index in self.summed)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one input vector."""
        return math.prod(self.output_shape) * self.terms

    @property
    def subscripts(self) -> str:
        """Einsum of (batch + input, core) -> batch + output."""
        return einsum_subscripts(
            [(_BATCH, *self.input_indices), self.core_indices], (_BATCH, *self.output_indices)
        )


@dataclass(frozen=True)
class ContractionPlan(JsonRecord):
    """Stages from the input modes to all output modes.

    Args:
        inputs: input modes in row-major order of the input vector.
        outputs: output modes in row-major order of the output vector.
        stages: the contractions in order.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    stages: tuple[Stage, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Sizes of the input modes."""
        return self.stages[0].input_shape

    @property
    def input_size(self) -> int:
        """Length of the input vector."""
        return math.prod(self.input_shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Sizes of the output modes, in row-major order of the output vector."""
        sizes = self.stages[-1].sizes
        return tuple(sizes[index] for index in self.outputs)

    @property
    def output_size(self) -> int:
        """Length of the output vector."""
        return math.prod(self.output_shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one input vector."""
        return sum(stage.macs for stage in self.stages)

    @property
    def output_permutation(self) -> tuple[int, ...]:
        """Axes of the last stage's output, in the order of `outputs`."""
        return tuple(self.stages[-1].output_indices.index(name) for name in self.outputs)

    def passing(self, position: int) -> tuple[str, ...]:
        """Bonds that pass a stage by: its core does not carry them."""
        stage = self.stages[position]
        return tuple(
            index
            for index in stage.input_indices
            if index in stage.output_indices
            and index not in stage.core_indices
            and index not in (*self.inputs, *self.outputs)
        )

    def stage_turns(self, position: int) -> int:
        """Products of a vector of summed bonds with one slice of a stage's core, for one input.

        What a pipeline with one multiplier for each entry of such a slice takes in clocks.
        """
        stage = self.stages[position]
        bonds = [index for index in stage.summed if index not in self.inputs]
        return stage.macs // math.prod(stage.sizes[index] for index in (*bonds, *stage.added))

    @property
    def turns(self) -> int:
        """Turns of the busiest stage."""
        return max(self.stage_turns(position) for position in range(len(self.stages)))

    def accumulators(self, position: int) -> int:
        """Partial sums that a stage keeps when its input arrives in order (one word each).

        A stage that sums input mode k last-to-first needs one accumulator for each output that is
        open while that mode passes: all of its output indices but the input modes still to come.
        """
        stage = self.stages[position]
        kept = [index for index in stage.output_indices if index not in self.inputs]
        return math.prod(stage.sizes[index] for index in kept)

    @property
    def peak_buffer(self) -> int:
        """The largest number of accumulators of a stage."""
        return max(self.accumulators(position) for position in range(len(self.stages)))

    @staticmethod
    def from_json(value: object) -> ContractionPlan:
        """The inverse of `to_json`.

        Raises:
            ArtifactError: a key is unknown or missing, a value of another kind, or the stages are
                not those that `plan_contraction` makes of their cores in this order.
        """
        plan = read_record(ContractionPlan, value, error=ArtifactError)
        try:
            again = _planned_again(plan)
        except ShapeError as error:
            raise ArtifactError(error.problem, field=error.field, value=error.value) from error
        differs = first_difference(plan.to_json(), again.to_json())
        if differs is not None:
            raise ArtifactError(
                "does not follow from the cores and their order", field=differs, remedy=_REMEDY
            )
        return plan


def _planned_again(plan: ContractionPlan) -> ContractionPlan:
    """The plan of the same cores, made from their indices and sizes alone.

    Raises:
        ShapeError: they make no network.
    """
    sizes: dict[str, int] = {}
    for place, stage in enumerate(plan.stages):
        for index in (*stage.input_indices, *stage.core_indices):
            size = stage.sizes.get(index, 0)
            if size < 1 or sizes.setdefault(index, size) != size:
                raise ShapeError(
                    "must be the same whole number above 0 in all stages",
                    field=f"stages[{place}].sizes.{index}",
                    value=size,
                )
        if len(set(stage.core_indices)) < len(stage.core_indices):
            raise ShapeError(
                "names an index twice",
                field=f"stages[{place}].core_indices",
                value=stage.core_indices,
            )
    for name, modes in (("inputs", plan.inputs), ("outputs", plan.outputs)):
        if (
            not modes
            or len(set(modes)) < len(modes)
            or (name == "outputs") & bool(set(modes) & set(plan.inputs))
        ):
            raise ShapeError("must name different indices", field=name, value=modes)
    cores = tuple(Core(stage.core, stage.core_indices) for stage in plan.stages)
    names = [core.name for core in cores]
    if not names or len(set(names)) < len(names):
        raise ShapeError("must name different cores", field="stages", value=names)
    network = TensorNetwork("", sizes, plan.inputs, plan.outputs, cores)
    again = plan_contraction(network, names)
    for place, stage in enumerate(again.stages):
        if math.prod(stage.sizes.values()) > _MOST_ENTRIES:
            raise ShapeError("is too large", field=f"stages[{place}].sizes", value=stage.macs)
        if stage.subscripts and set(stage.added) - set(stage.output_indices):
            raise ShapeError(
                "has an index of its own", field=f"stages[{place}].core_indices", value=stage.added
            )
    return again


def plan_contraction(network: TensorNetwork, order: Sequence[str]) -> ContractionPlan:
    """The plan that contracts the cores of `network` in the given order.

    Raises:
        ShapeError: `order` does not name each core once.
    """
    if sorted(order) != sorted(network.core_names):
        raise ShapeError(
            f"must name each of {sorted(network.core_names)} once", field="order", value=list(order)
        )
    modes = {*network.inputs, *network.outputs}
    # At which stage each bond is summed: where the last of its cores is contracted.
    ends = {
        index: position
        for position, name in enumerate(order)
        for index in network.core(name).indices
        if index not in modes
    }
    running = network.inputs
    appeared: list[str] = []
    stages = []
    for position, name in enumerate(order):
        core = network.core(name)
        later = {index for other in order[position + 1 :] for index in network.core(other).indices}
        appeared += [index for index in core.indices if index in network.outputs]
        bonds = [
            index
            for index in dict.fromkeys((*running, *core.indices))
            if index in ends and ends[index] > position
        ]
        bonds.sort(key=lambda index: -ends[index])  # stable: else in the order of appearance
        result = (
            *(index for index in running if index in network.inputs and index in later),
            *appeared,
            *bonds,
        )
        sizes = {index: network.sizes[index] for index in (*running, *core.indices)}
        stages.append(Stage(name, running, core.indices, result, sizes))
        running = result
    return ContractionPlan(network.inputs, network.outputs, tuple(stages))
