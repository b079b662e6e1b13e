"""The baselines find what a frame or a mean gives away, and no more."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fdht_models.data import ClipSet, load_clips, logistic, single_frame_baseline
from fdht_models.data.baseline import _small, _whole, logistic_clips
from fdht_models.data.logistic import STRENGTHS, logistic_predictions, span_coordinates
from fdht_models.errors import DataError, ShapeError

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


def test_a_telling_frame_is_found() -> None:
    result = single_frame_baseline(_clips(120, 0, "last"), _clips(60, 1, "last"))
    assert result["accuracy"] == 1
    assert "last feature frame" in result["name"]
    for one in (result, result["mean_frame"]):
        assert one["accuracy"] == max(one["accuracies"].values())
        assert one["accuracies"][one["name"]] == one["accuracy"]
    assert len(result["accuracies"]) == 9
    assert all(
        accuracy < 0.6 for name, accuracy in result["accuracies"].items() if "last" not in name
    )
    assert json.loads(json.dumps(result)) == result


def test_a_pixel_that_averages_would_hide_is_found_in_the_mean() -> None:
    # 30 x 40 pixels: averaged over blocks of 2 x 2 and three colours, one of 12 values stands out.
    train, test = (_clips(150, seed, "dot", (30, 40, 3)) for seed in (0, 1))
    result = single_frame_baseline(train, test)
    assert result["mean_frame"]["name"] == "logistic regression, mean feature frame"
    assert result["mean_frame"]["accuracy"] > 0.95
    assert result["mean_frame"]["accuracy"] > result["accuracy"]


def test_classes_in_time_alone_are_not_found() -> None:
    test = _clips(200, 1, "time")
    result = single_frame_baseline(_clips(200, 0, "time"), test)
    assert result["accuracy"] < 0.5
    assert result["chance"] == np.bincount(test.labels).max() / 200


def test_raw_frames_are_tried_where_given() -> None:
    train, test = _clips(90, 0, "time"), _clips(60, 1, "time")
    shown = [_clips(len(clips), seed, "last") for seed, clips in enumerate((train, test))]
    train, test = (
        ClipSet(clips.frames, one.labels, CLASSES, clips.frame_shape)
        for clips, one in zip((train, test), shown, strict=True)
    )
    raw = tuple(one.frames.reshape(len(one), 3, 20, 20, 3) for one in shown)
    result = single_frame_baseline(train, test, raw=(raw[0], raw[1]))
    assert result["accuracy"] == 1
    assert "last raw frame" in result["name"]
    assert len(result["accuracies"]) == 18
    assert result["mean_frame"]["name"] == "logistic regression, mean raw frame"


def test_frames_that_are_not_video_are_seen_whole() -> None:
    frames = np.arange(24, dtype=np.uint8).reshape(2, 2, 6)
    np.testing.assert_array_equal(_small(frames, "last"), frames[:, 1])
    np.testing.assert_array_equal(_whole(frames, "first"), frames[:, 0])
    np.testing.assert_array_equal(_whole(frames, "mean"), frames.mean(axis=1))


def test_blocks_are_as_small_as_the_limit_allows() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 1, 20, 30, 3), np.uint8)
    np.testing.assert_allclose(
        _small(frames, "first"), frames[:, 0].mean(axis=3).reshape(2, -1), rtol=1e-6
    )
    assert _small(np.zeros((1, 1, 120, 160, 3), np.uint8), "first").shape == (1, 24 * 32)
    assert _small(np.zeros((1, 1, 25, 33, 3), np.uint8), "first").shape == (1, 12 * 16)


def test_a_real_set_beats_chance() -> None:
    result = single_frame_baseline(
        load_clips("watch", "train", 210, 0), load_clips("watch", "test", 105, 0)
    )
    assert 0.3 < result["accuracy"] < 1
    assert result["chance"] == pytest.approx(1 / 7)


def test_the_span_of_the_samples_loses_nothing() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=60)
    pattern = generator.normal(size=(3, 500))
    train = (pattern[labels] + 3 * generator.normal(size=(60, 500)) + 40).astype(np.float32)
    test = pattern[generator.integers(3, size=50)] + 3 * generator.normal(size=(50, 500)) + 40
    test = test.astype(np.float32)
    fit_on, score_on = span_coordinates(train, test)
    assert fit_on.shape == (60, 59)  # centred samples sum to zero
    centred = train - train.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=1).mean())
    # Single precision: 500 products of about 1 each, in units of the samples' square norm.
    np.testing.assert_allclose(fit_on @ fit_on.T, centred @ centred.T / scale**2, atol=1e-5)
    for strength in STRENGTHS:
        plain = LogisticRegression(C=strength, tol=1e-8, max_iter=5000)
        plain.fit(centred / scale, labels)
        reduced = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(fit_on, labels)
        expected = plain.predict_proba((test - train.mean(axis=0)) / scale)
        # Both are minima to 1e-8 in the gradient; the samples are rounded to single precision.
        np.testing.assert_allclose(reduced.predict_proba(score_on), expected, atol=1e-3)


@pytest.mark.parametrize("known", [True, False])
def test_a_source_is_never_on_both_sides_where_sources_are_known(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = np.repeat(np.arange(10), 12)
    values = np.stack([sources, np.ones(120)], axis=1).astype(np.float64)
    shared: list[set[float]] = []

    def path(fit: np.ndarray, labels: np.ndarray, held: np.ndarray, _: object) -> list[np.ndarray]:
        assert len(fit) + len(held) == 120
        shared.append(set(fit[:, 0]) & set(held[:, 0]))
        return [np.zeros(len(held), np.int64)] * len(STRENGTHS)

    monkeypatch.setattr(logistic, "_path", path)
    logistic._best_strength(values, sources % 2, sources if known else None)
    assert len(shared) == 3
    assert all(not one for one in shared) if known else all(shared)


def test_samples_of_one_class_are_all_taken_for_it() -> None:
    found, _ = logistic_predictions(np.ones((4, 3)), np.full(4, 2), np.zeros((2, 3)))
    np.testing.assert_array_equal(found, [2, 2])


def test_logistic_regression_sees_as_many_clips_as_take_seconds() -> None:
    assert logistic_clips(10_000, 57_600) == 1500
    assert logistic_clips(1280, 57_600) == 1280
    assert logistic_clips(140_000, 40) == 10_000
    assert logistic_clips(8156, 700) == 1500**2 // 700


def test_sets_that_do_not_belong_together_are_refused() -> None:
    train, test = _clips(6, 0, "time"), _clips(6, 1, "time", (10, 20, 3))
    with pytest.raises(ShapeError, match="different data sets"):
        single_frame_baseline(train, test)
    raw = np.zeros((5, 3, 20, 20, 3), np.uint8)
    with pytest.raises(ShapeError, match=r"raw\[1\].*expected \[6, frames, H, W, 3\]"):
        single_frame_baseline(train, train, raw=(np.zeros((6, 3, 20, 20, 3), np.uint8), raw))


@pytest.mark.parametrize("module", ["ensemble", "linear_model", "model_selection"])
def test_missing_scikit_learn_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, f"sklearn.{module}", None)
    with pytest.raises(DataError, match=r"scikit-learn.*pip install fdht\[train\]"):
        single_frame_baseline(_clips(6, 0, "time"), _clips(6, 1, "time"))
