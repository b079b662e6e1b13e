"""What a log of Vitis HLS says: did the step do its work? The exit code alone is not trusted.

The tool ends with exit code 0 in some failures, and a script that falls back to the prompt ends
with 0, too. A step therefore counts only if our script says that it came to its end, no line is an
error, and the tool (or the test bench) says in its own words that the comparison succeeded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fdht_hls.flow.failure import GENERAL, Cause, Ended, check_step
from fdht_models.errors import EqualityError, ToolError

#: What a tool of AMD's says when it has no licence: "ERROR: [Common 17-345] A valid license was not
#: found for feature 'Synthesis' and/or device 'xcvu11p'." (Vitis HLS, as a user of 2023 reported:
#: ultrazohm/ultrazohm_sw, issue 291).
NO_LICENCE = Cause(
    r"license was not found|[Ll]icen[cs]e (?:checkout|check|error|feature)|[Nn]o valid license"
    r"|Common 17-345|[Ff]ailed to (?:get|obtain|check ?out) (?:a |the )?license",
    "has no licence",
    "see the Vivado License Manager; the free edition serves only some devices (UG973)",
)
_VERSION = re.compile(
    r"(?:C\+\+ and OpenCL|HLS Build|vitis-run|Vitis HLS)\s+v(\d{4}\.\d+(?:\.\d+)?)"
)
#: What the test bench prints; see fdht_testbench.cpp.j2.
_BENCH = re.compile(
    r"^\s*(\d+) frames in calls of (\d+) and (\d+), (\d+) words differ of (\d+)\s*$", re.MULTILINE
)
#: What the tool says when a simulation succeeded (UG1399, "C Simulation", "C/RTL Co-Simulation").
VERDICTS = {
    "csim": ("CSim done with 0 errors",),
    "cosim": ("C/RTL co-simulation finished: PASS",),
}
#: Times that the test bench runs in a step: co-simulation runs it before and after the RTL.
_BENCH_RUNS = {"csim": 1, "cosim": 2}


@dataclass(frozen=True)
class BenchRun:
    """What the test bench found.

    Args:
        frames: frames that were processed.
        calls: frames in each of its calls of the core.
        mismatches: 64-bit words of results that differ from the reference.
        compared: words that were compared.
    """

    frames: int
    calls: tuple[int, int]
    mismatches: int
    compared: int


def version_in(log: str) -> str | None:
    """The version that the tool states at the top of its log, such as "2024.1"."""
    found = _VERSION.search(log)
    return found[1] if found else None


def end_marker(step: str) -> str:
    """What build_core.tcl prints when a step came to its end."""
    return f"FDHT: {step} ended"


def bench_runs(text: str) -> list[BenchRun]:
    """Each time that the test bench came to its end."""
    return [
        BenchRun(frames, (first, second), mismatches, compared)
        for frames, first, second, mismatches, compared in (
            tuple(map(int, found.groups())) for found in _BENCH.finditer(text)
        )
    ]


def check_log(ended: Ended) -> list[BenchRun]:
    """Refuses a step that did not do its work, by its log.

    Returns:
        What the test bench found, once a run; empty for steps without one.

    Raises:
        EqualityError: the test bench compared, and results differ.
        ToolError: it failed otherwise; the log's decisive sentence is quoted.
    """
    runs = bench_runs(ended.text)
    # Results that differ are an error of the tool, too, and the lesser news.
    for run in runs:
        if run.mismatches:
            raise EqualityError(
                f"{run.mismatches} of {run.compared} words of results differ from the reference",
                field=ended.field,
                remedy=f"see {ended.log}; this is a defect of fdht or of the tool: "
                "please report it",
            )
    check_step(ended, (NO_LICENCE, *GENERAL))
    due = _BENCH_RUNS.get(ended.step.name, 0)
    if len(runs) < due:
        raise ToolError(
            f"ended with {len(runs)} results of the test bench where {due} are due",
            field=ended.field,
            remedy=f"see {ended.log}",
        )
    return runs
