"""The stage as a whole, with a stand-in for the tool: steps, resumption, failures, results."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fdht_hls.engine import lower
from fdht_hls.flow.lock import only_run
from fdht_hls.vitis.core_steps import DEFAULT_STEPS, STEPS, Target, parse_steps
from fdht_models.artifacts import read_manifest
from fdht_models.errors import ArtifactError, ConfigError, EqualityError, FdhtError, ToolError
from tests.hls.vitis.standin import (
    COMPONENT,
    CYCLES,
    PART,
    SAMPLES,
    STAGES,
    StandIn,
    cosim_rpt,
    csynth_xml,
    make_stand_in,
    needs_tclsh,
)

pytestmark = needs_tclsh


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """vitis_hls before 2025."""
    return make_stand_in(tmp_path, monkeypatch)


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], StandIn]:
    """A tool of a name and a flow."""
    return lambda name, flow: make_stand_in(tmp_path, monkeypatch, name, flow)


def stages(tool: StandIn) -> set[str]:
    """Steps that have a stage directory."""
    root = tool.synthesis / PART
    return {path.parent.name for path in root.glob("*/manifest.json")}


# Success ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "flow"),
    [("vitis_hls", "project"), ("vitis-run", "project"), ("vitis-run", "component")],
)
def test_all_steps(named, name, flow):
    tool = named(name, flow)
    result = tool.run(STEPS)
    assert tuple(result.results) == tuple(result.fresh) == STEPS
    assert stages(tool) == set(STEPS)
    for step in STEPS:
        directory = tool.synthesis / PART / step
        manifest = read_manifest(directory, f"synthesis.{step}")
        assert manifest["tools"] == {"vitis hls": "2024.1"}
        assert json.loads((directory / "report.json").read_text()) == result.results[step]
        assert f"FDHT: {step} ended" in (directory / f"{step}.log").read_text()
    assert result.results["csim"] == {
        "kind": "C simulation",
        "frames": 10,
        "words_compared": 20,
        "mismatches": 0,
    }


def test_the_synthesis_has_the_layout_of_the_estimate(tool):
    result = tool.run(["csynth"]).results["csynth"]
    assert result["kind"] == "reported by Vitis HLS"
    assert (result["cycles_per_frame"], result["limited_by"]) == (97, "input.C2")
    assert [stage["name"] for stage in result["stages"]] == list(STAGES)
    assert [stage["cycles"] for stage in result["stages"]] == list(CYCLES.values())
    assert result["resources"] == {"lut": 8000, "ff": 9000, "dsp": 60, "bram36": 7}
    assert result["stages"][1]["resources"] == {"lut": 200, "ff": 300, "dsp": 4, "bram36": 0.5}
    assert result["clock"] == {
        "target_ns": 10.0,
        "uncertainty_ns": 2.7,
        "estimated_ns": 7.2,
        "met": True,
    }


def test_the_keys_are_those_of_the_estimate(tool):
    from fdht_hls.estimate import estimate

    ours = tool.run(["csynth"]).results["csynth"]
    theirs = estimate(lower(tool.network)).to_json()
    common = {"cycles_per_frame", "limited_by", "fill_latency_cycles", "stages", "kind"}
    assert common <= set(theirs) and common <= set(ours)
    # The estimate also tells parts that are no processes: stages within the cell, registers.
    processes = [stage["name"] for stage in ours["stages"]]
    names = [stage["name"] for stage in theirs["stages"]]
    assert [name for name in names if name in processes] == processes


def test_the_co_simulation_tells_the_pace(tool):
    result = tool.run(["cosim"]).results["cosim"]
    assert result["kind"] == "simulated"
    assert (result["cycles_per_frame"], result["fill_latency_cycles"]) == (97, 16)
    assert (result["words_compared"], result["mismatches"]) == (40, 0)
    assert result["stages"] == [] and result["limited_by"] is None


def test_the_core_is_exported_whole(tool):
    result = tool.run(["export"]).results["export"]
    assert result["vlnv"] == "fdht:hls:fdht_lstm:1.0"
    assert (Path(result["directory"]) / "component.xml").is_file()


def test_steps_get_what_they_need_and_no_more(tool):
    result = tool.run(["cosim"])
    assert result.fresh == ("csynth", "cosim") and set(result.results) == {"cosim"}
    assert stages(tool) == {"csynth", "cosim"}


def test_sources_without_the_simulation_s_own_types_are_copied(tool):
    tool.run(["csim"])
    assert (tool.work / "core" / "firmware" / "fdht_lstm.cpp").exists()
    assert not (tool.work / "core" / "firmware" / "ap_types").exists()


def test_lines_of_the_log_are_shown_as_they_come(tool):
    told: list[tuple[str, float, float, str]] = []
    tool.run(["csim"], show=lambda *now: told.append(now))
    assert ("csim", 0, 1, "INFO: [SIM 211-1] CSim done with 0 errors.") in told
    assert told[-1] == ("csim", 1, 1, "")


# A target -----------------------------------------------------------------------------------------


def test_the_target_is_that_of_the_conversion(tool):
    tool.run(["csim"])
    assert f"set_part {PART}" in tool.calls("csim")
    assert "create_clock -period 10.0000 -name default" in tool.calls("csim")


def test_another_target_has_its_own_directory(tool):
    tool.effect("csynth", "files/syn/report/csynth.xml", csynth_xml(part="xck26-sfvc784-2LV-c"))
    result = tool.run(["csynth"], Target("xck26-sfvc784-2LV-c", 4.0))
    assert result.directory == tool.synthesis / "xck26-sfvc784-2LV-c"
    log = (result.directory / "work" / "logs" / "csynth.log").read_text()
    assert "set_part xck26-sfvc784-2LV-c" in log and "create_clock -period 4.0000 " in log


# Resumption ---------------------------------------------------------------------------------------


def test_what_is_done_is_not_repeated(tool, monkeypatch):
    first = tool.run(DEFAULT_STEPS)
    monkeypatch.setenv("PATH", "")  # nothing that is done needs the tool
    second = tool.run(DEFAULT_STEPS)
    assert second.fresh == () and second.results == first.results


def test_a_later_step_goes_on_with_the_project(tool):
    tool.run(["csynth"])
    assert tool.run(["cosim"]).fresh == ("cosim",)
    assert not any("-reset" in call for call in tool.calls("cosim"))


def test_a_failed_step_is_repeated_and_those_before_it_are_not(tool):
    tool.log("cosim", "finished: PASS", "finished: FAIL")
    with pytest.raises(ToolError):
        tool.run(DEFAULT_STEPS)
    assert stages(tool) == {"csim", "csynth"}
    tool.log("cosim", "finished: PASS", "finished: PASS")
    assert tool.run(DEFAULT_STEPS).fresh == ("cosim", "export")


@pytest.mark.parametrize("name", ["firmware/fdht_lstm.cpp", "tb_data/frames.hex", "build_core.tcl"])
def test_a_changed_source_starts_anew(tool, name):
    tool.run(DEFAULT_STEPS)
    path = tool.hls / "project" / name
    path.write_text(path.read_text() + "\n")
    assert tool.run(DEFAULT_STEPS).fresh == DEFAULT_STEPS


def test_another_clock_starts_anew(tool):
    tool.run(DEFAULT_STEPS)
    assert tool.run(DEFAULT_STEPS, Target(PART, 8.0)).fresh == DEFAULT_STEPS


def test_a_synthesis_that_is_made_again_takes_what_followed_with_it(tool):
    """It resets the tool's project, with the results of the steps behind it."""
    tool.run(DEFAULT_STEPS)
    (tool.work / "records" / "csynth").unlink()
    assert tool.run(DEFAULT_STEPS).fresh == ("csynth", "cosim", "export")


