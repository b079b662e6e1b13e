"""Fixtures of the tests of folders: a small data set, and what was decoded of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdht_models.data.folders import Clip, FolderRequest, shards
from fdht_models.data.folders.decoding import read_video
from tests.models.folders_samples import ucf11


@pytest.fixture
def root(tmp_path: Path) -> Path:
    ucf11(tmp_path / "UCF11")
    return tmp_path / "UCF11"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the clips that were decoded in this process; shards of four clips."""
    keys: list[str] = []

    def read(request: FolderRequest, clip: Clip) -> object:
        keys.append(clip.key)
        return read_video(request, clip)

    monkeypatch.setattr(shards, "read_video", read)
    monkeypatch.setitem(shards._CLIPS, "video", 4)
    return keys
