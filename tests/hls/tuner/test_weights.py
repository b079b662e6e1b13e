"""Adders and loadable weights as the tuner and the estimate see them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from fdht_hls import adders
from fdht_hls.adders import adder_graph
from fdht_hls.engine import StageDesign, design_engine, lower
from fdht_hls.estimate import CoreModel, estimate
from fdht_hls.estimate.hls_parts import multipliers, weights
from fdht_hls.estimate.reading import check_estimate
from fdht_hls.schedule import (
    Schedule,
    StageSchedule,
    check_schedule,
    choices,
    default_schedule,
    vector_length,
)
from fdht_hls.tuner.alternatives import kinds
from fdht_hls.tuner.search import Limits, search
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.random_networks import random_network

#: A first stage of 8 x 4 constants; then more.
NETWORK = random_network(1, fdht_shape((2, 3, 8), (8, 2, 2), (2, 2, 2), 2, 2))
CORE = CoreModel(design_engine(NETWORK))
SLOW = Limits(100_000)


def zeros_like(array: QuantizedArray) -> QuantizedArray:
    """Of a network that is not trained."""
    return QuantizedArray(array.format, np.zeros_like(array.codes))


def whole(design: StageDesign, kind: str) -> StageSchedule:
    return StageSchedule(vector_length(design.shape), design.shape.outputs, weights=kind)


def test_adders_take_what_da4ml_says_of_trained_weights():
    design = CORE.design.input[0]
    found = multipliers(design, whole(design, "adders"), CORE.model, CORE.engine)
    assert design.kernel is not None
    graph = adder_graph(design.kernel, design.source)
    assert (found.lut, found.ff, found.dsp) == (graph.cost, graph.register_bits, 0)
    assert weights(design, whole(design, "adders"), CORE.model).lut == 0


def test_adders_of_unknown_weights_take_what_the_study_says():
    design = replace(CORE.design.input[0], core=zeros_like(CORE.design.input[0].core))
    found = multipliers(design, whole(design, "adders"), CORE.model, CORE.engine)
    bits = design.core.format.width * design.source.width
    assert found.lut == pytest.approx(0.21 * bits * design.shape.macs_per_turn, abs=1)


def test_no_kernel_is_known_of_an_untrained_network():
    from fdht_hls.tuner.untrained import network_of
    from fdht_models.sections import QuantizationSettings

    shape = fdht_shape((2, 3, 8), (8, 2, 2), (2, 2, 2), 2, 2)
    untrained = network_of("x", shape, QuantizationSettings(), ("a",))
    assert design_engine(untrained).input[0].kernel is None


def test_only_a_whole_turn_of_one_set_of_weights_can_be_adders():
    first, second = CORE.design.input[:2]
    assert {one.weights for one in kinds(CORE, first, whole(first, "constant"))} == {
        "constant",
        "adders",
    }
    part = StageSchedule(vector_length(first.shape) // 2, first.shape.outputs)
    for design, choice in ((first, part), (second, whole(second, "constant"))):
        assert [(one.multipliers, one.weights) for one in kinds(CORE, design, choice)] == [
            ("dsp", "constant"),
            ("lut", "constant"),
        ]


def test_without_da4ml_there_are_no_adders(monkeypatch):
    monkeypatch.setattr(adders.importlib.util, "find_spec", lambda name: None)
    first = CORE.design.input[0]
    assert [one.multipliers for one in kinds(CORE, first, whole(first, "constant"))] == [
        "dsp",
        "lut",
    ]


def test_the_tuner_takes_adders_where_slices_are_scarce():
    """At the fastest pace there is, which is that of the second stage."""
    core = CoreModel(
        design_engine(random_network(1, fdht_shape((16, 16, 8), (8, 2, 2), (2, 2, 2), 2, 2)))
    )
    most = Schedule(
        tuple(choices(design.shape)[-1] for design in core.design.input),
        tuple(choices(design.shape)[-1] for design in core.design.hidden),
    )
    designs = search(core, Limits(core.pace(most)[0]))
    few = min(designs, key=lambda one: (one.resources.dsp, one.resources.lut))
    assert few.schedule.input[0].weights == "adders"
    check_schedule(core.design.cell.recurrence, few.schedule)


def test_loadable_designs_have_multipliers_and_a_loader():
    core = CoreModel(design_engine(NETWORK), loadable=True)
    found = search(core, SLOW)
    assert found
    for design in found:
        assert {stage.weights for stage in design.schedule.stages} == {"loadable"}
        again = estimate(lower(NETWORK, design.schedule))
        assert again.resources == design.resources
        untimed = {row.name for row in again.stages if row.cycles is None}
        assert untimed == {"registers", "load weights"}
        check_estimate(json.loads(json.dumps(again.to_json())), "estimate.json")
    assert core.fixed.lut > CORE.fixed.lut


def test_loadable_weights_are_not_constants():
    """A multiplier of LUT that sees one weight only is cheap only if that stays."""
    design = CORE.design.input[0]
    constant, loadable = (
        multipliers(
            design, replace(whole(design, kind), multipliers="lut"), CORE.model, CORE.engine
        ).lut
        for kind in ("constant", "loadable")
    )
    assert constant < loadable


def test_the_default_schedule_is_constant():
    schedule = default_schedule(NETWORK.recurrence)
    assert not schedule.loadable
    assert schedule.with_weights("loadable").loadable
    assert np.all([stage.weights == "constant" for stage in schedule.stages])
