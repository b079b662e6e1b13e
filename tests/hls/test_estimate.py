"""The estimate: every process, the slowest of them, when a result is there, and what it takes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_hls.benchmarks.random_networks import STUDY as CONFIGURATIONS
from fdht_hls.benchmarks.random_networks import random_network
from fdht_hls.engine import design_engine, lower
from fdht_hls.estimate import FAMILIES, Assumptions, CoreModel, ResourceModel, estimate
from fdht_hls.estimate.hls_parts import multipliers, stage_resources
from fdht_hls.estimate.primitives import (
    bram18,
    dsps_of_product,
    lut_memory,
    lut_rom,
    luts_of_constant_product,
    luts_of_product,
)
from fdht_hls.estimate.timing import reader_times, stage_times
from fdht_hls.schedule import (
    Schedule,
    StageSchedule,
    choices,
    default_schedule,
    shapes_of,
    vector_counts,
)
from fdht_hls.shapes import StageShape, collects, fibre_counts
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.test_shapes import STUDY
from tests.models.format_cases import SHAPES
from tests.models.strategies import SEEDS, Widths, build_network, fdht_shapes

STUDY_C = fdht_shape((10, 12, 20, 24), (32, 8, 4, 1), (8, 4, 8), 4, 4)
#: A model without allowances, so that only loops are counted, as in the study's cycle model.
BARE = dataclasses.replace(ResourceModel(), pipeline_depth=0, memory_latency=0)


def small_network(classes: int = 3) -> QuantizedNetwork:
    """Few inputs and many units, so that the recurrence is what takes longest."""
    return build_network(fdht_shape((2, 3, 8), (16, 2, 2), (2, 8), 2, 2), classes=classes)


def test_configuration_b_goes_at_the_pace_of_its_memory_port():
    found = estimate(lower(build_network(STUDY["B"][0])))
    rows = {stage.name: stage for stage in found.stages}
    assert found.limited_by == "read frame"
    assert found.cycles_per_frame == rows["read frame"].cycles == 7200 + 40
    # 960 turns of 4 beats, 640 of 8; a pipeline's depth on top.
    assert [rows[f"input.C{k}"].cycles for k in (4, 3, 2, 1)] == [7212, 4812, 3852, 5132]
    # The study's widths for II 7,232, where a stage need not be faster than its input.
    assert [rows[f"input.C{k}"].multipliers for k in (4, 3)] == [64, 64]


def with_multipliers(network: QuantizedNetwork, wanted: tuple[int, ...]) -> Schedule:
    """A schedule with so many multiply-accumulates a clock in each stage of W_x x."""
    schedule = default_schedule(network.recurrence)
    stages = []
    for shape, parallel in zip(shapes_of(network.recurrence.input_path), wanted, strict=True):
        stages.append(next(one for one in choices(shape) if one.parallel == parallel))
    return dataclasses.replace(schedule, input=tuple(stages))


#: Section 2 of the study, its cycle model: multipliers of stages 4 .. 1, clocks a frame, and clocks
#: from the last pixel to h, where h is a last slab of 32 words behind the frame.
CYCLE_MODEL = {
    "B": (STUDY["B"][0], (64, 64, 32, 16), 7232, 606),
    "C": (STUDY_C, (32, 64, 32, 16), 7232, 589),
}


def latency_with_a_last_slab(core: CoreModel, schedule: Schedule) -> int:
    """Clocks from the last pixel to the last sum if W_h h took the same stages behind W_x x."""
    times = core.arrivals
    slab = core.last_word + np.arange(1, core.design.hidden[0].shape.outer + 1)
    for own, hidden, chosen in zip(
        core.design.input, core.design.hidden, schedule.input, strict=True
    ):
        after = stage_times(times, own.shape, chosen.beats(own.shape), BARE)
        beats = -(-hidden.shape.macs_per_turn // chosen.parallel)
        slab = stage_times(np.maximum(slab, after[-1]), hidden.shape, beats, BARE)
        times = after
    return int(slab[-1]) - core.last_word


@pytest.mark.parametrize("name", CYCLE_MODEL)
def test_the_study_s_cycle_model(name):
    shape, wanted, interval, latency = CYCLE_MODEL[name]
    network = build_network(shape)
    core, schedule = CoreModel(design_engine(network), BARE), with_multipliers(network, wanted)
    found = core.estimate(schedule)
    # The study puts 32 words of h behind the frame's 7,200; here W_h h has multipliers of its own.
    assert found.cycles_per_frame == interval - 32
    # This model gives 520 clocks for both, 12 and 14 % less; why is not known. The study steps by
    # items, with a ceiling for each, and its code is not at hand to compare.
    assert latency_with_a_last_slab(core, schedule) == pytest.approx(latency, rel=0.15)
    # So the recurrence is off the path from the last pixel to the result.
    assert found.fill_latency_cycles < latency / 2


def test_the_study_s_compute_bound_configuration():
    """A0 with 64 multipliers in stage 3: 819,200 / 64 = 12,800 clocks, and 128 for h.

    A turn of that stage has 64 products, so that more than 64 multipliers find no work.
    """
    network = build_network(STUDY["A0"][0])
    core = CoreModel(design_engine(network), BARE)
    found = core.estimate(with_multipliers(network, (144, 64, 32, 16)))
    assert (found.limited_by, found.cycles_per_frame) == ("input.C3", 12_928 - 128)


def test_configuration_a0_keeps_pace_with_two_vectors_at_once():
    """The study's limit above falls: 128 multipliers in stage 3 do 819,200 products in 6,400."""
    network = build_network(STUDY["A0"][0])
    found = estimate(lower(network))
    assert found.limited_by == "read frame" and found.cycles_per_frame == 7240
    third = default_schedule(network.recurrence).input[1]
    assert (third.parallel, third.vectors) == (128, 2)


