"""Runs an open plan on this machine, step by step, and checks what each step leaves."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fdht_hls.process import run_tool
from fdht_models.artifacts import write_text
from fdht_models.errors import ToolError
from fdht_overlays.open.flow import OpenPlan, OpenStep

#: The decisive line of a log of these tools.
_ERROR = re.compile(r"^\s*(ERROR\b.*|.*\b(?:Error|Exception|Assertion failure)\b.*)$", re.M)


@dataclass(frozen=True)
class StepDone:
    """A step that did its work: its name, its log, and its seconds."""

    name: str
    log: Path
    seconds: float


def run_plan(
    plan: OpenPlan, directory: Path, on_step: Callable[[str], None] = lambda name: None
) -> tuple[StepDone, ...]:
    """Writes the plan's files into a directory and runs its steps there.

    Args:
        plan: what to run.
        directory: where; what a former run left there is removed before the step that makes it.
        on_step: is told the name of each step before it runs.

    Raises:
        ArtifactError: a file cannot be written.
        ToolError: a program is missing, fails, stops half-way or takes too long; the decisive
            line of its log is quoted.
    """
    for name, text in plan.files.items():
        write_text(directory / name, text)
    done = []
    for step in plan.steps:
        on_step(step.name)
        done.append(run_step(step, directory))
    return tuple(done)


def run_step(step: OpenStep, directory: Path) -> StepDone:
    """Runs one step; see `run_plan`."""
    log = directory / (step.log or f"{step.name}.log")
    for name in (*step.outputs, log.name):
        (directory / name).unlink(missing_ok=True)
    start = time.monotonic()
    code, said = run_tool(step.program, step.command, directory, step.timeout)
    seconds = time.monotonic() - start
    if step.log is None or not log.is_file():
        write_text(log, said)
    check_step(step, directory, code, log.read_text(errors="replace"))
    return StepDone(step.name, log, seconds)


def check_step(step: OpenStep, directory: Path, code: int, log: str) -> None:
    """Refuses a step that did not do its work.

    Raises:
        ToolError: it failed, its log does not end as it must, or an output is missing or empty.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    error = _ERROR.search(log) if code else re.search(r"^ERROR\b.*$", log, re.M)
    if code or error:
        said = error[0].strip() if error else (lines or ["it said nothing"])[-1]
        raise ToolError(f"failed: {said}", field=step.program, value=code)
    for text in step.success:
        if text not in log:
            raise ToolError(
                f"stopped half-way: its log has no {text!r}; last line: {(lines or ['none'])[-1]}",
                field=step.program,
            )
    for name in step.outputs:
        path = directory / name
        if not path.is_file() or path.stat().st_size == 0:
            raise ToolError(f"wrote no {name}", field=step.program)
