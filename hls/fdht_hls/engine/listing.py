"""A plan for people and for files: a table, JSON, and the difference of two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from fdht_hls.engine.contractions import StagePlan
from fdht_hls.engine.engine_plan import EnginePlan
from fdht_models.records import differences
from fdht_models.tensor.arrays import QuantizedArray

#: Of the JSON of a plan.
SCHEMA = 1
#: Hexadecimal digits of a digest of weights: enough to tell two apart.
_DIGITS = 16


def plan_json(plan: EnginePlan) -> dict[str, Any]:
    """A JSON object that says all of a plan; of arrays it says format, shape and a digest."""
    cell, head, port = plan.cell, plan.head, plan.port
    return {
        "schema": SCHEMA,
        "name": plan.design.name,
        "design_id": f"{plan.design.design_id:016x}",
        "port": {**asdict(port), "frame_words": port.frame_words, "frames": plan.frames},
        "stages": [_stage_json(stage) for stage in plan.stages],
        "cell": {
            "kind": cell.cell.kind,
            "units": cell.units,
            "gates": list(cell.cell.gates),
            "sums": {"input": str(cell.projected), "hidden": str(cell.recurrent)},
            "collects": cell.collects,
            **({"contexts": cell.contexts} if cell.contexts > 1 else {}),
            "order": _digest(cell.order),
            "bias": _array(cell.bias),
        },
        "head": {
            "weights": _array(head.weights),
            "bias": _array(head.bias),
            "logits": str(head.logits),
        },
        "registers": {
            "arguments": {register.name: register.offset for register in plan.arguments},
            "identity": dict(plan.identity),
        },
        "weights": plan.layout.to_json() if plan.layout else None,
    }


def _stage_json(stage: StagePlan) -> dict[str, Any]:
    design = stage.design
    return {
        "name": stage.name,
        "loops": asdict(stage.shape),
        **asdict(stage.schedule),
        "formats": {
            "input": str(design.source),
            "sum": str(design.total),
            "output": str(design.result),
        },
        "weights": {"kind": stage.schedule.weights, **_array(stage.rows)},
        "queue_words": stage.queue_words,
        "cycles": stage.cycles,
    }


def _array(array: QuantizedArray) -> dict[str, Any]:
    return {
        "format": str(array.format),
        "shape": list(array.codes.shape),
        "digest": _digest(array.codes),
    }


def _digest(codes: Any) -> str:
    content = np.ascontiguousarray(codes, "<i8").tobytes()
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def plan_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Where two plans as JSON differ: "stages.2.vector: 4, not 8"."""
    return [f"{path}: {own}, not {another}" for path, own, another in differences(one, other)]


def plan_rows(plan: EnginePlan) -> Iterator[tuple[str, ...]]:
    """A row a stage: see `COLUMNS`."""
    for stage in plan.stages:
        design, schedule, shape = stage.design, stage.schedule, stage.shape
        loops = f"{shape.outer} x {1 if shape.fibre else shape.mode} x {shape.groups}"
        yield (
            stage.name,
            f"{loops} words of {shape.word_in}",
            f"{shape.words_out} of {shape.word_out}",
            f"{design.source} -> {design.total}" + ("" if design.exact else f" -> {design.result}"),
            f"{len(stage.rows.codes)} x {schedule.weights_in_beat} of {design.core.format}",
            schedule.weights,
            "" if stage.adders else f"{schedule.parallel} {schedule.multipliers}",
            str(stage.queue_words),
            f"{stage.cycles:,}",
        )


#: Headings of `plan_rows`.
COLUMNS = (
    "stage",
    "reads",
    "emits",
    "formats",
    "weights, a row a clock",
    "kind",
    "multipliers",
    "queue",
    "clocks a frame",
)


def plan_lines(plan: EnginePlan) -> list[str]:
    """What is beside the stages, a line each."""
    cell, head, port = plan.cell, plan.head, plan.port
    lines = [
        f"{plan.design.name}, design {plan.design.design_id:016x}",
        f"port: {8 * port.word_bytes} bits, {port.frame_words:,} words a {plan.frames} frame of "
        f"{port.fibres} fibres of {port.fibre} bytes; a result is {port.result_bytes} bytes",
        f"cell: {cell.cell.kind}, {cell.units} units, gates {', '.join(cell.cell.gates)}; sums "
        + ("are collected first" if cell.collects else "arrive unit by unit"),
        f"head: {head.units} x {head.classes} of {head.weights.format}, logits {head.logits}",
        f"registers: {', '.join(register.name for register in plan.arguments)}",
    ]
    if plan.contexts > 1:
        lines.append(f"contexts: {plan.contexts} states, each of a stream of its own")
    if plan.layout:
        lines.append(
            f"loadable weights: {plan.layout.words:,} words of 64 bits in "
            f"{len(plan.layout.tables)} tables, layout {plan.layout.digest:08x}"
        )
    return lines
