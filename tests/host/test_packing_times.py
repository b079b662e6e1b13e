"""`fdht bench packing`: what it measures is all there, and it names what was packed."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fdht
from fdht_host import packing_times
from fdht_host.packing_times import frames_of_clips, packing_lines, time_packing
from fdht_models.errors import DataError
from fdht_models.experiment import load_experiment


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_times, "LEAST_BYTES", 1 << 20)
    monkeypatch.setattr(packing_times, "_CLIPS", 1)


def test_words_are_counted_and_all_is_timed() -> None:
    frames = np.zeros((10, 1203), np.uint8)
    frames[::2, 700] = 1  # every second frame has a word
    result = time_packing(frames, batch=4, rounds=2)
    assert result["frame_bytes"] == 1208
    # Header, three bitmaps for 151 words, and in every second frame a word.
    assert result["words_per_frame"] == 1 + 3 + 0.5
    assert set(result["rows"]) == {
        f"{kind}, {step}"
        for kind in ("dense", "sparse")
        for step in ("packed", "packed and flushed")
    }
    for row in result["rows"].values():
        assert 0 < row["least_microseconds"] <= row["median_microseconds"]
    assert set(result["ratios"]) == {"packed", "packed and flushed"}
    assert result["kind"] == "measured"
    text = "\n".join(packing_lines(result))
    assert "4 words a frame in place of 151, batches of 4" in text


def test_without_frames_there_is_nothing_to_time() -> None:
    with pytest.raises(DataError, match="frames = 0: are needed"):
        time_packing(np.zeros((0, 8), np.uint8), batch=1)


def test_a_dead_zone_leaves_zeros(tmp_path) -> None:
    recipe = load_experiment("watch")
    every, few = (frames_of_clips(recipe, zone, tmp_path) for zone in (0, 130))
    np.testing.assert_array_equal(few, every * (every > 130))
    assert 0 < np.count_nonzero(few) < np.count_nonzero(every)


def test_the_command_prints_json(capsys, tmp_path) -> None:
    arguments = ["bench", "packing", "watch", "--rounds", "1", "--build", str(tmp_path), "--json"]
    assert fdht.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["asked"] == 1.3
