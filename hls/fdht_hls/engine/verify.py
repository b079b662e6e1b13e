"""Does a plan hold together? Checked as data, before anything is emitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fdht_hls.schedule import weight_rows
from fdht_models.errors import ConversionError

if TYPE_CHECKING:
    from fdht_hls.engine.contractions import StagePlan
    from fdht_hls.engine.engine_plan import EnginePlan

#: Bits of the widest format; see `FixedPoint`.
_MOST_BITS = 48


def verify(plan: EnginePlan) -> None:
    """Refuses a plan in which something is produced that nobody takes, or does not fit.

    Raises:
        ConversionError: names the part; it is a defect of fdht, not of the network.
    """
    for field, problem in _problems(plan):
        raise ConversionError(
            problem,
            field=f"plan.{field}",
            remedy="this is a defect of fdht: please report it with the experiment file",
        )


def _problems(plan: EnginePlan) -> Iterator[tuple[str, str]]:
    port, cell, head = plan.port, plan.cell, plan.head
    names = [stage.name for stage in plan.stages]
    if len(names) != len(set(names)):
        yield "stages", f"two of {', '.join(names)} have the same name"
    ends = (
        (plan.input, port.fibres * port.fibre, cell.arrival.shape[1]),
        (plan.hidden, cell.units, cell.recurrent_word),
    )
    for stages, values, word in ends:
        yield from _path_problems(stages, values)
        if stages[-1].design.word_out != word or not stages[-1].design.exact:
            yield stages[-1].name, f"gives no exact words of {word} sums to the cell"
    if plan.hidden[0].design.source != cell.hidden:
        yield plan.hidden[0].name, "does not read the hidden state"
    if plan.hidden[-1].queue_words < plan.hidden[-1].shape.words_out:
        yield plan.hidden[-1].name, "a frame's sums do not fit its queue"
    if not np.array_equal(np.sort(cell.order), np.arange(cell.units)):
        yield "cell", "does not update each unit once"
    if head.units != cell.units:
        yield "head", f"reads {head.units} of {cell.units} units"
    if plan.layout and {*plan.tables} != {table.name for table in plan.layout.tables}:
        yield "layout", "does not hold the tables that can be loaded"
    if port.frame_bytes < port.fibres * port.fibre or port.result_bytes < 4 * head.classes:
        yield "port", "moves less than a frame or a result"


def _path_problems(stages: tuple[StagePlan, ...], values: int) -> Iterator[tuple[str, str]]:
    """Of a path that reads so many values in a frame."""
    source = stages[0].design.source
    for stage in stages:
        design, shape, schedule = stage.design, stage.shape, stage.schedule
        words = shape.outer * (1 if shape.fibre else shape.mode) * shape.groups
        if words * shape.word_in != values:
            yield stage.name, f"reads {words * shape.word_in} of {values} values"
        if design.source != source:
            yield stage.name, f"reads {design.source}, and {source} arrive"
        rows = weight_rows(shape, schedule)
        if stage.rows.codes.shape != (rows, schedule.weights_in_beat):
            yield stage.name, f"has weights {stage.rows.codes.shape} for {rows} beats"
        for form in (design.source, design.core.format, design.total, design.result):
            if not 1 <= form.width <= _MOST_BITS:
                yield stage.name, f"has a format of {form.width} bits"
        if schedule.weights == "loadable" and stage.table is None:
            yield stage.name, "is loadable and has no table"
        source, values = design.result, design.values
