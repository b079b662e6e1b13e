"""Contraction stages in RTL against the reference's own results of each stage."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from fdht_hls.engine import StagePlan, stage_designs
from fdht_hls.engine.contractions import QUEUE_WORDS
from fdht_hls.engine.pairs import why_no_pairs
from fdht_hls.rtl.contraction import ContractionStage, PathEngine, word_in, word_out
from fdht_hls.schedule import (
    MULTIPLIERS,
    StageSchedule,
    choices,
    default_schedule,
    shapes_of,
    vector_counts,
    vector_length,
)
from fdht_hls.shapes import fibre_counts
from fdht_hls.weight_tables import WeightTable
from fdht_models.tensor.recurrent import fdht_shape
from fdht_models.tensor.reference import ReferenceModel
from tests.hls.rtl.simulation import run_stream, values_of, words_of
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network, random_frames


def results_of_stages(network, frames):
    """What the reference makes of W_x x, a stage at a time, by name."""
    seen = {}
    model = ReferenceModel(network, lambda name, codes: seen.setdefault(name, codes))
    model.run(frames)
    return seen


def planned(recurrence, position, schedule, fibres=1):
    """A stage of W_x x."""
    return StagePlan(stage_designs(recurrence, "input", fibres)[position], schedule, QUEUE_WORDS)


def planned_path(recurrence, schedules):
    fibres = schedules[0].vectors
    return [planned(recurrence, at, one, fibres) for at, one in enumerate(schedules)]


def run_stage(own, before):
    words = words_of(before, own.design.source.width, word_in(own).length)
    frames = len(before)
    taken = run_stream(ContractionStage(own), words, frames * own.shape.words_out)
    return values_of(taken.words, word_out(own))


@pytest.mark.parametrize("label", ["tt-lstm", "bt-lstm", "kcp-vectors-gru", "tucker-lstm"])
def test_each_stage_is_the_reference(label):
    network = build_network(SHAPES[label])
    recurrence = network.recurrence
    frames = random_frames(network, 2)
    wanted = results_of_stages(network, frames)
    before = frames
    for own in planned_path(recurrence, default_schedule(recurrence).input):
        found = run_stage(own, before)
        np.testing.assert_array_equal(found, wanted[own.name].reshape(found.shape), own.name)
        before = wanted[own.name]


def every_schedule(shape, kind):
    """All that is allowed, be it worth a thought or not."""
    single = [choice for choice in choices(shape) if choice.vectors == 1]
    return [
        dataclasses.replace(choice, multipliers=kind, vectors=vectors)
        for choice in single
        for vectors in vector_counts(shape)
    ]


@pytest.mark.parametrize("kind", MULTIPLIERS)
@pytest.mark.parametrize("position", [0, 1])
def test_every_parallelism_of_a_stage_is_equal(position, kind):
    network = build_network()
    recurrence = network.recurrence
    path, frames = recurrence.input_path, random_frames(network, 2)
    results = results_of_stages(network, frames)
    for schedule in every_schedule(shapes_of(path)[position], kind):
        own = planned(recurrence, position, schedule)
        if own.paired and why_no_pairs(own.design, schedule) is not None:
            continue
        before = results[f"input.{path.plan.stages[position - 1].core}"] if position else frames
        found = run_stage(own, before)
        wanted = results[own.name].reshape(found.shape)
        np.testing.assert_array_equal(found, wanted, str(schedule))


@pytest.mark.parametrize("label", ["ht-lstm", "tr-lstm", "tucker-lstm", "kcp-vectors-lstm"])
def test_several_vectors_at_once_are_equal(label):
    """Parts of a word of output, whole ones, and several, with gaps behind them."""
    network = build_network(SHAPES[label])
    recurrence = network.recurrence
    path, frames = recurrence.input_path, random_frames(network, 2)
    results, before, met = results_of_stages(network, frames), frames, set()
    for position, shape in enumerate(shapes_of(path)):
        for vectors in vector_counts(shape)[1:]:
            schedule = StageSchedule(vector_length(shape), shape.outputs, vectors=vectors)
            own = planned(recurrence, position, schedule)
            words = words_of(before, own.design.source.width, word_in(own).length)
            count = len(frames) * shape.words_out
            taken = run_stream(ContractionStage(own), words, count, (None, position + 1))
            found = values_of(taken.words, word_out(own))
            np.testing.assert_array_equal(found, results[own.name].reshape(found.shape), own.name)
            met.add("several" if own.words_at_once > 1 else "part")
        before = results[f"input.{path.plan.stages[position].core}"]
    assert met


@pytest.mark.parametrize("label", ["ht-lstm", "tr-lstm", "cp-gru"])
def test_several_fibres_at_once_are_equal(label):
    """The first stage, and the second, which sums what became of them as one vector."""
    network = build_network(SHAPES[label])
    recurrence = network.recurrence
    path, frames = recurrence.input_path, random_frames(network, 2)
    results = results_of_stages(network, frames)
    counts = fibre_counts(path)
    assert len(counts) > 1
    for fibres in counts[1:]:
        before = frames
        for position, shape in enumerate(shapes_of(path, fibres)[:2]):
            every = choices(shape)
            assert all(one.vectors == fibres for one in every) or position
            for schedule in (every[len(every) // 2], every[-1]):
                own = planned(recurrence, position, schedule, fibres)
                assert word_in(own).length == shape.word_in
                words = words_of(before, own.design.source.width, word_in(own).length)
                count = len(frames) * shape.words_out // shape.words_joined
                taken = run_stream(ContractionStage(own), words, count, (None, position + 1))
                found = values_of(taken.words, word_out(own))
                wanted = results[own.name].reshape(found.shape)
                np.testing.assert_array_equal(found, wanted, f"{own.name}, {schedule}")
            before = results[own.name]


def test_fibres_at_once_can_be_adders():
    network = build_network()
    recurrence = network.recurrence
    path, frames = recurrence.input_path, random_frames(network, 2)
    shape = shapes_of(path, 2)[0]
    schedule = StageSchedule(vector_length(shape), shape.outputs, weights="adders", vectors=2)
    own = planned(recurrence, 0, schedule, 2)
    words = words_of(frames, own.design.source.width, word_in(own).length)
    taken = run_stream(ContractionStage(own), words, shape.words_out)
    found = values_of(taken.words, word_out(own))
    np.testing.assert_array_equal(
        found, results_of_stages(network, frames)[own.name].reshape(found.shape)
    )


def test_a_path_takes_several_fibres_a_clock():
    """Twelve fibres of a frame in three clocks, because all stages keep up."""
    network = build_network(fdht_shape((3, 4, 5), (8, 2, 1), (2, 2), 2, 2))
    recurrence = network.recurrence
    path, frames = recurrence.input_path, random_frames(network, 6)
    stages = planned_path(recurrence, [choices(shape)[-1] for shape in shapes_of(path, 4)])
    assert [stage.schedule.cycles(stage.shape) for stage in stages] == [3, 3, 3]
    words = words_of(frames, 8, word_in(stages[0]).length)
    count = stages[-1].shape.words_out
    taken = run_stream(PathEngine(stages), words, 6 * count)
    found = values_of(taken.words, word_out(stages[-1]))
    wanted = results_of_stages(network, frames)[stages[-1].name]
    np.testing.assert_array_equal(found, wanted.reshape(found.shape))
    np.testing.assert_array_equal(np.diff(taken.clocks[count - 1 :: count])[1:], 3)


@pytest.mark.parametrize("seeds", [(None, None), (1, None), (None, 2), (3, 4)])
def test_a_path_does_not_mind_gaps(seeds):
    network = build_network()
    recurrence = network.recurrence
    frames = random_frames(network, 3)
    wanted = results_of_stages(network, frames)
    stages = planned_path(recurrence, default_schedule(recurrence).input)
    words = words_of(frames, 8, word_in(stages[0]).length)
    taken = run_stream(PathEngine(stages), words, 3 * stages[-1].shape.words_out, seeds)
    found = values_of(taken.words, word_out(stages[-1]))
    np.testing.assert_array_equal(found, wanted[stages[-1].name].reshape(found.shape))


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_a_path_runs_at_the_pace_of_its_slowest_stage(outputs):
    """A beat every clock: no bubbles between words, values of the mode, or frames."""
    network = build_network(fdht_shape((3, 4, 5), (8, 2, 2), (2, 2, 2), 2, 2))
    recurrence = network.recurrence
    path, frames = recurrence.input_path, random_frames(network, 4)
    shapes = shapes_of(path)
    schedules = [
        StageSchedule(vector_length(shape), min(outputs * (1 + at), shape.outputs))
        for at, shape in enumerate(shapes)
    ]
    schedules[1] = StageSchedule(vector_length(shapes[1]), 2)
    stages = planned_path(recurrence, schedules)
    words = words_of(frames, 8, word_in(stages[0]).length)
    count = stages[-1].shape.words_out
    taken = run_stream(PathEngine(stages), words, 4 * count)
    pace = max(schedule.cycles(shape) for schedule, shape in zip(schedules, shapes, strict=True))
    np.testing.assert_array_equal(np.diff(taken.clocks[count - 1 :: count])[1:], pace)


def test_weights_can_be_loaded_at_run_time():
    network, other = build_network(seed=1), build_network(seed=2)
    frames = random_frames(network, 2)
    own, loaded = (planned(one.recurrence, 0, StageSchedule(5, 2)) for one in (network, other))
    stage = ContractionStage(replace(own, table=WeightTable("weights", 1, 1, 8, True, 1)))
    rows = words_of(loaded.rows.codes, own.rows.format.width, own.schedule.weights_in_beat)
    ready = []

    async def load(ctx):
        ctx.set(stage.load_enable, 1)
        for row, word in enumerate(rows):
            ctx.set(stage.load_row, row)
            ctx.set(stage.load_weights, word)
            await ctx.tick()
        ctx.set(stage.load_enable, 0)
        ready.append(True)

    words = words_of(frames, 8, word_in(own).length)
    # A frame of zeros first, while weights are written; its sums are zero whatever they are.
    words = [0] * len(words) + words
    count = 4 * own.shape.words_out
    taken = run_stream(stage, words, count, others=[load])
    assert ready
    found = values_of(taken.words, word_out(own))[count // 2 :]
    wanted = results_of_stages(other, frames)[own.name]
    # The weights' format is the same, and the stage's own is kept.
    assert own.design.result == loaded.design.result
    np.testing.assert_array_equal(found, wanted.reshape(found.shape))


def test_flags_tell_what_a_stage_does():
    network = build_network()
    recurrence = network.recurrence
    own = planned(recurrence, 0, StageSchedule(5, 4))
    stage, seen = ContractionStage(replace(own, queue_words=2)), []

    async def watch(ctx):
        while True:
            flags = await ctx.tick().sample(stage.busy, stage.starved, stage.blocked)
            seen.append(flags[2:])

    frames = random_frames(network, 2)
    words = words_of(frames, 8, word_in(own).length)
    run_stream(stage, words, len(words), (None, 1), others=[watch])
    counts = np.array(seen).sum(axis=0)
    np.testing.assert_array_equal(np.array(seen).sum(axis=1), 1)
    # Nothing but its result's gaps holds it up.
    assert counts[0] == len(words)
    assert counts[2] > 5
