"""The baselines find what a frame or a mean gives away, and no more."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fdht_models.data import ClipSet, baseline, baseline_table, load_clips, logistic
from fdht_models.data.baseline import (
    BaselineTable,
    _place,
    _small,
    clips_of_all_frames,
    logistic_clips,
)
from fdht_models.data.clip_sets import mean_frames
from fdht_models.data.logistic import (
    STRENGTHS,
    logistic_predictions,
    logistic_predictions_in_parts,
    span_coordinates,
)
from fdht_models.errors import DataError, ShapeError
from fdht_models.preprocessing.log_mel import log_mel

CLASSES = ("a", "b", "c")


def _clips(count: int, seed: int, telling: str, shape: tuple[int, ...] = (20, 20, 3)) -> ClipSet:
    """Clips of three frames: the class shows in one frame, or only in the order of two."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=count)
    frames = generator.integers(0, 30, (count, 3, *shape), dtype=np.uint8)
    if telling == "last":
        for clip, label in zip(frames, labels, strict=True):
            clip[2, 5 * label : 5 * label + 5] += 100
    elif telling == "dot":  # one value, seven deviations brighter
        for clip, label in zip(frames, labels, strict=True):
            clip[:, 7 * label, 3, 1] += 60
    else:  # each frame by itself is as bright in every class
        bright = generator.integers(0, 3, count)
        for clip, label, level in zip(frames, labels, bright, strict=True):
            clip[0] += np.uint8(60 * level)
            clip[2] += np.uint8(60 * ((level + label) % 3))
    return ClipSet(frames.reshape(count, 3, -1), labels, CLASSES, shape)


def _found(table: BaselineTable) -> dict[str, float]:
    return {row.name: row.accuracy for row in table.rows}


def test_a_telling_frame_is_found() -> None:
    test = _clips(60, 1, "last")
    table = baseline_table(_clips(120, 0, "last"), test)
    # Inputs that are pictures themselves: the mean of the inputs is the mean picture.
    assert [row.name for row in table.rows] == [
        "largest class", "mean picture", "best single frame", "all frames",
    ]  # fmt: skip
    assert not table.left_out
    single = table.rows[2]
    assert single.accuracy == 1
    assert "last frame" in single.classifier
    assert len(single.tried) == 9
    assert single.chosen == "the best of 9 on the test clips"
    assert all(share < 0.6 for name, share in single.tried.items() if "last" not in name)
    for row in table.rows:
        assert row.accuracy == row.tried[row.classifier] == max(row.tried.values())
        assert row.accuracy == np.mean(row.predictions == test.labels)
        assert (row.kind, row.clips) == (
            ("counted", 0) if row.name == "largest class" else ("measured", 120)
        )


def test_a_pixel_that_averages_would_hide_is_found_in_the_mean() -> None:
    # 30 x 40 pixels: averaged over blocks of 2 x 2 and three colours, one of 12 values stands out.
    train, test = (_clips(150, seed, "dot", (30, 40, 3)) for seed in (0, 1))
    found = _found(baseline_table(train, test))
    assert found["mean picture"] > 0.95
    assert found["mean picture"] > found["best single frame"]


def test_classes_in_the_order_of_two_frames_are_not_found() -> None:
    # The class is a sum modulo 3 of two frames: linear in neither, nor in both together.
    test = _clips(200, 1, "time")
    found = _found(baseline_table(_clips(200, 0, "time"), test))
    assert found["largest class"] == np.bincount(test.labels).max() / 200
    assert max(found.values()) < 0.5


@pytest.mark.parametrize("inputs", [40, 400])  # fewer and more than clips, side by side
def test_what_all_frames_tell_together_is_found(inputs: int) -> None:
    """One of three frames is brighter: the class says which, and the mean is the same."""
    shown = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])  # the same mean in every class

    def clips(count: int, seed: int) -> ClipSet:
        generator = np.random.default_rng(seed)
        labels = generator.integers(3, size=count)
        frames = generator.integers(0, 30, (count, 3, inputs), dtype=np.uint8)
        frames[:, :, :20] += (15 * shown[labels])[..., None].astype(np.uint8)
        return ClipSet(frames, labels, CLASSES, (inputs,))

    table = baseline_table(clips(240, 0), clips(90, 1))
    found = _found(table)
    assert list(found) == ["largest class", "mean frame", "best single frame", "all frames"]
    assert found["all frames"] > 0.95 > 0.75 > max(found["mean frame"], found["best single frame"])