def test_a_lost_project_is_made_again(tool):
    tool.run(["csynth"])
    shutil.rmtree(tool.work / "core" / "fdht_core")
    assert tool.run(["cosim"]).fresh == ("csynth", "cosim")


def test_a_synthesis_that_was_interrupted_is_made_again(tool):
    tool.run(["csynth", "cosim"])
    (tool.work / "records" / "csynth").unlink()
    tool.effect("csynth", "exit", "1")
    with pytest.raises(ToolError):
        tool.run(["csynth"])
    (tool.directory / "effects" / "csynth" / "exit").unlink()
    (tool.work / "records" / "cosim").unlink()
    assert tool.run(["cosim"]).fresh == ("csynth", "cosim")


def test_a_project_whose_rtl_was_changed_is_made_again(tool):
    tool.run(["csynth"])
    tool.verilog.write_text("x")
    assert tool.run(["cosim"]).fresh == ("csynth", "cosim")


def test_an_interrupted_repetition_is_not_taken_for_the_synthesis(tool):
    """It has written the same RTL already, and not come to its end."""
    tool.run(["csynth"])
    tool.verilog.write_text("x")
    tool.effect("csynth", "exit", "1")
    with pytest.raises(ToolError, match="Vitis HLS csynth"):
        tool.run(["cosim"])
    (tool.directory / "effects" / "csynth" / "exit").unlink()
    assert tool.run(["cosim"]).fresh == ("csynth", "cosim")


