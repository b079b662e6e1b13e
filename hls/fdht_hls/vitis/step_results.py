"""What the steps of the core left in the tool's project: judged, and read as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fdht_hls.flow.failure import Ended
from fdht_hls.registers import VLNV
from fdht_hls.vitis.cosim_report import read_cosim
from fdht_hls.vitis.csynth import read_csynth, read_implementation
from fdht_hls.vitis.log import bench_runs, check_log
from fdht_hls.vitis.report import cosim_json, csim_json, csynth_json
from fdht_models.artifacts import digest_file, digest_of
from fdht_models.errors import ArtifactError
from fdht_models.tensor.quantized import QuantizedRecurrence

#: The tool as steps name it.
VITIS_HLS = "Vitis HLS"
#: As in build_core.tcl, and where it is run, below a plan's directory.
TOP, CORE = "fdht_lstm", "core"
#: What a step leaves; the tool calls the folder in the middle `solution` in projects and `hls` in
#: components.
_SOLUTION = f"{CORE}/fdht_core/*"
IP, VERILOG = f"{_SOLUTION}/impl/ip", f"{_SOLUTION}/syn/verilog/*.v"
REPORTS = {
    "csynth": f"{_SOLUTION}/syn/report/csynth.xml",
    "cosim": f"{_SOLUTION}/sim/report/{TOP}_cosim.rpt",
    "export": f"{IP}/component.xml",
    "impl": f"{_SOLUTION}/impl/report/verilog/export_impl.xml",
}


def judge_core(ended: Ended, *, part: str) -> None:
    """Refuses a step of Vitis HLS that did not do its work, by its log and its report.

    Args:
        ended: the step.
        part: device that is asked for.

    Raises:
        EqualityError: the test bench of the core found results that differ.
        ToolError: it failed otherwise; the log's decisive sentence is quoted.
        ArtifactError: its report is missing, damaged, or of another design.
    """
    check_log(ended)
    checks: dict[str, Callable[[Path], object]] = {
        "csynth": partial(_refuse_other_design, part=part),
        "cosim": read_cosim,
        "impl": read_implementation,
        "export": _refuse_other_core,
    }
    name = ended.step.name
    if name in checks:
        checks[name](report_of(name, ended.directory))


def report_of(step: str, directory: Path) -> Path:
    """The report of a step in a plan's directory.

    Raises:
        ArtifactError: there is none.
    """
    found = sorted(directory.glob(REPORTS[step]), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ArtifactError(
            "was not written",
            field=f"{directory}/{REPORTS[step]}",
            remedy="read the log; if Vitis names its reports otherwise, please report it",
        )
    return found[-1]


def result_of(
    step: str, directory: Path, log: Path, recurrence: QuantizedRecurrence
) -> dict[str, Any]:
    """What a finished step found, in the layout of the estimate.

    Args:
        step: its name.
        directory: of the plan.
        log: of the step.
        recurrence: the network that the core computes.

    Raises:
        ArtifactError: its report is missing or damaged.
    """
    runs = bench_runs(log.read_text(errors="replace"))
    if step == "csim":
        return csim_json(runs[0])
    report = report_of(step, directory)
    if step == "csynth":
        verilog = {path.name: digest_file(path) for path in sorted(directory.glob(VERILOG))}
        return {**csynth_json(read_csynth(report), recurrence), "rtl": digest_of(verilog)}
    if step == "cosim":
        return cosim_json(read_cosim(report), runs)
    if step == "export":
        return {"kind": "exported", "vlnv": vlnv_of(report)}
    return read_implementation(report)


def _refuse_other_design(report: Path, part: str) -> None:
    """The tool falls back to another device where it does not know the one that is asked for."""
    found = read_csynth(report)
    if found.top.name != TOP or _plain(found.part) != _plain(part):
        raise ArtifactError(
            f"is of {found.top.name!r} on {found.part!r}, not of {TOP!r} on {part!r}",
            field=report.name,
            remedy="read the log: is the device installed?",
        )


def _plain(part: str) -> str:
    return part.lower().replace("-", "")


def _refuse_other_core(component: Path) -> None:
    vlnv = vlnv_of(component)
    if vlnv != VLNV:
        raise ArtifactError(
            f"is {vlnv}; the driver binds to {VLNV}",
            field=str(component),
            remedy="do not edit build_core.tcl's names",
        )


def vlnv_of(component: Path) -> str:
    """Vendor, library, name and version of a packaged core (IP-XACT, IEEE 1685).

    Raises:
        ArtifactError: the file does not state them.
    """
    head = component.read_text(errors="replace")[:4000]
    parts = [
        re.search(rf"<(?:\w+:)?{name}>\s*([^<\s]+)\s*</", head)
        for name in ("vendor", "library", "name", "version")
    ]
    if any(part is None for part in parts):
        raise ArtifactError("does not name a core", field=str(component))
    return ":".join(part[1] for part in parts if part is not None)