def test_mean_pictures_are_looked_at_where_given() -> None:
    train, test = _clips(90, 0, "time"), _clips(60, 1, "time")
    pictures = tuple(
        np.random.default_rng(seed).normal(size=(len(one), 30)) + 9 * np.eye(3, 30)[one.labels]
        for seed, one in enumerate((train, test))
    )
    table = baseline_table(train, test, (pictures[0][:60], pictures[1]))
    assert [row.name for row in table.rows] == [
        "largest class", "mean picture", "mean feature", "best single frame", "all frames",
    ]  # fmt: skip
    assert _found(table)["mean picture"] > 0.95
    assert table.rows[1].clips == 60
    without = baseline_table(train, test, "no room on the disk")
    assert without.left_out == {"mean picture": "no room on the disk"}
    assert [row.name for row in without.rows] == [
        "largest class", "mean feature", "best single frame", "all frames",
    ]  # fmt: skip


def test_the_table_of_sound_is_whole() -> None:
    """Chirps that rise or fall through the same pitches: alike in their mean, not in order."""

    def clips(count: int, seed: int) -> ClipSet:
        generator = np.random.default_rng(seed)
        labels = np.arange(count) % 2
        time = np.arange(4000) / 16_000
        frames = []
        for label in labels:
            low = generator.uniform(400, 900)
            pitch = low + 8000 * (time[::-1] if label else time)
            wave = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / 16_000 + generator.uniform(0, 6))
            wave += generator.normal(0, 0.01, len(wave))
            frames.append(log_mel(wave.astype(np.float32), 16)[:20])
        return ClipSet(np.array(frames), labels, ("rising", "falling"), (16,))

    table = baseline_table(clips(120, 0), clips(60, 1))
    found = _found(table)
    assert list(found) == ["largest class", "mean frame", "best single frame", "all frames"]
    assert found["largest class"] == 0.5
    assert found["all frames"] > 0.95
    assert found["mean frame"] < 0.8


def test_frames_that_are_not_video_are_seen_whole() -> None:
    frames = np.arange(24, dtype=np.uint8).reshape(2, 2, 6)
    np.testing.assert_array_equal(
        _small(ClipSet(frames, np.zeros(2, np.int64), CLASSES, (6,)), "last"), frames[:, 1]
    )
    np.testing.assert_array_equal(_place(frames, "first"), frames[:, 0])
    np.testing.assert_array_equal(mean_frames(frames), frames.mean(axis=1))


def test_blocks_are_as_small_as_the_limit_allows() -> None:
    def small(*shape: int) -> np.ndarray:
        frames = np.random.default_rng(0).integers(0, 256, (2, 1, int(np.prod(shape))), np.uint8)
        return frames, _small(ClipSet(frames, np.zeros(2, np.int64), CLASSES, shape), "first")

    frames, averages = small(20, 30, 3)
    np.testing.assert_allclose(averages, frames.reshape(2, 600, 3).mean(axis=2), rtol=1e-6)
    assert small(120, 160, 3)[1].shape == (2, 24 * 32)
    assert small(25, 33, 3)[1].shape == (2, 12 * 16)


def test_a_real_set_beats_chance() -> None:
    found = _found(
        baseline_table(load_clips("watch", "train", 210, 0), load_clips("watch", "test", 105, 0))
    )
    assert 0.3 < found["best single frame"] < 1
    assert found["largest class"] == pytest.approx(1 / 7)


def test_the_span_of_the_samples_loses_nothing() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=60)
    pattern = generator.normal(size=(3, 500))
    train = (pattern[labels] + 3 * generator.normal(size=(60, 500)) + 40).astype(np.float32)
    test = pattern[generator.integers(3, size=50)] + 3 * generator.normal(size=(50, 500)) + 40
    test = test.astype(np.float32)
    # In two parts, as frames that are too wide come one after the other.
    fit_on, combine = span_coordinates([train[:, :200], train[:, 200:]])
    assert fit_on.shape == (60, 59)  # centred samples sum to zero
    centred = train - train.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=1).mean())
    # Single precision: 500 products of about 1 each, in units of the samples' square norm.
    np.testing.assert_allclose(fit_on @ fit_on.T, centred @ centred.T / scale**2, atol=1e-5)
    score_on = (test - train.mean(axis=0)) @ (centred.T @ combine(np.eye(59)))
    for strength in STRENGTHS:
        plain = LogisticRegression(C=strength, tol=1e-8, max_iter=5000)
        plain.fit(centred / scale, labels)
        reduced = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(fit_on, labels)
        expected = plain.predict_proba((test - train.mean(axis=0)) / scale)
        # Both are minima to 1e-8 in the gradient; the samples are rounded to single precision.
        np.testing.assert_allclose(reduced.predict_proba(score_on), expected, atol=1e-3)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("inputs", [20, 300])
