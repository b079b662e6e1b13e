"""The command `fdht build` for real boards, from the front door, with stand-ins for the tools."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import fdht
from fdht_hls.schedule import default_schedule
from fdht_models.artifacts import MANIFEST, digest_file, read_json, write_json
from fdht_models.experiment import load_experiment
from tests.overlays.open.tools import make_open_tools, place_log
from tests.overlays.plan.tools import make_tools, write_conversion
from tests.overlays.sample_network import sample_network
from tests.overlays.vivado.running import needs_tcl
from tests.programs import process_ended, process_lives
from tests.stage_files import estimate, reseal


@pytest.fixture
def build(tmp_path):
    write_conversion(tmp_path / "build" / "tiny-net")
    (tmp_path / "build" / "tiny-net" / "model").mkdir()
    return tmp_path / "build"


def run(capsys, *arguments):
    code = fdht.main(["build", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def mistake(capsys, *arguments):
    code, out, error = run(capsys, *arguments)
    assert (code, out, error.count("\n")) == (2, "", 1), error
    return error


@needs_tcl
def test_an_overlay_is_built_and_the_table_says_what_it_is(capsys, tmp_path, build, monkeypatch):
    make_tools(tmp_path / "tools", monkeypatch)
    given = ("tiny-net", "--board", "pynq-z2", "--build", build, "--no-cosim")
    code, out, error = run(capsys, *given)
    assert code == 0
    notes = [line for line in error.splitlines() if "figures left out" in line]
    assert len(notes) == 1 and "training (" in notes[0] and "equality (" in notes[0]
    assert "estimate (" not in notes[0]
    for text in ("100 MHz", "met, slack 0.013 ns", "29,073", "54.6% of 53,200", "200,000",
                 "estimated by Vivado", "not run on hardware", "(built)"):  # fmt: skip
        assert text in out, text
    assert (build / "tiny-net" / "overlay" / "pynq-z2" / "vitis-hls" / "tiny-net.bit").is_file()
    code, out, _ = run(capsys, *given, "--json")
    value = json.loads(out)
    assert (code, value["fresh"], value["clock"]["met"]) == (0, False, True)


@needs_tcl
def test_a_failure_is_one_line_and_exit_code_2(capsys, tmp_path, build, monkeypatch):
    tools = make_tools(tmp_path / "tools", monkeypatch)
    tools.set(stats={"WNS": "-0.2", "WHS": "0", "TPWS": "0"})
    line = mistake(capsys, "tiny-net", "--board", "pynq-z2", "--build", build, "--no-cosim")
    assert "does not meet its timing: timing not met: WNS is -0.2 ns" in line
    assert not (build / "tiny-net" / "overlay").exists()


def test_without_the_tools_it_says_what_is_missing(capsys, tmp_path, build, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    before = set(build.rglob("*"))
    line = mistake(capsys, "tiny-net", "--board", "pynq-z2", "--build", build)
    assert "vitis-run or vitis_hls, vivado: are missing on this machine" in line
    assert "--archive" in line
    assert set(build.rglob("*")) == before


def test_without_the_open_tools_it_says_what_is_missing(capsys, tmp_path, build, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    before = set(build.rglob("*"))
    line = mistake(capsys, "tiny-net", "--board", "pynq-z2", "--flow", "open", "--build", build)
    assert "nextpnr-xilinx, chip database, fasm2frames, xc7frames2bit, database of" in line
    assert "docs/open-flow.md" in line and "--archive" in line
    assert set(build.rglob("*")) == before


def test_so_it_is_with_synthesis(capsys, tmp_path, build, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    before = set(build.rglob("*"))
    assert fdht.main(["synthesize", "tiny-net", "--build", str(build)]) == 2
    assert "vitis-run or vitis_hls: is missing on this machine" in capsys.readouterr().err
    assert set(build.rglob("*")) == before


@pytest.mark.parametrize("flow", [(), ("--flow", "open")])
def test_a_recipe_of_an_earlier_version_is_refused_before_hours_of_tools(capsys, build, flow):
    older = load_experiment("motion").to_json()
    del older["data"]["kind"]
    hls = build / "tiny-net" / "hls"
    manifest = read_json(hls / MANIFEST, "")
    write_json(hls / "experiment.json", older)
    manifest["files"]["experiment.json"] = digest_file(hls / "experiment.json")
    write_json(hls / MANIFEST, manifest)
    before = set(build.rglob("*"))
    line = mistake(capsys, "tiny-net", "--board", "pynq-z2", *flow, "--build", build)
    assert "data.kind: is missing" in line and "run fdht train again" in line
    assert set(build.rglob("*")) == before


def test_results_that_are_refused_leave_nothing(capsys, tmp_path, build):
    (tmp_path / "results.tar.gz").write_bytes(b"none")
    given = ("--board", "pynq-z2", "--build", build, "--import", tmp_path / "results.tar.gz")
    before = set(build.rglob("*"))
    assert "results.tar.gz: is damaged" in mistake(capsys, "tiny-net", *given)
    assert set(build.rglob("*")) == before


def test_a_core_that_is_there_stays_where_a_later_tool_is_missing(
    capsys, tmp_path, build, monkeypatch
):
    """What a former run left is left alone: the place is not new."""
    monkeypatch.setenv("PATH", str(tmp_path))
    place = build / "tiny-net" / "work" / "pynq-z2" / "vitis-hls"
    place.mkdir(parents=True)
    mistake(capsys, "tiny-net", "--board", "pynq-z2", "--build", build)
    assert place.is_dir()


def test_what_is_estimated_to_be_too_large_is_told_before_hours_of_tools(capsys, tmp_path, build):
    given = ("tiny-net", "--board", "pynq-z2", "--build", build, "--archive", tmp_path / "x.tar.gz")
    assert run(capsys, *given)[2] == ""
    path = build / "tiny-net" / "hls" / "estimate.json"
    write_json(path, estimate(ff=110_000, dsp=344))
    code, _, error = run(capsys, *given)
    assert (code, error.count("\n")) == (0, 1)
    assert "estimated to take 110,000 of 106,400 FF, 344 of 220 DSP of TUL PYNQ-Z2; " in error
    assert "run fdht convert tiny-net --board pynq-z2" in error


@needs_tcl
def test_an_archive_goes_out_and_results_come_in(capsys, tmp_path, build, monkeypatch):
    archive = tmp_path / "plan.tar.gz"
    given = ("tiny-net", "--board", "pynq-z2", "--build", build, "--no-cosim")
    code, out, _ = run(capsys, *given, "--archive", archive)
    assert code == 0 and "7 steps, needs vitis-run or vitis_hls, vivado" in out
    first = archive.read_bytes()
    run(capsys, *given, "--archive", archive)
    assert archive.read_bytes() == first
    make_tools(tmp_path / "tools", monkeypatch)
    subprocess.run(["tar", "xzf", archive], cwd=tmp_path, check=True)
    there = tmp_path / "tiny-net-pynq-z2-vitis-hls"
    subprocess.run(["sh", there / "build.sh"], cwd=tmp_path, check=True, capture_output=True)
    code, out, _ = run(capsys, *given, "--import", there / "results.tar.gz", "--json")
    assert code == 0 and json.loads(out)["resources"]["lut"]["used"] == 29073
    # Another clock is another plan.
    line = mistake(capsys, *given, "--clock", "90", "--import", there / "results.tar.gz")
    assert "is stale: it was built from another plan" in line


def test_the_open_flow_goes_the_same_ways(capsys, tmp_path, build, monkeypatch):
    tools = make_open_tools(tmp_path / "tools", monkeypatch)
    archive = tmp_path / "plan.tar.gz"
    given = ("tiny-net", "--board", "pynq-z2", "--flow", "open", "--build", build)
    code, out, _ = run(capsys, *given, "--archive", archive)
    assert code == 0 and "4 steps, needs yosys, nextpnr-xilinx, chip database" in out
    assert "fdht build tiny-net --board pynq-z2 --flow open --import results.tar.gz" in out
    subprocess.run(["tar", "xzf", archive], cwd=tmp_path, check=True)
    there = tmp_path / "tiny-net-pynq-z2-open"
    tools.set("nextpnr-xilinx", log=place_log(49.0))
    subprocess.run(["sh", there / "build.sh"], cwd=tmp_path, check=True, capture_output=True)
    results = there / "results.tar.gz"
    line = mistake(capsys, *given, "--import", results)
    assert "the clock reaches 49 MHz of 50 MHz (nextpnr-xilinx's figure, no sign-off)" in line
    assert not (build / "tiny-net" / "overlay").exists()
    code, out, _ = run(capsys, *given, "--import", results, "--allow-timing-failure")
    for text in ("MISSED, and that was allowed", "9,000", "16.9% of 53,200", "synthesised (yosys)",
                 "no sign-off", "experimental (docs/open-flow.md)", "(built)",
                 "schedule: chosen for this flow; "):  # fmt: skip
        assert text in out, text
    assert code == 0
    assert (build / "tiny-net" / "overlay" / "pynq-z2" / "open" / "tiny-net.bit").is_file()


def test_the_open_flow_keeps_the_schedule_that_was_converted(capsys, tmp_path, build, monkeypatch):
    make_open_tools(tmp_path / "tools", monkeypatch)
    schedule = default_schedule(sample_network().recurrence).to_json()
    schedule["input"][0]["multipliers"] = "lut"
    hls = build / "tiny-net" / "hls"
    write_json(hls / "schedule.json", schedule)
    digest = digest_file(hls / "schedule.json")
    reseal(hls, lambda told: told["files"].update({"schedule.json": digest}))
    given = ("tiny-net", "--board", "pynq-z2", "--flow", "open", "--build", build)
    code, out, error = run(capsys, *given)
    assert code == 0, error
    told = next(line for line in out.splitlines() if line.startswith("schedule: "))
    start, _, place = told.partition("; ")
    assert start == "schedule: that of the conversion"
    assert read_json(Path(place)) == schedule


@contextmanager
def running_build(tmp_path: Path, build: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`fdht build` in a process of its own, and the process that stands for nextpnr-xilinx."""
    told = tmp_path / "process"
    arguments = ["build", "tiny-net", "--board", "pynq-z2", "--flow", "open", "--build", str(build)]
    # As in a terminal, also where these tests run in the background or under nohup.
    signals = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"import signal, sys, fdht; {signals}; sys.exit(fdht.main({arguments}))"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(fdht.__file__).parent,
    )
    try:
        end = time.monotonic() + 120
        while not (told.is_file() and told.read_text()):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        yield process, int(told.read_text())
    finally:
        process.kill()
        if process.stderr is not None:
            process.stderr.close()
        process.wait(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_ended_takes_its_tool_with_it(tmp_path, build, monkeypatch, number):
    tools = make_open_tools(tmp_path / "tools", monkeypatch)
    tools.set("nextpnr-xilinx", sleep=300, process=str(tmp_path / "process"))
    with running_build(tmp_path, build) as (process, tool):
        assert process_lives(tool)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error.count("\n")) == (130, 1)
    assert "interrupted; what is finished is kept" in error
    assert process_ended(tool, 30)
    assert not (build / "tiny-net" / "overlay").exists()


