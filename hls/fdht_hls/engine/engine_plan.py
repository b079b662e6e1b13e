"""EnginePlan and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fdht_hls.engine.contractions import StageDesign, StagePlan
from fdht_hls.engine.pipeline import UpdatePipeline
from fdht_hls.registers import (
    ABI_VERSION,
    ARGUMENT_REGISTERS,
    Register,
    present,
)
from fdht_hls.schedule import Schedule
from fdht_hls.shapes import collects, emission_order, group_positions, update_order
from fdht_hls.weight_tables import HEADER_WORDS, WeightLayout, WeightTable
from fdht_models.errors import ConversionError
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells import Cell
from fdht_models.tensor.cells.program import CellProgram
from fdht_models.tensor.fixedpoint import Codes, FixedPoint
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedRecurrence
from fdht_models.tensor.sparse_frames import CORE_FRAMES, ReadsFrames, SparseFormat

#: Bytes that the port which reads frames may move in a clock: 64, 128 or 256 bits, which are as
#: much as one, two or four ports of a Zynq-7000 deliver.
PORT_BYTES = (8, 16, 32)
#: Names of the tables of loadable weights beside those of stages, which have the stages' names.
BIAS, HEAD_WEIGHTS, HEAD_BIAS = "bias", "head.weights", "head.bias"


@dataclass(frozen=True, eq=False)
class CellPlan:
    """The cell between the paths and the head.

    Args:
        recurrence: the layer.
        contexts: states that it keeps, one of `fdht_models.tensor.contexts.CONTEXTS`.

    Raises:
        ConversionError: its two paths emit their sums in different orders.
    """

    recurrence: QuantizedRecurrence
    contexts: int = 1

    def __post_init__(self) -> None:
        other = emission_order(self.recurrence.hidden_path)
        if not np.array_equal(self.arrival.ravel(), other.ravel()):
            raise ConversionError(
                "emits its sums in another order than W_x x",
                field="W_h h",
                remedy="plan both contractions alike",
            )

    @property
    def cell(self) -> Cell:
        """Its formats and tables."""
        return self.recurrence.cell

    @property
    def gates(self) -> int:
        """Sums of a unit."""
        return len(self.cell.gates)

    @property
    def units(self) -> int:
        """Hidden units H."""
        return self.cell.units

    @property
    def hidden(self) -> FixedPoint:
        """Format of the hidden state."""
        return self.cell.hidden

    @cached_property
    def projected(self) -> FixedPoint:
        """Exact format of W_x x."""
        return self.recurrence.accumulator_format(self.recurrence.input_path, -1)

    @cached_property
    def recurrent(self) -> FixedPoint:
        """Exact format of W_h h."""
        return self.recurrence.accumulator_format(self.recurrence.hidden_path, -1)

    @cached_property
    def collects(self) -> bool:
        """Are a frame's sums collected before units are updated?"""
        return collects(self.recurrence)

    @cached_property
    def arrival(self) -> Codes:
        """Rows of W in the order in which both paths emit their sums: [words, word of W_x x]."""
        return emission_order(self.recurrence.input_path)

    @cached_property
    def recurrent_word(self) -> int:
        """Sums in a word of W_h h."""
        return int(emission_order(self.recurrence.hidden_path).shape[1])

    @property
    def units_in_word(self) -> int:
        """Units in a word of sums that holds all their gates."""
        return int(self.arrival.shape[1]) // self.gates

    @cached_property
    def order(self) -> Codes:
        """Hidden units in the order in which they are updated."""
        return update_order(self.recurrence)

    @cached_property
    def positions(self) -> Codes:
        """Where sums belong; see `group_positions`."""
        return group_positions(self.recurrence)

    @property
    def program(self) -> CellProgram:
        """What it computes for a unit."""
        return self.recurrence.cell_program

    @cached_property
    def pipeline(self) -> UpdatePipeline:
        """In which clocks it does so, a unit a clock."""
        return UpdatePipeline(self.program)

    @cached_property
    def bias(self) -> QuantizedArray:
        """The bias [units, gates]."""
        rows = self.cell.bias.codes.reshape(self.gates, self.units).T
        return QuantizedArray(self.cell.bias.format, np.ascontiguousarray(rows))


@dataclass(frozen=True, eq=False)
class HeadPlan:
    """The dense layer behind the cell; logits are exact.

    Args:
        weights: [units, classes].
        bias: [1, classes].
        hidden: format of what it reads.
        logits: exact format of a logit.
    """

    weights: QuantizedArray
    bias: QuantizedArray
    hidden: FixedPoint
    logits: FixedPoint

    @property
    def units(self) -> int:
        """Values that it reads."""
        return int(self.weights.codes.shape[0])

    @property
    def classes(self) -> int:
        """Logits."""
        return int(self.weights.codes.shape[1])

    @property
    def product_shift(self) -> int:
        """Shift that brings a product to the binary point of a logit."""
        return self.logits.fraction - self.weights.format.fraction - self.hidden.fraction

    @property
    def bias_shift(self) -> int:
        """Likewise, of the bias."""
        return self.logits.fraction - self.bias.format.fraction


