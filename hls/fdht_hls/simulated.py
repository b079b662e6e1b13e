"""Figures of simulated cores, found again for the very same Verilog; needs no Amaranth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fdht_models.artifacts import read_json
from fdht_models.directories import REPORT
from fdht_models.errors import ArtifactError

#: Of `fdht cosim`'s report: SHA-256 of the core's Verilog, without the probes of the simulation.
DIGEST = "verilog"


def simulated_core(cosim: Path, digest: str) -> Mapping[str, Any] | None:
    """The report of `fdht cosim` on a core.

    Args:
        cosim: its directory.
        digest: SHA-256 of the core's Verilog.

    Returns:
        The report; None where there is none, or one of another core, or one with differences.
    """
    try:
        report = read_json(cosim / REPORT)
    except ArtifactError:
        return None
    if not isinstance(report, dict) or report.get(DIGEST) != digest:
        return None
    # A report that does not say that there were none is no proof; true is no number.
    mismatches = report.get("mismatches")
    equal = type(mismatches) is int and mismatches == 0
    return report if equal and slowest_cycles(report) is not None else None


def slowest_cycles(report: Mapping[str, Any]) -> float | None:
    """Clocks of a frame that no frame exceeds, of a report of `fdht cosim`; None: it has none.

    Of a core that skips zeros those of a full frame: the clip's are not its slowest.
    """
    schedule = report.get("schedule")
    frames = schedule.get("frames", "dense") if isinstance(schedule, Mapping) else "dense"
    of = report if frames == "dense" else report.get("full_frame")
    cycles = of.get("cycles_per_frame") if isinstance(of, Mapping) else None
    if not isinstance(cycles, int | float) or isinstance(cycles, bool) or cycles <= 0:
        return None
    return float(cycles)
