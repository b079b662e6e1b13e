"""Stages made of adders: equal to the reference, in the size that da4ml says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Module, Shape, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from fdht_hls.adders import AdderGraph, adder_graph
from fdht_hls.rtl.arithmetic import add_constants, registered
from fdht_hls.rtl.core import verilog_of
from fdht_hls.rtl.yosys_count import count_resources
from fdht_hls.schedule import (
    Schedule,
    StageSchedule,
    check_schedule,
    default_schedule,
    shapes_of,
    vector_length,
)
from fdht_models.errors import ConfigError
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.random_networks import random_network
from tests.hls.rtl.simulation import assert_equal_to_reference

KERNEL = Path(__file__).parents[2] / "data" / "kernel_24x8.json"
#: A fibre is one memory word; W_h reads its own in one turn as well.
WORDS = fdht_shape((2, 3, 8), (8, 2, 2), (2, 2, 2), 2, 2)


def with_adders(network: QuantizedNetwork) -> Schedule:
    """Adders in the first stages of both paths."""
    recurrence = network.recurrence
    schedule = default_schedule(recurrence)
    firsts = []
    for path in (recurrence.input_path, recurrence.hidden_path):
        shape = shapes_of(path)[0]
        firsts.append(StageSchedule(vector_length(shape), shape.outputs, weights="adders"))
    return Schedule((firsts[0], *schedule.input[1:]), (firsts[1], *schedule.hidden[1:]))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("seeds", [(None, None), (5, 6)])
def test_the_engine_equals_the_reference(seed: int, seeds: tuple[int | None, int | None]):
    network = random_network(seed, WORDS)
    schedule = with_adders(network)
    check_schedule(network.recurrence, schedule)
    frames = np.random.default_rng(seed).integers(0, 256, (3, network.inputs)).astype(np.uint8)
    assert_equal_to_reference(network, frames, schedule, seeds)


def test_adders_need_one_set_of_weights():
    network = random_network(1, WORDS)
    schedule = with_adders(network)
    last = replace(schedule.input[1], weights="adders")
    wrong = replace(schedule, input=(schedule.input[0], last, *schedule.input[2:]))
    message = (
        r"schedule\.input\[1\]\.weights = 'adders': needs one set of weights, and the stage "
        r"has \d+; "
        "use constant or loadable"
    )
    with pytest.raises(ConfigError, match=message):
        check_schedule(network.recurrence, wrong)


def test_adders_need_a_whole_turn_in_a_beat():
    network = random_network(1, WORDS)
    schedule = with_adders(network)
    part = replace(schedule.input[0], vector=schedule.input[0].vector // 2)
    wrong = replace(schedule, input=(part, *schedule.input[1:]))
    with pytest.raises(ConfigError, match=r"input\[0\]\.weights = 'adders': needs a whole turn"):
        check_schedule(network.recurrence, wrong)


class Kernel(wiring.Component):
    """A graph of adders between registers."""

    def __init__(self, graph: AdderGraph, source: FixedPoint, inputs: int) -> None:
        self.graph = graph
        source_layout = data.ArrayLayout(Shape(source.width, source.signed), inputs)
        width = max(graph.nodes[one.term.node].width + one.term.shift for one in graph.outputs)
        sums = data.ArrayLayout(signed(width + 1), len(graph.outputs))
        ports = {"ap_clk": In(1), "values": In(source_layout), "sums": Out(sums)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        module = Module()
        module.domains.sync = ClockDomain(reset_less=True)
        module.d.comb += ClockSignal().eq(self.ap_clk)
        values = [registered(module, value, "value") for value in self.values]
        found = add_constants(module, self.graph, values)
        module.d.comb += [port.eq(value) for port, value in zip(self.sums, found, strict=True)]
        return module


@pytest.mark.slow
def test_yosys_finds_the_luts_that_da4ml_names():
    """A trained kernel of 24 x 8 weights of 8 bits, within 15 %."""
    codes = np.array(json.loads(KERNEL.read_text())["codes"])
    assert codes.shape == (24, 8)
    source = FixedPoint(8, 8, signed=False)
    graph = adder_graph(codes, source)
    found = count_resources(verilog_of(Kernel(graph, source, 24)))
    assert found.lut == pytest.approx(graph.cost, rel=0.15)
    assert found.ff - 24 * 8 == pytest.approx(graph.register_bits, rel=0.15)
    assert (found.dsp, found.bram36) == (0, 0)


def test_the_graph_in_logic_is_the_graph():
    codes = np.array(json.loads(KERNEL.read_text())["codes"])[:, :3]
    source = FixedPoint(8, 8, signed=False)
    graph = adder_graph(codes, source)
    design = Kernel(graph, source, 24)
    inputs = np.random.default_rng(0).integers(0, 256, (20, 24))
    found: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        for place in range(len(inputs) + graph.clocks + 1):
            values = inputs[min(place, len(inputs) - 1)]
            ctx.set(design.values, [int(value) for value in values])
            ctx.set(design.ap_clk, 0)
            await ctx.delay(1e-6)
            ctx.set(design.ap_clk, 1)
            await ctx.delay(1e-6)
            found.append([int(ctx.get(port)) for port in design.sums])

    simulator = Simulator(design)
    simulator.add_testbench(bench)
    simulator.run()
    np.testing.assert_array_equal(found[graph.clocks : graph.clocks + len(inputs)], inputs @ codes)
