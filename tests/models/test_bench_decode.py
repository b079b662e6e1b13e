"""`fdht bench decode`: three ways to the same frames, and their ratios."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fdht_models.benchmarks import decode
from fdht_models.benchmarks.decode import (
    ALL,
    ClipKind,
    FrameReading,
    bench_decode,
    make_clips,
    report,
    workload_of,
)
from fdht_models.errors import ConfigError, EqualityError
from fdht_models.media import VideoFile
from fdht_models.preprocessing.frames import Frames, read_twice

KINDS = (
    ClipKind(96, 128, 25, 2, "libx264", ".mp4", 2),
    ClipKind(48, 64, 30, 1, "mpeg4", ".avi", 1),
)


def test_all_ways_are_timed_side_by_side(tmp_path: Path) -> None:
    readings = (FrameReading("uniform", 5), FrameReading("six", 3))
    result = bench_decode(tmp_path, KINDS, readings, 2)
    json.dumps(result, allow_nan=False)
    assert [row["clips"] for row in result["rows"]] == [KINDS[0].name, KINDS[1].name, ALL] * 2
    for first in (0, 3):
        *parts, total = result["rows"][first : first + 3]
        assert total["count"] == 3
        for way in ("twice", "ours", "ffmpeg"):
            assert total["seconds"][way] == pytest.approx(sum(p["seconds"][way] for p in parts))
        seconds = total["seconds"]
        assert total["times_twice"] == seconds["twice"] / seconds["ours"]
        assert total["share_of_ffmpeg"] == seconds["ffmpeg"] / seconds["ours"]
    assert result["setting"]["clips"] == 3
    shown = Console(width=200, record=True, file=io.StringIO())
    shown.print(report(result))
    assert "twice/ours" in shown.export_text()


def test_clips_are_real_and_made_once(tmp_path: Path) -> None:
    made = make_clips(tmp_path, KINDS)
    times = [path.stat().st_mtime_ns for _, path in made]
    assert [path for _, path in make_clips(tmp_path, KINDS)] == [path for _, path in made]
    assert [path.stat().st_mtime_ns for _, path in made] == times
    with VideoFile(made[0][1]) as video:
        table = video.packet_table()
    assert table.clock.count == 50 and table.pictures is not None
    assert any(picture.disposable for picture in table.pictures)


def test_ffmpeg_alone_comes_to_every_frame(tmp_path: Path) -> None:
    """It would be no measure if it left some out."""
    _, path = make_clips(tmp_path, KINDS[:1])[0]
    with VideoFile(path) as video:
        table = video.packet_table()
    times = [table.times[place] or 0 for place in table.shown]
    keys = [time or 0 for time, key in zip(table.times, table.keys, strict=True) if key]
    for wanted in ([0], [49], [3, 4, 30], list(range(50))):
        chosen = [times[frame] for frame in wanted]
        assert decode._decode_alone(path, chosen, keys) == len(wanted)


def test_other_pixels_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: object) -> Frames:
        found = read_twice(*arguments)  # type: ignore[arg-type]
        found.pictures[-1] = np.bitwise_xor(found.pictures[-1], 1)
        return found

    monkeypatch.setattr(decode, "read_frames", wrong)
    with pytest.raises(EqualityError, match="is not the same when it is decoded twice"):
        bench_decode(tmp_path, KINDS[1:], (FrameReading("uniform", 5),), 1)


def test_what_is_measured_can_be_named() -> None:
    kinds, readings = workload_of(["1920x1080"], ["six"], 3)
    assert [(kind.height, kind.count) for kind in kinds] == [(1080, 6)]
    assert [reading.protocol for reading in readings] == ["six"]
    with pytest.raises(ConfigError, match="size = '1920x1088': is not measured"):
        workload_of(["1920x1088"], [], 1)
    with pytest.raises(ConfigError, match="protocol = 'sixx': is not measured"):
        workload_of([], ["sixx"], 1)
