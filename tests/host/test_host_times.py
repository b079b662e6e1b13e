"""`fdht bench host`: what it measures is all there, and of the same frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fdht
from fdht_host import host_times
from fdht_host.host_times import bench_host, host_lines


def test_every_way_is_timed_and_held_against_what_was_asked(tmp_path: Path, capsys) -> None:
    place = str(tmp_path / "build")
    assert (
        fdht.main(["bench", "host", "--frames", "60", "--rounds", "1", "--build", place, "--json"])
        == 0
    )
    result = json.loads(capsys.readouterr().out)
    file, memory = result["file"], result["memory"]
    assert set(file["frames_per_second"]) == {"one after the other", "overlapped", "FFmpeg alone"}
    assert all(one["median"] > 0 for one in file["frames_per_second"].values())
    phases = {"decode", "resize", "feature", "pack", "transfer"}
    assert set(file["microseconds_a_frame"]) == phases
    assert set(memory["microseconds_a_frame"]) == {"feature", "pack", "transfer", "memcpy"}
    assert memory["frame_bytes"] == 57_600
    rate = {name: one["median"] for name, one in file["frames_per_second"].items()}
    assert file["ratios"]["serial"] == pytest.approx(
        rate["overlapped"] / rate["one after the other"]
    )
    assert file["ratios"]["ffmpeg"] == pytest.approx(rate["overlapped"] / rate["FFmpeg alone"])
    assert result["asked"] == {"serial": 3.0, "ffmpeg": 0.85, "slowest": 1.15, "memcpy": 1.3}
    text = "\n".join(host_lines(result))
    assert "overlapped / one after the other" in text and "packing / memcpy" in text


@pytest.mark.parametrize("overlapped", [False, True])
def test_the_engine_takes_every_frame_of_the_file(tmp_path, monkeypatch, overlapped) -> None:
    taken: list[int] = []
    monkeypatch.setattr(
        host_times._FreeEngine, "take", lambda self, inputs: taken.append(len(inputs))
    )
    path = tmp_path / "v.mp4"
    host_times._write_video(path, 120)
    host_times._path_seconds(path, overlapped=overlapped)
    assert taken == [50, 50, 19]  # the first frame has none to be compared with


def test_the_engine_packs_what_it_is_given() -> None:
    engine = host_times._FreeEngine()
    inputs = np.random.default_rng(0).integers(0, 256, (40, 57_600), np.uint8)
    engine.take(inputs)
    np.testing.assert_array_equal(engine._memory[:8], inputs[32:])
    assert engine.pack > 0 and engine.transfer > 0


def test_a_file_of_another_length_is_refused(tmp_path) -> None:
    path = tmp_path / "host" / "h264-320x240-30.mp4"
    path.parent.mkdir()
    host_times._write_video(path, 20)
    with pytest.raises(host_times.DataError, match="has 20 frames, not 30"):
        bench_host(path.parent, 30, 1)
