"""What a log of Vivado says: the decisive sentence of a failure, and what can be done about it."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from fdht_models.errors import ToolError

#: Lines that are errors. A run's log is printed as it is, ours begin with [FDHT].
_ERROR = re.compile(r"^\s*(?:ERROR|FATAL_ERROR): .*$", re.MULTILINE)
_VERSION = re.compile(r"^FDHT: vivado (\S+)$|\bVivado v(\d{4}\.\d+(?:\.\d+)?)", re.MULTILINE)

#: What a sentence tells of the cause, first match first, and the remedy.
_CAUSES: Sequence[tuple[str, str, str]] = (
    (
        r"license was not found|[Ll]icen[cs]e (?:checkout|error|feature)|no valid license"
        r"|Common 17-345|failed to (?:get|obtain) a license",
        "has no licence",
        "see the Vivado License Manager; the free edition serves only some devices (UG973)",
    ),
    (
        r"No space left on device|[Dd]isk (?:is )?full|Common 17-39.*space",
        "found no room on the disk",
        "free space and run the same command again",
    ),
    (
        r"timing not met",
        "does not meet its timing",
        "use a slower --clock or a schedule with less in parallel; see timing_summary.rpt, "
        "or --allow-timing-failure",
    ),
    (
        r"Place 30-640|Place 30-487|DRC UTLZ-1|DRC UTLZ|more \S+ cells than are available"
        r"|over-?utili[sz]ed",
        "needs more than the device has",
        "use a schedule that takes less (fdht tune), or a larger board",
    ),
    (
        r"is too old",
        "is too old",
        "install Vivado 2022.2 or later and source its settings64.sh",
    ),
    (
        r"has no board file",
        "lacks a board file",
        'install it, or set preset = "properties" in a board file of your own',
    ),
    (
        r"[Oo]ut of memory|std::bad_alloc|unable to allocate",
        "ran out of memory",
        "close other programs, or use a machine with more memory",
    ),
)


def decisive_line(text: str) -> str | None:
    """The line of a log that says why a step failed: our own, or else the first error."""
    lines: list[str] = [found.group().strip() for found in _ERROR.finditer(text)]
    # Some failures of the disk and of memory come without the word ERROR.
    for pattern in (_CAUSES[1][0], _CAUSES[-1][0]):
        found = re.search(rf"^.*(?:{pattern}).*$", text, re.MULTILINE)
        if found is not None:
            lines.append(found.group().strip())
    # Our own line quotes Vivado's where there is one, and says in which step.
    ours = [line for line in lines if line.startswith("ERROR: [FDHT]")]
    return next(iter(ours or lines), None)


def version_of(text: str) -> str | None:
    """The version of Vivado that a log names."""
    found = _VERSION.search(text)
    return None if found is None else found[1] or found[2]


def failure(step: str, text: str, exit_code: int, log: str, tool: str = "Vivado") -> ToolError:
    """The error for a step that failed: its cause, its log's decisive sentence and a remedy.

    Args:
        step: its name.
        text: its log.
        exit_code: of the program; negative or above 128: it was killed by a signal.
        log: where the log lies.
        tool: that ran.
    """
    line = decisive_line(text)
    field = f"{tool} {step}"
    if line is None:
        name = _signal(exit_code)
        if name is not None:
            remedy = "often for lack of memory; " if name == "SIGKILL" else ""
            return ToolError(
                f"was killed ({name})",
                field=field,
                remedy=f"{remedy}the same command goes on from here; see {log}",
            )
        return ToolError(
            f"ended with exit code {exit_code} and no error line", field=field, remedy=f"see {log}"
        )
    sentence = line.removeprefix("ERROR: [FDHT] ").removeprefix(f"{step}: ")
    for pattern, cause, remedy in _CAUSES:
        if re.search(pattern, line):
            return ToolError(f"{cause}: {sentence}", field=field, remedy=f"{remedy}; see {log}")
    return ToolError(f"failed: {sentence}", field=field, remedy=f"see {log}")


def _signal(exit_code: int) -> str | None:
    number = -exit_code if exit_code < 0 else exit_code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return None