@pytest.mark.parametrize("damaged", ["report.json", "csim.log", None])
def test_a_damaged_result_is_read_again(tool, damaged):
    first = tool.run(["csim"]).results
    stage = tool.synthesis / PART / "csim"
    shutil.rmtree(stage) if damaged is None else (stage / damaged).write_text("{}")
    again = tool.run(["csim"])
    assert (again.fresh, again.results) == ((), first)


def test_the_work_of_version_0_1_is_done_again_and_that_is_said(tool, capsys):
    (tool.work / "fdht_core").mkdir(parents=True)
    (tool.work / "state.json").write_text('{"inputs": "x"}')
    assert tool.run(["csim"]).fresh == ("csim",)
    assert "is of fdht 0.1; its steps are done again" in capsys.readouterr().err
    assert not (tool.work / "fdht_core").exists()
    tool.run(["csim"])
    assert capsys.readouterr().err == ""


# Failures -----------------------------------------------------------------------------------------


def refuse(tool: StandIn, step: str, error: type[FdhtError], message: str) -> None:
    """A step that fails leaves no stage directory and no record, but its log."""
    with pytest.raises(error, match=message):
        tool.run([step])
    assert step not in stages(tool)
    assert not (tool.work / "records" / step).exists()
    assert (tool.work / "logs" / f"{step}.log").stat().st_size > 0


@pytest.mark.parametrize("exit_code", [None, "1"])
def test_a_mismatch_in_the_c_simulation(tool, exit_code):
    tool.log("csim", "0 words differ", "2 words differ")
    if exit_code is not None:
        tool.effect("csim", "exit", exit_code)
    refuse(tool, "csim", EqualityError, "Vitis HLS csim: 2 of 20 words of results differ")


def test_a_mismatch_behind_the_rtl(tool):
    bench = "post checking ...\n10 frames in calls of 4 and 6, "
    tool.log("cosim", f"{bench}0", f"{bench}1")
    refuse(tool, "cosim", EqualityError, "Vitis HLS cosim: 1 of 20 words of results differ")


def test_an_error_with_exit_code_0(tool):
    line = "ERROR: [HLS 200-1715] Encountered problem during source synthesis"
    tool.log("csynth", "INFO: [HLS 200-789]", f"{line}\nINFO: [HLS 200-789]")
    refuse(tool, "csynth", ToolError, r"failed: ERROR: \[HLS 200-1715\] Encountered problem")


def test_a_crash(tool):
    tool.effect("csynth", "exit", "139")
    refuse(tool, "csynth", ToolError, r"was killed \(SIGSEGV\); .* goes on from here; see .*csynth")


