"""What a network has to beat: the table's lines, and the plain word where it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_models.data import (
    ClipSet,
    baseline_table,
    clip_sources,
    load_folder_clips,
    render_clips,
    source_of,
)
from fdht_models.data.baseline import Baseline, BaselineTable, largest_class
from fdht_models.errors import ArtifactError, DataError
from fdht_models.metrics import check_metrics
from fdht_models.preprocessing import Picture, Preprocessing, Sampling
from fdht_models.preprocessing.protocols import choose_frames
from fdht_models.training import evaluate
from fdht_models.training.comparison import accuracy_lines, scores_of, verdict
from tests import stage_files
from tests.models.folders_samples import SIZE, ucf11

CLASSES = ("one", "two")
BETTER, NOT_BETTER = "better than the best baseline", "NOT better than"


def clips(count: int, seed: int, telling: bool) -> ClipSet:
    """Six frames of 40 values: the classes differ in their mean, or only in the order of parts."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    frames = generator.integers(0, 60, (count, 6, 40), dtype=np.uint8)
    if telling:
        frames[labels == 1] += 30
    else:  # a pulse and another of the same sign, or of the other one; which sign is random
        sign = generator.integers(0, 2, count)
        frames[:, 1] += (150 * sign)[:, None].astype(np.uint8)
        frames[:, 4] += (150 * (sign ^ labels))[:, None].astype(np.uint8)
    return ClipSet(frames, labels, CLASSES, (40,))


def scored(test: ClipSet, table: BaselineTable, right: float) -> dict[str, Any]:
    """The accuracies of a network that is right on this share of the clips, and of the table."""
    wrong = np.random.default_rng(5).random(len(test)) >= right
    predictions = test.labels ^ wrong
    share = float(np.mean(predictions == test.labels))
    return {
        "kind": "measured",
        "quantized": share,
        "float": share,
        **scores_of(table, predictions, test.labels),
    }


def test_where_the_mean_does_as_well_the_network_is_said_not_to_beat_it() -> None:
    train, test = clips(160, 0, True), clips(120, 1, True)
    table = baseline_table(train, test)
    scores = scored(test, table, 0.95)
    lines = accuracy_lines(scores)
    assert scores["comparison"]["better"] is False
    assert lines[-1].startswith(NOT_BETTER)
    assert not any(BETTER in line for line in lines)
    # The mean is as good as certain, and the network is not.
    assert scores["comparison"]["difference"] < 0
    assert "-" in lines[-1] and "95% interval" in lines[-1] and "120 test clips" in lines[-1]


def test_where_only_order_tells_the_network_is_said_to_beat_all() -> None:
    train, test = clips(160, 0, False), clips(120, 1, False)
    scores = scored(test, baseline_table(train, test), 0.95)
    assert scores["comparison"]["better"] is True
    lines = accuracy_lines(scores)
    assert lines[-1].startswith(f"{BETTER}, {scores['best_baseline']}: difference ")
    assert not any(NOT_BETTER in line for line in lines)


def test_a_lead_that_chance_explains_is_none() -> None:
    """The same lead of 5 points: of 40 clips it is luck, of 2,000 it is not."""
    for count, better in ((40, False), (2000, True)):
        labels = np.zeros(count, np.int64)
        order = np.arange(count)
        own, other = np.where(order % 20 < 16, 0, 1), np.where(order % 20 >= 5, 0, 1)
        row = Baseline("mean frame", "x", 0.75, "measured", 9, "alone", {"x": 0.75}, other)
        found = scores_of(BaselineTable((row,)), own, labels)["comparison"]
        assert found["difference"] == pytest.approx(0.05)
        assert found["better"] is better
        assert verdict(found).startswith(BETTER if better else NOT_BETTER)


def test_of_equally_accurate_ones_the_least_surely_beaten_is_named() -> None:
    labels = np.zeros(100, np.int64)
    order = np.arange(100)

    def row(name: str, wrong: np.ndarray) -> Baseline:
        return Baseline(name, name, 0.6, "measured", 9, "-", {name: 0.6}, wrong.astype(np.int64))

    # The network is wrong on 20 clips: on 20 of the first's 40, and on none of the second's.
    rows = row("nested", order < 40), row("apart", order >= 60)
    found = scores_of(BaselineTable(rows), (order < 20).astype(np.int64), labels)
    assert found["best_baseline"] == "apart"
    assert found["comparison"]["network_only"] == 40
    assert found["comparison"]["baseline_only"] == 20


def test_the_lines_are_the_table_the_best_first() -> None:
    test = clips(20, 1, True)
    guess = np.where(np.arange(20) < 15, test.labels, 1 - test.labels)
    best = Baseline(
        "all frames", "regression", 0.75, "measured", 9, "-", {"regression": 0.75}, guess
    )
    table = BaselineTable((largest_class(test), best), {"mean picture": "no room"})
    scores = {"quantized": 0.5, "float": 0.55, **scores_of(table, guess, test.labels)}
    assert accuracy_lines(scores)[:-1] == [
        "quantised network               50.0%  measured",
        "its float twin                  55.0%  measured",
        "all frames                      75.0%  measured (regression)",
        "largest class                   50.0%  counted (always 'one')",
        "mean picture                           left out: no room",
    ]


