"""Reads what C synthesis reports: `solution/syn/report/csynth.xml`, or `<top>_csynth.xml`.

The first holds the top function, and from 2021 on the tree of modules and a summary of each; the
second, one a module, holds that module only. What we read of them has been the same up to 2025.2;
the tests read reports of seven versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fdht_hls.vitis.xmlfile import Element, Report

#: What the tool calls a module whose parts run side by side.
_DATAFLOW = "dataflow"


@dataclass(frozen=True)
class Module:
    """A module of the design.

    Args:
        name: as in the RTL.
        latency: clocks from start to end, at most.
        interval: clocks between two starts, at most.
        kind: "dataflow", "no", "yes" or "loop ..", as the tool puts it.
        resources: lut, ff, dsp, bram36.
        children: modules that it starts.
    """

    name: str
    latency: int | None
    interval: int | None
    kind: str
    resources: Mapping[str, float]
    children: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clock:
    """Clock periods in nanoseconds; the tool keeps `uncertainty` back for placing and routing."""

    target: float
    uncertainty: float
    estimated: float

    @property
    def slack(self) -> float:
        """What is left of the time that the tool may use; negative if the target is missed."""
        return self.target - self.uncertainty - self.estimated

    @property
    def met(self) -> bool:
        """Does the tool expect the target to be met? To a tenth of a picosecond."""
        return self.slack > -1e-4


@dataclass(frozen=True)
class CsynthReport:
    """A synthesis.

    Args:
        version: of the tool.
        part: device.
        clock: periods.
        top: the top function.
        available: resources of the device, as in `Module.resources`.
        modules: all others by name; empty for `<top>_csynth.xml`.
    """

    version: str
    part: str
    clock: Clock
    top: Module
    available: Mapping[str, float]
    modules: Mapping[str, Module] = field(default_factory=dict)

    def processes(self) -> list[Module]:
        """Modules that run side by side: those of the loop's body, or of the top itself."""
        region = self.region()
        return [] if region is None else [self.modules[name] for name in region.children]

    def region(self) -> Module | None:
        """The module whose parts are the processes; None if the design has no DATAFLOW.

        The outermost of several; the body of a loop is a module of its own ("dataflow_in_loop_..").
        """
        level = [self.top]
        while level:
            for module in level:
                if module.kind == _DATAFLOW and module.children:
                    return module
            level = [self.modules[name] for module in level for name in module.children]
        return None


def read_csynth(path: Path) -> CsynthReport:
    """Reads a report of C synthesis.

    Args:
        path: csynth.xml, or the report of one module.

    Raises:
        ArtifactError: it cannot be read, is damaged, or is no such report.
    """
    report = Report(path, "UserAssignments", "a report of C synthesis", "csynth")
    root = report.root
    given = report.required(root, "UserAssignments")
    timing = report.required(root, "PerformanceEstimates/SummaryOfTimingAnalysis")
    clock = Clock(
        report.number(given, "TargetClockPeriod"),
        report.number(given, "ClockUncertainty"),
        report.number(timing, "EstimatedClockPeriod"),
    )
    top_name = report.text(given, "TopModelName")
    children = _children(root.find("RTLDesignHierarchy/TopModule"))
    modules = {
        module.name: module
        for module in (
            _module(report, element, report.text(element, "Name"), children)
            for element in root.findall("ModuleInformation/Module")
        )
    }
    _refuse_missing(report, modules, children, top_name)
    return CsynthReport(
        version=report.text(report.required(root, "ReportVersion"), "Version"),
        part=report.text(given, "Part"),
        clock=clock,
        top=_module(report, root, top_name, children),
        available=report.resources(report.required(root, "AreaEstimates/AvailableResources")),
        modules={name: module for name, module in modules.items() if name != top_name},
    )


def _module(
    report: Report, element: Element, name: str, children: Mapping[str, tuple[str, ...]]
) -> Module:
    estimates = report.required(element, "PerformanceEstimates")
    overall = report.required(estimates, "SummaryOfOverallLatency")
    kind = overall.findtext("PipelineType") or estimates.findtext("PipelineType") or ""
    return Module(
        name=name,
        latency=report.clocks(overall, "Worst-caseLatency"),
        interval=report.clocks(overall, "PipelineInitiationInterval", "Interval-max"),
        kind=kind.strip(),
        resources=report.resources(report.required(element, "AreaEstimates/Resources")),
        children=children.get(name, ()),
    )


def _children(top: Element | None) -> dict[str, tuple[str, ...]]:
    """Modules that each module starts, each once."""
    found: dict[str, tuple[str, ...]] = {}
    waiting = [] if top is None else [top]
    while waiting:
        element = waiting.pop()
        instances = element.findall("InstancesList/Instance")
        names = [instance.findtext("ModuleName") or "" for instance in instances]
        found.setdefault(element.findtext("ModuleName") or "", tuple(dict.fromkeys(names)))
        waiting += instances
    return found


def _refuse_missing(
    report: Report,
    modules: Mapping[str, Module],
    children: Mapping[str, tuple[str, ...]],
    top: str,
) -> None:
    """A truncated report that was made well-formed again still lacks modules."""
    named = {name for names in children.values() for name in names}
    if missing := sorted(named - set(modules)):
        raise report.error(f"names the module {missing[0]!r} and does not describe it")
    if children and top not in children:
        raise report.error(f"is of {top!r}, and its hierarchy of {next(iter(children))!r}")