def test_a_tool_that_outlives_its_build_keeps_others_out(capsys, tmp_path, build, monkeypatch):
    tools = make_open_tools(tmp_path / "tools", monkeypatch)
    tools.set("nextpnr-xilinx", sleep=300, process=str(tmp_path / "process"))
    given = ("tiny-net", "--board", "pynq-z2", "--flow", "open", "--build", build)
    with running_build(tmp_path, build) as (process, tool):
        process.kill()
        process.wait(timeout=60)
        try:
            assert process_lives(tool)
            tools.set("nextpnr-xilinx", sleep=0, process=None)
            assert "is in use by another run; wait for it, or end it" in mistake(capsys, *given)
        finally:
            os.kill(tool, signal.SIGKILL)
    assert process_ended(tool, 30)
    code, out, _ = run(capsys, *given)
    assert code == 0 and "(built)" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--board", "pynq-z2", "--flow", "csim"), "flow = 'csim': is not for TUL PYNQ-Z2"),
        (("--board", "sim", "--flow", "vitis"), "flow = 'vitis': is not for Simulated"),
        (("--board", "kv260", "--flow", "open"), "use --flow vitis, or --board pynq-z1 or pynq-z2"),
        (("--board", "pynq-z2", "--flow", "open", "--core", "hls"), "core = 'hls': is not for"),
        (("--board", "sim", "--archive", "x"), "archive: has no effect for a simulated board"),
        (("--board", "kv260", "--archive", "x", "--host", "y"), "archive: cannot go with --host"),
        (("--board", "kv260", "--core", "vhdl"), "core = 'vhdl': must be hls or rtl"),
        (("--board", "kv260", "--clock", "0"), "clock = 0.0: must lie between 1 and 1000 MHz"),
        (("--board", "kv26"), "board = 'kv26': is not a known board; did you mean 'kv260'?"),
        (("--board", "kv260", "--host", "a b"), "host = 'a b': must be [user@]host[:port]"),
        (("--plot", "x.svg"), "plot = 'x.svg': belongs to --estimate"),
        (("--all-boards",), "all-boards: builds nothing; add --estimate"),
        (("more", "--board", "kv260"), "EXPERIMENT = ['tiny-net', 'more']: must be one"),
    ],
)  # fmt: skip
def test_a_misused_option_is_one_line(capsys, build, arguments, message):
    assert message in mistake(capsys, "tiny-net", *arguments, "--build", build)


