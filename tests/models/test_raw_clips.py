"""Clips as raw frames: of each one more than inputs, and their feature is what is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fdht_models.data import source_of
from fdht_models.data.clip_sets import ClipSet
from fdht_models.errors import ConfigError
from fdht_models.preprocessing import Picture
from tests.models.folders_samples import random_frames, write_video

MOTION = {"set": "motion", "train_clips": 1, "test_clips": 3, "steps": 8, "seed": 4, "test_seed": 5}
OWN = {"set": "folders", "steps": 3, "height": 4, "width": 5, "dead_zone": 6, "folds": 2}


def check_features(picture: Picture, raw: np.ndarray, clips: ClipSet) -> None:
    assert raw.shape == (len(clips), clips.frames.shape[1] + 1, clips.frames.shape[2])
    found = np.stack([picture.features(clip) for clip in raw])
    np.testing.assert_array_equal(found, clips.frames)
    assert found.any()


def test_generated_clips_are_drawn_raw():
    source = source_of(MOTION)
    raw, clips = source.load_raw("test"), source.load("test", None, progress=False)
    check_features(source.preprocessing.picture, raw.frames, clips)
    np.testing.assert_array_equal(raw.labels, clips.labels)
    assert (raw.classes, raw.frame_shape) == (clips.classes, clips.frame_shape)


def test_generated_streams_of_raw_frames():
    source = source_of(MOTION)
    raw, streams = (make(2, 11, 9, None) for make in (source.raw_streams, source.streams))
    check_features(source.preprocessing.picture, raw, streams)


def folder(root: Path) -> dict[str, object]:
    for number, name in enumerate(("fall", "walk")):
        for person in range(2):
            frames = random_frames(6, 10 * number + person, 4, 5).repeat(8, 1).repeat(8, 2)
            write_video(root / name / f"p{person}_0.avi", frames)
    return {**OWN, "feature": "motion_energy", "root": str(root), "pattern": r"/(?P<group>p\d)_"}


def test_streams_of_a_folder_are_pictures_one_behind_the_other(tmp_path):
    source = source_of(folder(tmp_path / "clips"))
    raw = source.raw_streams(2, 9, 0, tmp_path / "cache")
    assert raw.shape[0] == 2 and raw.shape[1] >= 10 and raw.shape[2] == 60
    streams = source.streams(2, 9, 0, tmp_path / "cache").frames
    found = np.stack([source.preprocessing.picture.features(clip) for clip in raw])
    # A clip of three inputs is four pictures; between two clips lies a difference of its own.
    for clip in range(2):
        np.testing.assert_array_equal(
            found[:, 4 * clip : 4 * clip + 3], streams[:, 3 * clip : 3 * clip + 3]
        )


def test_clips_of_a_folder_are_kept_as_features(tmp_path):
    source = source_of(folder(tmp_path / "clips"))
    with pytest.raises(ConfigError, match=r"kept as features.*--source, or build with --feature h"):
        source.load_raw("test")
