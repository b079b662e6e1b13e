"""The one planner: within the budget of every board, with the model of the core that is built."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from fdht_hls.boards import board_names, board_of, get_board
from fdht_hls.engine import lower, schedule_engine
from fdht_hls.estimate import CoreModel, estimate
from fdht_hls.estimate.rtl import estimate_rtl, recurrent_clocks
from fdht_hls.schedule import Schedule, check_schedule, choices, default_schedule
from fdht_hls.tuner.board_plan import (
    BoardPlan,
    boards_that_fit,
    plan,
    planned,
    tuned,
    what_would_fit,
)
from fdht_hls.tuner.budget import Budget, board_budget, parse_shares
from fdht_hls.tuner.cores import CORES, CoreKind, RtlCoreModel, core_to_tune, model_of
from fdht_hls.tuner.quick import hopeless, quick_design
from fdht_hls.tuner.search import Limits, search
from fdht_hls.tuner.tune import possible_paces
from fdht_hls.tuner.untrained import untrained_network
from fdht_hls.tuner.written import result_json
from fdht_models.errors import ConfigError
from fdht_models.experiment import load_experiment
from fdht_models.tensor.quantized import QuantizedNetwork
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network
from tests.overlays.sample_network import sample_network

ZYNQ = board_budget(get_board("pynq-z2"))
TINY = sample_network()


@pytest.fixture(scope="module")
def motion() -> QuantizedNetwork:
    """As `fdht demo` has it, but not trained."""
    return untrained_network(load_experiment("motion"))


@pytest.fixture(scope="module", params=CORES)
def planned_motion(request: pytest.FixtureRequest, motion: QuantizedNetwork) -> BoardPlan:
    return plan(motion, ZYNQ, request.param)


# Within the budget -------------------------------------------------------------------------------


@pytest.mark.parametrize(("board", "core"), list(product(board_names(), CORES)))
def test_every_board_gets_what_it_holds(motion, board: str, core: CoreKind):
    budget = board_budget(get_board(board))
    for network in (TINY, motion) if core == "hls" else (TINY,):
        found = plan(network, budget, core)
        check_schedule(network.recurrence, found.schedule)
        taken, limits = found.estimate.resources, budget.limits
        assert found.fits and found.lacking == ()
        assert taken.dsp <= limits.dsp and taken.lut <= limits.lut
        assert taken.bram18 <= limits.bram18 and (taken.ff or 0) <= limits.ff


def test_the_default_experiment_keeps_the_pace_of_its_port_within_a_zynq_7020(planned_motion):
    """Issue: the default asked for 344 of 220 DSP slices."""
    port = {"hls": 7240, "rtl": 7200}[planned_motion.core]
    assert planned_motion.estimate.cycles_per_frame == port
    assert planned_motion.estimate.resources.dsp <= 165
    default = planned(untrained_network(load_experiment("motion")), _default(), ZYNQ)
    assert default.estimate.resources.dsp == 344 and default.lacking == ("344 of 165 DSP",)


def _default():
    return default_schedule(untrained_network(load_experiment("motion")).recurrence)


def test_the_same_is_found_every_time():
    assert plan(TINY, ZYNQ).schedule == plan(sample_network(), ZYNQ).schedule


@pytest.mark.parametrize("label", ["cp-gru", "tt-lstm", "dense-gru"])
def test_a_smaller_budget_is_kept_too_or_it_says_that_nothing_fits(label: str):
    network = build_network(SHAPES[label]) if label in SHAPES else TINY
    for share in ("0.5", "0.2", "0.1"):
        budget = replace(ZYNQ, shares=parse_shares(share))
        found = plan(network, budget)
        assert found.fits == (budget.strain(found.estimate.resources) <= 1)


# The model of the core that is built -------------------------------------------------------------


def test_each_core_is_asked_of_its_own_model(planned_motion, motion):
    schedule, found = planned_motion.schedule, planned_motion.estimate
    if planned_motion.core == "hls":
        assert found.to_json() == estimate(lower(motion, schedule)).to_json()
        assert "not confirmed" in planned_motion.model
        return
    counted = estimate_rtl(lower(motion, schedule))
    assert (found.cycles_per_frame, found.resources) == (
        counted.cycles_per_frame, counted.resources
    )  # fmt: skip
    assert "yosys" in planned_motion.model
    assert [row.name for row in found.stages][:2] == ["input.C4", "input.C3"]
    assert found.limited_by == "memory port"


def test_for_another_family_the_model_of_the_rtl_says_that_it_is_not_confirmed():
    assert "7 series only" in model_of("rtl", "zynqmp")
    assert "7 series only" not in model_of("rtl", "zynq7000")


@pytest.mark.parametrize("core", CORES)
def test_tuner_and_planner_say_the_same_of_the_same_core(core: CoreKind):
    found = plan(TINY, ZYNQ, core)
    tuning = tuned(TINY, ZYNQ, core)
    assert tuning.chosen.schedule == found.schedule
    row = result_json(tuning, "declared", core)["chosen"]
    told = found.to_json()
    for name in ("cycles_per_frame", "frames_per_second", "resources", "used"):
        assert row[name] == told[name], name
    again = planned(TINY, found.schedule, ZYNQ, core).to_json()
    assert {**again, "left_out": told["left_out"]} == told


def test_what_a_search_adds_up_is_what_the_core_s_model_says():
    tuning = tuned(TINY, ZYNQ, "rtl")
    assert len(tuning.front) > 5
    for design in tuning.front:
        counted = estimate_rtl(lower(TINY, design.schedule))
        assert design.resources == counted.resources
        assert design.cycles == counted.cycles_per_frame


def test_loadable_weights_cost_what_the_model_of_the_rtl_says():
    found = plan(TINY, ZYNQ, "rtl", loadable=True)
    assert found.schedule.loadable
    assert found.estimate.resources == estimate_rtl(lower(TINY, found.schedule)).resources
    core = core_to_tune(TINY, ZYNQ, "rtl", loadable=True)
    (design,) = [one for one in search(core, Limits(10_000)) if one.schedule == found.schedule] or [
        None
    ]
    assert design is None or design.resources == found.estimate.resources


@pytest.mark.parametrize("label", SHAPES)
def test_the_recurrence_of_the_rtl_is_never_longer_than_a_search_takes_it_for(label: str):
    network = build_network(SHAPES[label])
    core = core_to_tune(network, ZYNQ, "rtl")
    assert isinstance(core, RtlCoreModel)
    for ends in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        hidden = tuple(
            choices(design.shape)[ends[at % 2]] for at, design in enumerate(core.design.hidden)
        )
        first = tuple(choices(design.shape)[0] for design in core.design.input)
        built = schedule_engine(core.design, Schedule(first, hidden))
        assert recurrent_clocks(built) <= core.recurrent_cycles(hidden)


# What is not known is null -----------------------------------------------------------------------


def nulls(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from nulls(part, f"{path}.{name}" if path else str(name))
    elif value is None:
        yield path


def test_what_the_model_of_the_rtl_does_not_know_is_null():
    told = json.loads(json.dumps(plan(TINY, ZYNQ, "rtl").to_json()))
    assert set(nulls(told)) == {"fill_latency_cycles", "resources.ff", "used.ff"}
    assert set(nulls(plan(TINY, ZYNQ, "hls").to_json())) == set()
    row = tuned(TINY, ZYNQ, "rtl")
    assert {"fill_latency_cycles", "resources.ff", "used.ff"} <= set(nulls(row.row(row.chosen)))
    stages = row.estimate.to_json()["stages"]
    assert {stage["ff"] for stage in stages} == {None}
    assert {stage["name"] for stage in stages if stage["cycles"] is None} == {
        "control", "gearbox", "head", "writer"
    }  # fmt: skip


# What does not fit -------------------------------------------------------------------------------


def test_what_fits_no_budget_is_as_small_as_it_can_be_and_says_what_would_fit():
    network = untrained_network(load_experiment("digits-cp-lstm"))
    found = plan(network, ZYNQ)
    assert not found.fits and found.lacking[0].endswith(" FF")
    least = found.budget.strain(found.estimate.resources)
    core = core_to_tune(network, ZYNQ)
    for pace in possible_paces(core)[::7]:
        assert quick_design(core, ZYNQ, Limits(pace, None, ZYNQ.limits)) is None
    assert least < ZYNQ.strain(estimate(lower(network)).resources)
    boards = boards_that_fit(network)
    assert boards and "pynq-z2" not in boards
    assert plan(network, board_budget(get_board(boards[0]))).fits
    assert what_would_fit(network, not_on="pynq-z2").startswith(f"--board {boards[0]} or ")


def test_no_board_is_named_where_none_would_fit():
    network = untrained_network(load_experiment("motion-dense-lstm"))
    assert boards_that_fit(network) == ()
    assert what_would_fit(network) == "lower ranks or widths (fdht tune --explore)"


# Quick answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("share", ["1", "0.6", "0.3", "0.15"])
def test_a_quick_answer_is_never_wrong(core: CoreKind, share: str):
    budget = replace(ZYNQ, shares=parse_shares(share))
    model: CoreModel = core_to_tune(TINY, budget, core)
    for pace in possible_paces(model)[::5]:
        limits = Limits(pace, None, budget.limits)
        found, every = quick_design(model, budget, limits), search(model, limits)
        assert not (hopeless(model, limits) and (found or every))
        if found is not None:
            assert found.cycles <= pace and budget.strain(found.resources) <= 1
            assert found.cycles == model.estimate(found.schedule).cycles_per_frame
            assert found.resources == model.estimate(found.schedule).resources


def test_a_latency_that_is_not_kept_is_no_answer():
    model = core_to_tune(TINY, ZYNQ)
    limits = Limits(possible_paces(model)[-1], 1, ZYNQ.limits)
    assert quick_design(model, ZYNQ, limits) is None
    assert quick_design(model, ZYNQ, replace(limits, latency=10_000)) is not None


# Boards and parts --------------------------------------------------------------------------------


def test_a_part_stands_for_the_board_that_has_it_unless_a_board_is_named():
    assert board_of(None).name == board_of(None, "xc7z020clg400-1").name == "pynq-z2"
    part = get_board("zcu104").part.name
    assert board_of(None, part).name == "zcu104"
    assert board_of("kv260", part).name == "kv260"
    assert board_of(None, "xc7a35t").name == "pynq-z2"
    with pytest.raises(ConfigError, match="did you mean 'kv260'"):
        board_of("kv26")


def test_more_bytes_than_a_port_delivers_are_refused():
    with pytest.raises(ConfigError, match="a port of pynq-z2 delivers 8 bytes a clock"):
        board_budget(get_board("pynq-z2"), port_bytes=16)
    wide: Budget = board_budget(get_board("zcu104"), port_bytes=16)
    assert wide.bytes_per_clock == 16 and wide.clock_mhz == get_board("zcu104").clock_mhz