def test_an_experiment_that_is_not_converted_says_what_comes_first(capsys, tmp_path):
    given = ("motion", "--board", "pynq-z2", "--build", tmp_path)
    assert "has not been converted; run fdht convert motion --build" in mistake(capsys, *given)
    line = mistake(capsys, *given, "--flow", "open")
    assert "has not been trained; run fdht train motion --build" in line


def test_no_experiment_is_one_line(capsys, tmp_path):
    assert "EXPERIMENT: must be one" in mistake(capsys, "--build", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--plot", "x.txt"), "plot = 'x.txt': must end in .svg, .png or .pdf"),
        (("--archive", "x"), "archive = 'x': builds something; leave out --estimate"),
        (("--import", "x"), "import = 'x': builds something; leave out --estimate"),
        (("--host", "x"), "host = 'x': builds something; leave out --estimate"),
        (("--clock", "0"), "clock = 0.0: must lie between 1 and 1000 MHz"),
        (("--core", "vhdl"), "core = 'vhdl': must be hls or rtl"),
        (("--board", "kv260", "--flow", "open"), "use --flow vitis, or --board pynq-z1 or pynq-z2"),
    ],
)
def test_what_an_estimate_does_not_do_is_refused_before_it(
    capsys, tmp_path, monkeypatch, arguments, message
):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("estimated")

    monkeypatch.setattr("fdht_overlays.whatif.what_if", refuse)
    given = ("motion", "--board", "pynq-z2", "--estimate", "--build", tmp_path)
    assert message in mistake(capsys, *given, *arguments)