def test_an_early_end_with_exit_code_0(tool):
    tool.effect("csynth", "exit", "0")
    refuse(tool, "csynth", ToolError, "ended without saying 'FDHT: csynth ended'")


def test_a_failed_co_simulation_in_the_report_alone(tool):
    tool.effect("cosim", "files/sim/report/fdht_lstm_cosim.rpt", cosim_rpt("Fail"))
    refuse(tool, "cosim", ToolError, "co-simulation: Verilog: Fail")


def test_a_time_out(tool):
    tool.effect("csynth", "sleep", "")
    with pytest.raises(ToolError, match=r"step csynth: did not finish within 1 s; raise --timeout"):
        tool.run(["csynth"], timeout=1)
    assert stages(tool) == set()


def test_an_interruption_leaves_what_was_done(tool, interruptible):
    tool.effect("csynth", "sleep", "")
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(step: str, done: float, total: float = 0, text: str = "") -> None:
        if step == "csynth" and "csynth_design" in text:
            threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        tool.run(DEFAULT_STEPS, show=interrupt)
    assert time.monotonic() - start < 30
    assert stages(tool) == {"csim"}
    (tool.directory / "effects" / "csynth" / "sleep").unlink()
    assert tool.run(DEFAULT_STEPS).fresh == ("csynth", "cosim", "export")


def test_a_synthesis_without_rtl(tool):
    shutil.rmtree(tool.directory / "effects/csynth/files/syn/verilog")
    refuse(tool, "csynth", ArtifactError, "syn/verilog/.*: was not written, or is empty")


def test_a_second_run_is_kept_out(tool):
    with (
        only_run(tool.synthesis / PART),
        pytest.raises(
            ArtifactError, match=r"is in use by another run; wait for it, or end it \(fuser"
        ),
    ):
        tool.run(["csim"])
    assert tool.run(["csim"]).fresh == ("csim",)


@pytest.mark.parametrize("place", ["", PART, f"{PART}/work"])
def test_a_place_that_cannot_be_written(tool, place):
    path = tool.synthesis / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file where a directory is due")
    with pytest.raises(ArtifactError, match=r"cannot be written .*; free space or choose another"):
        tool.run(["csim"])


def test_a_report_that_was_not_written(tool):
    (tool.directory / "effects/csynth/files/syn/report/csynth.xml").unlink()
    refuse(tool, "csynth", ArtifactError, "syn/report/csynth.xml: was not written; read the log")


def test_a_report_of_an_earlier_run_is_not_taken_for_one_of_this(tool):
    tool.run(["cosim"])
    (tool.work / "records" / "cosim").unlink()
    shutil.rmtree(tool.synthesis / PART / "cosim")
    (tool.directory / "effects/cosim/files/sim/report/fdht_lstm_cosim.rpt").unlink()
    refuse(tool, "cosim", ArtifactError, "fdht_lstm_cosim.rpt: was not written")


@pytest.mark.parametrize(
    ("changes", "found"),
    [({"top": "fdht_network"}, "'fdht_network' on"), ({"part": "xc7z010clg400-1"}, "on 'xc7z010")],
)
def test_a_report_of_another_design(tool, changes, found):
    tool.effect("csynth", "files/syn/report/csynth.xml", csynth_xml(**changes))
    refuse(tool, "csynth", ArtifactError, f"{found}.*is the device installed")


def test_a_core_of_another_name(tool):
    tool.effect("export", "files/impl/ip/component.xml", COMPONENT.format(name="other"))
    refuse(
        tool, "export", ArtifactError, "is fdht:hls:other:1.0; the driver binds to fdht:hls:fdht"
    )


def test_a_core_without_a_name(tool):
    tool.effect("export", "files/impl/ip/component.xml", "<component/>")
    refuse(tool, "export", ArtifactError, "does not name a core")


