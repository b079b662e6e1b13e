# amaranth: UnusedElaboratable=no
"""A core that is tuned for sparse frames, against simulated clocks, plain sums and all designs."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from fdht_hls.engine import design_engine, lower
from fdht_hls.estimate.rtl import recurrent_clocks
from fdht_hls.estimate.sparse_timing import profile_of
from fdht_hls.frame_profile import load_profile
from fdht_hls.rtl.engine import Engine
from fdht_hls.schedule import PAIRS, Schedule, choices, default_schedule, shapes_of
from fdht_hls.tuner import tune as tuning
from fdht_hls.tuner.alternatives import kinds
from fdht_hls.tuner.board_plan import planned, tuned
from fdht_hls.tuner.budget import Budget
from fdht_hls.tuner.cores import CORES, CoreKind, core_to_tune
from fdht_hls.tuner.report import frames_table, lines
from fdht_hls.tuner.search import Limits, search
from fdht_hls.tuner.sparse_core import FRAME, FULL_FRAME, LATENCY, SparseCoreModel
from fdht_hls.tuner.written import result_json, write_tuning
from fdht_models.directories import TuningDirectory
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.rtl.simulation import Taken, collect, feed, frame_items
from tests.hls.rtl.test_raw_core import video_network
from tests.hls.tuner.test_search import every_schedule
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network, random_frames

ZYNQ = Budget("pynq-z2", 53_200, 106_400, 220, 140, 100.0)
#: Few stages with few choices; and stages that sum more than one coordinate.
TINY, SMALL = fdht_shape((2, 8), (4, 1), (1,), 1, 1), SHAPES["ht-unbalanced-lstm-integrated"]
#: Clocks of the core around the engine in the model of the latency: the reader before it, and what
#: writes a result, beside the result's words.
_AROUND = 5


def sparse_frames(network: QuantizedNetwork, count: int, seed: int = 0) -> np.ndarray:
    """Frames with few values, some and many."""
    generator = np.random.default_rng(seed)
    frames = random_frames(network, count, seed)
    frames[frames == 0] = 1
    density = generator.choice((0.0, 0.02, 0.1, 0.5), count)
    return frames * (generator.random(frames.shape) < density[:, None])


def model_of(
    network: QuantizedNetwork,
    frames: np.ndarray | None = None,
    seed: int = 0,
    core_kind: CoreKind = "rtl",
    kind: str = "sparse",
) -> SparseCoreModel:
    """The network's core for these frames."""
    found = sparse_frames(network, 40, seed) if frames is None else frames
    profile = profile_of(design_engine(network), found.astype(np.uint8), kind)
    core = core_to_tune(network, ZYNQ, core_kind, frames=kind, profile=profile)
    assert isinstance(core, SparseCoreModel)
    return core


def slow_input(network: QuantizedNetwork) -> Schedule:
    """Fewest multipliers for W_x x, most for W_h h: stages set the pace."""
    first, second = network.recurrence.input_path, network.recurrence.hidden_path
    return Schedule(
        tuple(choices(shape)[0] for shape in shapes_of(first)),
        tuple(choices(shape)[-1] for shape in shapes_of(second)),
        "sparse",
    )