def test_fibres_of_any_length_are_read_at_the_pace_of_the_port():
    words = build_network(fdht_shape((3, 4, 8), (8, 2, 2), (2, 4), 2, 3))
    others = build_network(fdht_shape((3, 4, 9), (8, 2, 2), (2, 4), 2, 3))
    assert estimate(lower(words)).stages[0].cycles == 12 + 40
    assert estimate(lower(others)).stages[0].cycles == 14 + 40


def test_fibres_shorter_than_a_word_are_read_one_a_clock():
    network = build_network(fdht_shape((3, 4, 3), (8, 2, 2), (4, 2), 2, 3))
    assert estimate(lower(network)).stages[0].cycles == 12 + 40
    assert (
        estimate(lower(network, default_schedule(network.recurrence), 16)).stages[0].cycles
        == 12 + 40
    )


def test_several_fibres_are_read_and_worked_on_at_once():
    network = random_network("C", CONFIGURATIONS["C"])
    schedule = default_schedule(network.recurrence, 32)
    found = estimate(lower(network, schedule, 32))
    assert (found.limited_by, found.cycles_per_frame) == ("read frame", 1800 + 40)
    single = estimate(lower(network, default_schedule(network.recurrence), 32))
    assert single.stages[0].cycles == 2400 + 40
    assert found.stages[0].resources.lut > single.stages[0].resources.lut
    assert sum(stage.macs for stage in found.stages) == network.macs


def test_more_ports_read_faster_and_take_more():
    network = build_network(STUDY["B"][0])
    one, two = (
        estimate(lower(network, default_schedule(network.recurrence), count)).stages[0]
        for count in (8, 16)
    )
    assert (one.cycles, two.cycles) == (7240, 3640)
    assert two.resources.lut > one.resources.lut


def test_a_small_frame_waits_for_the_recurrence():
    found = estimate(lower(small_network()))
    assert found.limited_by == "cell"
    cell = next(stage for stage in found.stages if stage.name == "cell")
    assert found.cycles_per_frame == cell.cycles > found.recurrent_latency_cycles > 0


def test_the_head_is_a_multiplier_a_class():
    heads = {}
    for classes in (1, 7):
        rows = {stage.name: stage for stage in estimate(lower(small_network(classes))).stages}
        heads[classes] = rows["head"]
    assert [(one.macs, one.multipliers) for one in heads.values()] == [(16, 1), (112, 7)]
    assert [one.resources.dsp for one in heads.values()] == [1, 7]


@pytest.mark.parametrize("label", SHAPES)
def test_every_format_and_cell_has_an_estimate(label):
    network = build_network(SHAPES[label])
    found = estimate(lower(network))
    path = network.recurrence.input_path
    stages = [stage for stage in found.stages if stage.name.startswith("input.")]
    assert [stage.macs for stage in stages] == [stage.macs for stage in path.plan.stages]
    assert sum(stage.macs for stage in found.stages) == network.macs
    assert sum(found.latency.values()) == found.fill_latency_cycles > 0