@dataclass(frozen=True)
class PortPlan:
    """What the memory ports move.

    Args:
        word_bytes: that the port for frames moves in a clock.
        fibres: of a frame.
        fibre: bytes of one.
        frame_bytes: from one frame to the next.
        result_bytes: from one result to the next.
        signed: are a frame's values signed?
    """

    word_bytes: int
    fibres: int
    fibre: int
    frame_bytes: int
    result_bytes: int
    signed: bool

    @property
    def frame_words(self) -> int:
        """Words of a frame: the clocks that its reading takes."""
        return -(-self.frame_bytes // self.word_bytes)

    @property
    def result_words(self) -> int:
        """Words of a result; the port that writes them moves eight bytes in a clock."""
        return self.result_bytes // WORD_BYTES


@dataclass(frozen=True, eq=False)
class EngineDesign:
    """An engine before the parallelism of its stages is chosen.

    Args:
        name: of the network.
        design_id: its identity.
        input: stages of W_x x.
        hidden: stages of W_h h.
        cell: what is behind them.
        head: what is behind that.
        port: what moves frames and results.
        dead_zone: of the feature of video: largest difference that counts as none.
    """

    name: str
    design_id: int
    input: tuple[StageDesign, ...]
    hidden: tuple[StageDesign, ...]
    cell: CellPlan
    head: HeadPlan
    port: PortPlan
    dead_zone: int = 0

    @property
    def stages(self) -> tuple[StageDesign, ...]:
        """All stages, in the order of the data."""
        return (*self.input, *self.hidden)

    @property
    def fibres(self) -> tuple[int, int]:
        """Fibres that come into W_x x, and into W_h h, in a word."""
        first, second = self.input[0].shape, self.hidden[0].shape
        return first.words_joined, second.words_joined


@dataclass(frozen=True, eq=False)
class EnginePlan(ReadsFrames):
    """Everything that is built.

    Args:
        design: what does not depend on the schedule.
        input: stages of W_x x.
        hidden: stages of W_h h.
        layout: of weights that can be loaded; None if there are none.
        frames: that it reads; see `Schedule`.
    """

    design: EngineDesign
    input: tuple[StagePlan, ...]
    hidden: tuple[StagePlan, ...]
    layout: WeightLayout | None
    frames: str = "dense"

    @property
    def cell(self) -> CellPlan:
        """The cell."""
        return self.design.cell

    @property
    def head(self) -> HeadPlan:
        """The head."""
        return self.design.head

    @property
    def port(self) -> PortPlan:
        """The memory ports."""
        return self.design.port

    @property
    def stages(self) -> tuple[StagePlan, ...]:
        """All stages, in the order of the data."""
        return (*self.input, *self.hidden)

    @property
    def contexts(self) -> int:
        """States that it keeps, each of a stream of its own."""
        return self.cell.contexts

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that works in a frame, in the order of the data."""
        return (*(stage.name for stage in self.stages), "cell", "head")

    @property
    def schedule(self) -> Schedule:
        """The parallelism of its stages."""
        return Schedule(
            tuple(stage.schedule for stage in self.input),
            tuple(stage.schedule for stage in self.hidden),
            self.frames,
            self.contexts,
        )

    @property
    def sparse_format(self) -> SparseFormat:
        """The format of such frames.

        Raises:
            ShapeError: frames are no whole number of the port's words.
        """
        return SparseFormat(self.port.frame_bytes, self.port.word_bytes)

    @property
    def tables(self) -> Mapping[str, QuantizedArray]:
        """Weights that can be loaded, by the names of their tables, in the buffer's order."""
        return loadable_tables(self.stages, self.cell, self.head) if self.layout else {}

    @property
    def arguments(self) -> tuple[Register, ...]:
        """Registers that a call sets."""
        return present(ARGUMENT_REGISTERS, **self.register_kinds)

    @property
    def register_kinds(self) -> dict[str, Any]:
        """What says which registers it has; see `present`."""
        loadable = self.layout is not None
        return {"loadable": loadable, "frames": self.frames, "contexts": self.contexts}

    @property
    def identity(self) -> Mapping[str, int]:
        """Registers that say what the core is, with the values that are known before it runs."""
        known = {
            "abi_version": ABI_VERSION,
            "design_id_low": self.design.design_id % 2**32,
            "design_id_high": self.design.design_id >> 32,
            "frame_bytes": self.port.frame_bytes,
            "result_bytes": self.port.result_bytes,
        }
        if self.layout:
            known["weights_layout"] = self.layout.digest
        if self.skips:
            known["core_frames"] = CORE_FRAMES.index(self.frames)
        return known | ({"contexts": self.contexts} if self.contexts > 1 else {})


def loadable_tables(
    stages: tuple[StagePlan, ...], cell: CellPlan, head: HeadPlan
) -> dict[str, QuantizedArray]:
    """What a core with a loadable stage loads: with it bias and head, so that a network that was
    trained again is loaded whole.
    """
    return {
        **{stage.name: stage.rows for stage in stages if stage.schedule.weights == "loadable"},
        BIAS: cell.bias,
        HEAD_WEIGHTS: head.weights,
        HEAD_BIAS: head.bias,
    }


def layout_of(tables: Mapping[str, QuantizedArray]) -> WeightLayout:
    """Where tables lie in the buffer, behind its header."""
    found, first = [], HEADER_WORDS
    for name, array in tables.items():
        form, (rows, columns) = array.format, array.codes.shape
        table = WeightTable(name, rows, columns, form.width, form.signed, first)
        found.append(table)
        first += table.words
    return WeightLayout(tuple(found))
