"""How a contraction plan becomes loops: the shapes, weights and orders of streaming stages.

Read by the hls4ml nodes, the estimator and whatever else emits the engine; needs no hls4ml.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fdht_models.errors import ConversionError
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import Codes, FixedPoint
from fdht_models.tensor.quantized import ContractionPath, QuantizedRecurrence


@dataclass(frozen=True)
class StageShape:
    """The loops of one stage; see `contraction_config` in fdht_contraction.h.

    Args:
        outer: product of the input modes still to come.
        mode: product of the input modes that are summed; 1 if there is none.
        groups: words of input for each value of that mode.
        inner: groups of vectors in a word of input: output modes that the stage before opened.
        lanes: vectors in a group: bonds that pass by or number the terms of a sum.
        rank_in: length of such a vector.
        outputs: values that a vector gives: output modes and bonds that this stage opens.
        opened: of these, the bonds.
        banks: terms of a sum, each with weights of its own.
        bank_stride: lanes between one term and the next.
        low: lanes of bonds that end before the opened ones do.
        fibre: vectors are fibres of the mode, each of which is summed in one turn.
        together: fibres that pass the first two stages side by side. The first takes a word of so
            many; the second a word of what became of them, as one vector: they are values of the
            mode that it sums, so that `mode` is so many times shorter and `rank_in` longer.
    """

    outer: int
    mode: int
    groups: int
    inner: int
    lanes: int
    rank_in: int
    outputs: int
    opened: int
    banks: int
    bank_stride: int
    low: int
    fibre: bool
    together: int = 1

    @property
    def words_out(self) -> int:
        """Words of output in a frame."""
        return self.outer * self.groups * self.inner

    @property
    def words_joined(self) -> int:
        """Words of output that leave as one."""
        return self.together if self.fibre else 1

    @property
    def word_in(self) -> int:
        """Values in a word of input."""
        return self.inner * self.lanes * (self.mode if self.fibre else self.rank_in)

    def places(self, vector: int) -> list[int]:
        """Where in a word of input the values of a vector are."""
        if self.fibre:
            return list(range(vector * self.mode, (vector + 1) * self.mode))
        bonds, vectors = self.rank_in // self.together, self.inner * self.lanes
        return [
            (value * vectors + vector) * bonds + bond
            for value in range(self.together)
            for bond in range(bonds)
        ]

    @property
    def word_out(self) -> int:
        """Values in a word of output."""
        return self.lanes * self.outputs

    @property
    def turns(self) -> int:
        """Turns of the innermost pipelined loop in a frame."""
        return self.words_out * self.lanes * (1 if self.fibre else self.mode)

    @property
    def macs_per_turn(self) -> int:
        """Multiply-accumulates in one such turn."""
        return self.outputs * (self.mode if self.fibre else self.rank_in)


@dataclass(frozen=True)
class _Indices:
    """Indices of a stage by what becomes of them, each in the order of the running tensor."""

    coming: list[str]
    modes: list[str]
    done: list[str]
    lanes: list[str]
    bonds: list[str]
    opened_modes: list[str]
    opened_bonds: list[str]


def _indices(path: ContractionPath, position: int) -> _Indices:
    plan = path.plan
    stage = plan.stages[position]
    arriving = [index for index in stage.input_indices if index in plan.inputs]
    modes = [index for index in arriving if index in stage.summed]
    bonds = [index for index in stage.input_indices if index not in (*plan.inputs, *plan.outputs)]
    summed = [index for index in bonds if index in stage.summed]
    if modes != arriving[len(arriving) - len(modes) :]:
        raise ConversionError(
            f"sums {modes}, but data arrive in the order {arriving}",
            field=f"stage {position} ({stage.core})",
            remedy="contract the last mode first",
        )
    if summed != bonds[len(bonds) - len(summed) :]:
        raise ConversionError(
            f"sums the bonds {summed}, but they arrive in the order {bonds}",
            field=f"stage {position} ({stage.core})",
            remedy="plan the contraction with best_plan",
        )
    return _Indices(
        [index for index in arriving if index not in modes],
        modes,
        [index for index in stage.input_indices if index in plan.outputs],
        [index for index in bonds if index not in summed],
        summed,
        [index for index in stage.added if index in plan.outputs],
        [
            index
            for index in stage.output_indices
            if index in stage.added and index in bonds_of(path)
        ],
    )


def bonds_of(path: ContractionPath) -> set[str]:
    """All indices of a path that are neither input nor output modes."""
    plan = path.plan
    every = {
        index for stage in plan.stages for index in (*stage.input_indices, *stage.core_indices)
    }
    return every - {*plan.inputs, *plan.outputs}


def stage_shape(path: ContractionPath, position: int, fibres: int = 1) -> StageShape:
    """Loops of a stage of a plan.

    Args:
        path: W_x x or W_h h.
        position: of the stage in it.
        fibres: that come in a word; one of `fibre_counts`.

    Raises:
        ConversionError: data do not arrive in an order in which they can be streamed.
    """
    stage = path.plan.stages[position]
    own = _indices(path, position)

    def size(indices: Sequence[str]) -> int:
        return math.prod(stage.sizes[index] for index in indices)

    fibre = position == 0 and len(own.modes) == 1
    # A first stage that sums several modes adds up fibres of the last of them.
    vector = own.modes[-1:] if position == 0 and not fibre else own.bonds
    before = path.plan.stages[position - 1].added if position else ()
    inner = size([index for index in own.done if index in before])
    shared = [place for place, index in enumerate(own.lanes) if index in stage.core_indices]
    after = own.lanes[shared[-1] + 1 :] if shared else []
    shape = StageShape(
        outer=size(own.coming),
        mode=size([index for index in own.modes if index not in vector]),
        groups=size(own.done) // inner,
        inner=inner,
        lanes=size(own.lanes),
        rank_in=size(vector),
        outputs=size((*own.opened_modes, *own.opened_bonds)),
        opened=size(own.opened_bonds),
        banks=_banks(path, position, own, shared),
        bank_stride=size(after),
        low=_low(path, position, own),
        fibre=fibre,
    )
    if fibre:
        return replace(shape, outer=shape.outer // fibres, inner=fibres, together=fibres)
    together = fibres if position == 1 else 1
    return replace(
        shape, mode=shape.mode // together, rank_in=shape.rank_in * together, together=together
    )


def coming_modes(shapes: Sequence[StageShape]) -> tuple[tuple[int, ...], ...]:
    """Of each stage of a path, lengths of modes that it and those behind it sum word by word."""
    modes: list[tuple[int, ...]] = [() if shape.fibre else (shape.mode,) for shape in shapes]
    return tuple(sum(modes[position:], ()) for position in range(len(modes)))


def fibre_counts(path: ContractionPath) -> tuple[int, ...]:
    """How many fibres may come in a word, ascending.

    The second stage sums what became of them in one turn, so they are values of its mode. A first
    stage that sums several modes takes its fibres one by one.
    """
    if len(path.plan.stages) < 2 or not stage_shape(path, 0).fibre:
        return (1,)
    return divisors(stage_shape(path, 1).mode)


def divisors(number: int) -> tuple[int, ...]:
    """All divisors, ascending."""
    return tuple(part for part in range(1, number + 1) if number % part == 0)


def _banks(path: ContractionPath, position: int, own: _Indices, shared: list[int]) -> int:
    stage = path.plan.stages[position]
    if shared and shared != list(range(shared[0], shared[-1] + 1)):
        raise ConversionError(
            "has terms of two sums with bonds between them",
            field=f"stage {position} ({stage.core})",
            value=own.lanes,
            remedy="use another format",
        )
    return math.prod(stage.sizes[own.lanes[place]] for place in shared)


def _low(path: ContractionPath, position: int, own: _Indices) -> int:
    """Lanes of the bonds that come after the opened ones in a word of output."""
    stage = path.plan.stages[position]
    bonds = [index for index in stage.output_indices if index in (*own.lanes, *own.opened_bonds)]
    if not own.opened_bonds:
        return 1
    first = bonds.index(own.opened_bonds[0])
    last = first + len(own.opened_bonds)
    if bonds[first:last] != own.opened_bonds:
        raise ConversionError(
            "opens bonds that end at different stages, between which others end",
            field=f"stage {position} ({stage.core})",
            value=bonds,
            remedy="use another format",
        )
    return math.prod(stage.sizes[index] for index in bonds[last:])


def loop_order(
    recurrence: QuantizedRecurrence, path: ContractionPath, position: int
) -> tuple[QuantizedArray, int]:
    """A stage's core with its axes in the order of its loops.

    Args:
        recurrence: holds the cores.
        path: W_x x or W_h h.
        position: of the stage in it.

    Returns:
        (a view [modes.., terms.., bonds.., opened modes and bonds..], weights of bonds and what is
        opened).
    """
    stage = path.plan.stages[position]
    own = _indices(path, position)
    core = recurrence.core_of(path, position)
    terms = [index for index in own.lanes if index in stage.core_indices]
    inside = (*own.bonds, *own.opened_modes, *own.opened_bonds)
    axes = [stage.core_indices.index(index) for index in (*own.modes, *terms, *inside)]
    found = QuantizedArray(core.format, core.codes.transpose(axes))
    return found, math.prod(stage.sizes[index] for index in inside)


def rounded_formats(recurrence: QuantizedRecurrence) -> dict[str, FixedPoint]:
    """Formats that a frame's numbers are rounded to, by the names of `fdht_hls.observation`."""
    formats = dict(recurrence.cell.formats)
    for label, path in (("input", recurrence.input_path), ("hidden", recurrence.hidden_path)):
        named = zip(path.plan.stages, path.formats, strict=False)  # the last stage stays exact
        formats |= {f"{label}.{stage.core}": format for stage, format in named}
    return formats


