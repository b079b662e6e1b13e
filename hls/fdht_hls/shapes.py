"""How a contraction plan becomes loops: the shapes, weights and orders of streaming stages.

Read by the hls4ml nodes, the estimator and whatever else emits the engine; needs no hls4ml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fdht_models.errors import ConversionError
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells import LstmCell
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import ContractionPath, QuantizedRecurrence
from fdht_models.tensor.recurrent import GATES


@dataclass(frozen=True)
class StageShape:
    """The loops of one stage; see `contraction_config` in fdht_contraction.h.

    Args:
        outer: product of the modes still to come.
        mode: size of the mode that is summed.
        groups: words of input for each value of that mode.
        inner: vectors in a word of input.
        rank_in: length of such a vector.
        outputs: values in a word of output.
        fibre: a word of input is a whole fibre of the mode, which is summed in one turn.
    """

    outer: int
    mode: int
    groups: int
    inner: int
    rank_in: int
    outputs: int
    fibre: bool

    @property
    def words_out(self) -> int:
        """Words of output in a frame."""
        return self.outer * self.groups * self.inner

    @property
    def turns(self) -> int:
        """Turns of the innermost pipelined loop in a frame."""
        return self.words_out * (1 if self.fibre else self.mode)

    @property
    def macs_per_turn(self) -> int:
        """Multiply-accumulates in one such turn."""
        return self.outputs * (self.mode if self.fibre else self.rank_in)


def stage_shape(path: ContractionPath, position: int) -> StageShape:
    """Loops of a stage of a plan.

    Raises:
        ConversionError: the stage does not sum exactly one mode and the bonds before it, so that
            it cannot be streamed.
    """
    stage = path.plan.stages[position]
    sizes = stage.sizes
    modes = [index for index in stage.summed if index in path.plan.inputs]
    remaining = [index for index in stage.input_indices if index in path.plan.inputs]
    if modes != remaining[-1:]:
        raise ConversionError(
            f"sums {modes or 'no mode'}, but data arrive in the order {remaining}",
            field=f"stage {position} ({stage.core})",
            remedy="contract the last mode first",
        )
    done = [index for index in stage.input_indices if index in path.plan.outputs]
    bonds = [index for index in stage.input_indices if index not in (*remaining, *done)]
    if any(index not in stage.summed for index in bonds):
        raise ConversionError(
            f"the bonds {bonds} pass it by",
            field=f"stage {position} ({stage.core})",
            remedy="use a format whose cores form a chain, such as tt, or a dimension tree whose "
            "merged cores do: the balanced one up to 6 modes, or an unbalanced one",
        )
    inner = sizes[done[-1]] if done else 1
    added = [index for index in stage.output_indices if index not in stage.input_indices]
    return StageShape(
        outer=math.prod(sizes[index] for index in remaining[:-1]),
        mode=sizes[modes[0]],
        groups=math.prod(sizes[index] for index in done) // inner,
        inner=inner,
        rank_in=math.prod(sizes[index] for index in bonds),
        outputs=math.prod(sizes[index] for index in added),
        fibre=position == 0,
    )


def stage_weights(
    lstm: QuantizedRecurrence, path: ContractionPath, position: int
) -> QuantizedArray:
    """A stage's core in the order of its loops: [mode][rank_in][outputs]."""
    stage = path.plan.stages[position]
    core = lstm.core_of(path, position)
    summed = [index for index in stage.input_indices if index in stage.summed]
    added = [index for index in stage.output_indices if index not in stage.input_indices]
    axes = [stage.core_indices.index(index) for index in (*summed, *added)]
    return QuantizedArray(core.format, np.ascontiguousarray(core.codes.transpose(axes)).ravel())


def emission_order(path: ContractionPath) -> Codes:
    """Row of W of each sum in the order in which the last stage emits them: [groups, m_1]."""
    last = path.plan.stages[-1]
    rows = np.arange(path.plan.output_size, dtype=np.int64).reshape(path.plan.output_shape)
    axes = [path.plan.outputs.index(index) for index in last.output_indices]
    return rows.transpose(axes).reshape(-1, path.plan.output_shape[0])


def lstm_cell(recurrence: QuantizedRecurrence) -> LstmCell:
    """The cell of a layer that the engine's cell process can run.

    Raises:
        ConversionError: it is another cell.
    """
    if not isinstance(recurrence.cell, LstmCell):
        raise ConversionError(
            "the engine runs LSTM cells only",
            field="cell",
            value=recurrence.cell.kind,
            remedy="convert an LSTM",
        )
    return recurrence.cell


def group_positions(lstm: QuantizedRecurrence) -> Codes:
    """For each group, the hidden unit of its first lane.

    Rows are gate-major: row = gate * H + unit, and unit = lane * groups + position, because m_1
    is gate x lane and is the slowest output mode.
    """
    order = emission_order(lstm.input_path)
    lanes = order.shape[1] // len(GATES["lstm"])
    positions = order[:, 0]
    expected = np.concatenate(
        [
            positions[:, None] + gate * lstm.units + np.arange(lanes) * len(order)
            for gate in range(4)
        ],
        axis=1,
    )
    if not np.array_equal(order, expected):
        raise ConversionError(
            "the gate factor must be the slowest part of the first output mode",
            field="output_modes",
            value=lstm.input_path.plan.output_shape,
        )
    return positions
