"""The stage `synthesize`: build/<name>/hls/ -> build/<name>/synthesis/<part>/.

Its steps are those of a plan, done in `work/`, where `fdht build` finds them. What each left is
read into a stage directory of its own (`csim/`, `csynth/`, ..) with its log, its report as the tool
wrote it and `report.json`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdht_hls.flow.build_plan import PLAN, BuildPlan, Step
from fdht_hls.flow.lock import only_run
from fdht_hls.flow.record import is_done, record_digest
from fdht_hls.flow.running import run_plan
from fdht_hls.vitis.core_steps import STEPS, Target, core_directory, core_plan, default_target
from fdht_hls.vitis.log import version_in
from fdht_hls.vitis.step_results import REPORTS, report_of, result_of
from fdht_models.arguments import seconds
from fdht_models.artifacts import is_current, new_stage, read_json, write_json
from fdht_models.console import Show, say
from fdht_models.directories import NETWORK, PROJECT, REPORT, ConversionDirectory, network_in
from fdht_models.errors import ToolError
from fdht_models.stages import Stage
from fdht_models.tensor.quantized import QuantizedRecurrence


@dataclass(frozen=True)
class Synthesis:
    """What the steps found.

    Args:
        directory: with a stage directory for each step.
        results: what each step's `report.json` holds, in the order of the steps.
        fresh: steps that were done now; the others were current.
    """

    directory: Path
    results: Mapping[str, Mapping[str, Any]]
    fresh: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "directory": str(self.directory),
            "fresh": list(self.fresh),
            "steps": {step: dict(result) for step, result in self.results.items()},
        }


def synthesize(
    conversion: ConversionDirectory,
    directory: Path,
    steps: Sequence[str],
    target: Target | None = None,
    timeout: float | None = None,
    show: Show | None = None,
) -> Synthesis:
    """Runs steps of Vitis HLS on a converted experiment, unless they are done already.

    Args:
        conversion: what `fdht convert` wrote.
        directory: of all synthesis of this experiment; the results go to `directory`/<part>/.
        steps: of `STEPS`; `csynth` is added where a step needs it.
        target: what to synthesise for; by default what the conversion was asked for.
        timeout: seconds for each step, in place of `TIMEOUTS`.
        show: is told how far each step is.

    Raises:
        ConfigError: the time-out is no time.
        ArtifactError: the conversion or a report is missing or damaged.
        EqualityError: results differ from the reference.
        ToolError: Vitis HLS is missing, fails, or takes too long; the clock is missed after
            placing and routing.
    """
    timeout = None if timeout is None else seconds(timeout, "timeout")
    hls = conversion.open()
    network = network_in(hls)
    # Not compared: a pragma edited by hand counts, and the tools' results are held against the
    # reference.
    project = conversion.path / PROJECT
    target = target or default_target(project)
    plan = core_plan(network.name, project, target, steps)
    work = core_directory(directory, target.part)
    fresh: list[str] = []
    with only_run(work.parent):
        _forget_old_layout(work)
        try:
            fresh = run_plan(plan, work, show, timeout)
        finally:  # what is done is read, whatever became of the others
            for step in plan.steps:
                if is_done(plan, step, work):
                    _read(plan, step, work, hls, network.recurrence)
        results = {step: read_json(work.parent / step / REPORT) for step in STEPS if step in steps}
    _refuse_missed_clock(work.parent, results)
    return Synthesis(work.parent, results, tuple(fresh))


def _forget_old_layout(work: Path) -> None:
    """Removes the work of version 0.1, which kept no records that a build could read."""
    if (work / "state.json").is_file() and not (work / PLAN).is_file():
        say(f"note: {work} is of fdht 0.1; its steps are done again")
        shutil.rmtree(work)


def _read(
    plan: BuildPlan, step: Step, work: Path, hls: Stage, recurrence: QuantizedRecurrence
) -> None:
    """Reads what a step left into its stage directory, unless that is current."""
    directory, name = work.parent / step.name, f"synthesis.{step.name}"
    inputs = {
        **plan.facts,
        "network": hls.files[NETWORK],
        "step": record_digest(step, work),
    }
    if is_current(directory, name, inputs):
        return
    log = work / step.log
    tools = {"vitis hls": version_in(log.read_text(errors="replace")) or "unknown"}
    with new_stage(directory, name, inputs, tools) as (stage, _):
        result = result_of(step.name, work, log, recurrence)
        shutil.copyfile(log, stage / log.name)
        if step.name == "export":
            shutil.copytree(report_of(step.name, work).parent, stage / "ip")
            result["directory"] = str(directory / "ip")
        elif step.name in REPORTS:
            report = report_of(step.name, work)
            shutil.copyfile(report, stage / report.name)
        write_json(stage / REPORT, result)


def _refuse_missed_clock(directory: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """After placing and routing, a missed clock is a fact, and the core would not work."""
    clock = results.get("impl", {}).get("clock", {"met": True})
    if not clock["met"]:
        raise ToolError(
            f"misses its clock: {clock['achieved_ns']} ns where {clock['target_ns']} ns are asked",
            field="Vivado impl",
            remedy=f"use a slower clock; the report is in {directory / 'impl'}",
        )
