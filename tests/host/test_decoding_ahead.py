"""Videos decoded in a thread: the same frames and failures, and nothing left open."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fdht_host import ahead
from fdht_host.video import VideoTimes, decode, decoding
from fdht_models.errors import DataError
from fdht_models.media import VideoFile
from tests.host.builds import cut_short, write_video


def shown(path: Path, *, overlapped: bool) -> tuple[list[np.ndarray], VideoTimes, str]:
    found, times, failure = [], VideoTimes(), ""
    try:
        found.extend(decode(path, 4, 5, times=times, stride=3, overlapped=overlapped))
    except DataError as error:
        failure = str(error)
    return found, times, failure


def no_thread() -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if all(thread.name != ahead.NAME for thread in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("frames", [1, decoding._FEW, 3 * decoding._FEW + 1])
@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("few_bytes", [1, decoding._FEW_BYTES])
def test_frames_counts_and_failures_are_the_same(tmp_path, monkeypatch, frames, broken, few_bytes):
    """What came before the damage is given out, also of the last few."""
    monkeypatch.setattr(decoding, "_FEW_BYTES", few_bytes)
    path = write_video(tmp_path / "v.mkv", frames)
    if broken:
        path = cut_short(write_video(path, 10 * frames))
    one, other = (shown(path, overlapped=flag) for flag in (True, False))
    np.testing.assert_array_equal(one[0], other[0])
    assert one[2] == other[2] and bool(one[2]) == broken
    for name in ("frames", "resized"):
        assert vars(one[1])[name] == vars(other[1])[name]
    assert one[1].frames == frames or broken
    assert one[1].decode_seconds > 0
    assert no_thread()


def test_whoever_stops_early_leaves_neither_thread_nor_open_file(tmp_path, monkeypatch):
    closed: list[Path] = []
    close = VideoFile.close
    monkeypatch.setattr(VideoFile, "close", lambda self: (closed.append(self.path), close(self)))
    path = write_video(tmp_path / "v.mkv", 200)
    for strict in (False, True):
        size = (24, 30) if strict else (4, 5)
        pictures = decode(path, *size, strict_size=strict)
        next(pictures)
        pictures.close()
        assert no_thread() and closed == [path]
        closed.clear()


def test_with_a_limit_no_thread_is_started(tmp_path, monkeypatch):
    def started(*_: object) -> None:
        raise AssertionError("a thread")

    monkeypatch.setattr(decoding, "Ahead", started)
    path = write_video(tmp_path / "v.mkv", 20)
    assert len(list(decode(path, 4, 5, limit=3))) == 3
    assert len(list(decode(path, 4, 5, limit=0))) == 0
