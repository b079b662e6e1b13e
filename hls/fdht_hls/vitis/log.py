"""What a log of Vitis HLS says: did the step do its work? The exit code alone is not trusted.

The tool ends with exit code 0 in some failures, and a script that falls back to the prompt ends
with 0, too. A step therefore counts only if our script says that it came to its end, no line is an
error, and the tool (or the test bench) says in its own words that the comparison succeeded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fdht_models.errors import EqualityError, ToolError

#: Lines of errors: "ERROR: [HLS 200-..]", in logs of csim "ERR: [SIM 100]" and "@E".
_ERROR = re.compile(r"^\s*(?:ERROR|ERR|FATAL_ERROR):?\s|^@E\s|^\s*CRITICAL ERROR", re.MULTILINE)
#: What a tool of AMD's says when it has no licence: "ERROR: [Common 17-345] A valid license was not
#: found for feature 'Synthesis' and/or device 'xcvu11p'." (Vitis HLS, as a user of 2023 reported:
#: ultrazohm/ultrazohm_sw, issue 291).
LICENCE = (
    r"license was not found|[Ll]icen[cs]e (?:checkout|check|error|feature)|[Nn]o valid license"
    r"|Common 17-345|[Ff]ailed to (?:get|obtain|check ?out) (?:a |the )?license"
)
LICENCE_REMEDY = "see the Vivado License Manager; the free edition serves only some devices (UG973)"
_VERSION = re.compile(
    r"(?:C\+\+ and OpenCL|HLS Build|vitis-run|Vitis HLS)\s+v(\d{4}\.\d+(?:\.\d+)?)"
)
#: What the test bench prints; see fdht_testbench.cpp.j2.
_BENCH = re.compile(
    r"^\s*(\d+) frames in calls of (\d+) and (\d+), (\d+) words differ of (\d+)\s*$", re.MULTILINE
)
#: What the tool says when a simulation succeeded (UG1399, "C Simulation", "C/RTL Co-Simulation").
_VERDICTS = {
    "csim": "CSim done with 0 errors",
    "cosim": "C/RTL co-simulation finished: PASS",
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


def first_error(text: str) -> str | None:
    """The first line of a log that is an error."""
    found = _ERROR.search(text)
    if found is None:
        return None
    return text[found.start() :].lstrip("\n").split("\n", 1)[0].strip()


def bench_runs(text: str) -> list[BenchRun]:
    """Each time that the test bench came to its end."""
    return [
        BenchRun(frames, (first, second), mismatches, compared)
        for frames, first, second, mismatches, compared in (
            tuple(map(int, found.groups())) for found in _BENCH.finditer(text)
        )
    ]


def check_log(step: str, text: str, exit_code: int, tool: str, log: str) -> list[BenchRun]:
    """Refuses a step that did not do its work.

    Args:
        step: its name.
        text: its log.
        exit_code: of the program.
        tool: the program's name.
        log: where the log lies, for messages.

    Returns:
        What the test bench found, once a run; empty for steps without one.

    Raises:
        EqualityError: the test bench compared, and results differ.
        ToolError: it failed otherwise; the first error of the log is quoted.
    """
    runs = bench_runs(text)
    for run in runs:
        if run.mismatches:
            raise EqualityError(
                f"{run.mismatches} of {run.compared} words of results differ from the reference",
                field=f"{tool} {step}",
                remedy=f"see {log}; this is a defect of fdht or of the tool: please report it",
            )
    problem = _problem(step, text, exit_code, runs)
    if problem is not None:
        raise ToolError(problem, field=f"{tool} {step}", remedy=f"{_remedy(text)}see {log}")
    return runs


def _problem(step: str, text: str, exit_code: int, runs: Sequence[BenchRun]) -> str | None:
    if licence := licence_line(text):
        return f"has no licence: {licence}"
    error = first_error(text)
    if error is not None:
        return f"failed: {error}"
    if exit_code:
        return f"ended with exit code {exit_code} and no error line"
    if end_marker(step) not in text:
        return "did not come to its end, although its exit code is 0"
    verdict = _VERDICTS.get(step)
    if verdict is not None and verdict not in text:
        return f"ended without saying {verdict!r}"
    wanted = _BENCH_RUNS.get(step, 0)
    if len(runs) < wanted:
        return f"ended with {len(runs)} results of the test bench where {wanted} are due"
    return None


def licence_line(text: str) -> str | None:
    """The line that tells of a licence, if the step failed: the tool may print others before it."""
    if first_error(text) is None:
        return None
    lines = (line.strip() for line in text.splitlines() if re.search(LICENCE, line))
    return next((line for line in lines if first_error(line) is not None), None)


def _remedy(text: str) -> str:
    return f"{LICENCE_REMEDY}; " if licence_line(text) else ""
