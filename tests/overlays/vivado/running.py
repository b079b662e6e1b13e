"""Runs scripts of a design under the stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdht_hls.boards import get_board
from fdht_hls.registers import VLNV
from fdht_overlays.vivado.design import BlockDesign, block_design
from fdht_overlays.vivado.scripts import steps_of, vivado_scripts
from tests.overlays.vivado.model import Effects, Vivado
from tests.overlays.vivado.packager import component_xml
from tests.overlays.vivado.session import BACKENDS, Session

needs_tcl = pytest.mark.skipif(
    not BACKENDS,
    reason="NOT TESTED: the scripts for Vivado; neither tkinter nor tclsh is there "
    "(apt-get install tcl)",
)
#: Board files as a Vivado has them that got all of them.
BOARD_PARTS = (
    "xilinx.com:zcu102:part0:3.4",
    "xilinx.com:zcu104:part0:1.1",
    "xilinx.com:kv260_som:part0:1.4",
    "avnet.com:ultra96v2:part0:1.2",
)
#: The ports of the core in RTL; see fdht_hls.rtl.core.
_SIGNALS = ("AWVALID", "AWADDR", "WDATA", "ARVALID", "RDATA")


def design_of(board: str, core: str, loadable: bool = False) -> BlockDesign:
    return block_design(get_board(board), core, loadable=loadable)


def rtl_core(masters: list[str]) -> str:
    """A core in Verilog, of which there are only the ports."""
    names = [f"{bus}_{name}" for bus in ("s_axi_control", *masters) for name in _SIGNALS]
    ports = ", ".join(["ap_clk", "ap_rst_n", "interrupt", *names])
    return f"module fdht_lstm({ports});\nendmodule\n"


def write_plan(directory: Path, design: BlockDesign, **options: bool) -> Path:
    """The scripts of Vivado's steps, and a core as the step before leaves it."""
    for name, text in vivado_scripts(design, "small", **options).items():
        path = directory / "vivado" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    masters = list(design.masters)
    core = directory / "core"
    core.mkdir()
    if design.core == "rtl":
        (core / "fdht_lstm.v").write_text(rtl_core(masters))
    else:
        path = core / "fdht_core" / "solution" / "impl" / "ip" / "component.xml"
        path.parent.mkdir(parents=True)
        parts = zip(("vendor", "library", "name", "version"), VLNV.split(":"), strict=True)
        path.write_text(component_xml(dict(parts), "hls", masters))
    return directory


def run_step(
    directory: Path, step: str, effects: Effects, backend: str | None = None
) -> tuple[int, list[str], Vivado]:
    """Runs one step: exit code, output, and the session."""
    lines: list[str] = []
    vivado = Vivado(effects, lines.append)
    session = Session(vivado.call, backend)
    session.output = lines
    code = session.source(directory / "vivado" / f"{step}.tcl")
    return code, lines, vivado


def run_all(
    directory: Path, design: BlockDesign, effects: Effects, backend: str | None = None
) -> list[str]:
    """Runs all steps up to the first that fails; returns the output."""
    output = []
    for step in steps_of(design):
        code, lines, _ = run_step(directory, step, effects, backend)
        output += lines
        if code:
            break
    return output
