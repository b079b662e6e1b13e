"""A contraction stage, before and after its parallelism is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fdht_hls.schedule import (
    MOST_ADDER_WEIGHTS,
    PAIRS,
    StageSchedule,
    vector_length,
    weight_rows,
)
from fdht_hls.shapes import StageShape
from fdht_hls.weight_tables import WeightTable
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import Codes, FixedPoint

if TYPE_CHECKING:
    from fdht_hls.adders import AdderGraph

#: Words of output that wait behind a stage: enough that it never waits for its own pipeline. The
#: stages are a chain without reconvergence, which no depth can deadlock.
QUEUE_WORDS = 16


@dataclass(frozen=True, eq=False)
class StageDesign:
    """What a stage is, before its parallelism is chosen.

    Args:
        name: "input.<core>" or "hidden.<core>", as the reference's observer and Keras know it.
        shape: its loops.
        source: format of a value of input.
        core: its weights with axes in the order of its loops, the outermost first.
        inside: of these weights, those of one vector's bonds and outputs.
        total: exact format of a sum.
        result: format of a value of output; `total` in a path's last stage, which does not round.
    """

    name: str
    shape: StageShape
    source: FixedPoint
    core: QuantizedArray
    inside: int
    total: FixedPoint
    result: FixedPoint

    @property
    def exact(self) -> bool:
        """Does it give on its sums as they are?"""
        return self.result is self.total

    @property
    def shift(self) -> int:
        """Fractional bits that rounding drops."""
        return self.total.fraction - self.result.fraction

    @property
    def count(self) -> int:
        """Weights that it holds."""
        return int(self.core.codes.size)

    @property
    def macs(self) -> int:
        """Multiply-accumulates in a frame."""
        return self.shape.turns * self.shape.macs_per_turn

    @property
    def word_in(self) -> int:
        """Values in a word of input."""
        return self.shape.word_in

    @property
    def word_out(self) -> int:
        """Values in a word of output, or in several that leave as one."""
        return self.shape.words_joined * self.shape.word_out

    @property
    def values(self) -> int:
        """Values that it emits in a frame."""
        return self.shape.words_out * self.shape.word_out

    @cached_property
    def weights(self) -> Codes:
        """The weights in the order of the loops, [mode][bank][vector][outputs], flat."""
        # Values of the mode that are summed as one vector count as bonds.
        together = 1 if self.shape.fibre else self.shape.together
        codes = self.core.codes.reshape(-1, together, self.shape.banks, self.inside)
        return np.ascontiguousarray(codes.transpose(0, 2, 1, 3)).ravel()

    def rows(self, schedule: StageSchedule) -> QuantizedArray:
        """The weights, a row a beat: what is read in one clock.

        Returns:
            [mode x banks x vector pieces x output pieces, vector x outputs of a beat].
        """
        length = vector_length(self.shape)
        beats = self.weights.reshape(
            -1,
            length // schedule.vector,
            schedule.vector,
            self.shape.outputs // schedule.outputs,
            schedule.outputs,
        ).transpose(0, 1, 3, 2, 4)
        rows = beats.reshape(-1, schedule.weights_in_beat)
        return QuantizedArray(self.core.format, np.ascontiguousarray(rows))

    @cached_property
    def kernel(self) -> Codes | None:
        """The weights [vector, outputs] if all beats can have the same.

        None if they cannot, if they are too many for adders, or if the network is not trained.
        """
        whole = StageSchedule(vector_length(self.shape), self.shape.outputs)
        if weight_rows(self.shape, whole) > 1 or whole.weights_in_beat > MOST_ADDER_WEIGHTS:
            return None
        codes = self.weights.reshape(whole.vector, whole.outputs)
        return codes if codes.any() else None


class Loops:
    """Sizes of a stage's loops, the outermost first. A fibre is a vector of its own.

    Attributes:
        mode: values of the mode that is summed word by word.
        groups: words of input for each of them.
        inner: turns, or series of turns, that each complete words of output.
        lanes: turns of each.
        banks: terms of a sum, each with weights of its own.
        bank_stride: turns between one term and the next.
        pieces: beats' worth of values in a vector.
        parts: beats' worth of outputs.
    """

    def __init__(self, shape: StageShape, schedule: StageSchedule) -> None:
        self.mode = 1 if shape.fibre else shape.mode
        self.groups, self.inner = shape.groups, shape.inner // schedule.words_at_once(shape)
        self.lanes = max(1, shape.lanes // schedule.vectors)
        self.banks = shape.banks
        self.bank_stride = shape.bank_stride // schedule.vectors if shape.banks > 1 else 1
        self.pieces = vector_length(shape) // schedule.vector
        self.parts = shape.outputs // schedule.outputs

    @property
    def beats(self) -> int:
        """Beats of a turn: of the vectors that are worked on at once."""
        return self.pieces * self.parts

    @property
    def slices(self) -> int:
        """Parts of a word of input, each of which is a beat's operand."""
        return self.inner * self.lanes * self.pieces

    @property
    def slots(self) -> int:
        """Beats in which a word of output, or several at once, is filled."""
        return self.lanes * self.parts

    @property
    def weight_rows(self) -> int:
        """Rows of weights, one a beat."""
        return self.mode * self.banks * self.beats

    @property
    def sum_rows(self) -> int:
        """Rows of sums that are taken up again; 0 if each is complete at once."""
        if self.mode > 1:
            return self.groups * self.inner * self.slots
        return self.parts if self.pieces > 1 else 0


