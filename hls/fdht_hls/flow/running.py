"""Runs a plan on this machine, one step after the other; finished ones are not repeated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fdht_hls.flow.build_plan import LOGS, BuildPlan, Step
from fdht_hls.flow.failure import Ended
from fdht_hls.flow.lock import only_run, unwritable
from fdht_hls.flow.needs import find, resolved, step_environment
from fdht_hls.flow.record import adopt, all_outputs, forget, is_done, is_intact, record
from fdht_models.arguments import seconds
from fdht_models.console import Show, silent
from fdht_models.errors import ToolError
from fdht_models.process import run_logged


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


@dataclass(frozen=True)
class Shared:
    """Steps that are done in a directory of their own, since others need them, too.

    Args:
        directory: where they are done.
        steps: their names.
        results: patterns of files there that steps behind them read, beside the outputs.
    """

    directory: Path
    steps: tuple[str, ...]
    results: tuple[str, ...] = ()


def run_plan(
    plan: BuildPlan,
    directory: Path,
    show: Show | None = None,
    timeout: float | None = None,
    shared: Shared | None = None,
) -> list[str]:
    """Writes the plan into a directory and does what is not done yet.

    Args:
        plan: the plan.
        directory: of the plan; may hold finished steps.
        show: is told how far each step is.
        timeout: seconds for each step, in place of the plan's.
        shared: steps that are looked for, and done, elsewhere.

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
        due = _due(plan, directory)
        changed = {name for name in due if is_done(plan, plan.step(name), directory)}
        environment = step_environment(os.environ)
        _refuse_what_is_missing(plan, due, shared, environment)
        plan.write(directory)
        if shared is not None and due & set(shared.steps):
            fresh += _run_shared(plan, directory, show, timeout, shared)
            changed -= set(shared.steps)
        environment |= resolved(plan.needs, environment)
        for step in plan.steps:
            if step.name not in changed and is_done(plan, step, directory):
                continue
            forget(plan, step, directory)
            patience = step.timeout if allowed is None else allowed
            phases = Phases(step, show or silent)
            _run_step(plan, step, directory, phases, patience, environment, lock)
            record(plan, step, directory)
            phases.end()
            fresh.append(step.name)
    return fresh


def _due(plan: BuildPlan, directory: Path) -> set[str]:
    """Steps that are not done, and those before them whose outputs have changed since."""
    due = {step.name for step in plan.steps if not is_done(plan, step, directory)}
    for step in reversed(plan.steps):
        if step.name in due:
            due |= {name for name in step.after if not is_intact(plan, plan.step(name), directory)}
    return due


def _run_shared(
    plan: BuildPlan, directory: Path, show: Show | None, timeout: float | None, shared: Shared
) -> list[str]:
    """Does what is due of the shared steps where they are shared, and takes all of them."""
    part = plan.part(shared.steps)
    followed = {name for step in part.steps for name in step.after}
    with only_run(shared.directory):
        for step in part.steps:
            # What others follow, they may have written into; they ask for it where it matters.
            if step.name not in followed and not is_intact(part, step, shared.directory):
                forget(part, step, shared.directory)
    fresh = run_plan(part, shared.directory, show, timeout)
    with only_run(shared.directory):
        for step in part.steps:
            adopt(part, step, shared.directory, directory, shared.results)
    return fresh


def _refuse_what_is_missing(
    plan: BuildPlan, due: set[str], shared: Shared | None, environment: Mapping[str, str]
) -> None:
    """Before the first step, not after hours; all of it is named at once."""
    if shared is not None and due & set(shared.steps):
        part = plan.part(shared.steps)
        due = due - set(shared.steps) | _due(part, shared.directory)
    lacking = {
        need.key: (need, step.name, found.tried)
        for step in reversed(plan.steps)
        if step.name in due
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
        remedy=f"step {step} needs {need.name}: {need.remedy}; or fdht build with --host or "
        "--archive, to build elsewhere (fdht doctor shows what is found)",
    )


def _run_step(
    plan: BuildPlan,
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
    # Its judge reads what it wrote; what it says of its failure comes first.
    plan.judge(Ended(step, directory, text, code, str(log)))
    all_outputs(step, directory)
