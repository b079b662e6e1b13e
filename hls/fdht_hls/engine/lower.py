"""network + schedule + memory port -> EnginePlan, checked as data before anything is emitted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fdht_hls.engine.contractions import StageDesign, StagePlan, queue_words
from fdht_hls.engine.engine_plan import (
    CellPlan,
    EngineDesign,
    EnginePlan,
    HeadPlan,
    PortPlan,
    layout_of,
    loadable_tables,
)
from fdht_hls.engine.pairs import why_no_pairs
from fdht_hls.schedule import Schedule, StageSchedule, check_schedule, default_schedule, weight_rows
from fdht_hls.shapes import coming_modes, loop_order, stage_shape
from fdht_models.errors import ConfigError, ConversionError
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.quantized import (
    WORD_BYTES,
    QuantizedNetwork,
    QuantizedRecurrence,
    frame_modes,
)

#: Bits of the widest format; see `FixedPoint`.
_MOST_BITS = 48


def stage_designs(
    recurrence: QuantizedRecurrence, label: str, fibres: int = 1
) -> tuple[StageDesign, ...]:
    """The stages of a path, into which so many fibres come in a word.

    Args:
        recurrence: the layer.
        label: "input": W_x x; "hidden": W_h h.
        fibres: one of `fibre_counts`.

    Raises:
        ConversionError: data do not arrive in an order in which they can be streamed.
    """
    path = recurrence.input_path if label == "input" else recurrence.hidden_path
    found = []
    for position, stage in enumerate(path.plan.stages):
        core, inside = loop_order(recurrence, path, position)
        total = recurrence.accumulator_format(path, position)
        last = position == len(path.formats)
        found.append(
            StageDesign(
                f"{label}.{stage.core}",
                stage_shape(path, position, fibres),
                recurrence.stage_input_format(path, position),
                core,
                inside,
                total,
                total if last else path.formats[position],
            )
        )
    return tuple(found)


def stage_plans(
    recurrence: QuantizedRecurrence, schedule: Schedule
) -> tuple[tuple[StagePlan, ...], tuple[StagePlan, ...]]:
    """The stages of W_x x and of W_h h at a parallelism that was checked."""
    first, second = (
        stage_designs(recurrence, label, fibres)
        for label, fibres in zip(("input", "hidden"), schedule.fibres, strict=True)
    )
    return _scheduled_input(first, schedule), _scheduled(second, schedule.hidden, "hidden")


def _scheduled(
    designs: tuple[StageDesign, ...], chosen: tuple[StageSchedule, ...], label: str
) -> tuple[StagePlan, ...]:
    return tuple(
        StagePlan(
            design, own, queue_words(design, last=label == "hidden" and design is designs[-1])
        )
        for design, own in zip(designs, chosen, strict=True)
    )


def _scheduled_input(designs: tuple[StageDesign, ...], schedule: Schedule) -> tuple[StagePlan, ...]:
    """The stages of W_x x; where zeros are skipped, words come with their places."""
    found = _scheduled(designs, schedule.input, "input")
    if not schedule.skips:
        return found
    coming = coming_modes([stage.shape for stage in found])
    return tuple(replace(stage, coming=own) for stage, own in zip(found, coming, strict=True))


def design_engine(
    network: QuantizedNetwork,
    port_bytes: int = WORD_BYTES,
    fibres: tuple[int, int] = (1, 1),
    contexts: int = 1,
) -> EngineDesign:
    """What is built of a network, before the parallelism of its stages is chosen.

    Args:
        network: what the engine computes.
        port_bytes: bytes that the port for frames moves in a clock.
        fibres: that come into W_x x, and into W_h h, in a word.
        contexts: states that the core keeps.

    Raises:
        ConversionError: there is no hardware for the network's cell, or data do not arrive in an
            order in which they can be streamed.
    """
    recurrence, head = network.recurrence, network.head
    count, fibre = frame_modes(recurrence)
    return EngineDesign(
        network.name,
        network.design_id,
        stage_designs(recurrence, "input", fibres[0]),
        stage_designs(recurrence, "hidden", fibres[1]),
        CellPlan(recurrence, contexts),
        HeadPlan(
            head.weights,
            QuantizedArray(head.bias.format, head.bias.codes[None]),
            recurrence.cell.hidden,
            network.logit_format,
        ),
        PortPlan(
            port_bytes,
            count,
            fibre,
            network.frame_bytes,
            network.result_bytes,
            network.input_format.signed,
        ),
        network.preprocessing.picture.dead_zone if network.preprocessing.picture else 0,
    )


def lower(
    network: QuantizedNetwork, schedule: Schedule | None = None, port_bytes: int = WORD_BYTES
) -> EnginePlan:
    """Everything that is built of a network.

    Args:
        network: what the engine computes.
        schedule: parallelism of its stages; by default `default_schedule`.
        port_bytes: bytes that the port for frames moves in a clock.

    Raises:
        ConfigError: the schedule is of another network, or asks for multipliers that a stage cannot
            have.
        ConversionError: as `design_engine`; or the plan contradicts itself, see `verify`. Or the
            core cannot compute the network's feature.
    """
    recurrence = network.recurrence
    schedule = schedule or default_schedule(recurrence, port_bytes)
    check_schedule(recurrence, schedule)
    if schedule.raw:
        check_feature(network, port_bytes)
    design = design_engine(network, port_bytes, schedule.fibres, schedule.contexts)
    plan = schedule_engine(design, schedule)
    _check_pairs(plan)
    verify(plan)
    return plan


def _check_pairs(plan: EnginePlan) -> None:
    """Refuses stages whose products cannot share DSP slices.

    Raises:
        ConfigError: names the stage, and why.
    """
    for label, stages in (("input", plan.input), ("hidden", plan.hidden)):
        for at, stage in enumerate(stages):
            reason = why_no_pairs(stage.design, stage.schedule) if stage.paired else None
            if reason is not None:
                raise ConfigError(
                    reason,
                    field=f"schedule.{label}[{at}].multipliers",
                    value=stage.schedule.multipliers,
                    remedy='use "dsp" or "lut", or tune this network: fdht tune',
                )


def check_feature(network: QuantizedNetwork, port_bytes: int) -> None:
    """Refuses a network whose feature a core cannot compute.

    Raises:
        ConversionError: it reads no video, or another feature of it; or a frame is a single word.
    """
    if network.feature != "motion_energy":
        raise ConversionError(
            "is computed on the host; a core computes motion_energy only",
            field="feature",
            value=network.feature or network.preprocessing.kind,
            remedy='take feature = "host" in [core], or --feature host',
        )
    if network.frame_bytes <= port_bytes:
        raise ConversionError(
            "is a single word of the port; a core that computes its feature needs two",
            field="frame",
            value=f"{network.frame_bytes} bytes",
            remedy='take feature = "host" in [core], or --feature host',
        )


def schedule_engine(design: EngineDesign, schedule: Schedule) -> EnginePlan:
    """A design at a parallelism that was checked and takes as many fibres in a word.

    It is not verified, because tuners ask for many; what is emitted comes from `lower`.
    """
    first = _scheduled_input(design.input, schedule)
    second = _scheduled(design.hidden, schedule.hidden, "hidden")
    layout = None
    if schedule.loadable:
        layout = layout_of(loadable_tables((*first, *second), design.cell, design.head))
        first, second = (
            tuple(replace(stage, table=layout.table(stage.name)) for stage in stages)
            for stages in (first, second)
        )
    return EnginePlan(design, first, second, layout, schedule.frames)


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
    first, values = plan.input[0], port.fibres * port.fibre
    if plan.skips and math.prod(first.coming or ()) * first.design.word_in != values:
        yield first.name, "gets words whose places are not those of a frame"
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
