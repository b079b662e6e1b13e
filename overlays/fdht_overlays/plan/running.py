"""Runs a plan on this machine, one step after the other; finished ones are not repeated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from fdht_hls.process import run_logged
from fdht_hls.vitis.project import only_run, unwritable
from fdht_models.arguments import seconds
from fdht_models.console import Show, silent
from fdht_models.errors import ToolError
from fdht_overlays.plan.checking import check_step
from fdht_overlays.plan.needs import find, resolved, step_environment
from fdht_overlays.plan.plan import LOGS, BuildPlan, Step
from fdht_overlays.plan.record import all_outputs, forget, is_done, record


class Phases:
    """Follows a step's log through its phases."""

    def __init__(self, step: Step, show: Show) -> None:
        self._step, self._show = step, show
        self._done, self._label = 0, ""

    def line(self, text: str) -> None:
        """Takes a line of the log and shows how far the step is."""
        for index, phase in enumerate(self._step.phases):
            # Phases do not go back: a later step of the tool may print an earlier one's words.
            if index >= self._done and phase.text in text:
                self._done, self._label = index + 1, f"{phase.label}: "
                break
        self._tell(f"{self._label}{text.strip()}")

    def end(self) -> None:
        """Shows that the step is done."""
        self._done = len(self._step.phases) + 1
        self._tell("")

    def _tell(self, text: str) -> None:
        # What is before the first phase is one, too.
        self._show(self._step.name, self._done, len(self._step.phases) + 1, text)


def run_plan(
    plan: BuildPlan, directory: Path, show: Show | None = None, timeout: float | None = None
) -> list[str]:
    """Writes the plan into a directory and does what is not done yet.

    Args:
        plan: the plan.
        directory: of the plan; may hold finished steps.
        show: is told how far each step is.
        timeout: seconds for each step, in place of the plan's.

    Returns:
        Steps that were done now.

    Raises:
        ConfigError: the time-out is no time.
        ToolError: a program or file is missing, or it failed, or did not end in time.
        EqualityError: the core's results differ from the reference.
        ArtifactError: a step did not write what it should, or the disk is full.
    """
    fresh: list[str] = []
    allowed = None if timeout is None else seconds(timeout, "timeout")
    with only_run(directory) as lock:
        plan.write(directory)
        environment = step_environment(os.environ)
        _refuse_what_is_missing(plan, directory, environment)
        environment |= resolved(plan.needs, environment)
        for step in plan.steps:
            if is_done(plan, step, directory):
                continue
            forget(step, directory)
            patience = step.timeout if allowed is None else allowed
            phases = Phases(step, show or silent)
            _run_step(step, directory, phases, patience, environment, lock)
            record(plan, step, directory)
            phases.end()
            fresh.append(step.name)
    return fresh


def _refuse_what_is_missing(
    plan: BuildPlan, directory: Path, environment: Mapping[str, str]
) -> None:
    """Before the first step, not after hours; all of it is named at once."""
    lacking = {
        need.key: (need, step.name, found.tried)
        for step in reversed(plan.steps)
        if not is_done(plan, step, directory)
        for need in reversed(step.needs)
        if (found := find(need, environment)).path is None
    }
    if not lacking:
        return
    # From behind, so that the first step that needs it is told; named from the front.
    need, step, tried = list(lacking.values())[-1]
    names = ", ".join(one.name for one, _, _ in reversed(lacking.values()))
    raise ToolError(
        "is missing on this machine" if len(lacking) == 1 else "are missing on this machine",
        field=names,
        value=tried,
        remedy=f"step {step} needs {need.name}: {need.remedy}; or use --host, or --archive to "
        "build elsewhere (fdht doctor shows what is found)",
    )


def _run_step(
    step: Step,
    directory: Path,
    phases: Phases,
    timeout: float,
    environment: Mapping[str, str],
    lock: int,
) -> None:
    log = directory / step.log
    try:
        (directory / LOGS).mkdir(parents=True, exist_ok=True)
        command = ("sh", step.script)
        code = run_logged(command, directory, log, timeout, phases.line, environment, lock)
        text = log.read_text(errors="replace")
    except OSError as error:
        raise unwritable(directory, error) from error
    except ToolError as error:
        # The program is called sh; the user knows the step.
        raise ToolError(error.problem, field=f"step {step.name}", remedy=error.remedy) from error
    check_step(step, text, code, str(log))
    all_outputs(step, directory)