@given(fdht_shapes(max_modes=3), SEEDS)
@settings(max_examples=40, deadline=None)
def test_estimates_of_any_network(shape, seed):
    network = build_network(shape, seed)
    recurrence, schedule = network.recurrence, default_schedule(network.recurrence)
    found = estimate(lower(network))
    by_name = {stage.name: stage for stage in found.stages}
    assert len(by_name) == len(found.stages) == 2 * len(shape.input_modes) + 5
    untimed = [stage.name for stage in found.stages if stage.cycles is None]
    assert untimed == ["registers"]
    assert found.cycles_per_frame == max(stage.cycles or 0 for stage in found.stages)
    assert by_name[found.limited_by].cycles == found.cycles_per_frame
    assert sum(stage.macs for stage in found.stages) == network.macs
    own = zip(shapes_of(recurrence.input_path), schedule.input, strict=True)
    for core, (stage, chosen) in zip(recurrence.input_path.cores, own, strict=True):
        row = by_name[f"input.{core}"]
        assert row.cycles - 12 == max(row.macs // row.multipliers, stage.words_out)
        assert row.multipliers == chosen.parallel and row.cycles == chosen.cycles(stage) + 12
    busy = sum(stage.cycles for stage in found.stages if stage.name.startswith("hidden."))
    collected = 4 * recurrence.units if collects(recurrence) else 0
    assert found.recurrent_latency_cycles == busy + recurrence.units + collected
    assert found.resources.lut == sum(stage.resources.lut for stage in found.stages) > 0


@given(fdht_shapes(max_modes=3), SEEDS, st.data())
@settings(max_examples=40, deadline=None)
def test_more_multipliers_are_never_slower_nor_fewer_dsp(shape, seed, data):
    network = build_network(shape, seed)
    path = network.recurrence.input_path
    at = data.draw(st.integers(0, len(path.cores) - 1))
    every = choices(shapes_of(path)[at])
    slow = data.draw(st.sampled_from(every))
    fast = data.draw(
        st.sampled_from(
            [
                one
                for one in every
                if one.vector % slow.vector == 0
                and one.outputs % slow.outputs == 0
                and one.vectors % slow.vectors == 0
            ]
        )
    )
    core, base = CoreModel(design_engine(network)), default_schedule(network.recurrence)

    def with_stage(stage: StageSchedule) -> Schedule:
        return dataclasses.replace(base, input=(*base.input[:at], stage, *base.input[at + 1 :]))

    first, second = core.estimate(with_stage(slow)), core.estimate(with_stage(fast))
    assert second.fill_latency_cycles <= first.fill_latency_cycles
    assert second.stages[1 + at].cycles <= first.stages[1 + at].cycles
    assert second.resources.dsp >= first.resources.dsp


def beat_by_beat(arrivals: list[int], shape: StageShape, beats: int, vectors: int = 1) -> list[int]:
    """When words leave a stage whose FIFO is a deque and whose clock is counted one by one."""
    waiting = deque(arrivals)
    clock, leaving = 0, []
    mode = 1 if shape.fibre else shape.mode
    for turn in range(shape.outer * mode * shape.groups):
        clock = max(clock, waiting.popleft())
        value = turn // shape.groups % mode
        done = 0
        for _ in range(shape.inner * shape.lanes // vectors):
            clock += beats
            done += vectors
            while done >= shape.lanes:
                done -= shape.lanes
                if value == mode - 1:
                    leaving.append(clock)
    assert not waiting
    # Words that are complete at once leave one by one, but for those of fibres.
    if shape.fibre:
        leaving = leaving[:: shape.together]
    elif vectors > shape.lanes:
        for at in range(1, len(leaving)):
            leaving[at] = max(leaving[at], leaving[at - 1] + 1)
    return leaving


@given(fdht_shapes(max_modes=3), st.integers(1, 5), st.integers(1, 200), SEEDS)
@settings(max_examples=60, deadline=None)
def test_words_leave_when_a_clocked_stage_would_let_them_go(shape, beats, cycles, seed):
    path = build_network(shape, seed).recurrence.input_path
    generator = np.random.default_rng(seed)
    counts = fibre_counts(path)
    for stage in shapes_of(path, counts[generator.integers(len(counts))]):
        mode = 1 if stage.fibre else stage.mode
        steps = generator.integers(0, cycles, stage.outer * mode * stage.groups)
        arrivals = np.cumsum(steps)
        for vectors in vector_counts(stage):
            found = stage_times(arrivals, stage, beats, BARE, vectors)
            wanted = beat_by_beat(arrivals.tolist(), stage, beats, vectors)
            np.testing.assert_array_equal(found, wanted)


def test_fibres_arrive_at_an_even_pace():
    np.testing.assert_array_equal(reader_times(4, 10, BARE), [3, 5, 8, 10])


# Resources ---------------------------------------------------------------------------------------

#: Section 3 of the study: LUT of constant kernels by outputs of da4ml, with normal weights.
KERNELS = {
    (18, 16): (2963, 4039, 4205, 5693),
    (24, 8): (2086, 2866, 2998, 4058),
    (24, 4): (1052, 1448, 1475, 2008),
    (20, 16): (3313, 4533, 4694, 6327),
    (12, 32): (3776, 5192, 5276, 7140),
    (16, 8): (1377, 1905, 1862, 2538),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_constant_multipliers_take_what_the_study_found(kernel):
    model = ResourceModel()
    found = [
        math.prod(kernel) * luts_of_constant_product(weight, value, model)
        for weight in (6, 8)
        for value in (8, 12)
    ]
    assert found == pytest.approx(KERNELS[kernel], rel=0.17)


@pytest.mark.parametrize(("bits", "counted"), [((12, 8), 52), ((9, 8), 39)])
def test_variable_multipliers_take_what_yosys_counts(bits, counted):
    assert luts_of_product(*bits, ResourceModel()) == pytest.approx(counted, abs=1)


@pytest.mark.parametrize(
    ("bits", "slices"), [((25, 18), 1), ((18, 25), 1), ((26, 18), 2), ((25, 19), 2), ((27, 8), 2)]
)
def test_products_of_a_dsp48e1(bits, slices):
    assert dsps_of_product(*bits, FAMILIES["zynq7000"]) == slices


def test_a_dsp48e2_is_two_bits_wider():
    assert dsps_of_product(27, 18, FAMILIES["zynqmp"]) == 1


@pytest.mark.parametrize(
    ("depth", "width", "blocks"),
    [(512, 36, 1), (512, 37, 2), (513, 36, 2), (1024, 18, 1), (1024, 10, 1), (4096, 10, 3)],
)
def test_shapes_of_block_ram(depth, width, blocks):
    assert bram18(depth, width) == blocks


def test_shapes_of_lut_memory():
    assert [lut_memory(32, 6), lut_memory(32, 7), lut_memory(64, 3)] == [4, 8, 4]
    assert [lut_rom(1, 64), lut_rom(32, 8), lut_rom(64, 8)] == [0, 4, 8]


def test_weights_of_one_slice_are_constants():
    core = CoreModel(design_engine(build_network(STUDY["B"][0], widths=Widths(core=8))))
    first = core.design.input[0]
    whole, half = StageSchedule(24, 8, "lut"), StageSchedule(24, 4, "lut")
    constant, variable = (
        stage_resources(first, one, core.model, core.engine) for one in (whole, half)
    )
    assert constant["weights"].lut == 0 < variable["weights"].lut
    # Half as many multipliers, but of variables, take more.
    assert constant["multipliers"].lut < variable["multipliers"].lut


def test_int8_pairs_are_off_unless_they_are_assumed():
    core = CoreModel(design_engine(build_network(STUDY["B"][0], widths=Widths(core=8, stage=12))))
    schedule = StageSchedule(8, 8)
    taken = [
        multipliers(core.design.input[0], schedule, core.model, Assumptions(int8_pairs=pairs))
        for pairs in (False, True)
    ]
    assert [found.dsp for found in taken] == [64, 32]
    # 12-bit values cannot be packed.
    assert multipliers(
        core.design.input[1], StageSchedule(4, 16), core.model, Assumptions(int8_pairs=True)
    ) == (multipliers(core.design.input[1], StageSchedule(4, 16), core.model, Assumptions()))


def test_truth_tables_of_configuration_b_are_block_ram():
    found = estimate(lower(build_network(STUDY["B"][0], widths=Widths(preactivation=10, gate=10))))
    cell = next(stage for stage in found.stages if stage.name == "cell")
    # 1,024 x 10 for three gates on two ports, 1,024 x 10 for the candidate, 4,096 x 10 for tanh.
    assert cell.parts["tables"].bram18 == 2 + 1 + 3


def test_the_json_says_what_it_is():
    found = estimate(lower(small_network()))
    value = json.loads(json.dumps(found.to_json()))
    assert value["kind"] == "estimated"
    assert value["cycles_per_frame"] == found.cycles_per_frame
    assert set(value) >= {"limited_by", "fill_latency_cycles", "recurrent_latency_cycles"}
    assert set(value["resources"]) == {"lut", "ff", "dsp", "bram36"}
    for stage in value["stages"]:
        assert {"name", "cycles", "macs", "multipliers", "lut", "ff", "dsp", "bram36"} <= set(stage)
