"""The stage `synthesize`: build/<name>/hls/ -> build/<name>/synthesis/<part>/.

Each step has a stage directory of its own (`csim/`, `csynth/`, ..) with its log, its report as the
tool wrote it and `report.json`; a step whose inputs did not change is not repeated. `work/` holds
the tool's own project.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fdht_hls.process import run_logged
from fdht_hls.registers import VLNV
from fdht_hls.vitis.cosim import read_cosim
from fdht_hls.vitis.csynth import read_csynth
from fdht_hls.vitis.implementation import read_implementation
from fdht_hls.vitis.log import BenchRun, check_log
from fdht_hls.vitis.project import (
    NEED_CSYNTH,
    SCRIPT,
    STEPS,
    TOP,
    Target,
    Workspace,
    default_target,
    only_run,
    source_digest,
    unwritable,
)
from fdht_hls.vitis.report import cosim_json, csim_json, csynth_json, implementation_json
from fdht_hls.vitis.tool import Tool, find_tool, version_in
from fdht_models.arguments import seconds
from fdht_models.artifacts import (
    AGAIN,
    digest_of,
    is_current,
    new_stage,
    read_json,
    write_json,
)
from fdht_models.directories import NETWORK, PROJECT, REPORT, ConversionDirectory, network_in
from fdht_models.errors import ArtifactError, ToolError
from fdht_models.tensor.quantized import QuantizedRecurrence

#: Seconds that a step may take: co-simulation of a large frame takes hours.
TIMEOUTS = {"csim": 1800.0, "csynth": 14400.0, "cosim": 43200.0, "export": 3600.0, "impl": 14400.0}
#: Called with a step and a line of the tool's log.
Progress = Callable[[str, str], None]


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


@dataclass
class _Run:
    """A run of several steps, with what they share."""

    project: Path
    directory: Path
    target: Target
    recurrence: QuantizedRecurrence
    progress: Progress
    timeout: float | None
    inputs: dict[str, Any]
    tool: Tool | None = None
    lock: int | None = None
    fresh: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.directory / "work")

    def stage(self, step: str) -> Path:
        return self.directory / step

    def inputs_of(self, step: str) -> dict[str, Any]:
        """What the step depends on; steps behind the synthesis depend on the RTL that it made."""
        inputs = {**self.inputs, "step": step}
        if step in NEED_CSYNTH:
            inputs["rtl"] = self.rtl()
        return inputs

    def rtl(self) -> str | None:
        """Digest of the RTL of the last synthesis."""
        report = self.stage("csynth") / REPORT
        if not report.exists():
            return None
        value = read_json(report)
        rtl = value.get("rtl") if isinstance(value, dict) else None
        if not isinstance(rtl, str):
            raise ArtifactError("must be a text", field=f"{report}: rtl", value=rtl, remedy=AGAIN)
        return rtl

    def current(self, step: str) -> bool:
        return is_current(self.stage(step), _stage_name(step), self.inputs_of(step))


def synthesize(
    conversion: ConversionDirectory,
    directory: Path,
    steps: Sequence[str],
    target: Target | None = None,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Synthesis:
    """Runs steps of Vitis HLS on a converted experiment, unless their results are current.

    Args:
        conversion: what `fdht convert` wrote.
        directory: of all synthesis of this experiment; this one goes to `directory`/<part>.
        steps: of `STEPS`; `csynth` is added where a step needs it.
        target: what to synthesise for; by default what the conversion was asked for.
        timeout: seconds for each step, in place of `TIMEOUTS`.
        progress: told each line of the tool's log.

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
    run = _Run(
        project=project,
        directory=directory / target.part,
        target=target,
        recurrence=network.recurrence,
        progress=progress or _silent,
        timeout=timeout,
        inputs={
            "sources": source_digest(project),
            "network": hls.files[NETWORK],
            "part": target.part,
            "clock_period": target.clock_period,
        },
    )
    if not all(run.current(step) for step in steps):
        run.tool = find_tool()
        with only_run(run.directory) as run.lock:
            for step in STEPS:
                if step in steps:
                    _bring_up_to_date(run, step)
    results = {step: read_json(run.stage(step) / REPORT) for step in STEPS if step in steps}
    _refuse_missed_clock(run.directory, results)
    return Synthesis(run.directory, results, tuple(run.fresh))


def _stage_name(step: str) -> str:
    return f"synthesis.{step}"


def _bring_up_to_date(run: _Run, step: str) -> None:
    if step in NEED_CSYNTH and not run.current("csynth"):
        _perform(run, "csynth")
    if run.current(step):
        return
    # The stage directory of csynth may be whole while the tool's project is gone.
    if step in NEED_CSYNTH and not run.workspace.holds_csynth(run.rtl() or ""):
        _perform(run, "csynth")
    _perform(run, step)


