"""Fixtures of the tests of folders: a small data set, and what was decoded of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdht_models.data.folders.decoding import shards
from fdht_models.preprocessing import ClipInputs, Preprocessing, read_clip
from tests.models.folders_samples import ucf11


@pytest.fixture
def root(tmp_path: Path) -> Path:
    ucf11(tmp_path / "UCF11")
    return tmp_path / "UCF11"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the clips that were decoded in this process; shards of four clips."""
    keys: list[str] = []

    def read(path: Path, key: str, preprocessing: Preprocessing, span: None) -> ClipInputs:
        keys.append(key)
        return read_clip(path, key, preprocessing)

    monkeypatch.setattr(shards, "read_clip", read)
    monkeypatch.setitem(shards._CLIPS, "video", 4)
    return keys
