"""The `tf.data` input: the training loop's order, whole batches, nothing read twice."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_models.data import ClipSet
from fdht_models.data.batch_pipeline import clip_pipeline
from fdht_models.data.folders import FolderRequest, load_folder_clips
from fdht_models.errors import ConfigError
from tests.models.folders_samples import SIZE, ucf11

FRAMES = np.random.default_rng(0).integers(0, 256, (23, 4, 6), np.uint8)
CLIPS = ClipSet(FRAMES, np.arange(23, dtype=np.int64) % 5, tuple("abcde"), (6,))


def batches(dataset: object) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(frames.numpy(), labels.numpy()) for frames, labels in dataset]


def test_batches_come_in_the_training_loops_order() -> None:
    for epoch in (3, 4):
        found = batches(clip_pipeline(CLIPS, 5, seed=7, epoch=epoch))
        assert len(found) == 4
        order = np.random.default_rng([7, epoch]).permutation(23)
        for step in range(4):
            chosen = np.sort(order[5 * step : 5 * step + 5])
            frames, labels = found[step]
            np.testing.assert_array_equal(frames, FRAMES[chosen])
            np.testing.assert_array_equal(labels, CLIPS.labels[chosen])


def test_a_resumed_run_sees_what_it_would_have_seen() -> None:
    whole = [batches(clip_pipeline(CLIPS, 4, seed=1, epoch=epoch)) for epoch in range(3)]
    rest = batches(clip_pipeline(CLIPS, 4, seed=1, epoch=2))
    assert len(rest) == 5
    for (frames, _), (again, _) in zip(whole[2], rest, strict=True):
        np.testing.assert_array_equal(frames, again)
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(whole[0], rest, strict=True))


@pytest.mark.parametrize("epoch", [1, 2])
def test_clips_are_changed_by_number_and_epoch(epoch: int) -> None:
    def change(frames: np.ndarray, numbers: np.ndarray, epoch: int) -> np.ndarray:
        return frames + np.uint8(100 * epoch) + numbers[:, None, None].astype(np.uint8)

    own = np.arange(1, 23, 2)
    settings: dict[str, Any] = {"epoch": epoch, "numbers": own}
    dataset = clip_pipeline(CLIPS, 4, 7, change=change, numbered=True, **settings)
    plainly = batches(clip_pipeline(CLIPS, 4, 7, **settings))
    found = list(dataset.as_numpy_iterator())
    assert len(found) == len(plainly) == 2
    for (frames, labels, numbers), (before, same) in zip(found, plainly, strict=True):
        np.testing.assert_array_equal(before, FRAMES[numbers])
        np.testing.assert_array_equal(frames, change(before, numbers, epoch))
        np.testing.assert_array_equal(labels, same)
        assert set(numbers) <= set(own)


def test_shapes_and_length_are_known_beforehand() -> None:
    dataset = clip_pipeline(CLIPS, 5, seed=0)
    frames, labels = dataset.element_spec
    assert frames.shape.as_list() == [5, 4, 6] and frames.dtype.name == "uint8"
    assert labels.shape.as_list() == [5] and labels.dtype.name == "int64"
    assert int(dataset.cardinality()) == 4


def test_batches_are_read_while_the_network_computes() -> None:
    reads: list[float] = []

    class Recorder(np.ndarray):
        def __getitem__(self, chosen: object) -> np.ndarray:
            reads.append(time.monotonic())
            assert threading.current_thread() is not threading.main_thread()
            return np.asarray(self)[chosen]

    clips = ClipSet(FRAMES.view(Recorder), CLIPS.labels, CLIPS.classes, (6,))
    batch = iter(clip_pipeline(clips, 5, seed=0))
    next(batch)
    deadline = time.monotonic() + 20
    while len(reads) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(reads) >= 3  # two more are ready before anybody asked for them
    assert len(list(batch)) == 3


def test_memory_mapped_clips_of_a_folder(tmp_path: Path) -> None:
    ucf11(tmp_path / "UCF11")
    request = FolderRequest("ucf11", tmp_path / "UCF11", **SIZE)
    clips = load_folder_clips(request, "train", tmp_path / "cache")
    found = batches(clip_pipeline(clips, 4, seed=0))
    assert sum(len(labels) for _, labels in found) == 16
    expected = sorted(frames.tobytes() for frames in clips.frames)
    assert sorted(f.tobytes() for frames, _ in found for f in frames) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 0}, "batch = 0: must be at least 1"),
        ({"batch": 24}, "batch = 24: there are only 23 clips"),
        ({"epoch": -1}, "epoch = -1"),
    ],
)
def test_impossible_settings(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        clip_pipeline(CLIPS, **{"batch": 5, "seed": 0, **settings})