def test_an_estimate_is_of_the_clock_the_core_and_the_flow_that_are_named(capsys, tmp_path):
    given = ("motion", "--board", "pynq-z2", "--estimate", "--json", "--build", tmp_path)
    _, out, _ = run(capsys, *given, "--clock", "50")
    (half,) = json.loads(out)
    assert (half["core"], half["frames_per_second"]) == ("hls", 50e6 / half["cycles"])
    _, out, _ = run(capsys, *given, "--flow", "open")
    (row,) = json.loads(out)
    assert row["core"] == "rtl" and row["frames_per_second"] == 50e6 / row["cycles"]
    assert row["used"]["ff"] is None and row["used"]["lut"] <= 0.22


def test_estimates_need_no_tool_and_no_build(capsys, tmp_path):
    given = ("motion", "tie-ucf11", "--all-boards", "--estimate", "--build", tmp_path / "none")
    code, out, _ = run(capsys, *given, "--plot", tmp_path / "plot.svg")
    assert code == 0
    for board in ("kv260", "pynq-z1", "pynq-z2", "ultra96-v2", "zcu102", "zcu104"):
        assert board in out
    assert "no recurrence" in out and "estimated" in out
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")
    code, out, _ = run(capsys, *given, "--json")
    rows = json.loads(out)
    assert (code, len(rows)) == (0, 12)
    assert {row["kind"] for row in rows} == {"estimated"}
