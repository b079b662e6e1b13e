"""`fdht run --meter` and `fdht align`: energy from a meter that has a clock of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht.cli.app import main
from fdht_hls.boards import get_board
from fdht_host.accelerator import Accelerator
from fdht_host.clocks import clock_of
from fdht_host.energy.aligned import aligned_energy
from fdht_host.energy.evaluation import EnergyResult, EnergySettings
from fdht_host.energy.load_driver import LoadIdentity, drive
from fdht_host.energy.load_pattern import PatternSettings
from fdht_host.energy.metered_load import MODELLED_LOG
from fdht_host.energy.workload import Workload
from fdht_host.outcome import Outcome
from fdht_host.power.meter import Sensor
from fdht_host.power.modelled import SimulatedMeter
from fdht_host.power.outside.csv_log import LOG_COLUMNS, CsvOptions, read_log
from fdht_host.power.outside.naming import outside_meter
from fdht_host.run import RunSettings
from fdht_host.run_alignment import align_run
from fdht_models.errors import ArtifactError, ConfigError, MeasurementError
from tests import stage_files
from tests.host import builds, toy_core
from tests.host.builds import reference_as_core, run_built, write_build, write_video

SECOND = 1_000_000_000
#: Of the log that a simulated board's meter writes.
COLUMNS = {"time": LOG_COLUMNS[0], "watts": LOG_COLUMNS[1]}


def test_the_model_comes_back_from_the_log_of_a_usb_meter(tmp_path: Path) -> None:
    """The clock is off by 3 s and 200 ppm; the log is CSV with volts and amperes of few digits."""
    directory = toy_core.write_toy_overlay(tmp_path / "overlay")
    board = get_board("sim")
    model = board.power_model
    assert model is not None
    with Accelerator.open(directory, batch=256) as accelerator:
        frames = toy_core.random_frames(256)

        def run_frames(count: int) -> None:
            for start in range(0, count, len(frames)):
                accelerator.infer(frames[: count - start], reset=False)

        device, clock = accelerator.device, clock_of(accelerator.device)
        meter = SimulatedMeter(
            Sensor("usb", "modelled", ("board",), 1e-6, 0.005, 0.001),
            model,
            lambda: device.activity,
            clock.monotonic_ns,
        )
        meter.start()
        load = drive(
            Workload(run_frames, lambda: accelerator.driver.identity(1.0).frames_done, clock),
            LoadIdentity("toy-core", "0" * 16, "sim", True),
            0.001,
            PatternSettings(minimum_seconds=0.0),
            EnergySettings(),
        )
        trace = meter.stop()
    stamps = (trace.timestamps_ns - trace.timestamps_ns[0]) / SECOND * (1 + 200e-6) + 3.0
    rows = [
        f"{moment:.6f};{volts};{amperes}".replace(".", ",")
        for moment, volts, amperes in zip(
            stamps, np.full(len(stamps), 5.01), np.round(trace.watts / 5.01, 4), strict=True
        )
    ]
    path = tmp_path / "usb.csv"
    path.write_text("\n".join(["Time [s];Voltage [V];Current [A]", *rows]))
    options = CsvOptions(
        time="Time [s]", volts="Voltage [V]", amperes="Current [A]", decimal="comma"
    )
    result = aligned_energy(load, read_log(path, options)[0])
    assert result.kind == "modelled", result.explanation
    assert abs(result.alignment["rate_ppm"] - 200) <= result.alignment["rate_uncertainty_ppm"] * 2
    per_frame = toy_core.CYCLES / (board.clock_mhz * 1e6)
    net = (model.active_watts - model.idle_watts) * per_frame * 1e3
    # The moments of the run are the machine's own, so that no seed settles this: an interval of
    # 95 % misses once in 20 runs, and one three times as wide (six standard deviations) never.
    assert abs(result.net_mj_per_frame - net) <= 3 * result.net_uncertainty_mj
    assert result.net_uncertainty_mj < 0.2 * net


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its frames take 2 ms, so that a second of them is soon simulated."""
    reference_as_core(monkeypatch)
    monkeypatch.setattr(builds, "estimate", lambda: stage_files.estimate(200_000))
    monkeypatch.setattr(builds, "summary", lambda: stage_files.summary(200_000))
    write_video(tmp_path / "a.mkv", 50)
    monkeypatch.chdir(tmp_path)
    return write_build(tmp_path / "build")


