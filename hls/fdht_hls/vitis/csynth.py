"""Reads the tool's XML reports: numbers or a clear refusal, never a guess.

C synthesis writes `solution/syn/report/csynth.xml` and `<top>_csynth.xml`. The first holds the top
function, and from 2021 on the tree of modules and a summary of each; the second, one a module,
holds that module only. What we read of them has been the same up to 2025.2; the tests read reports
of seven versions. Of the core alone, Vivado writes `impl/report/verilog/export_{syn,impl}.xml`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fdht_models.errors import ArtifactError
from fdht_models.files import read_file

Element = ElementTree.Element
#: What the tools write where they do not know a number.
_UNKNOWN = {"", "-", "?", "NA", "N/A", "undef"}
#: A report is a few megabytes at most.
_LARGEST = 256 << 20
#: What the tool calls a module whose parts run side by side.
_DATAFLOW = "dataflow"
#: What Vivado did, and what its figures are then called.
_RUNS = {
    "synth": "reported by Vivado after synthesis",
    "impl": "reported by Vivado after placing and routing",
}


class Report:
    """An XML report of AMD's tools, whose root is `profile`.

    Args:
        path: the file.
        wanted: tag that only this kind of report has below its root.
        kind: of the report, for messages.
        step: what writes it, for messages.

    Raises:
        ArtifactError: it cannot be read, is not XML (damaged, truncated), or is another report.
    """

    def __init__(self, path: Path, wanted: str, kind: str, step: str) -> None:
        self.path = path
        self.remedy = f"delete it and run the step {step} again"
        data = read_file(path, error=ArtifactError, remedy=self.remedy, most=_LARGEST)
        # Reports have no document type; one that has could expand without end.
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise self.error(f"is not {kind}: it has a document type")
        try:
            self.root = ElementTree.fromstring(data)
        except ElementTree.ParseError as error:
            raise self.error(f"is not whole XML ({error})") from error
        if self.root.tag != "profile" or self.root.find(wanted) is None:
            raise self.error(f"is not {kind}: it has no {wanted}")

    def error(self, problem: str) -> ArtifactError:
        """An error about this file."""
        return ArtifactError(problem, field=str(self.path), remedy=self.remedy)

    def required(self, element: Element, path: str) -> Element:
        """An element that must be there."""
        found = element.find(path)
        if found is None:
            raise self.error(f"has no {path}")
        return found

    def text(self, element: Element, tag: str) -> str:
        """The text of a tag that must be there."""
        value = (element.findtext(tag) or "").strip()
        if not value:
            raise self.error(f"has no {tag}")
        return value

    def number(self, element: Element, tag: str) -> float:
        """A number that must be there, not negative."""
        text = self.text(element, tag)
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise self.error(f"has {text!r} as {tag}")
        return value

    def count(self, element: Element, tag: str) -> int:
        """A whole number that must be there, not negative."""
        value = self.number(element, tag)
        if value != int(value):
            raise self.error(f"has {value!r} as {tag}")
        return int(value)

    def clocks(self, element: Element, *tags: str) -> int | None:
        """The most clocks that the first of the tags states; None where the tool knows none.

        A range is written "3196 ~ 3198".
        """
        for tag in tags:
            text = element.findtext(tag)
            if text is None:
                continue
            last = text.split("~")[-1].strip()
            if last in _UNKNOWN:
                return None
            if not last.isdecimal():
                raise self.error(f"has {text!r} as {tag}")
            return int(last)
        return None

    def resources(self, element: Element) -> dict[str, float]:
        """LUT, FF, DSP and block RAM, the last in units of 36 kbit.

        Raises:
            ArtifactError: one of them is not stated.
        """
        # Both count blocks of 18 kbit: Vivado's export states 730 for an xc7a200t, which has 365.
        bram = "BRAM_18K" if element.find("BRAM_18K") is not None else "BRAM"
        return {
            "lut": self.count(element, "LUT"),
            "ff": self.count(element, "FF"),
            "dsp": self.count(element, "DSP"),
            "bram36": self.count(element, bram) / 2,
        }


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


def read_implementation(path: Path) -> dict[str, Any]:
    """Reads export_syn.xml or export_impl.xml, in the layout of the estimate.

    Logic synthesis, or placing and routing, of the core by itself: no cycles, but `resources` and
    what is `available` (lut, ff, dsp, bram36), and the `clock` in nanoseconds.

    Raises:
        ArtifactError: it cannot be read, is damaged, or is another file.
    """
    report = Report(path, "RunData", "a report of Vivado on an exported core", "impl")
    run = report.root.find("RunData")
    timing = report.root.find("TimingReport")
    used = report.root.find("AreaReport/Resources")
    available = report.root.find("AreaReport/AvailableResources")
    if run is None or timing is None or used is None or available is None:
        raise report.error("lacks its timing or its area")
    kind = report.text(run, "RUN_TYPE")
    if kind not in _RUNS:
        raise report.error(f"has {kind!r} as RUN_TYPE")
    met = report.text(timing, "TIMING_MET")
    if met not in {"TRUE", "FALSE"}:
        raise report.error(f"has {met!r} as TIMING_MET")
    return {
        "kind": _RUNS[kind],
        "resources": report.resources(used),
        "available": report.resources(available),
        "clock": {
            "target_ns": report.number(timing, "TargetClockPeriod"),
            "achieved_ns": report.number(timing, "AchievedClockPeriod"),
            "met": met == "TRUE",
        },
        "version": report.text(run, "VIVADO_VERSION").removeprefix("v."),
    }
