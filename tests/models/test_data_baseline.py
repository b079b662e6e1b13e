"""The baseline finds what a single frame gives away, and no more."""

import json

import numpy as np
import pytest

from fdht_models.data import ClipSet, load_clips, single_frame_baseline
from fdht_models.data.baseline import _frame
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
    assert result["accuracy"] == max(result["accuracies"].values())
    assert result["accuracies"][result["name"]] == result["accuracy"]
    assert len(result["accuracies"]) == 9
    assert all(
        accuracy < 0.6 for name, accuracy in result["accuracies"].items() if "last" not in name
    )
    assert json.loads(json.dumps(result)) == result


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


def test_frames_that_are_not_video_are_seen_whole() -> None:
    frames = np.arange(24, dtype=np.uint8).reshape(2, 2, 6)
    np.testing.assert_array_equal(_frame(frames, "last"), frames[:, 1])


def test_video_is_averaged_over_blocks() -> None:
    frames = np.zeros((1, 1, 10, 15, 3), np.uint8)
    frames[0, 0, 5:, 5:10] = 75
    frames[0, 0, 0, 0, 0] = 150
    np.testing.assert_allclose(_frame(frames, "first"), [[2, 0, 0, 0, 75, 0]])


def test_a_real_set_beats_chance() -> None:
    result = single_frame_baseline(
        load_clips("watch", "train", 210, 0), load_clips("watch", "test", 105, 0)
    )
    assert 0.3 < result["accuracy"] < 1
    assert result["chance"] == pytest.approx(1 / 7)


def test_sets_that_do_not_belong_together_are_refused() -> None:
    train, test = _clips(6, 0, "time"), _clips(6, 1, "time", (10, 20, 3))
    with pytest.raises(ShapeError, match="different data sets"):
        single_frame_baseline(train, test)
    raw = np.zeros((5, 3, 20, 20, 3), np.uint8)
    with pytest.raises(ShapeError, match=r"raw\[1\].*expected \[6, frames, H, W, 3\]"):
        single_frame_baseline(train, train, raw=(np.zeros((6, 3, 20, 20, 3), np.uint8), raw))


def test_missing_scikit_learn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(DataError, match=r"scikit-learn.*pip install fdht\[train\]"):
        single_frame_baseline(_clips(6, 0, "time"), _clips(6, 1, "time"))
