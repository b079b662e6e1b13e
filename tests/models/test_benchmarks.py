"""`fdht bench train`: what is timed, whose turn it is, what comes out, and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from rich.console import Console

from fdht_models.benchmarks import train
from fdht_models.benchmarks.contestant_process import (
    CONTESTANTS,
    Contestant,
    TrainingStep,
    TrainingWorkload,
    build_step,
    timed,
)
from fdht_models.benchmarks.machine import ProcessorTime, cores, disturbance
from fdht_models.errors import ConfigError, MeasurementError, ShapeError, ToolError
from fdht_models.records import read_record
from fdht_models.tensor.formats import format_from
from fdht_models.tensor.recurrent import RecurrentShape

TT = {"name": "tt", "ranks": [2, 2]}
SMALL = TrainingWorkload(batch=4, frames=3, classes=3)
OURS = Contestant("ours", "fdht", (3, 4, 5), (8, 2, 2), TT)
INTEGRATED = Contestant("integrated", "fdht", (3, 4, 5), (8, 2, 2), TT, (2, 4))
TEDNET = Contestant("theirs", "tednet", (3, 4, 5), (8, 2, 2), TT)
KERAS = Contestant("dense", "keras", (3, 4, 5), (8, 2, 2))

#: A contestant that does as `FAKE_CONTESTANTS` says, and writes down who was asked when.
FAKE = """
import json, os, sys, time
order = json.loads(sys.stdin.readline())
name = order["contestant"]["name"]
script = json.loads(os.environ["FAKE_CONTESTANTS"])[name]
def note(text):
    with open(os.environ["FAKE_LOG"], "a") as stream:
        stream.write(f"{name} {text}\\n")
note(f"pid {os.getpid()}")
for number, answer in enumerate(script):
    if number:
        if not sys.stdin.readline():
            note("end")
            break
        note("turn")
    if answer == "die":
        sys.exit("it went wrong")
    if answer == "sleep":
        time.sleep(60)
    print(json.dumps(answer), flush=True)
else:
    sys.stdin.readline()
"""
READY = {"parameters": 7, "threads": 1, "versions": {}, "first_loss": 1.0}
MISSING = {
    "error": "ToolError",
    "problem": "torch is not installed",
    "field": None,
    "remedy": "run: make oracles",
}


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Makes contestants answer what a script says; returns their log."""
    (tmp_path / "fake.py").write_text(FAKE)
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setattr(train, "COMMAND", (sys.executable, str(tmp_path / "fake.py")))
    monkeypatch.setattr(train, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setenv("FAKE_LOG", str(log))

    def set_scripts(**scripts):
        monkeypatch.setenv("FAKE_CONTESTANTS", json.dumps(scripts))
        return log

    return set_scripts


def turns(*medians):
    """Answers of three steps each, with these medians."""
    return [READY, *({"seconds": [median / 2, median, median * 9]} for median in medians)]


# A step -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("contestant", [OURS, INTEGRATED, TEDNET, KERAS], ids=lambda one: one.name)
def test_a_step_trains(contestant):
    if contestant is TEDNET:
        reason = "TEDNET IS MISSING: its training step is not run; make oracles"
        pytest.importorskip("torch", reason=reason)
        pytest.importorskip("tednet", reason=reason)
    step = build_step(contestant, SMALL)
    losses = [step.run() for _ in range(30)]
    assert losses[-1] < losses[0] - 0.005
    assert 1 <= step.threads <= os.cpu_count()
    head = (contestant.units + 1) * SMALL.classes
    shape = RecurrentShape(
        format_from(contestant.format),
        contestant.input_modes,
        contestant.output_modes,
        contestant.hidden_box,
    )
    # PyTorch's LSTMs have two biases.
    second = 4 * contestant.units if contestant is TEDNET else 0
    assert step.parameters == shape.parameter_count + head + second
    assert step.versions


def test_one_step_a_turn_is_not_timed():
    calls = []
    step = TrainingStep(lambda: calls.append(1) or 0.0, 0, 1, {})
    assert len(timed(step, 4)) == 4
    assert len(calls) == 5


def test_the_contestants_are_those_of_the_papers():
    for one in CONTESTANTS:
        assert (one.inputs, one.units) == (57_600, 256)
        assert read_record(Contestant, json.loads(json.dumps(asdict(one)))) == one
    libraries = [one.library for one in CONTESTANTS]
    assert libraries.count("fdht") == 3 and set(libraries) == {"fdht", "tednet", "keras"}
    ours, theirs = (next(one for one in CONTESTANTS if one.name == n) for n in ("tt", "tednet-tt"))
    assert ours.format == theirs.format and ours.input_modes == theirs.input_modes


def test_a_missing_pytorch_has_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ToolError, match="torch is not installed; run: make oracles"):
        build_step(TEDNET, SMALL)


