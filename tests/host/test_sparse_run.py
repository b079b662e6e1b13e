"""A run of a core that takes sparse frames: the same answers, and what is told of the frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht.cli.run_lines import report_lines
from fdht_hls.schedule import default_schedule
from fdht_host.accelerator import Accelerator
from fdht_host.energy import windows
from fdht_host.energy.evaluation import EnergyResult
from fdht_host.outcome import sparse_frames
from fdht_host.phase_times import PhaseTimes
from fdht_host.run import RunSettings
from fdht_models.directories import BuildDirectory
from fdht_overlays.manifest import load_manifest
from tests.host import builds
from tests.host.builds import NETWORK
from tests.overlays.test_manifest import SPARSE, WHOLE


@pytest.fixture
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The same network built for dense and for sparse frames."""
    builds.reference_as_core(monkeypatch)
    dense = default_schedule(NETWORK.recurrence)
    return {
        kind: builds.write_build(tmp_path / kind, schedule=dense.with_frames(kind))
        for kind in ("dense", "sparse")
    }


def overlay_of(directory: Path) -> Path:
    return BuildDirectory(directory).overlay("sim", "csim").path


def test_the_overlay_names_its_frames_and_their_pace(directories: dict[str, Path]) -> None:
    dense, sparse = (load_manifest(overlay_of(directories[kind])) for kind in ("dense", "sparse"))
    assert (dense.input.frames, dense.sparse_pace) == ("dense", None)
    form, pace = sparse.input.sparse_format, sparse.sparse_pace
    assert form is not None and pace is not None
    assert (form.frame_bytes, form.word_bytes) == (64, 8)
    # A full frame is as slow as without.
    cycles = sparse.cycles_per_frame.cycles
    assert pace.cycles(1, form.most_words) == pytest.approx(cycles)
    assert pace.frame_cycles < cycles
    assert 0 < pace.hidden_share < 1


def test_answers_are_the_same_and_the_words_are_told(
    directories: dict[str, Path], tmp_path: Path
) -> None:
    video = builds.write_video(tmp_path / "v.mkv")
    settings = RunSettings([str(video)], energy=False)
    dense, sparse = (builds.run_built(directories[kind], settings) for kind in ("dense", "sparse"))
    assert [clip["blocks"] for clip in sparse["clips"]] == [
        clip["blocks"] for clip in dense["clips"]
    ]
    assert sparse["equality"]["reference_board"]["mismatches"] == 0
    assert "sparse" not in dense["latency"]
    told = sparse["latency"]["sparse"]
    assert told["kind"] == "modelled"
    assert told["words_of_a_full_frame"] == 9
    assert 2 <= told["words_per_frame"] <= 9
    assert told["cycles_per_frame"] <= sparse["latency"]["cycles_per_frame"]
    line = next(line for line in report_lines(tmp_path, sparse) if "sparse frames" in line)
    assert f"{told['words_per_frame']:,.0f} of 9 words on average  counted" in line
    assert line.endswith("cycles a frame  modelled")
    page = next(directories["sparse"].glob("run/*/report.html")).read_text()
    assert "Multipliers at work (modelled)" in page


def test_what_was_run_is_summed_up() -> None:
    assert sparse_frames(SPARSE, PhaseTimes()) is None  # nothing was
    assert sparse_frames(WHOLE, PhaseTimes(frames=4)) is None
    assert sparse_frames(SPARSE, PhaseTimes(frames=4, words=600)) == {
        "words_per_frame": 150.0,
        "words_of_a_full_frame": 7201,
        "cycles_per_frame": 300.0,
        "activity": pytest.approx(0.25 + 0.75 / 2),
        "kind": "modelled",
    }


@pytest.fixture
def two_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Energy takes 64 frames and gives no figure; windows as they are take minutes here."""

    def measure(run_frames: Callable[[int], None], *_: Any) -> EnergyResult:
        run_frames(64)
        return EnergyResult("modelled", "Readings.")

    monkeypatch.setattr(windows, "measure", measure)


def energy(directory: Path, words: int | None) -> tuple[str, float]:
    """What is told of energy, and the mean words of the frames that it is that of."""
    with Accelerator.open(overlay_of(directory)) as accelerator:
        if words is not None:
            frames = np.zeros((8, NETWORK.inputs), np.uint8)
            frames[:, : 8 * words] = 1
            accelerator.infer(frames, reset=True)
        before = (accelerator.times.frames, accelerator.times.words)
        board = accelerator.device.board
        found = windows.board_energy(accelerator, board, NETWORK, lambda *_: None)
        after = (accelerator.times.frames, accelerator.times.words)
    frames_run, words_run = (end - start for start, end in zip(before, after, strict=True))
    assert frames_run == 64
    return found.explanation, words_run / frames_run


@pytest.mark.usefixtures("two_windows")
def test_energy_is_that_of_frames_like_those_that_were_run(directories: dict[str, Path]) -> None:
    told, words = energy(directories["sparse"], 2)
    assert words == 1 + 1 + 2  # header, bitmap, words
    assert told == "Readings. Frames of 2 words that are not zero, as many as those that were run."
    assert energy(directories["sparse"], None) == ("Readings.", 9)  # none were run: full ones
    assert energy(directories["dense"], 2) == ("Readings.", 0)  # nobody asks