def test_a_clock_missed_in_the_estimate_is_told(tool):
    tool.effect("csynth", "files/syn/report/csynth.xml", csynth_xml(estimated="7.674"))
    result = tool.run(["csynth"]).results["csynth"]
    assert not result["clock"]["met"]


def test_a_clock_missed_after_routing_is_an_error_each_time(tool):
    text = (SAMPLES / "2023.2_export_impl.xml").read_text()
    text = text.replace("<TIMING_MET>TRUE", "<TIMING_MET>FALSE")
    text = text.replace("AchievedClockPeriod>5.692", "AchievedClockPeriod>11.5")
    tool.effect("impl", "files/impl/report/verilog/export_impl.xml", text)
    for _ in range(2):
        with pytest.raises(ToolError, match=r"misses its clock: 11\.5 ns where 10\.0 ns are asked"):
            tool.run(["impl"])
    assert "impl" in stages(tool)  # the figures are kept


def test_a_process_that_the_tool_cannot_bound_might_be_the_slowest(tool):
    cycles = {**CYCLES, "read_frame_8u_8u_s": "undef"}
    tool.effect("csynth", "files/syn/report/csynth.xml", csynth_xml(cycles))
    result = tool.run(["csynth"]).results["csynth"]
    assert (result["cycles_per_frame"], result["limited_by"]) == (None, None)
    assert result["stages"][0]["cycles"] is None


# The tool and the conversion ----------------------------------------------------------------------


def test_without_the_tool_one_line_says_what_is_missing(tool, monkeypatch):
    monkeypatch.setenv("PATH", "")
    message = (
        "^vitis-run or vitis_hls: is missing on this machine; step csim needs .*: "
        "install AMD Vitis 2022.2 or later and source its settings64.sh"
    )
    with pytest.raises(ToolError, match=message) as found:
        tool.run(["csim"])
    assert "\n" not in str(found.value)
    assert stages(tool) == set() and not (tool.work / "logs").exists()


def test_neither_tensorflow_nor_hls4ml_is_needed():
    code = (
        "import sys, fdht_hls.vitis.synthesis; "
        "print([m for m in ('tensorflow', 'tf_keras', 'hls4ml') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_newer_spelling_is_preferred(tool, monkeypatch):
    program = tool.directory / "bin"
    (program / "vitis-run").write_text("#!/bin/sh\necho this is vitis-run\nexit 1\n")
    (program / "vitis-run").chmod(0o755)
    with pytest.raises(ToolError, match="its last line: this is vitis-run"):
        tool.run(["csim"])


def test_without_a_conversion_the_stage_before_is_named(tool):
    shutil.rmtree(tool.hls)
    with pytest.raises(ArtifactError, match=r"run fdht convert .*first"):
        tool.run(["csim"])


@pytest.mark.parametrize("name", ["firmware", "tb_data", "build_core.tcl", "fdht_testbench.cpp"])
def test_a_conversion_that_lacks_a_file(tool, name):
    path = tool.hls / "project" / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ArtifactError, match=f"{name}: is missing; run fdht convert again"):
        tool.run(["csim"])


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"part": "xc7z020clg400-1"}', '{"part": 1, "clock_period": "x"}']
)
def test_a_conversion_that_names_no_target(tool, text):
    (tool.hls / "project" / "target.json").write_text(text)
    with pytest.raises(
        ArtifactError, match=r"target\.json.*run fdht convert again, or name a board"
    ):
        tool.run(["csim"])


# Steps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "steps"),
    [("csim", ("csim",)), ("export, csim,csim", ("csim", "export")), (",".join(STEPS), STEPS)],
)
def test_steps_are_read_in_their_order(text, steps):
    assert parse_steps(text) == steps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "steps: names no step; use csim,csynth,cosim,export,impl"),
        ("csynht", "steps = 'csynht': is not a step; did you mean 'csynth'"),
        ("all", "steps = 'all': is not a step"),
    ],
)
def test_unknown_steps_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_steps(text)
