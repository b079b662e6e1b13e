"""Schedules: what a stage may do in a clock, what the default is, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fdht_hls.benchmarks.random_networks import STUDY as CONFIGURATIONS
from fdht_hls.schedule import (
    Schedule,
    StageSchedule,
    check_schedule,
    choices,
    default_schedule,
    frame_cycles,
    load_schedule,
    shapes_of,
    vector_counts,
    vector_length,
)
from fdht_hls.shapes import StageShape, fibre_counts
from fdht_models.artifacts import write_json
from fdht_models.errors import ConfigError
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.test_shapes import STUDY
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network

SHAPE = StageShape(
    outer=2,
    mode=3,
    groups=2,
    inner=6,
    lanes=4,
    rank_in=2,
    outputs=4,
    opened=2,
    banks=1,
    bank_stride=1,
    low=1,
    fibre=False,
)


def test_vectors_at_once_are_part_of_a_word_of_output_or_whole_words():
    assert vector_counts(SHAPE) == (1, 2, 4, 8, 12, 24)


def test_vectors_at_once_are_of_one_term():
    terms = dataclasses.replace(SHAPE, banks=2, bank_stride=2)
    assert vector_counts(terms) == (1, 2)
    assert vector_counts(dataclasses.replace(terms, bank_stride=1)) == (1,)


def test_a_fibre_is_a_vector_of_its_own():
    shape = dataclasses.replace(SHAPE, fibre=True, inner=1, lanes=1, rank_in=1)
    assert vector_counts(shape) == (1,)
    assert {choice.vectors for choice in choices(shape)} == {1}
    pairs = dataclasses.replace(shape, inner=2, together=2)
    assert vector_counts(pairs) == (2,)
    assert {choice.vectors for choice in choices(pairs)} == {2}


@pytest.mark.parametrize(
    ("label", "counts"),
    [("tt-lstm", (1, 2, 4)), ("tr-lstm", (1, 3)), ("dense-lstm", (1,)), ("cp-gru", (1, 2, 4))],
)
def test_fibres_at_once_are_values_of_the_mode_that_the_second_stage_sums(label, counts):
    assert fibre_counts(build_network(SHAPES[label]).recurrence.input_path) == counts


@pytest.mark.parametrize("name", ["B", "C"])
@pytest.mark.parametrize(("port_bytes", "fibres", "pace"), [(16, 1, 3600), (32, 2, 1800)])
def test_the_study_keeps_up_with_two_ports_and_with_four(name, port_bytes, fibres, pace):
    recurrence = build_network(CONFIGURATIONS[name]).recurrence
    schedule = default_schedule(recurrence, port_bytes)
    check_schedule(recurrence, schedule)
    assert schedule.fibres == (fibres, 1)
    shapes = shapes_of(recurrence.input_path, fibres)
    for stage, shape in zip(schedule.input, shapes, strict=True):
        assert stage.cycles(shape) <= pace


def test_short_fibres_come_one_by_one_unless_the_port_is_wide():
    """The core in C++ has a port of 8 bytes and the same schedule."""
    recurrence = build_network(fdht_shape((3, 4, 3), (8, 2, 2), (4, 2), 2, 3)).recurrence
    assert default_schedule(recurrence).fibres == (1, 1)
    assert default_schedule(recurrence, 16).fibres == (4, 1)


@pytest.mark.parametrize(("label", "allowed"), [("input", "1, 2, 4"), ("hidden", "1, 2")])
def test_fibres_that_are_summed_apart_are_refused(label, allowed):
    recurrence = build_network(SHAPES["tt-lstm-integrated"]).recurrence
    schedule = default_schedule(recurrence)
    first, *others = getattr(schedule, label)
    wrong = dataclasses.replace(
        schedule, **{label: (dataclasses.replace(first, vectors=3), *others)}
    )
    with pytest.raises(ConfigError) as caught:
        check_schedule(recurrence, wrong)
    assert caught.value.field == f"schedule.{label}[0].vectors"
    assert f"must take fibres that the second stage sums; use one of {allowed}" in str(caught.value)


def test_the_second_stage_s_vector_is_that_of_all_fibres_at_once():
    recurrence = build_network(SHAPES["tt-lstm-integrated"]).recurrence
    schedule = default_schedule(recurrence)
    shape = shapes_of(recurrence.input_path, 2)[1]
    whole = StageSchedule(vector_length(shape), 1)
    first = dataclasses.replace(schedule.input[0], vectors=2)
    check_schedule(
        recurrence, dataclasses.replace(schedule, input=(first, whole, *schedule.input[2:]))
    )
    alone = dataclasses.replace(schedule, input=(schedule.input[0], whole, *schedule.input[2:]))
    with pytest.raises(ConfigError, match=r"schedule\.input\[1\]\.vector = .*must divide"):
        check_schedule(recurrence, alone)


@pytest.mark.parametrize("label", SHAPES)
def test_cycles_are_the_products_by_the_multipliers_unless_words_are_many(label):
    recurrence = build_network(SHAPES[label]).recurrence
    for shape in shapes_of(recurrence.input_path):
        for choice in choices(shape):
            busy = shape.turns * shape.macs_per_turn // choice.parallel
            assert choice.cycles(shape) == max(busy, shape.words_out)
            assert choice.parallel == choice.vectors * choice.vector * choice.outputs


def test_several_vectors_are_thought_of_only_where_a_turn_is_a_beat():
    several = [choice for choice in choices(SHAPE) if choice.vectors > 1]
    assert {choice.vectors for choice in several} == {2, 4, 8, 12, 24}
    assert {choice.beats(SHAPE) for choice in several} == {1}


@pytest.mark.parametrize("name", STUDY)
def test_every_stage_of_the_study_keeps_up_with_one_port(name):
    recurrence = build_network(STUDY[name][0]).recurrence
    schedule, pace = default_schedule(recurrence), frame_cycles(recurrence)
    assert pace == 7200
    for stage, shape in zip(schedule.input, shapes_of(recurrence.input_path), strict=True):
        assert stage.cycles(shape) <= pace


def test_a_frame_takes_as_long_as_its_words_or_its_fibres():
    long, short = (fdht_shape((3, 4, last), (8, 2, 2), (4, 2), 2, 3) for last in (9, 3))
    assert frame_cycles(build_network(long).recurrence) == 14
    assert frame_cycles(build_network(long).recurrence, 16) == 12
    assert frame_cycles(build_network(short).recurrence) == 12
    assert frame_cycles(build_network(short).recurrence, 8, 2) == 6
    assert frame_cycles(build_network(short).recurrence, 8, 4) == 5


def test_a_schedule_goes_through_json():
    recurrence = build_network(STUDY["A0"][0]).recurrence
    schedule = default_schedule(recurrence)
    assert schedule.input[1].vectors == 2
    assert Schedule.from_json(schedule.to_json()) == schedule
    check_schedule(recurrence, schedule)


def test_vectors_that_share_no_word_are_refused():
    recurrence = build_network(STUDY["A0"][0]).recurrence
    schedule = default_schedule(recurrence)
    stages = (schedule.input[0], StageSchedule(4, 16, vectors=3), *schedule.input[2:])
    with pytest.raises(ConfigError) as caught:
        check_schedule(recurrence, dataclasses.replace(schedule, input=stages))
    assert caught.value.field == "schedule.input[1].vectors"
    assert "use one of 1, 2, 4" in str(caught.value)


@pytest.mark.parametrize("vectors", [0, -1, True, "2", 1.0])
def test_vectors_that_are_no_count_are_refused(vectors):
    entry = {"vector": 1, "outputs": 1, "vectors": vectors}
    with pytest.raises(ConfigError, match=r"schedule\.input\[0\]\.vectors"):
        Schedule.from_json({"input": [entry], "hidden": []})


def test_a_schedule_of_a_former_version_is_for_dense_frames(tmp_path: Path) -> None:
    own = default_schedule(build_network().recurrence)
    value = own.to_json()
    del value["frames"]
    write_json(tmp_path / "schedule.json", value)
    assert load_schedule(tmp_path / "schedule.json") == own
    assert not own.sparse


def test_a_schedule_decides_which_frames_are_read(tmp_path: Path) -> None:
    path, own = tmp_path / "schedule.json", default_schedule(build_network().recurrence)
    sparse = own.with_frames("sparse")
    assert sparse.sparse and sparse.with_frames("dense") == own == own.with_frames(None)
    write_json(path, sparse.to_json())
    assert load_schedule(path) == load_schedule(path, "sparse") == sparse
    with pytest.raises(
        ConfigError,
        match=r"core-frames = 'dense': the schedule .* is for sparse frames; leave it out",
    ):
        load_schedule(path, "dense")


def test_a_kind_of_frames_that_is_none_is_refused() -> None:
    value = {**default_schedule(build_network().recurrence).to_json(), "frames": "thin"}
    with pytest.raises(ConfigError, match=r"schedule\.frames = 'thin': .*use dense or sparse"):
        Schedule.from_json(value)