@pytest.mark.parametrize(("library", "form"), [("keras", "tt"), ("tednet", "ht"), ("jax", "tt")])
def test_a_contestant_that_does_not_exist(library, form):
    with pytest.raises(ConfigError, match="has no layer of this format here"):
        Contestant("c", library, (4, 4), (4, 4), {"name": form})


# A measurement ----------------------------------------------------------------------------------


def test_real_processes_compete():
    """Small networks of ours, and of tednet if it is there."""
    result = train.bench_train([OURS, TEDNET], SMALL, rounds=2, steps=2)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["schema"], result["kind"]) == (1, "measured")
    rows = {row["name"]: row for row in result["contestants"]}
    assert set(rows) | {one["name"] for one in result["skipped"]} == {"ours", "theirs"}
    for row in rows.values():
        assert [len(steps) for steps in row["step_seconds"]] == [2, 2]
        low, high = row["quartiles_seconds"]
        assert 0 < low <= row["median_seconds"] <= high < 30
    layer = RecurrentShape(format_from(TT), OURS.input_modes, OURS.output_modes)
    assert rows["ours"]["parameters"] == layer.parameter_count + 9 * 3
    assert "tensorflow" in rows["ours"]["versions"]
    assert result["machine"]["processor"] and result["machine"]["cores"] >= 1
    for one in result["skipped"]:
        pytest.skip(f"TEDNET IS MISSING: {one['reason']}; {one['remedy']}")
    assert [(ratio["ours"], ratio["other"]) for ratio in result["ratios"]] == [("ours", "theirs")]
    assert {"torch", "tednet"} == set(rows["theirs"]["versions"])


def test_rounds_are_interleaved_and_ratios_are_taken_round_by_round(fakes):
    # The machine is three times slower in the second round, for all.
    log = fakes(
        ours=turns(0.1, 0.3, 0.1, 0.2),
        theirs=turns(0.2, 0.6, 0.15, 0.4),
        dense=turns(0.4, 1.2, 0.4, 0.8),
    )
    result = train.bench_train([OURS, TEDNET, KERAS], SMALL, 4, 3)
    asked = [line.split()[0] for line in log.read_text().splitlines() if line.endswith("turn")]
    assert asked == ["ours", "theirs", "dense"] * 4
    rows = {row["name"]: row for row in result["contestants"]}
    assert rows["ours"]["round_seconds"] == [0.1, 0.3, 0.1, 0.2]
    assert rows["ours"]["median_seconds"] == pytest.approx(0.15)
    assert rows["ours"]["quartiles_seconds"] == pytest.approx([0.1, 0.225])
    ratios = {ratio["other"]: ratio for ratio in result["ratios"]}
    assert ratios["theirs"]["median"] == pytest.approx(2.0)
    assert ratios["theirs"]["quartiles"] == pytest.approx([1.875, 2.0])
    assert ratios["dense"]["quartiles"] == pytest.approx([4.0, 4.0])
    met = {target["other"]: target["met"] for target in result["targets"]}
    assert met == {"theirs": True, "dense": False}
    shown = printed(result)
    assert "1: met" in shown and "5: MISSED" in shown
    assert "2.00" in shown and "4.00 .. 4.00" in shown