def _perform(run: _Run, step: str) -> None:
    """Runs a step and moves what it left into its stage directory."""
    workspace, tool = run.workspace, run.tool or find_tool()
    log = workspace.directory / f"{step}.log"
    since = time.time()
    run.progress(step, "")
    try:
        workspace.prepare(run.project, digest_of(run.inputs))
        workspace.write_settings(step, run.target)
        if step == "csynth":
            workspace.set_csynth(None)
        exit_code = run_logged(
            tool.command(SCRIPT),
            workspace.directory,
            log,
            TIMEOUTS[step] if run.timeout is None else run.timeout,
            lambda line: run.progress(step, line),
            lock=run.lock,
        )
    except OSError as error:
        raise unwritable(workspace.directory, error) from error
    text = log.read_text(errors="replace")
    found = check_log(step, text, exit_code, tool.name, str(log))
    tools = {tool.name: version_in(text) or "unknown"}
    with new_stage(run.stage(step), _stage_name(step), run.inputs_of(step), tools) as (stage, _):
        shutil.copyfile(log, stage / log.name)
        result = _COLLECT[step](run, stage, since, found)
        write_json(stage / REPORT, result)
    run.fresh.append(step)
    if step == "csynth":
        workspace.set_csynth(result["rtl"])


def _refuse_missed_clock(directory: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """After placing and routing, a missed clock is a fact, and the core would not work."""
    clock = results.get("impl", {}).get("clock", {"met": True})
    if not clock["met"]:
        raise ToolError(
            f"misses its clock: {clock['achieved_ns']} ns where {clock['target_ns']} ns are asked",
            field="Vivado impl",
            remedy=f"use a slower clock; the report is in {directory / 'impl'}",
        )


def _collect_csim(run: _Run, stage: Path, since: float, found: list[BenchRun]) -> dict[str, Any]:
    return csim_json(found[0])


def _collect_csynth(run: _Run, stage: Path, since: float, found: list[BenchRun]) -> dict[str, Any]:
    report = _take(run, "syn/report/csynth.xml", since, stage)
    synthesis = read_csynth(report)
    _refuse_other_design(report, synthesis.top.name, synthesis.part, run.target)
    rtl = run.workspace.rtl_digest()
    if rtl is None:
        raise ArtifactError(
            "holds no Verilog",
            field=f"{run.workspace.directory}",
            remedy="read csynth.log; if Vitis names its results otherwise, please report it",
        )
    return {**csynth_json(synthesis, run.recurrence), "rtl": rtl}


def _refuse_other_design(report: Path, top: str, part: str, target: Target) -> None:
    """The tool falls back to another device where it does not know the one that is asked for."""
    if top != TOP or _plain(part) != _plain(target.part):
        raise ArtifactError(
            f"is of {top!r} on {part!r}, not of {TOP!r} on {target.part!r}",
            field=report.name,
            remedy="read the log: is the device installed?",
        )


def _plain(part: str) -> str:
    return part.lower().replace("-", "")


def _collect_cosim(run: _Run, stage: Path, since: float, found: list[BenchRun]) -> dict[str, Any]:
    return cosim_json(read_cosim(_take(run, f"sim/report/{TOP}_cosim.rpt", since, stage)), found)


def _collect_export(run: _Run, stage: Path, since: float, found: list[BenchRun]) -> dict[str, Any]:
    component = run.workspace.result("impl/ip/component.xml", since)
    vlnv = vlnv_of(component)
    if vlnv != VLNV:
        raise ArtifactError(
            f"is {vlnv}; the driver binds to {VLNV}",
            field=str(component),
            remedy="do not edit build_core.tcl's names",
        )
    shutil.copytree(component.parent, stage / "ip")
    return {"kind": "exported", "vlnv": vlnv, "directory": str(run.stage("export") / "ip")}


def _collect_impl(run: _Run, stage: Path, since: float, found: list[BenchRun]) -> dict[str, Any]:
    report = _take(run, "impl/report/verilog/export_impl.xml", since, stage)
    return implementation_json(read_implementation(report))


_COLLECT = {
    "csim": _collect_csim,
    "csynth": _collect_csynth,
    "cosim": _collect_cosim,
    "export": _collect_export,
    "impl": _collect_impl,
}


def _take(run: _Run, pattern: str, since: float, stage: Path) -> Path:
    """Copies a report of the tool into the stage directory."""
    source = run.workspace.result(pattern, since)
    return Path(shutil.copyfile(source, stage / source.name))


def vlnv_of(component: Path) -> str:
    """Vendor, library, name and version of a packaged core (IP-XACT, IEEE 1685).

    Raises:
        ArtifactError: the file does not state them.
    """
    head = component.read_text(errors="replace")[:4000]
    parts = [
        re.search(rf"<(?:\w+:)?{name}>\s*([^<\s]+)\s*</", head)
        for name in ("vendor", "library", "name", "version")
    ]
    if any(part is None for part in parts):
        raise ArtifactError("does not name a core", field=str(component))
    return ":".join(part[1] for part in parts if part is not None)


def _silent(step: str, line: str) -> None:
    pass