def settings(**changes: Any) -> RunSettings:
    return RunSettings(["a.mkv"], meter=outside_meter("csv"), **changes)


def test_a_run_and_a_log_make_a_report_with_energy(build: Path) -> None:
    report = run_built(build, settings())
    assert report["energy"]["kind"] == "unmeasured"
    assert "fdht align" in report["energy"]["explanation"]
    assert report["provenance"]["meter"]["name"] == "csv"
    (run,) = (build / "run").iterdir()
    pattern = json.loads((run / "pattern.json").read_text())
    assert pattern["simulated"] is True
    assert len(pattern["chips"]) == 80
    directory, whole = align_run(run, run / MODELLED_LOG, CsvOptions(**COLUMNS))
    energy = whole["energy"]
    assert energy["kind"] == "modelled"
    model = get_board("sim").power_model
    assert energy["idle_watts"] == pytest.approx(model.idle_watts, abs=0.04)
    assert energy["alignment"]["rate_ppm"] == pytest.approx(200, abs=100)
    assert (directory / "report.html").is_file()
    assert (directory / "predictions.jsonl").read_bytes() == (
        run / "predictions.jsonl"
    ).read_bytes()
    assert whole["accuracy"] == report["accuracy"]
    with pytest.raises(ArtifactError, match=r"is not as|changed|digest|another"):
        (run / "pattern.json").write_text(json.dumps({**pattern, "seed": 1}))
        align_run(run, run / MODELLED_LOG, CsvOptions(**COLUMNS))


def test_the_log_of_something_else_is_one_line_and_exit_code_2(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_built(build, settings())
    (run,) = (build / "run").iterdir()
    noise = np.random.default_rng(0).normal(2.4, 0.1, 3000)
    rows = [f"{k * 0.001:.3f},{watts:.3f}" for k, watts in enumerate(noise)]
    log = tmp_path / "noise.csv"
    log.write_text("\n".join(["t,W", *rows]))
    asked = ["align", str(run), str(log), "--meter-set", "time=t", "--meter-set", "watts=W"]
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "the run's pattern is not in it" in said
    assert [one.name for one in (build / "run").iterdir()] == [run.name]
    assert main([*asked[:-1], "watts=P"]) == 2
    assert "name columns as the log does: 't', 'W'" in capsys.readouterr().err
    assert main(["align", str(build), str(log), *asked[3:]]) == 2


def test_the_command_tells_the_energy(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_built(build, settings())
    (run,) = (build / "run").iterdir()
    asked = [f"--meter-set={key}={value}" for key, value in COLUMNS.items()]
    assert main(["align", str(run), str(run / MODELLED_LOG), *asked]) == 0
    said = capsys.readouterr().out
    assert "mJ +- " in said and "modelled" in said and "ppm" in said


def test_meters_that_cannot_be_are_refused_before_anything_runs(build: Path) -> None:
    with pytest.raises(ConfigError, match="without energy"):
        run_built(build, settings(energy=False))
    real = RunSettings(["a.mkv"], meter=outside_meter("scpi:127.0.0.1:9"))
    with pytest.raises(MeasurementError, match="measures nothing of a simulated board"):
        run_built(build, real)
    assert not (build / "run").exists()


def test_a_trace_on_another_scale_of_time_is_refused(build: Path) -> None:
    run_built(build, settings())
    (run,) = (build / "run").iterdir()
    options = CsvOptions(**COLUMNS, time_format="milliseconds")
    with pytest.raises(MeasurementError, match="pattern is not in it"):
        align_run(run, run / MODELLED_LOG, options)


@pytest.mark.parametrize("asked", [False, True])
def test_energy_that_was_asked_of_a_meter_is_missed(asked: bool) -> None:
    """A board without a sensor has a report all the same; a meter that was named must measure."""

    def refuse() -> EnergyResult:
        raise MeasurementError("has no pattern", field="log", value="usb.csv", remedy="look again")

    done = Outcome()
    result = done.optional("energy", refuse, asked=asked)
    assert result is not None and result.kind == "unmeasured"
    assert "has no pattern" in result.explanation
    assert [part for part, _ in done.failures] == (["energy"] if asked else [])
