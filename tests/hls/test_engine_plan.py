"""EnginePlan: one description, verified as data, that all emitters read."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fdht_hls
from fdht_hls.engine import EnginePlan, lower
from fdht_hls.engine.listing import COLUMNS, plan_differences, plan_json, plan_lines, plan_rows
from fdht_hls.engine.lower import verify
from fdht_hls.estimate import estimate
from fdht_hls.estimate.rtl import estimate_rtl
from fdht_hls.schedule import default_schedule
from fdht_models.errors import ConversionError
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.reference import ReferenceModel
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network, random_frames

NETWORK = build_network()
SCHEDULE = default_schedule(NETWORK.recurrence)
PLAN = lower(NETWORK)
LOADABLE = lower(NETWORK, SCHEDULE.with_weights("loadable"))


@pytest.mark.parametrize("label", SHAPES)
def test_a_stage_has_one_name(label: str):
    """In the reference, both estimates, the RTL's flags, and the tables of loadable weights."""
    network = build_network(SHAPES[label])
    schedule = default_schedule(network.recurrence).with_weights("loadable")
    plan, seen = lower(network, schedule), []
    ReferenceModel(network, lambda name, codes: seen.append(name)).run(random_frames(network, 1))
    names = [stage.name for stage in plan.stages]
    assert names == [name for name in dict.fromkeys(seen) if "." in name]
    assert plan.names == (*names, "cell", "head")
    assert [row.name for row in estimate(plan).stages if "." in row.name] == names
    assert [row.name for row in estimate_rtl(plan).stages if "." in row.name] == names
    assert plan.layout is not None
    assert [table.name for table in plan.layout.tables[: len(names)]] == names


def with_stage(plan: EnginePlan, at: int, **changes: object) -> EnginePlan:
    stages = list(plan.input)
    stages[at] = replace(stages[at], **changes)
    return replace(plan, input=tuple(stages))


def with_design(plan: EnginePlan, at: int, **changes: object) -> EnginePlan:
    return with_stage(plan, at, design=replace(plan.input[at].design, **changes))


def damaged() -> dict[str, EnginePlan]:
    first, second = PLAN.input[0].design, PLAN.input[1].design
    patient = replace(PLAN.hidden[-1], queue_words=1)
    head = replace(
        PLAN.head, weights=QuantizedArray(PLAN.head.weights.format, PLAN.head.weights.codes[:-1])
    )
    port = replace(PLAN.port, frame_bytes=8)
    return {
        "input.C3: reads 120 of 60 values": with_design(
            PLAN, 0, shape=replace(first.shape, outer=2 * first.shape.outer)
        ),
        "input.C2: reads": with_design(PLAN, 1, source=replace(second.source, fraction=1)),
        "stages: two of": with_design(PLAN, 1, name="input.C3"),
        "input.C3: has weights": with_stage(
            PLAN, 0, schedule=replace(SCHEDULE.input[0], outputs=1, vector=1)
        ),
        "input.C1: gives no exact words": with_design(PLAN, -1, result=second.result),
        "hidden.C1: a frame's sums do not fit": replace(PLAN, hidden=(*PLAN.hidden[:-1], patient)),
        "head: reads 7 of 8 units": replace(PLAN, design=replace(PLAN.design, head=head)),
        "port: moves less": replace(PLAN, design=replace(PLAN.design, port=port)),
        "input.C3: is loadable": with_stage(LOADABLE, 0, table=None),
        "layout: does not hold": replace(PLAN, layout=LOADABLE.layout),
    }


@pytest.mark.parametrize("problem", damaged())
def test_a_plan_that_contradicts_itself_is_refused(problem: str):
    plan = damaged()[problem]
    if problem.startswith("input.C3: has weights"):
        # The rows were made for another schedule.
        plan.input[0].__dict__["rows"] = PLAN.input[0].rows
    with pytest.raises(ConversionError, match=f"plan.{problem}"):
        verify(plan)


@pytest.mark.parametrize("frames", ["sparse", "raw"])
def test_places_that_are_not_those_of_a_frame_are_refused(frames: str):
    skipping = lower(NETWORK, SCHEDULE.with_frames("sparse"))
    plan = replace(skipping, frames=frames)
    verify(plan)
    coming = plan.input[0].coming
    assert coming
    with pytest.raises(ConversionError, match=r"input\.C3: .*places are not those of a frame"):
        verify(with_stage(plan, 0, coming=coming[:-1]))


def test_a_plan_is_saved_and_compared():
    one = json.loads(json.dumps(plan_json(PLAN)))
    assert one == plan_json(PLAN) == plan_json(lower(NETWORK, SCHEDULE))
    wanted = SCHEDULE.input[0].outputs
    assert wanted > 1
    slow = replace(SCHEDULE.input[0], outputs=1)
    other = lower(NETWORK, replace(SCHEDULE, input=(slow, *SCHEDULE.input[1:])))
    found = plan_differences(one, plan_json(other))
    assert f"stages[0].outputs: {wanted}, not 1" in found
    assert all(line.startswith("stages[0].") for line in found)
    assert plan_differences(one, one) == []


def test_other_weights_are_another_plan():
    """Of weights there is a digest."""
    other = plan_json(lower(build_network(seed=7)))
    places = {line.split(":")[0] for line in plan_differences(plan_json(PLAN), other)}
    assert "stages[0].weights.digest" in places and "design_id" in places
    assert not any(place.endswith("format") for place in places)


def test_people_see_every_stage():
    rows = list(plan_rows(LOADABLE))
    assert [row[0] for row in rows] == [stage.name for stage in LOADABLE.stages]
    assert all(len(row) == len(COLUMNS) for row in rows)
    text = "\n".join(plan_lines(LOADABLE))
    assert f"{LOADABLE.layout.words:,} words of 64 bits" in text  # type: ignore[union-attr]
    assert f"{PLAN.design.design_id:016x}" in text


def test_registers_say_whose_core_it_is():
    identity = LOADABLE.identity
    assert identity["design_id_high"] << 32 | identity["design_id_low"] == NETWORK.design_id
    assert (identity["frame_bytes"], identity["result_bytes"]) == (
        NETWORK.frame_bytes,
        NETWORK.result_bytes,
    )
    assert "weights_layout" in identity and "weights_layout" not in PLAN.identity


def test_rows_hold_every_weight_once():
    for stage in LOADABLE.stages:
        rows, core = stage.rows.codes, stage.design.core.codes
        np.testing.assert_array_equal(np.sort(rows, axis=None), np.sort(core, axis=None))


#: What looks into a network's contractions, which is the plan's work alone.
LOWERING = {"stage_shape", "shapes_of", "emission_order", "group_positions", "update_order"}
#: Emitters and estimators.
READERS = ("rtl", "estimate", "cpp_text.py", "nodes.py", "writer.py", "parsing.py")


def test_emitters_and_estimators_read_the_plan_and_nothing_else():
    root = Path(fdht_hls.__file__).parent
    files = [
        file for name in READERS for file in (sorted((root / name).rglob("*.py")) or [root / name])
    ]
    assert len(files) > 30
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names}
                assert not names & LOWERING, f"{file.name} lowers by itself: {names & LOWERING}"
