"""fdht synthesize: output, JSON, exit codes, one line for a mistake."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import fdht
from fdht_hls.vitis.core_steps import SPELLINGS, STEPS, core_plan, default_target
from tests.hls.conftest import Converted
from tests.hls.vitis.standin import INTERPRETER, PART, StandIn, make_stand_in, needs_tclsh

pytestmark = needs_tclsh


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = make_stand_in(tmp_path, monkeypatch)
    (tmp_path / "build" / "small" / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    return made


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = fdht.main(["synthesize", "small", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_people_get_lines_with_kinds(tool, capsys):
    code, out, error = run(capsys)
    assert code == 0, error
    assert "10 frames, 20 words compared, 0 mismatches  C simulation" in out
    assert "97 cycles a frame, limited by input.C2  reported by Vitis HLS" in out
    assert "97 cycles a frame, 2134 in all  simulated" in out
    assert "fdht:hls:fdht_lstm:1.0: build/small/synthesis" in out
    assert out.endswith(f"build/small/synthesis/{PART} (csim, csynth, cosim, export)\n")
    assert run(capsys)[1].endswith(f"build/small/synthesis/{PART} (nothing had changed)\n")


def test_programs_get_json(tool, capsys):
    code, out, _ = run(capsys, "--steps", "csynth,csim", "--json")
    value = json.loads(out)
    assert code == 0 and value["fresh"] == ["csim", "csynth"] == list(value["steps"])
    assert value["steps"]["csynth"]["kind"] == "reported by Vitis HLS"


def test_a_board_gives_part_and_clock(tool, capsys):
    code, _, error = run(capsys, "--board", "kv260", "--steps", "csim")
    assert code == 0, error
    (directory,) = (tool.synthesis).iterdir()
    settings = (directory / "work" / "core" / "settings.tcl").read_text()
    from fdht_hls.boards import get_board

    board = get_board("kv260")
    assert directory.name == board.part.name
    assert f"set part {{{board.part.name}}}\n" in settings
    assert f"set clock_period {1000 / board.clock_mhz:.4f}\n" in settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "csimm"], "steps = 'csimm': is not a step; did you mean 'csim'"),
        (["--board", "pynqz2"], "board = 'pynqz2': is not a known board; did you mean 'pynq-z2'"),
        (["--timeout", "0"], "--timeout"),
        (["--build", "elsewhere"], "experiment"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tool, capsys, arguments, message):
    code, out, error = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert error.startswith("fdht: ") and error.count("\n") == 1
    assert message in error


def test_a_missing_tool_is_one_line_and_exit_code_2(tool, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, out, error = run(capsys)
    assert (code, out) == (2, "") and error.count("\n") == 1
    assert error.startswith("fdht: vitis-run or vitis_hls: is missing on this machine; step csim ")


def test_a_failure_of_the_tool_is_one_line_and_exit_code_2(tool, capsys):
    tool.effect("csim", "error", "")
    code, _, error = run(capsys)
    assert code == 2
    assert error == (
        "fdht: Vitis HLS csim: failed: csim failed: 4; "
        f"see build/small/synthesis/{PART}/work/logs/csim.log\n"
    )


@pytest.mark.parametrize("flow", ["project", "component"])
def test_a_real_conversion_has_what_the_script_names(
    small: Converted, tmp_path: Path, flow: str
) -> None:
    """The strict interpreter on what hls4ml and our writer wrote."""
    target = default_target(small.project)
    script = (small.project / "build_core.tcl").read_text()
    assert f"set part {{{target.part}}}\n" in script
    assert f"set clock_period {target.clock_period:g}\n" in script
    core_plan("small", small.project, target, STEPS).write(tmp_path / "work")
    (tmp_path / "work" / "core" / "settings.tcl").unlink()  # as by hand
    done = subprocess.run(
        ["tclsh", str(INTERPRETER), "vitis_hls", *SPELLINGS["vitis_hls"], "build_core.tcl"],
        cwd=tmp_path / "work" / "core",
        env={**os.environ, "STANDIN_FLOW": flow, "STANDIN_EFFECTS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert all(f"FDHT: {step} ended" in done.stdout for step in STEPS[:4])
