"""A network that was trained with a dead zone gets test clips and videos with the same one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fdht_host import video
from fdht_host.evidence import Recipe
from fdht_host.testset import load_test_set
from fdht_models.data import render_clips, source_of
from fdht_models.errors import ConfigError

DATA = {"set": "motion", "train_clips": 2, "test_clips": 3, "seed": 0, "test_seed": 9}


def network(dead_zone: int) -> Any:
    source = source_of({**DATA, "dead_zone": dead_zone})
    return SimpleNamespace(preprocessing=source.preprocessing, classes=source.classes)


def test_a_video_and_the_test_set_are_the_same_frames(tmp_path: Path) -> None:
    ran = network(6)
    clips = load_test_set(Recipe({**DATA, "dead_zone": 6}), ran, None, None, None)
    raw, labels = render_clips("motion", "test", 3, 9)
    path = tmp_path / "clips.mkv"
    video.encode_clips(path, raw, [int(label) for label in labels], clips.classes)
    picture = ran.preprocessing.picture
    decoded = video.decode(path, picture.height, picture.width)
    starts = {number * raw.shape[1] for number in range(3)}
    found = video.features(decoded, picture.feature, dead_zone=picture.dead_zone, starts=starts)
    np.testing.assert_array_equal(np.stack(list(found)), np.concatenate(clips.frames))
    wide = np.abs(np.diff(raw.astype(np.int16), axis=1)).reshape(clips.frames.shape)
    np.testing.assert_array_equal(clips.frames, np.where(wide > 6, wide, 0))


def test_test_clips_with_another_dead_zone_are_refused() -> None:
    for given, trained in ((0, 6), (6, 0), (4, 6)):
        with pytest.raises(ConfigError, match=rf"picture\.dead_zone = {given}: .*: {trained}"):
            load_test_set(Recipe({**DATA, "dead_zone": given}), network(trained), None, None, None)