def simulated(
    network: QuantizedNetwork, schedule: Schedule, frames: np.ndarray, alone: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(clock of each frame's last word, clock of its result) at the engine.

    Args:
        network: what it computes.
        schedule: of its core.
        frames: codes [frames, inputs].
        alone: a frame comes when the one before has its result, and W_h h of it is done.
    """
    plan = lower(network, schedule)
    engine, form, taken = Engine(plan), plan.sparse_format, Taken()
    clock, ends = [0], []

    async def count(ctx: Any) -> None:
        while True:
            await ctx.tick()
            clock[0] += 1

    async def source(ctx: Any) -> None:
        for number, frame in enumerate(frames):
            while alone and len(taken.words) < number:
                await ctx.tick()
            # Header and bitmaps take a clock each, which the engine does not see.
            idle = 2 * recurrent_clocks(plan) if alone else 0
            await ctx.tick().repeat(1 + form.blocks + idle)
            items = frame_items(network, frame[None], form.word_bytes)
            await feed(ctx, engine.words, items, lambda: False)
            ends.append(clock[0])

    async def sink(ctx: Any) -> None:
        await collect(ctx, engine.logits, len(frames), lambda: False, taken)

    simulator = Simulator(engine)
    simulator.add_clock(1e-6)
    simulator.add_testbench(count, background=True)
    simulator.add_testbench(source, background=True)
    simulator.add_testbench(sink)
    simulator.run()
    return np.array(ends), np.array(taken.clocks)


# Against simulated clocks ------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["ht-gru", "tt-lstm-integrated"])
@pytest.mark.parametrize("slow", [False, True])
def test_a_stream_of_frames_takes_what_is_estimated(label, slow):
    """Queues hold whole frames of so small networks, so that slow frames are evened out: the mean
    lies between the mean of the slowest process alone, and the mean of each frame's slowest.
    Between two results there is a clock that the recurrence may add.
    """
    network = build_network(SHAPES[label])
    usual = dataclasses.replace(default_schedule(network.recurrence), frames="sparse")
    schedule = slow_input(network) if slow else usual
    frames = sparse_frames(network, 12, 3)
    _, results = simulated(network, schedule, frames, alone=False)
    interval = float(results[-1] - results[0]) / (len(results) - 1)
    # The last frame's interval ends with the stream's last result, the first one's is not seen.
    figures = model_of(network, frames[1:]).figures(schedule)
    least = max(own.spread.mean for name, own in figures.items() if own.limits is not None)
    depth = 8 / (len(results) - 1)
    assert least - depth <= interval <= figures[FRAME].spread.mean + 1 + depth * 8


@pytest.mark.parametrize("label", ["ht-gru", "tt-lstm-integrated"])
@pytest.mark.parametrize("slow", [False, True])
def test_a_frame_alone_takes_what_is_estimated(label, slow):
    """To some clocks, beside those around the engine; and what one stage has to catch up with may
    delay the next one, by a tenth.
    """
    network = build_network(SHAPES[label])
    usual = dataclasses.replace(default_schedule(network.recurrence), frames="sparse")
    schedule = slow_input(network) if slow else usual
    frames = sparse_frames(network, 6, 4)
    ends, results = simulated(network, schedule, frames, alone=True)
    found = results - ends
    core = model_of(network, frames)
    known = core.known(schedule)[-1]
    around = _AROUND + core.design.port.result_words
    wanted = core.timing.last_word_to_result(known) + known.backlog - around
    assert (np.abs(found - wanted) <= 6 + 0.1 * found).all(), (found, wanted)


# Against plain sums ------------------------------------------------------------------------------


def test_clocks_of_a_stage_are_those_of_what_arrives():
    network = build_network(SMALL)
    frames = sparse_frames(network, 20)
    core, schedule = model_of(network, frames), slow_input(network)
    modes = [stage.shape.mode for stage in core.design.input if not stage.shape.fibre]
    figures = core.figures(schedule)
    for at, (stage, own) in enumerate(zip(core.design.input, schedule.input, strict=True)):
        shape, clocks = stage.shape, []
        left = modes[max(0, at - bool(core.design.input[0].shape.fibre)) :]
        for frame in frames:
            places = np.argwhere(frame.reshape(*reversed(left), -1))
            arrive = max(1, len({tuple(place[:-1]) for place in places}))
            clocks.append(arrive * shape.groups * shape.inner * shape.lanes * own.beats(shape))
        assert figures[stage.name].spread.mean == pytest.approx(np.mean(clocks))
        assert figures[stage.name].full == own.cycles(shape)
        assert core.stage_cycles(stage, own) == math.ceil(np.mean(clocks))
    full = core.figures(schedule)["memory port"].full
    assert full == 1 + core.design.port.frame_words


@pytest.mark.parametrize("core_kind", CORES)
def test_a_full_frame_costs_what_a_dense_one_does(core_kind: CoreKind):
    network = build_network(SMALL)
    frames = np.ones((3, network.inputs), np.int64)
    core, schedule = model_of(network, frames, core_kind=core_kind), slow_input(network)
    for name, own in core.figures(schedule).items():
        if own.limits is not None:
            assert own.spread.mean == own.full, name
    found = core.estimate(schedule)
    assert found.pace == (found.cycles_per_frame, found.limited_by)


@pytest.mark.parametrize("core_kind", CORES)
@pytest.mark.parametrize("slow", [False, True])
def test_an_estimate_is_of_full_frames_and_names_those_of_clips(core_kind: CoreKind, slow: bool):
    network = build_network(SMALL)
    core = model_of(network, core_kind=core_kind)
    usual = dataclasses.replace(default_schedule(network.recurrence), frames="sparse")
    schedule = slow_input(network) if slow else usual
    plain = core_to_tune(network, ZYNQ, core_kind, frames="sparse").estimate(schedule)
    found = core.estimate(schedule)
    clips = found.clips
    assert clips is not None and (clips.clips, clips.frames) == (None, 40)
    assert clips.mean_words == np.mean(core.timing.profile.words)
    assert clips.frame.full == found.cycles_per_frame == plain.cycles_per_frame
    assert clips.frame.spread.worst <= found.cycles_per_frame
    for name, own in clips.clocks.items():
        assert name == LATENCY or own.spread.worst <= own.full, name
    assert found.pace == (math.ceil(clips.frame.spread.mean), clips.limited_by)
    assert dataclasses.replace(found, clips=None, latency={}, fill_latency_cycles=None) == (
        dataclasses.replace(plain, latency={}, fill_latency_cycles=None)
    )
    if core_kind == "rtl":
        assert plain.fill_latency_cycles is None
        assert found.fill_latency_cycles == clips.clocks[LATENCY].full
    else:
        assert found.fill_latency_cycles == plain.fill_latency_cycles


def test_of_raw_frames_the_port_reads_all_and_stages_what_is_not_zero():
    network, rate = video_network(), []
    frames = sparse_frames(network, 40)
    raw, sparse = (
        model_of(network, frames, kind=kind) for kind in ("raw", "sparse")
    )  # fmt: skip
    assert set(raw.timing.profile.words) == {raw.design.port.frame_words}
    for own, other in zip(raw.timing.arrivals, sparse.timing.arrivals, strict=True):
        np.testing.assert_array_equal(own, other)
    for core in (raw, sparse):
        schedule = dataclasses.replace(slow_input(network), frames=core.frames)
        figures = core.figures(schedule)
        rate.append(figures[FRAME].spread.mean)
        for design, own in zip(core.design.input, schedule.input, strict=True):
            assert core.stage_cycles(design, own) < own.cycles(design.shape)
    assert rate[0] >= rate[1]


def test_room_for_the_recurrence_is_all_that_there_is():
    core = model_of(build_network(SMALL))
    known = core.known(slow_input(build_network(SMALL)))[-1]
    least = math.ceil(known.clocks.mean())
    assert core.recurrent_room(least - 1, known) == -1
    for cycles in (least, least + 1, least + 50, 10 * least):
        room = core.recurrent_room(cycles, known)
        assert np.maximum(known.clocks, room).mean() <= cycles
        assert np.maximum(known.clocks, room + 1).mean() > cycles


# Against all designs -----------------------------------------------------------------------------


@pytest.mark.parametrize("core_kind", CORES)
def test_what_a_search_finds_keeps_its_limits_and_is_what_is_estimated(core_kind: CoreKind):
    core = model_of(build_network(TINY), core_kind=core_kind)
    every = [dataclasses.replace(one, frames="sparse") for one in every_schedule(core)]
    for pick in (0, len(every) // 2, -1):
        cycles, latency = core.pace(every[pick])
        limits = Limits(cycles + 20, latency + 20)
        found = search(core, limits)
        assert found
        for design in found:
            estimate = core.estimate(design.schedule)
            assert design.schedule.frames == "sparse"
            assert design.cycles == estimate.pace[0] <= limits.cycles
            latency = sum(core.latency_parts(design.schedule).values())
            assert design.latency == latency <= limits.latency
            assert design.resources == estimate.resources


def test_without_limits_the_smallest_designs_are_found():
    core = model_of(build_network(TINY))
    found = search(core, Limits(10**6))
    for name in ("dsp", "lut"):
        stages = [
            min(
                getattr(core.stage_parts(design, kind)["stage"], name)
                for one in core.choices(design)
                for kind in kinds(core, design, one)
            )
            for design in core.design.stages
        ]
        wanted = getattr(core.fixed, name) + sum(stages)
        assert min(getattr(one.resources, name) for one in found) == wanted


def test_fewer_words_let_a_design_be_faster():
    network = build_network(SMALL)
    few, many = sparse_frames(network, 40), np.ones((4, network.inputs), np.int64)
    sparse = tuned(network, ZYNQ, "rtl", frames="sparse", profile=model_of(network, few).profile)
    full = tuned(network, ZYNQ, "rtl", frames="sparse", profile=model_of(network, many).profile)
    assert sparse.chosen.cycles < full.chosen.cycles


def test_no_stage_is_slower_for_a_full_frame_than_it_may_be():
    network = build_network(SMALL)
    core = model_of(network, np.zeros((4, network.inputs), np.int64))
    for design in core.design.input:
        fastest = min(one.cycles(design.shape) for one in choices(design.shape))
        most = max(fastest, FULL_FRAME * (1 + core.design.port.frame_words))
        kept = core.choices(design)
        assert len(kept) > 0 and all(one.cycles(design.shape) <= most for one in kept)
        assert {one.cycles(design.shape) > most for one in {*choices(design.shape)} - {*kept}} <= {
            True
        }
    assert core.choices(core.design.hidden[0]) == choices(core.design.hidden[0].shape)


# What is told ------------------------------------------------------------------------------------


def test_a_latency_can_be_asked_for():
    network = build_network(SMALL)
    profile = model_of(network).profile
    found = tuned(network, ZYNQ, "rtl", None, 120, frames="sparse", profile=profile)
    assert found.chosen.latency <= 120 and found.latency_known
    with pytest.raises(ConfigError, match="latency = 5: the least that"):
        tuned(network, ZYNQ, "rtl", None, 5, frames="sparse", profile=profile)
    with pytest.raises(ConfigError, match="--clips tells it"):
        tuned(network, ZYNQ, "rtl", None, 120, frames="sparse")


def test_what_is_told_and_written(tmp_path):
    network = build_network(SMALL)
    tuning = tuned(network, ZYNQ, "rtl", frames="sparse", profile=model_of(network).profile)
    result = json.loads(json.dumps(result_json(tuning, "trained network", "rtl")))
    clocks = result["clips"]["clocks"]
    assert result["clips"]["frames"] == 40 and result["clips"]["kind"] == "estimated"
    names = ["memory port", *(one.name for one in tuning.core.design.input), "recurrence"]
    assert list(clocks) == [*names, FRAME, LATENCY]
    assert sum(clocks[name]["limits"] for name in names) == pytest.approx(1)
    assert result["clips"]["limited_by"] in names
    for own in (clocks[name]["spread"] for name in clocks):
        assert own["median"] <= own["p95"] <= own["worst"]
    table = frames_table(tuning)
    assert table is not None and table.row_count == len(clocks)
    written = TuningDirectory(tmp_path / "tune")
    write_tuning(written, tuning, result)
    kept = load_profile(written.path / "profile.json")
    assert kept == model_of(network).profile
    chosen = json.loads(written.schedule.read_text())
    assert chosen["frames"] == "sparse"


def test_without_clips_every_frame_counts_as_full():
    network = build_network(SMALL)
    sparse, dense = (tuned(network, ZYNQ, "rtl", frames=kind) for kind in ("sparse", "dense"))
    assert frames_table(sparse) is None and result_json(sparse, "", "rtl")["clips"] is None
    assert "counts as full: why" in list(lines(sparse, "", "rtl", "counts as full: why"))
    assert result_json(sparse, "", "rtl", "why")["planned_for"] == "why"
    assert result_json(sparse, "", "rtl")["cycles_of"] == "every frame"
    assert sparse.chosen.schedule.sparse and not dense.chosen.schedule.sparse
    assert sparse.estimate.cycles_per_frame >= dense.estimate.cycles_per_frame


def test_a_given_schedule_is_told_by_the_same_model():
    network = build_network(SMALL)
    profile = model_of(network).profile
    tuning = tuned(network, ZYNQ, "rtl", frames="sparse", profile=profile)
    found = planned(network, tuning.chosen.schedule, ZYNQ, "rtl", profile)
    assert found.estimate == tuning.estimate


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    ("kind", "frames"), [("sparse", "dense"), ("sparse", "raw"), ("raw", "sparse")]
)
def test_profiles_are_of_the_frames_that_the_core_reads(core, kind, frames):
    network = video_network()
    profile = model_of(network, kind=kind).profile
    with pytest.raises(ConfigError, match=f"is of {kind} frames, and the core reads {frames} ones"):
        core_to_tune(network, ZYNQ, core, frames=frames, profile=profile)
    with pytest.raises(
        ConfigError, match=r"profile\.frames = 'dense': is no kind of frames of which"
    ):
        dataclasses.replace(profile, frames="dense")


def test_a_profile_of_another_network_is_refused():
    other = model_of(build_network(SHAPES["dense-gru"])).profile
    core = core_to_tune(build_network(SMALL), ZYNQ, "rtl", frames="sparse", profile=other)
    with pytest.raises(ConfigError, match="of another network or port"):
        _ = core.fixed_cycles()


@pytest.mark.parametrize(
    ("core", "frames", "offered"),
    [
        ("rtl", "sparse", True),
        ("rtl", "dense", False),
        ("rtl", "raw", False),
        ("hls", "sparse", False),
    ],
)
def test_pairs_are_for_the_rtl_and_sparse_frames(core: str, frames: str, offered: bool):
    """Others have designs whose figures are published, and are limited by their port."""
    network = video_network() if frames == "raw" else build_network(SMALL)
    found = core_to_tune(network, ZYNQ, core, frames=frames)
    every = [
        one
        for design in found.design.stages
        for choice in found.choices(design)
        for one in kinds(found, design, choice)
    ]
    assert any(one.multipliers == PAIRS for one in every) == offered


def test_pairs_take_half_the_slices():
    core = model_of(build_network(SMALL))
    seen = 0
    for design in core.design.stages:
        for choice in core.choices(design):
            parts = {
                one.multipliers: sum(part.dsp for part in core.stage_parts(design, one).values())
                for one in kinds(core, design, choice)
            }
            if PAIRS in parts:
                assert 2 * parts[PAIRS] == parts["dsp"] == choice.parallel
                seen += 1
    assert seen


def test_what_seems_slower_may_be_the_fastest(monkeypatch: pytest.MonkeyPatch):
    """A search knows a bound of the recurrence; what a design takes is known when it is found."""
    core, search = model_of(build_network(SMALL)), tuning.search
    limits, found = tuning.designs_within(core, ZYNQ)
    fewest = min(design.cycles for design in found)
    assert all(design.cycles <= 1.03 * fewest for design in found)
    faster = dataclasses.replace(found[0], cycles=fewest // 2)

    def searched(core: Any, own: Limits, effort: Any = None) -> list[Any]:
        return [faster] if own.cycles > limits.cycles else search(core, own, effort)

    monkeypatch.setattr(tuning, "search", searched)
    assert tuning.designs_within(core, ZYNQ)[1] == [faster] * 4
    # A rate that is asked for is enough.
    asked = ZYNQ.rate_at(limits.cycles)
    assert faster not in tuning.designs_within(core, ZYNQ, asked)[1]
