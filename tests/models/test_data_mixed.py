"""Several data sets in one training: frames, labels, order, digests, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fdht_models.data import DATASETS, load_clips, source_of
from fdht_models.errors import ConfigError
from fdht_models.experiment import Experiment, load_experiment, with_seeds_moved, without_roots
from fdht_models.training.checkpoint import recipe_digest
from fdht_models.training.model_stage import train_stage
from tests.models.training_samples import TABLE, small_experiment

MOTION = {"set": "motion", "train_clips": 6, "test_clips": 2, "seed": 1, "test_seed": 9}
FLASHES = {"set": "flashes", "train_clips": 3, "test_clips": 2, "seed": 4, "test_seed": 8}


def _flash(split, label, steps, generator):
    frames = generator.integers(0, 90, (steps + 1, 120, 160, 3), np.uint8)
    frames[2 if CLASSES[label] == "early" else -2] += 100
    return frames


CLASSES = ("early", "late", "left")  # one of them is a class of motion, too


@pytest.fixture(autouse=True)
def flashes(monkeypatch):
    """A second set of frames like motion's."""
    made = replace(DATASETS["motion"], name="flashes", classes=CLASSES, render=_flash)
    monkeypatch.setitem(DATASETS, "flashes", made)


def section(*mix, **changes):
    return {**MOTION, **changes, "mix": list(mix)}


def test_frames_and_classes_are_those_of_the_parts(tmp_path):
    source = source_of(section(FLASHES))
    for cache in (None, tmp_path):
        clips = source.load("train", cache, progress=False)
        parts = [load_clips("motion", "train", 6, 1), load_clips("flashes", "train", 3, 4)]
        assert len(clips) == 9
        assert clips.classes == tuple(dict.fromkeys(parts[0].classes + parts[1].classes))
        # Clip i of n lies at (i + 1/2) / n: two of motion for each of flashes.
        expected = [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (0, 3), (0, 4), (1, 2), (0, 5)]
        for place, (part, clip) in enumerate(expected):
            np.testing.assert_array_equal(clips.frames[place], parts[part].frames[clip])
            name = parts[part].classes[parts[part].labels[clip]]
            assert clips.classes[clips.labels[place]] == name


def test_a_mixture_has_one_dead_zone():
    source = source_of(section({**FLASHES, "dead_zone": 8}, dead_zone=8))
    whole = source_of(section(FLASHES)).load("train", None, progress=False).frames
    found = source.load("train", None, progress=False).frames
    np.testing.assert_array_equal(found, np.where(whole > 8, whole, 0))
    assert source.preprocessing.picture.dead_zone == 8


def test_a_mixture_on_disk_is_read_and_not_made_again(tmp_path):
    source = source_of(section(FLASHES))
    first = source.load("train", tmp_path, progress=False)
    (kept,) = tmp_path.glob("mixed-train-*")
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    again = source.load("train", tmp_path, progress=False)
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before
    np.testing.assert_array_equal(first.frames, again.frames)
    assert isinstance(again.frames, np.memmap)


def test_classes_of_one_name_are_one_class():
    source = source_of(section({**MOTION, "seed": 5}))
    assert source.classes == source_of(MOTION).classes
    clips = source.load("test", None, progress=False)
    np.testing.assert_array_equal(
        np.sort(clips.labels), np.sort(np.tile(load_clips("motion", "test", 2, 9).labels, 2))
    )


def test_streams_hold_clips_of_every_part():
    source = source_of(section(FLASHES))
    found = source.streams(2, 12, 3, None)
    assert found.frames.shape[0] == 2
    assert found.frames.shape[1] >= 12
    for part, clip in ((0, 0), (1, 1)):
        own = source.parts[part].streams(1, 12, 3, None)
        length = found.frames.shape[1]
        np.testing.assert_array_equal(found.frames[clip], own.frames[0][:length])


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ([{**MOTION, "set": "watch"}], r"data.mix\[0\].set .*another frame"),
        ([{**FLASHES, "steps": 11}], r"data.mix\[0\].set = 11: .*number of steps"),
        ([{**FLASHES, "dead_zone": 5}], r"data.mix\[0\].set .*another way to make inputs"),
        ([FLASHES, {"set": "moton"}], "motion"),
        ([{**FLASHES, "colour": 1}], r"data.mix\[0\].colour"),
        ([{**FLASHES, "mix": [MOTION]}], r"data.mix\[0\].mix"),
        ([], r"\[\[data.mix\]\]"),
        ("flashes", r"\[\[data.mix\]\]"),
        ([{"set": "features", "root": "x"}], r"data.mix\[0\]"),
    ],
)
def test_what_cannot_be_mixed_is_refused(mix, message):
    table = load_experiment("motion").to_json()
    with pytest.raises(ConfigError, match=message):
        Experiment.from_json({**table, "data": {**MOTION, "mix": mix}})


def experiment(*mix) -> Experiment:
    table = load_experiment("motion").to_json()
    return Experiment.from_json({**table, "data": {**MOTION, "mix": list(mix) or None}})


def test_digests_know_the_mixture_and_not_where_folders_are():
    mixtures = [experiment(), experiment(FLASHES), experiment({**FLASHES, "seed": 5})]
    assert len({one.digest for one in mixtures}) == 3
    assert len({recipe_digest(one) for one in mixtures}) == 3
    # How a mixture is scored is no part of how it was trained.
    assert recipe_digest(experiment({**FLASHES, "test_seed": 5})) == recipe_digest(mixtures[1])
    data = {**MOTION, "root": "a", "mix": [{**MOTION, "root": "b"}]}
    assert without_roots(data)["mix"][0]["root"] is None


def test_seeds_of_all_parts_move():
    moved = with_seeds_moved(section(FLASHES), ("seed", "test_seed"), 2)
    assert (moved["seed"], moved["mix"][0]["seed"], moved["mix"][0]["test_seed"]) == (3, 6, 10)


def test_a_mixture_is_trained_and_scored(tmp_path):
    other = {**TABLE["data"], "seed": 2, "train_clips": 35, "test_clips": 14, "test_seed": 3}
    mixture = small_experiment(
        data={"train_clips": 35, "test_clips": 14, "mix": [other]},
        training={"float_epochs": 1, "quantized_epochs": 1},
    )
    metrics = train_stage(mixture, tmp_path / "mixture", quiet=True, baselines=False)
    assert metrics["clips"]["test"] == 28
    assert metrics["confusion"]["classes"] == list(mixture.source.classes)
    assert metrics["equality"]["keras_reference"]["mismatches"] == 0