def test_predictions_are_those_of_plain_regression(classes: int, inputs: int) -> None:
    generator = np.random.default_rng(1)
    labels = np.arange(90) % classes
    pattern = generator.normal(size=(classes, inputs))
    train = (pattern[labels] + 2 * generator.normal(size=(90, inputs)) + 5).astype(np.float32)
    test = (
        pattern[np.arange(200) % classes] + 2 * generator.normal(size=(200, inputs)) + 5
    ).astype(np.float32)
    found, strength = logistic_predictions(train, labels, test)
    mean = train.mean(axis=0, dtype=np.float64)
    scale = np.sqrt(((train - mean) ** 2).sum(axis=1).mean())
    # As early stopped as ours.
    plain = LogisticRegression(C=strength, max_iter=60, tol=1e-3).fit(
        (train - mean) / scale, labels
    )
    expected = plain.predict((test - mean) / scale)
    # A few lie on a border, where the two stop a thousandth apart.
    assert np.mean(found == expected) > 0.98
    assert np.mean(found == np.arange(200) % classes) > 0.6
    if inputs > 90:
        cut = [(train[:, :70], test[:, :70]), (train[:, 70:], test[:, 70:])]
        again, same = logistic_predictions_in_parts(lambda: cut, labels)
        assert same == strength
        assert np.mean(again == found) > 0.98


@pytest.mark.parametrize("known", [True, False])
def test_a_source_is_never_on_both_sides_where_sources_are_known(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = np.repeat(np.arange(10), 12)
    values = np.stack([sources, np.ones(120)], axis=1).astype(np.float64)
    shared: list[set[float]] = []

    class Model:
        weights = np.eye(2)

        def __init__(self, fit: np.ndarray) -> None:
            self.fit = fit

        def choose(self, held: np.ndarray) -> np.ndarray:
            assert len(self.fit) + len(held) == 120
            shared.append(set(self.fit[:, 0]) & set(held[:, 0]))
            return np.zeros(len(held), np.int64)

    def path(fit: np.ndarray, labels: np.ndarray, _: object) -> list[Model]:
        return [Model(fit)]

    monkeypatch.setattr(logistic, "_path", path)
    monkeypatch.setattr(logistic, "STRENGTHS", (1.0,))
    logistic._best_strength(values, sources % 2, sources if known else None)
    assert len(shared) == 3
    assert all(not one for one in shared) if known else all(shared)


def test_samples_of_one_class_are_all_taken_for_it() -> None:
    found, _ = logistic_predictions(np.ones((4, 3)), np.full(4, 2), np.zeros((2, 3)))
    np.testing.assert_array_equal(found, [2, 2])


@pytest.mark.parametrize("inputs", [3, 9])
def test_samples_that_are_all_alike_are_taken_for_the_usual_class(inputs: int) -> None:
    samples = np.full((5, inputs), 7, np.float32)
    found, _ = logistic_predictions(samples, np.array([0, 1, 1, 2, 1]), samples[:2])
    np.testing.assert_array_equal(found, [1, 1])


def test_logistic_regression_sees_as_many_clips_as_take_seconds() -> None:
    assert logistic_clips(10_000, 57_600) == 1500
    assert logistic_clips(1280, 57_600) == 1280
    assert logistic_clips(140_000, 40) == 10_000
    assert logistic_clips(20_000, 1000) == 8000


def test_all_frames_take_no_longer_than_those_of_seven_steps_of_video() -> None:
    assert clips_of_all_frames(10_000, 7, 57_600) == 1502 - 2
    assert clips_of_all_frames(10_000, 20, 57_600) == 888
    # 50 steps x 40 bands: all of 2,000 recordings.
    assert clips_of_all_frames(2000, 50, 40) == 2000
    assert clips_of_all_frames(10_000, 300, 57_600) == 0
    assert clips_of_all_frames(40, 300, 57_600) == 40


def test_all_frames_are_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "_PRODUCTS", 10_000)
    table = baseline_table(_clips(60, 0, "last"), _clips(30, 1, "last"))
    assert table.left_out == {"all frames": "3,600 values a clip are too many for 300 clips"}
    assert table.row("all frames") is None and table.row("mean picture") is not None


def test_sets_that_do_not_belong_together_are_refused() -> None:
    train, test = _clips(6, 0, "time"), _clips(6, 1, "time", (10, 20, 3))
    with pytest.raises(ShapeError, match="different data sets"):
        baseline_table(train, test)
    few, many = np.zeros((5, 9), np.float32), np.zeros((7, 9), np.float32)
    with pytest.raises(ShapeError, match=r"pictures\[1\].*expected \[6, values\]"):
        baseline_table(train, train, (few, few))
    with pytest.raises(ShapeError, match=r"pictures\[0\].*expected \[6, values\]"):
        baseline_table(train, train, (many, many[:6]))


@pytest.mark.parametrize("module", ["ensemble", "linear_model", "model_selection"])
def test_missing_scikit_learn_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, f"sklearn.{module}", None)
    with pytest.raises(DataError, match=r"scikit-learn.*pip install fdht\[train\]"):
        baseline_table(_clips(6, 0, "time"), _clips(6, 1, "time"))