def emission_order(path: ContractionPath) -> Codes:
    """Row of W of each sum in the order in which the last stage emits them: [words, word]."""
    plan = path.plan
    last = plan.stages[-1]
    rows = np.arange(plan.output_size, dtype=np.int64).reshape(plan.output_shape)
    axes = [plan.outputs.index(index) for index in last.output_indices]
    return rows.transpose(axes).reshape(-1, stage_shape(path, len(plan.stages) - 1).word_out)


def _by_unit(recurrence: QuantizedRecurrence, order: Codes) -> Codes:
    """Rows if a word's lane k of gate g is unit k x words + (what the first lane says)."""
    gates = len(recurrence.cell.gates)
    if order.shape[1] % gates:
        return np.empty(0, np.int64)
    lanes = np.arange(order.shape[1] // gates) * len(order)
    return np.concatenate(
        [order[:, :1] + gate * recurrence.units + lanes for gate in range(gates)], axis=1
    )


def group_positions(recurrence: QuantizedRecurrence) -> Codes:
    """Where sums belong: for each word the hidden unit of its first lane, or, where gates do not
    arrive together, for each sum its row of W.
    """
    order = emission_order(recurrence.input_path)
    return order.ravel() if collects(recurrence) else order[:, 0]


def update_order(recurrence: QuantizedRecurrence) -> Codes:
    """Hidden units in the order in which a cell updates them."""
    if collects(recurrence):
        return np.arange(recurrence.units, dtype=np.int64)
    words = group_positions(recurrence)
    lanes = np.arange(recurrence.units // len(words), dtype=np.int64) * len(words)
    return (words[:, None] + lanes).ravel()


def collects(recurrence: QuantizedRecurrence) -> bool:
    """Does the cell collect a frame's sums before it updates units?

    Not where each word of sums holds all gates of some units, on both paths alike: then a unit is
    updated as soon as its word arrives.
    """
    order = emission_order(recurrence.input_path)
    other = emission_order(recurrence.hidden_path)
    return order.shape != other.shape or not np.array_equal(order, _by_unit(recurrence, order))
