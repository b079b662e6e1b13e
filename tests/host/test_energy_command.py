"""`fdht energy`: from an overlay to files from which another can compute all again."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht.cli.app import main
from fdht_hls.boards import get_board
from fdht_host.energy.order import draw_order, possible_orders
from fdht_host.power.finding import find_meter
from tests import stage_files
from tests.host import builds
from tests.host.builds import reference_as_core, write_build


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its frames take 2 ms, so that a second of them is soon simulated."""
    reference_as_core(monkeypatch)
    monkeypatch.setattr(builds, "estimate", lambda: stage_files.estimate(200_000))
    monkeypatch.setattr(builds, "summary", lambda: stage_files.summary(200_000))
    monkeypatch.chdir(tmp_path)
    write_build(tmp_path / "build")
    return tmp_path / "build"


def asked(
    build: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[dict[str, Any], Path]:
    command = ["energy", "tiny-net", "--board", "sim", "--json", "--no-cpu", "--build", str(build)]
    assert main([*command, "--seed", "3", *options]) == 0
    report = json.loads(capsys.readouterr().out)
    (directory,) = (build / "tiny-net" / "energy").iterdir()
    return report, directory


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_can_be_computed_again(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the two tables alone, by NumPy: means, fit, the test over all orders."""
    report, directory = asked(build, capsys, "--repeats", "5")
    assert report == json.loads((directory / "energy.json").read_text())
    found = report["energy"]
    assert found["kind"] == "modelled"
    assert "not hardware" in found["explanation"]
    assert found["response"]["seen"] and report["settings"]["seed"] == 3
    windows, samples = rows_of(directory / "windows.csv"), rows_of(directory / "samples.csv")
    assert {row["part"] for row in samples} == {"step response", "windows"}
    rows = [row for row in samples if row["part"] == "windows"]
    times = np.array([int(row["time_ns"]) for row in rows])
    watts = np.array([float(row["watts"]) for row in rows])
    power, middles = [], []
    for window in windows:
        start, end = int(window["start_ns"]), int(window["end_ns"])
        inside = (times >= start) & (times <= end)
        seconds = times[inside] / 1e9
        power.append(np.trapz(watts[inside], seconds) / np.ptp(seconds))
        middles.append((start + end) / 2e9)
    busy = np.array([window["state"] == "busy" for window in windows], float)
    assert tuple(busy.astype(bool)) == draw_order(5, 3)
    frames = sum(int(window["frames"]) for window in windows)
    length = sum(
        int(one["end_ns"]) - int(one["start_ns"]) for one in windows if one["state"] == "busy"
    )
    y, t = np.array(power), np.array(middles) - np.mean(middles)
    columns = np.stack([np.ones(10), t, t**2, busy], axis=1)
    step = np.linalg.lstsq(columns, y, rcond=None)[0][3]
    assert found["net_mj_per_frame"] == pytest.approx(step * length / frames / 1e6, rel=1e-6)
    low, high = np.array(found["net_interval_mj"]) * 1e6 * frames / length
    for end, inwards in ((low, 1), (high, -1)):
        # The steps of the sensor widen it a little.
        shares = []
        for difference in (end + inwards * 0.2 * (high - low), end - inwards * 1e-6):
            idle = y - difference * busy
            told = [
                abs(np.linalg.lstsq(np.c_[columns[:, :3], other], idle, rcond=None)[0][3])
                / np.sqrt(
                    np.linalg.inv(np.c_[columns[:, :3], other].T @ np.c_[columns[:, :3], other])[
                        3, 3
                    ]
                )
                for other in [busy, *possible_orders(5).astype(float)]
            ]
            shares.append(np.mean(np.array(told[1:]) >= told[0] - 1e-12))
        assert shares[0] > 0.05 >= shares[1]
    names = [row["what"] for row in report["published"]]
    assert "EdgeDRNN on a MiniZed" in names and len(names) == 5


def test_at_a_rate_the_whole_board_is_told(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, _ = asked(build, capsys, "--rate", "100", "--repeats", "5")
    found, model = report["energy"], get_board("sim").power_model
    assert found["pace"]["reached"] == pytest.approx(100, rel=1e-3)
    # 2 ms of 10 ms busy.
    mean = model.idle_watts + 0.2 * (model.active_watts - model.idle_watts)
    assert found["value_mj_per_frame"] == pytest.approx(mean * 10, rel=0.02)
    assert found["pace"]["idle_share"] == pytest.approx(model.idle_watts / mean, abs=0.02)


def test_a_meter_outside_is_aligned_by_the_pattern(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, directory = asked(build, capsys, "--meter", "csv", "--repeats", "5")
    assert report["energy"]["kind"] == "modelled"
    assert report["energy"]["alignment"]["rate_ppm"] == pytest.approx(200, abs=100)
    assert (directory / "pattern.json").is_file() and (directory / "modelled-meter.csv").is_file()


def test_mistakes_are_one_line(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["energy", "tiny-net", "--board", "sim", "--no-cpu", "--build", str(build)]
    for options, said in (
        (["--rate", "1000"], "ask for at most"),
        (["--rate", "30", "--meter", "csv"], "leave out --meter"),
        (["--meter", "scpi:127.0.0.1:9"], "measures nothing of a simulated board"),
        (["--repeats", "4"], "x>=5"),
    ):
        assert main([*command, *options]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert not (build / "tiny-net" / "energy").exists()


def test_without_a_figure_the_readings_are_kept_and_the_exit_code_is_2(
    build: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = get_board("sim")
    faint = replace(board.power_model, active_watts=board.power_model.idle_watts)
    monkeypatch.setattr(
        "fdht_host.energy.windows.find_meter",
        lambda board, device: find_meter(replace(board, power_model=faint), device),
    )
    command = ["energy", "tiny-net", "--board", "sim", "--no-cpu", "--build", str(build)]
    assert main([*command, "--seed", "4", "--repeats", "5"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]  # before it, on a busy machine, progress
    assert "within the noise" in error
    # A long directory leaves no room for the middle of the sentence.
    assert "repeats)" in error
    (directory,) = (build / "tiny-net" / "energy").iterdir()
    assert len(rows_of(directory / "samples.csv")) > 500


def test_people_are_told(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["energy", "tiny-net", "--board", "sim", "--no-cpu", "--build", str(build)]
    assert main([*command, "--seed", "3", "--repeats", "5"]) == 0
    said = capsys.readouterr().out
    for part in ("(95 %)", "modelled", "EdgeDRNN", "not run on hardware", "its step response"):
        assert part in said
