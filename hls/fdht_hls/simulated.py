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
    mismatches, cycles = report.get("mismatches"), report.get("cycles_per_frame")
    equal = type(mismatches) is int and mismatches == 0
    timed = isinstance(cycles, int | float) and not isinstance(cycles, bool) and cycles > 0
    return report if equal and timed else None
