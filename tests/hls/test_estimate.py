"""The estimate: every process, the slowest of them, and what it is called."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from fdht_hls.estimate import estimate, fibre_interval, hidden_interval, stage_interval
from fdht_hls.shapes import stage_shape
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.test_shapes import STUDY
from tests.models.strategies import SEEDS, build_network, fdht_shapes


def small_network(classes: int = 3) -> QuantizedNetwork:
    """Few inputs and many units, so that the recurrence is what takes longest."""
    return build_network(fdht_shape((2, 3, 8), (16, 2, 2), (2, 8), 2, 2), classes=classes)


def test_configuration_b_goes_at_the_pace_of_its_memory_port():
    found = estimate(build_network(STUDY["B"][0]))
    cycles = {stage.name: stage.cycles for stage in found.stages}
    assert found.limited_by == "read frame"
    assert found.cycles_per_frame == cycles["read frame"] == 7200 + 40
    assert cycles == cycles | {"W_x C4": 7200, "W_x C3": 4800, "W_x C2": 960 * 7, "W_x C1": 640 * 8}
    # The study's widths for II 7,232, where a stage need not be faster than its input.
    multipliers = {stage.name: stage.multipliers for stage in found.stages}
    assert multipliers["W_x C4"] == 64 and multipliers["W_x C3"] == 64


def test_bytes_are_read_one_a_clock_where_a_fibre_is_no_whole_number_of_words():
    words = estimate(build_network(fdht_shape((3, 4, 8), (8, 2, 2), (2, 4), 2, 3))).stages[0]
    found = estimate(build_network(fdht_shape((3, 4, 9), (8, 2, 2), (2, 4), 2, 3))).stages[0]
    assert (words.name, words.cycles) == ("read frame", 12 + 40)
    assert (found.name, found.cycles) == ("read frame", 12 * 9 + 40)


def test_a_small_frame_waits_for_the_recurrence():
    found = estimate(small_network())
    assert found.limited_by == "LSTM cell"
    cell = next(stage for stage in found.stages if stage.name == "LSTM cell")
    assert found.cycles_per_frame == cell.cycles > found.recurrent_latency_cycles > 0
    assert cell.macs == small_network().recurrence.hidden_path.plan.macs


def test_the_head_is_a_multiplier_a_class():
    stages = {classes: estimate(small_network(classes)).stages[-1] for classes in (1, 7)}
    assert {stage.name for stage in stages.values()} == {"head"}
    assert {stage.cycles for stage in stages.values()} == {16}
    assert [(stage.macs, stage.multipliers) for stage in stages.values()] == [(16, 1), (112, 7)]


@given(fdht_shapes(max_modes=3), SEEDS)
@settings(max_examples=40)
def test_estimates_of_any_network(shape, seed):
    network = build_network(shape, seed)
    lstm = network.recurrence
    found = estimate(network)
    by_name = {stage.name: stage for stage in found.stages}
    assert len(by_name) == len(found.stages) == len(shape.input_modes) + 3
    assert found.cycles_per_frame == max(stage.cycles for stage in found.stages)
    assert by_name[found.limited_by].cycles == found.cycles_per_frame
    arrival = shape.input_size // shape.input_modes[-1] * fibre_interval(lstm)
    for position, core in enumerate(lstm.input_path.cores):
        stage, plan = by_name[f"W_x {core}"], lstm.input_path.plan.stages[position]
        own, interval = stage_shape(lstm.input_path, position), stage_interval(lstm, position)
        assert stage.macs == plan.macs
        assert stage.cycles == own.turns * interval
        assert stage.cycles <= max(arrival, own.turns), "no slower than its input allows"
        assert (
            stage.multipliers * interval >= own.macs_per_turn > (stage.multipliers - 1) * interval
        )
    assert by_name["LSTM cell"].macs == lstm.hidden_path.plan.macs
    assert sum(stage.macs for stage in found.stages) == network.macs
    hidden = sum(
        stage_shape(lstm.hidden_path, position).turns * hidden_interval()
        for position in range(len(lstm.hidden_path.cores))
    )
    assert found.recurrent_latency_cycles > hidden + lstm.units
    assert found.fill_latency_cycles > 2 * lstm.units


def test_the_json_says_what_it_is():
    found = estimate(small_network())
    value = json.loads(json.dumps(found.to_json()))
    assert value["kind"] == "estimated"
    assert value["cycles_per_frame"] == found.cycles_per_frame
    assert set(value) >= {"limited_by", "fill_latency_cycles", "recurrent_latency_cycles"}
    assert [set(stage) for stage in value["stages"]] == [
        {"name", "cycles", "macs", "multipliers"}
    ] * len(found.stages)


@pytest.mark.parametrize(("fibre", "clocks"), [(1, 1), (8, 1), (9, 2), (24, 3)])
def test_a_fibre_arrives_at_a_word_a_clock(fibre, clocks):
    lstm = build_network(fdht_shape((2, fibre), (4, 1), (1,), 1, 1)).recurrence
    assert fibre_interval(lstm) == clocks == stage_interval(lstm, 0)
