"""Why a step failed: the decisive sentence of its log, its cause, and what can be done about it."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fdht_models.errors import ToolError

if TYPE_CHECKING:
    from fdht_hls.flow.build_plan import Step

#: Lines that are errors, whatever the exit code; ours begin with `ERROR: [FDHT]`. Logs of Vitis
#: HLS's C simulation have "ERR: [SIM 100]" and "@E", too.
_ERROR = re.compile(
    r"^\s*(?:(?:ERROR|ERR|FATAL_ERROR):?\s|CRITICAL ERROR).*$|^@E\s.*$", re.MULTILINE
)
#: Lines of a program that fell: of Python, of C++.
_FALL = re.compile(
    r"^(?:[\w.]*(?:Error|Exception)\b.*|terminate called .*|.*Assertion failure.*)$", re.MULTILINE
)


@dataclass(frozen=True)
class Cause:
    """What a sentence of a log tells.

    Args:
        pattern: of the sentence.
        title: what happened, behind the name of the step.
        remedy: what can be done about it.
    """

    pattern: str
    title: str
    remedy: str


NO_ROOM = Cause(
    r"No space left on device|[Dd]isk (?:is )?full|Common 17-39.*space",
    "found no room on the disk",
    "free space and run the same command again",
)
NO_MEMORY = Cause(
    r"[Oo]ut of memory|std::bad_alloc|unable to allocate|^MemoryError",
    "ran out of memory",
    "close other programs, or use a machine with more memory",
)
MISSING = Cause(
    r"^ERROR: \[FDHT\] .* is missing here",
    "lacks something",
    "fdht doctor, run on that machine, shows what is found",
)
#: Of any tool.
GENERAL: Sequence[Cause] = (NO_ROOM, MISSING, NO_MEMORY)


@dataclass(frozen=True)
class Ended:
    """A step that came to an end, by itself or not.

    Args:
        step: the step.
        directory: of the plan, with what it wrote.
        text: its log.
        exit_code: of its program; negative or above 128: it was killed by a signal.
        log: where the log lies, for messages.
    """

    step: Step
    directory: Path
    text: str
    exit_code: int
    log: str

    @property
    def field(self) -> str:
        """What messages call it: the tool and the step."""
        return f"{self.step.tool} {self.step.name}"


def check_step(ended: Ended, causes: Sequence[Cause] = GENERAL) -> None:
    """Refuses a step that did not do its work: asked here, and again of what was brought back.

    Args:
        ended: the step.
        causes: that are known of its tool, first match first.

    Raises:
        ToolError: it failed; the log's decisive sentence is quoted.
    """
    if ended.exit_code or decisive_line(ended.text) is not None:
        raise failure(ended, causes)
    for wanted in ended.step.success:
        if wanted not in ended.text:
            said = f"ERROR: [FDHT] ended without saying {wanted!r}{_last_line(ended.text)}"
            raise failure(replace(ended, text=said), causes)


def decisive_line(text: str) -> str | None:
    """The line of a log that says why a step failed: our own, or else the first error."""
    return next(iter(_error_lines(text)), None)


def _error_lines(text: str, exit_code: int = 0) -> list[str]:
    """Lines that are errors; if the exit code is not 0, the words of a fall count, too."""
    lines: list[str] = [found.group().strip() for found in _ERROR.finditer(text)]
    # Some failures of the disk and of memory come without the word ERROR.
    for cause in (NO_ROOM, NO_MEMORY):
        found = re.search(rf"^.*(?:{cause.pattern}).*$", text, re.MULTILINE)
        if found is not None:
            lines.append(found.group().strip())
    if exit_code and not lines:
        # Of Python's traceback, the last line says what it was.
        lines += [found.group().strip() for found in _FALL.finditer(text)][-1:]
    # Our own line quotes the tool's where there is one, and says in which step.
    return sorted(lines, key=lambda line: not line.startswith("ERROR: [FDHT]"))


def failure(ended: Ended, causes: Sequence[Cause] = GENERAL) -> ToolError:
    """The error for a step that failed: its cause, its log's decisive sentence and a remedy.

    A cause that is known may stand behind other errors.
    """
    lines, step = _error_lines(ended.text, ended.exit_code), ended.step.name
    field, see = ended.field, f"see {ended.log}"
    if not lines:
        return _without_error(ended)
    for cause in causes:
        for line in lines:
            if re.search(cause.pattern, line):
                said = f"{cause.title}: {_sentence(line, step)}"
                return ToolError(said, field=field, remedy=f"{cause.remedy}; {see}")
    return ToolError(f"failed: {_sentence(lines[0], step)}", field=field, remedy=see)


def _sentence(line: str, step: str) -> str:
    return line.removeprefix("ERROR: [FDHT] ").removeprefix(f"{step}: ")


def _without_error(ended: Ended) -> ToolError:
    name = _signal(ended.exit_code)
    if name is None:
        said = f"ended with exit code {ended.exit_code} and no error line{_last_line(ended.text)}"
        return ToolError(said, field=ended.field, remedy=f"see {ended.log}")
    memory = "often for lack of memory; " if name == "SIGKILL" else ""
    remedy = f"{memory}the same command goes on from here; see {ended.log}"
    return ToolError(f"was killed ({name})", field=ended.field, remedy=remedy)


def _last_line(text: str) -> str:
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return f"; its last line: {said[-1]}" if said else ""


def _signal(exit_code: int) -> str | None:
    number = -exit_code if exit_code < 0 else exit_code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return None