def printed(result) -> str:
    console = Console(width=100, record=True, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        console.print(train.report(result))
    return captured.get()


def test_without_pytorch_the_rest_is_measured_and_it_is_said(fakes, capsys):
    fakes(ours=turns(0.1), theirs=[MISSING], dense=turns(0.6))
    result = train.bench_train([OURS, TEDNET, KERAS], SMALL, 1, 3)
    line = "NOT MEASURED: theirs: torch is not installed; run: make oracles"
    assert line in capsys.readouterr().err
    assert line in printed(result)
    assert [row["name"] for row in result["contestants"]] == ["ours", "dense"]
    assert [target["met"] for target in result["targets"]] == [None, True]
    assert result["skipped"] == [
        {"name": "theirs", "reason": "torch is not installed", "remedy": "run: make oracles"}
    ]


def test_other_programs_are_noticed():
    """A child that has not ended yet is another program; what it used is ours once it has."""
    before = ProcessorTime.now()
    spin = "import time\nwhile time.process_time() < 0.4:\n    pass\nprint()"
    with subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        during = ProcessorTime.now()
    after = ProcessorTime.now()
    assert during.everybody - before.everybody > 0.2
    assert during.ours - before.ours < 0.2
    assert after.ours - during.ours > 0.2
    start = ProcessorTime(0.0, 10.0, 5.0)
    found = disturbance(start, ProcessorTime(10.0, 10.0 + 8.0, 5.0 + 6.0))
    assert found["other_programs_cores"] == 0.2
    assert found["quiet"] is (cores() >= 2)
    assert disturbance(start, ProcessorTime(10.0, 15.0, 10.1)) == {
        "other_programs_cores": 0.0,
        "quiet": True,
    }


def test_a_disturbed_measurement_says_so(fakes, monkeypatch):
    fakes(ours=turns(0.1), dense=turns(0.6))
    for busy in (False, True):
        found = {"other_programs_cores": 1.5 * busy, "quiet": not busy}
        monkeypatch.setattr(train, "disturbance", lambda before, after, found=found: found)
        result = train.bench_train([OURS, KERAS], SMALL, 1, 3)
        assert result["machine"]["quiet"] is not busy
        assert ("other programs kept 1.50 cores busy" in printed(result)) is busy


# What goes wrong --------------------------------------------------------------------------------


def test_without_tensorflow_there_is_nothing_to_measure(fakes):
    fakes(ours=[{**MISSING, "problem": "tensorflow is not installed"}], dense=turns(0.6))
    with pytest.raises(ToolError, match="ours: tensorflow is not installed"):
        train.bench_train([OURS, KERAS], SMALL, 1, 3)


def test_a_contestant_that_dies_is_named_with_its_last_words(fakes):
    fakes(ours=turns(0.1, 0.1), dense=[READY, "die"])
    with pytest.raises(MeasurementError, match=r"dense: its process failed \(it went wrong\)"):
        train.bench_train([OURS, KERAS], SMALL, 2, 3)


@pytest.mark.parametrize("when", [0, 1])
def test_a_contestant_that_hangs_is_named_and_ended(fakes, monkeypatch, when):
    # Whoever is to hang must have begun before it is ended, also where the machine is busy.
    monkeypatch.setattr(train, "_START_SECONDS", 60.0 if when else 5.0)
    monkeypatch.setattr(train, "_STEP_SECONDS", 0.3)
    log = fakes(ours=[READY, "sleep"] if when else ["sleep"])
    with pytest.raises(MeasurementError, match=f"ours: no answer for {1 if when else 5} s"):
        train.bench_train([OURS], SMALL, 1, 2)
    assert_ended(log)


def test_ctrl_c_ends_all_processes(fakes, monkeypatch):
    log = fakes(ours=turns(0.1), dense=[READY, "sleep"])

    def interrupt(seconds):
        if "ours turn" in log.read_text():
            raise KeyboardInterrupt

    monkeypatch.setattr(train, "time", SimpleNamespace(sleep=interrupt, monotonic=time.monotonic))
    with pytest.raises(KeyboardInterrupt):
        train.bench_train([OURS, KERAS], SMALL, 3, 3)
    assert_ended(log)


def test_processes_end_with_their_input(fakes):
    """As it closes when the parent is killed."""
    log = fakes(ours=turns(0.1, 0.1))
    with train.ContestantProcess(OURS, SMALL) as process:
        process.ready()
    assert "ours end" in log.read_text()
    assert_ended(log)


def assert_ended(log):
    pids = [int(line.split()[2]) for line in log.read_text().splitlines() if " pid " in line]
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_process_that_cannot_start(monkeypatch):
    monkeypatch.setattr(train, "COMMAND", ("/no/such/program",))
    with pytest.raises(ToolError, match=r"a worker process = .*: cannot be started"):
        train.bench_train([OURS], SMALL, 1, 1)


def test_errors_of_a_contestant_keep_their_family(fakes):
    wrong = {"error": "ShapeError", "problem": "does not fit", "field": "ranks", "remedy": None}
    fakes(ours=[wrong])
    with pytest.raises(ShapeError, match="ranks: does not fit"):
        train.bench_train([OURS], SMALL, 1, 1)


@pytest.mark.parametrize("counts", [(0, 1), (1, 0)])
def test_no_rounds_or_steps(counts):
    with pytest.raises(ConfigError, match="must be at least 1"):
        train.bench_train([OURS], SMALL, *counts)
