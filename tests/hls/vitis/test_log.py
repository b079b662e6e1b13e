"""Logs: a step counts only if the tool and the test bench say so in their own words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fdht_hls.flow.failure import Ended, decisive_line
from fdht_hls.vitis.core_steps import STEPS, core_steps
from fdht_hls.vitis.log import BenchRun, bench_runs, check_log, end_marker, version_in
from fdht_models.errors import EqualityError, ToolError
from tests.hls.vitis.rendered import TEMPLATES
from tests.hls.vitis.standin import BENCH, LOGS

PLANNED = {step.name: step for step in core_steps({}, STEPS)}
GOOD = {step: f"FDHT: {step} begins\n{log}{end_marker(step)}\n" for step, log in LOGS.items()}


def check(step: str, text: str, exit_code: int = 0) -> list[BenchRun]:
    return check_log(Ended(PLANNED[step], Path(), text, exit_code, "x.log"))


@pytest.mark.parametrize(("step", "runs"), [("csim", 1), ("csynth", 0), ("cosim", 2), ("impl", 0)])
def test_a_good_log_is_taken(step, runs):
    assert check(step, GOOD[step]) == [BenchRun(10, (4, 6), 0, 20)] * runs


def test_the_test_bench_prints_what_is_read():
    text = (TEMPLATES / "fdht_testbench.cpp.j2").read_text()
    form = re.search(r'"(%u frames in calls[^"]*)\\n"', text)
    assert form is not None
    line = re.sub(r"%z?u", "%d", form[1]) % (10, 4, 6, 3, 20)
    assert bench_runs(f"x\n{line}\ny\n") == [BenchRun(10, (4, 6), 3, 20)]


def test_the_script_prints_the_end():
    assert 'puts "FDHT: $step ended"' in (TEMPLATES / "build_core.tcl.j2").read_text()


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: [SIM 211-100] 'csim_design' failed: nonzero return value.",
        "ERROR: [SIM 211-100] CSim failed with errors.",
        "ERROR: [SIM 211-100] 'csim_design' failed: compilation error(s).",
        "ERR: [SIM 100] 'csim_design' failed: compilation error(s).",
        "@E Simulation failed: Function 'main' returns nonzero value '1'.",
        "ERROR: [HLS 200-1715] Encountered problem during source synthesis",
        "ERROR: Pre-synthesis failed.",
        "ERROR: [COSIM 212-360] Aborting co-simulation: C TB simulation failed.",
        "ERROR: [COSIM 212-4] *** C/RTL co-simulation finished: FAIL ***",
        "ERROR: [HLS 200-101] 'open_solution': Unknown option '-flow_target'.",
        "ERROR: [Common 17-39] 'csim_design' failed due to earlier errors.",
        "ERROR: [FDHT] csim failed: 4",
    ],
)
@pytest.mark.parametrize("exit_code", [0, 1])
def test_an_error_of_the_tool_is_quoted_whatever_the_exit_code(line, exit_code):
    text = f"INFO: one\n{line}\nERROR: a later one\n{GOOD['csim']}"
    assert decisive_line(text) == line
    message = (
        f"^Vitis HLS csim: failed: {re.escape(line.removeprefix('ERROR: [FDHT] '))}; see x.log$"
    )
    with pytest.raises(ToolError, match=message):
        check("csim", text, exit_code)


#: As a user of Vitis HLS reported it in 2023: ultrazohm/ultrazohm_sw, issue 291.
LICENCE = (
    "ERROR: [Common 17-345] A valid license was not found for feature 'Synthesis' and/or device "
    "'xcvu11p'. Please run the Vivado License Manager for assistance in determining"
)


@pytest.mark.parametrize("before", ["", "ERROR: [HLS 200-1715] Encountered problem\n"])
@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_missing_licence_is_told_with_its_remedy(before, exit_code):
    with pytest.raises(ToolError) as caught:
        check("csynth", f"INFO: one\n{before}{LICENCE}\n{GOOD['csynth']}", exit_code)
    assert str(caught.value) == (
        f"Vitis HLS csynth: has no licence: {LICENCE}; see the Vivado License Manager; the free "
        "edition serves only some devices (UG973); see x.log"
    )


def test_a_licence_that_was_found_is_no_failure():
    line = "INFO: [Common 17-349] Got license for feature 'Synthesis' and/or device 'xc7z020'"
    assert check("csynth", f"{line}\n{GOOD['csynth']}") == []
    # Nor is its mention the cause of another one.
    text = f"WARNING: license feature soon expires\nERROR: [HLS 200-1715] x\n{GOOD['csynth']}"
    with pytest.raises(ToolError, match=r"failed: ERROR: .HLS 200-1715. x; see x\.log"):
        check("csynth", text)


@pytest.mark.parametrize(
    "line",
    [
        "INFO: [SIM 211-1] CSim done with 0 errors.",
        "WARNING: [HLS 200-1016] The resolution of ERROR: lines is not here",
        "// ERRORS are counted below",
        "INFO: [HLS 200-1510] Running: puts ERROR:",
    ],
)
def test_other_lines_are_no_errors(line):
    assert decisive_line(f"{line}\n") is None


@pytest.mark.parametrize("step", GOOD)
def test_exit_code_0_without_the_end_is_a_failure(step):
    text = GOOD[step].replace(end_marker(step), "")
    with pytest.raises(ToolError, match=f"ended without saying '{end_marker(step)}'"):
        check(step, text)


@pytest.mark.parametrize("step", GOOD)
def test_an_exit_code_alone_is_a_failure(step):
    with pytest.raises(ToolError, match="ended with exit code 3 and no error line"):
        check(step, GOOD[step], 3)


@pytest.mark.parametrize(
    ("step", "verdict"),
    [
        ("csim", "CSim done with 0 errors"),
        ("cosim", "C/RTL co-simulation finished: PASS"),
    ],
)
def test_silence_is_no_success(step, verdict):
    text = GOOD[step].replace(verdict, "something else")
    with pytest.raises(ToolError, match=f"ended without saying '{verdict}'"):
        check(step, text)


@pytest.mark.parametrize(("step", "found", "due"), [("csim", 0, 1), ("cosim", 1, 2)])
def test_a_test_bench_that_did_not_compare_is_a_failure(step, found, due):
    text = GOOD[step].replace(BENCH, "", 1)
    with pytest.raises(
        ToolError, match=f"ended with {found} results of the test bench where {due}"
    ):
        check(step, text)


@pytest.mark.parametrize("step", ["csim", "cosim"])
def test_words_that_differ_are_told_before_all_else(step):
    text = GOOD[step].replace("0 words differ", "3 words differ", 1) + "ERROR: [SIM 211-100] x\n"
    message = f"^Vitis HLS {step}: 3 of 20 words of results differ from the reference; see x.log"
    with pytest.raises(EqualityError, match=message):
        check(step, text, 1)


def test_a_mismatch_behind_the_rtl_counts_too():
    """Co-simulation compares twice: the second time with what the RTL gave."""
    first, second = GOOD["cosim"].split("C post checking")
    text = first + "C post checking" + second.replace("0 words differ", "1 words differ")
    with pytest.raises(EqualityError, match="1 of 20 words"):
        check("cosim", text)


@pytest.mark.parametrize(
    ("line", "version"),
    [
        (
            "****** Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2023.1 (64-bit)",
            "2023.1",
        ),
        (
            "****** Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2023.2.2 (64-bit)",
            "2023.2.2",
        ),
        ("  **** HLS Build v2025.2 6295257", "2025.2"),
        ("  **** SW Build 3854077 on May  4 2023", None),
    ],
)
def test_the_version_is_read_from_the_log(line, version):
    assert version_in(f"\n{line}\nmore\n") == version
