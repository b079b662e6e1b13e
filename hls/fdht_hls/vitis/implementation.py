"""Reads what Vivado reports of the core alone: `impl/report/verilog/export_{syn,impl}.xml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fdht_hls.vitis.xmlfile import Report

#: What Vivado did, and what its figures are then called.
_RUNS = {
    "synth": "reported by Vivado after synthesis",
    "impl": "reported by Vivado after placing and routing",
}


def read_implementation(path: Path) -> dict[str, Any]:
    """Reads export_syn.xml or export_impl.xml, in the layout of the estimate.

    Logic synthesis, or placing and routing, of the core by itself: no cycles, but `resources` and
    what is `available` (lut, ff, dsp, bram36), and the `clock` in nanoseconds.

    Raises:
        ArtifactError: it cannot be read, is damaged, or is another file.
    """
    report = Report(path, "RunData", "a report of Vivado on an exported core", "impl")
    run = report.root.find("RunData")
    timing = report.root.find("TimingReport")
    used = report.root.find("AreaReport/Resources")
    available = report.root.find("AreaReport/AvailableResources")
    if run is None or timing is None or used is None or available is None:
        raise report.error("lacks its timing or its area")
    kind = report.text(run, "RUN_TYPE")
    if kind not in _RUNS:
        raise report.error(f"has {kind!r} as RUN_TYPE")
    met = report.text(timing, "TIMING_MET")
    if met not in {"TRUE", "FALSE"}:
        raise report.error(f"has {met!r} as TIMING_MET")
    return {
        "kind": _RUNS[kind],
        "resources": report.resources(used),
        "available": report.resources(available),
        "clock": {
            "target_ns": report.number(timing, "TargetClockPeriod"),
            "achieved_ns": report.number(timing, "AchievedClockPeriod"),
            "met": met == "TRUE",
        },
        "version": report.text(run, "VIVADO_VERSION").removeprefix("v."),
    }