def queue_words(design: StageDesign, *, last: bool) -> int:
    """Words that wait behind a stage.

    Behind the last one of W_h h there is room for a whole frame's sums, so that they are ready when
    the next frame's of W_x x come.
    """
    return max(QUEUE_WORDS, design.shape.words_out) if last else QUEUE_WORDS


@dataclass(frozen=True, eq=False)
class StagePlan:
    """A stage with its parallelism.

    Args:
        design: what it is.
        schedule: its parallelism.
        queue_words: words of output that wait behind it.
        table: of the buffer of loadable weights; None if its weights are there for good.
        coming: where only words that are not zero arrive: lengths of the modes that this stage and
            those behind it sum word by word, this one's first. They say where in a frame a word
            lies. None: every word arrives.
    """

    design: StageDesign
    schedule: StageSchedule
    queue_words: int
    table: WeightTable | None = None
    coming: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """See `StageDesign`."""
        return self.design.name

    @property
    def identifier(self) -> str:
        """The name where a dot cannot be: in C++ and in hls4ml."""
        return self.name.replace(".", "_")

    @property
    def loadable(self) -> bool:
        """Can its weights be loaded at run time?"""
        return self.schedule.weights == "loadable"

    @property
    def paired(self) -> bool:
        """Do two of its products share a DSP slice?"""
        return self.schedule.multipliers == PAIRS

    @property
    def leaving(self) -> tuple[int, ...] | None:
        """Likewise, of a word of output."""
        return self.coming if self.coming is None or self.shape.fibre else self.coming[1:]

    @property
    def shape(self) -> StageShape:
        """See `StageDesign`."""
        return self.design.shape

    @cached_property
    def loops(self) -> Loops:
        """Its loops, beat by beat."""
        return Loops(self.shape, self.schedule)

    @cached_property
    def rows(self) -> QuantizedArray:
        """The weights, a row a beat; see `StageDesign.rows`."""
        return self.design.rows(self.schedule)

    @property
    def cycles(self) -> int:
        """Clocks that it is busy in a frame."""
        return self.schedule.cycles(self.shape)

    @property
    def words_at_once(self) -> int:
        """Words of output that are completed at once."""
        return self.schedule.words_at_once(self.shape)

    @property
    def words_split(self) -> int:
        """Of these, those that leave one by one."""
        return self.words_at_once // self.shape.words_joined

    @cached_property
    def adders(self) -> AdderGraph | None:
        """What takes the place of multipliers; None: multipliers.

        Raises:
            As `fdht_hls.adders.adder_graph`.
        """
        if self.schedule.weights != "adders":
            return None
        from fdht_hls.adders import adder_graph

        return adder_graph(
            self.rows.codes[0].reshape(-1, self.schedule.outputs), self.design.source
        )

    def operands(self, part: int) -> list[list[int]]:
        """Where in a word of input the values of a beat are, by vector."""
        turn, piece = divmod(part, self.loops.pieces)
        first, taken = turn * self.schedule.vectors, self.schedule.vector
        return [
            self.shape.places(first + number)[piece * taken : (piece + 1) * taken]
            for number in range(self.schedule.vectors)
        ]

    @property
    def kernel(self) -> str:
        """The function of fdht_contraction.h that does it."""
        if self.shape.fibre:
            return "contract_fibre"
        return "contract_mode_groups" if self.words_at_once > 1 else "contract_mode"

    @property
    def placed_kernel(self) -> str:
        """The function of fdht_sparse.h that does it for what arrives."""
        return self.kernel.replace("contract_", "contract_placed_")
