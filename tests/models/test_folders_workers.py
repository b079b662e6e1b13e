"""Worker processes decode the same bytes, end when asked to, and say over which clip they died."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fdht_models.data.folders import Clip, FolderRequest, load_folder
from fdht_models.data.folders.decoding import shard_workers, shards
from fdht_models.errors import DataError
from tests.models.folders_samples import SIZE, leftovers


def test_workers_give_the_same_bytes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(shards._CLIPS, "video", 4)
    (root / "biking" / "v_biking_01" / "v_biking_01_01.avi").write_bytes(b"no video")
    request = FolderRequest("ucf11", root, **SIZE)
    one = load_folder(request, "train", tmp_path / "one", workers=1)
    two = load_folder(request, "train", tmp_path / "two", workers=2)
    np.testing.assert_array_equal(one[0].frames, two[0].frames)
    np.testing.assert_array_equal(one[0].labels, two[0].labels)
    assert one[1] == two[1]
    names = [
        sorted(path.name for path in (tmp_path / place / "shards").iterdir())
        for place in ("one", "two")
    ]
    assert names[0] == names[1] and len(names[0]) == 5


def test_interrupted_workers_end_and_leave_whole_shards(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def spawn(*arguments: object, **keywords: object) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **keywords))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", spawn)

    def tick(self: object, label: str, done: float, total: float = 0) -> None:
        if label == "ucf11: decoding" and done > 6:
            raise KeyboardInterrupt

    request = FolderRequest("ucf11", root, **SIZE)
    with monkeypatch.context() as patch:
        patch.setattr("fdht_models.console.Lines.__call__", tick)
        with pytest.raises(KeyboardInterrupt):
            load_folder(request, "train", tmp_path / "cache", workers=2, progress=True)
    assert len(started) == 2 and all(process.poll() is not None for process in started)
    assert leftovers(tmp_path / "cache") == []
    whole = len(list((tmp_path / "cache" / "shards").iterdir()))
    load_folder(request, "train", tmp_path / "cache", workers=1)
    assert len(decoded) == 20 - 4 * whole


def test_a_worker_that_hangs_is_given_up(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Opening a pipe that nobody writes to never returns, as a network disk may not.
    os.mkfifo(root / "hangs.avi")
    request = FolderRequest("ucf11", root, **SIZE).complete()
    clips = [Clip(f"biking/{number}", "hangs.avi", (0,)) for number in range(2)]
    planned = [
        shards.Shard(tmp_path / f"shard{number}", "train", {"content": str(number)}, (clip,))
        for number, clip in enumerate(clips)
    ]
    listen = shard_workers._Worker.listen

    def impatiently(worker: shard_workers._Worker) -> tuple[int, bool]:
        heard = listen(worker)
        worker.deadline = time.monotonic() + 1  # not before: a busy machine starts slowly
        return heard

    monkeypatch.setattr(shard_workers._Worker, "listen", impatiently)
    monkeypatch.setattr(shard_workers, "_END_SECONDS", 0.5)
    begin = time.monotonic()
    with pytest.raises(DataError, match=r"biking/\d.*longer than"):
        shard_workers.decode_shards(request, planned, 2, lambda _: None)
    assert time.monotonic() - begin < 60
    assert leftovers(tmp_path) == []


def test_a_worker_that_dies_names_the_clip(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(shards._CLIPS, "video", 4)
    script = (
        "import sys; sys.stdin.readline(); sys.stdin.readline(); "
        'print(\'{"clip": "biking/v_biking_01_01"}\', flush=True); sys.exit("decoder crashed")'
    )
    popen = subprocess.Popen

    def spawn(arguments: list[str], **keywords: object) -> subprocess.Popen[bytes]:
        return popen([sys.executable, "-c", script], **keywords)

    monkeypatch.setattr(subprocess, "Popen", spawn)
    request = FolderRequest("ucf11", root, **SIZE)
    with pytest.raises(DataError, match=r"biking/v_biking_01_01.*decoder crashed"):
        load_folder(request, "train", tmp_path / "cache", workers=2, progress=True)
    assert list((tmp_path / "cache").glob("ucf11-*")) == []