def test_results_without_a_table_are_shown_as_they_are() -> None:
    scores = {"quantized": 0.9, "single_frame": 0.4, "single_frame_name": "forest", "chance": 0.1}
    assert accuracy_lines(scores) == [
        "quantised network               90.0%  measured",
        "best single-frame classifier    40.0%  measured (forest)",
        "chance                          10.0%  counted (always the test clips' largest class)",
    ]
    assert accuracy_lines({"single_frame_failure": "no room"}) == ["without a comparison: no room"]


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    train, test = clips(60, 0, True), clips(40, 1, True)
    metrics = stage_files.metrics()
    found = scores_of(baseline_table(train, test), test.labels, test.labels)
    metrics["accuracy"] |= found
    text = json.loads(json.dumps(metrics, allow_nan=False))
    assert check_metrics(text, tmp_path) == metrics


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("comparison.better", True, "does not follow"),
        ("comparison.difference", 0.5, "clips that differ"),
        ("comparison.interval", [0.5, 0.75], "bounds of the difference"),
        ("comparison.clips", 0, "cannot be of 0 clips"),
        ("baselines.0.accuracy", 0.25, "that of its classifier"),
        ("baselines.0.accuracy", 1.5, "between 0 and 1"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    tmp_path: Path, path: str, value: object, message: str
) -> None:
    metrics = stage_files.metrics()
    place: Any = metrics["accuracy"]
    *parents, key = path.split(".")
    for parent in parents:
        place = place[int(parent) if parent.isdigit() else parent]
    place[key] = value
    with pytest.raises(ArtifactError, match=message):
        check_metrics(metrics, tmp_path)


# Mean pictures ------------------------------------------------------------------------------------


def test_mean_pictures_of_generated_clips_are_those_of_their_pixels() -> None:
    section = {"set": "motion", "train_clips": 3, "test_clips": 2, "seed": 1, "test_seed": 9}
    source = source_of(section)
    found = source.mean_pictures("train", source.load("train", None), 2, None)
    raw, _ = render_clips("motion", "train", 2, 1)
    # A mean of 8 whole numbers below 256 is exact in single precision.
    np.testing.assert_array_equal(found, raw.reshape(2, 8, -1).mean(axis=1))
    # Of a mixture in its order: the clips of one set and of the other in turn.
    mixture = source_of({**section, "mix": [{**section, "seed": 5}]})
    mixed = mixture.mean_pictures("train", mixture.load("train", None), 3, None)
    other, _ = render_clips("motion", "train", 1, 5)
    np.testing.assert_array_equal(mixed[[0, 2]], found)
    np.testing.assert_array_equal(mixed[1], other.reshape(8, -1).mean(axis=0))


def test_what_was_never_a_picture_has_no_mean_of_it() -> None:
    source = source_of(
        {"set": "watch", "train_clips": 3, "test_clips": 2, "seed": 1, "test_seed": 9}
    )
    assert source.mean_pictures("train", source.load("train", None), 3, None) is None


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Any, ClipSet, dict[str, np.ndarray], Path]:
    """UCF11's source with motion energy, its training clips, all frames by clip, and a cache."""
    made = ucf11(tmp_path / "UCF11")
    keys = {
        **SIZE,
        "feature": "motion_energy",
        "steps": 4,
        "protocol": "uniform",
        "root": str(tmp_path / "UCF11"),
    }
    source = source_of({"set": "ucf11", "seed": 0, **keys})
    cache = tmp_path / "cache"
    return source, load_folder_clips(source.request, "train", cache), made, cache


def test_mean_pictures_of_a_folder_are_those_of_the_frames_that_gave_the_feature(folder) -> None:
    source, train, made, cache = folder
    found = source.mean_pictures("train", train, 5, cache)
    assert found.shape == (5, train.frames.shape[2])
    means = []
    for frames in made.values():
        chosen = choose_frames(source.preprocessing.sampling.protocol, len(frames), 5, 0, "")
        means.append(frames[chosen].reshape(5, -1).mean(axis=0))
    for one in found:
        # Means of five whole numbers below 256, rounded once to single precision.
        assert min(np.abs(one - mean).max() for mean in means) < 1e-4


def test_mean_pictures_of_a_folder_that_would_fill_the_disk_are_left_out(
    folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, train, _, cache = folder
    monkeypatch.setattr(clip_sources, "_MOST_PICTURES", 10_000)
    before = sorted(cache.rglob("*"))
    assert "would take 0.0 GB" in source.mean_pictures("train", train, 5, cache)
    assert sorted(cache.rglob("*")) == before


def test_mean_pictures_of_other_clips_are_left_out(folder) -> None:
    source, train, _, cache = folder
    found = source.mean_pictures("train", train.of(slice(1, None)), 5, cache)
    assert found == "some clips have pictures and no feature"
    pixels = replace(source, preprocessing=Preprocessing(Sampling("six", 6), picture=Picture(4, 4)))
    assert pixels.mean_pictures("train", train, 5, cache) is None


def test_a_mean_picture_that_cannot_be_read_costs_its_row_alone(
    folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise DataError("is damaged", field="clip.avi")

    source, train, _, cache = folder
    monkeypatch.setattr(type(source), "_mean_pictures", fails)
    scores = evaluate._baselines(source, (train, train), train.labels, cache)
    assert "is damaged" in scores["left_out"]["mean picture"]
    assert "mean feature" in {row["name"] for row in scores["baselines"]}
