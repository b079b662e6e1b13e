# amaranth: UnusedElaboratable=no
"""Two products in a DSP slice: against plain products, the reference, and what yosys makes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from fdht_hls.engine import StagePlan, lower, stage_designs
from fdht_hls.engine.contractions import QUEUE_WORDS
from fdht_hls.engine.pairs import pair_bits, pair_codes, why_no_pairs
from fdht_hls.estimate.rtl import stage_parts
from fdht_hls.estimate.rtl_memory import RtlModel
from fdht_hls.rtl.arithmetic import code_shape
from fdht_hls.rtl.contraction import ContractionStage
from fdht_hls.rtl.core import TOP
from fdht_hls.rtl.pairs import pair_clocks, pair_sums
from fdht_hls.rtl.yosys_count import count_resources
from fdht_hls.schedule import PAIRS, Schedule, StageSchedule, default_schedule
from fdht_models.errors import ConfigError
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.recurrent import fdht_shape
from tests.models.strategies import Widths, build_network

#: Values of 10 bits and weights of 7: a slice's operand is used to its last bit.
SHAPE = fdht_shape((4, 12, 6), (4, 4, 2), (2, 4), 6, 3)
NETWORK = build_network(SHAPE, widths=Widths(core=7))


def paired(outputs: int = 12, vector: int = 6) -> StagePlan:
    """The second stage of W_x x."""
    design = stage_designs(NETWORK.recurrence, "input", 1)[1]
    return StagePlan(design, StageSchedule(vector, outputs, PAIRS), QUEUE_WORDS)


class PairSums(wiring.Component):
    """`pair_sums` with ports: values and pairs of weights in, both sums out."""

    def __init__(self, stage: StagePlan, count: int) -> None:
        self.stage, self.count = stage, count
        total = code_shape(stage.design.total)
        super().__init__(
            {
                "values": In(data.ArrayLayout(code_shape(stage.design.source), count)),
                "pairs": In(data.ArrayLayout(unsigned(pair_bits(stage.design)), count)),
                "low": Out(total),
                "high": Out(total),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module, places = Module(), range(self.count)
        sums = pair_sums(
            module,
            self.stage,
            [self.values[at] for at in places],
            [self.pairs[at] for at in places],
        )
        module.d.comb += [self.low.eq(sums[0]), self.high.eq(sums[1])]
        return module


def sums_of(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """What the logic makes of values and of both weights, all [n, count]: [n, 2]."""
    stage, count = paired(), values.shape[1]
    weights = np.stack([low, high], axis=-1).reshape(len(values), -1)
    kept = pair_codes(QuantizedArray(stage.rows.format, weights))
    pairs = kept & ((1 << pair_bits(stage.design)) - 1)
    logic, found, clocks = PairSums(stage, count), [], pair_clocks(count)

    async def bench(ctx: Any) -> None:
        for number in range(len(values) + clocks):
            if number < len(values):
                ctx.set(logic.values, [int(value) for value in values[number]])
                ctx.set(logic.pairs, [int(pair) for pair in pairs[number]])
            await ctx.tick()
            if number >= clocks - 1:
                found.append((ctx.get(logic.low), ctx.get(logic.high)))

    simulator = Simulator(logic)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(found[: len(values)])


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_both_sums_are_exact_up_to_the_limits(count: int):
    """Every mix of limits in one value, and all values alike; and numbers in between."""
    stage = paired()
    source, core = stage.design.source, stage.design.core.format
    limits = [(one.minimum, -1, 0, 1, one.maximum) for one in (source, core, core)]
    corners = np.array(list(product(*limits)))
    same = np.repeat(corners[:, None], count, axis=1)
    generator = np.random.default_rng(0)
    mixed = corners[generator.integers(len(corners), size=(200, count))]
    between = np.stack(
        [generator.integers(one.minimum, one.maximum + 1, (100, count)) for one in (source, core)]
        + [generator.integers(core.minimum, core.maximum + 1, (100, count))],
        axis=-1,
    )
    drawn = np.concatenate([same, mixed, between])
    values, low, high = drawn[..., 0], drawn[..., 1], drawn[..., 2]
    wanted = np.stack([(values * low).sum(axis=1), (values * high).sum(axis=1)], axis=1)
    np.testing.assert_array_equal(sums_of(values, low, high), wanted)


def test_what_cannot_be_paired_is_refused():
    recurrence = NETWORK.recurrence
    plain = default_schedule(recurrence)

    def with_second(stage: StageSchedule, **first: Any) -> Schedule:
        rest = (replace(plain.input[0], **first), stage, *plain.input[2:])
        return replace(plain, input=rest)

    lower(NETWORK, with_second(StageSchedule(6, 12, PAIRS)))
    with pytest.raises(
        ConfigError, match=r"input\[1\].multipliers .* take two outputs each, and 3"
    ):
        lower(NETWORK, with_second(StageSchedule(6, 3, PAIRS)))
    with pytest.raises(ConfigError, match="all beats of this stage have the same"):
        outputs = stage_designs(recurrence, "input", 1)[0].shape.outputs
        whole = {"vector": 6, "outputs": outputs, "multipliers": PAIRS}
        lower(NETWORK, with_second(plain.input[1], **whole))
    with pytest.raises(ConfigError, match="are for constant weights, and these are loadable"):
        lower(NETWORK, with_second(StageSchedule(6, 12, PAIRS)).with_weights("loadable"))
    wide = build_network(SHAPE, widths=Widths(core=8))
    design = stage_designs(wide.recurrence, "input", 1)[1]
    said = why_no_pairs(design, StageSchedule(6, 12, PAIRS))
    assert said == "need 27 x 10 bits here, and a DSP slice multiplies 25 x 18"


@pytest.mark.slow  # yosys, twice
def test_yosys_makes_half_as_many_slices():
    found = {}
    for kind in ("dsp", PAIRS):
        plan = replace(paired(), schedule=StageSchedule(6, 12, kind), coming=(12, 4))
        counted = count_resources(verilog.convert(ContractionStage(plan), name=TOP, emit_src=False))
        estimated = stage_parts(plan, RtlModel())
        assert counted.dsp == estimated.dsp, kind
        assert counted.lut + counted.lutram == pytest.approx(estimated.lut, rel=0.15), kind
        found[kind] = counted.dsp
    assert found == {"dsp": 72, PAIRS: 36}
