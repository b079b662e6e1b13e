"""Reports in the layout of `estimate.json`, so that the estimate and the tool can be compared.

Names of modules become those of our stages: Vitis names a function template after its function and
its arguments, ours have a configuration `configN` among them, and N rises along the chain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fdht_hls.engine import stage_designs
from fdht_hls.vitis.cosim_report import CosimReport
from fdht_hls.vitis.csynth import CsynthReport, Module
from fdht_hls.vitis.log import BenchRun
from fdht_models.tensor.quantized import QuantizedRecurrence

CSIM_KIND, CSYNTH_KIND, COSIM_KIND = "C simulation", "reported by Vitis HLS", "simulated"

_CONTRACTION = re.compile(r"contract_(?:fibre|mode)_(?:.*_)?config(\d+)(?:_(?!stage)|$)")
#: Functions of the core with one instance each, and their stages; see fdht_lstm.cpp.j2.
_SINGLE = (
    (re.compile(r"read_frame(?:_of_words)?(?:_|$)"), "read frame"),
    (re.compile(r"cut_fibres(?:_|$)"), "cut fibres"),
    (re.compile(r"(?:[a-z]+_)?cell(?:_collected)?(?:_|$)"), "cell"),
    (re.compile(r"(?:head|dense)(?:_|$)"), "head"),
    (re.compile(r"write_result(?:_|$)"), "write result"),
)


def stage_names(modules: Sequence[str], recurrence: QuantizedRecurrence) -> dict[str, str]:
    """Our names of the processes.

    Args:
        modules: names of modules that run side by side.
        recurrence: the network that the core computes.

    Returns:
        Stage by module. A module that is not recognised keeps its own name, and so do all
        contractions if there are not as many as the network has cores.
    """
    matches = ((_CONTRACTION.match(name), name) for name in modules)
    contractions = sorted((int(found[1]), name) for found, name in matches if found is not None)
    stages = stage_designs(recurrence, "input")
    names = {name: _single(name) or name for name in modules}
    if len(contractions) == len(stages):
        names |= {name: one.name for (_, name), one in zip(contractions, stages, strict=True)}
    return names


def _single(module: str) -> str | None:
    return next((stage for pattern, stage in _SINGLE if pattern.match(module)), None)


def csim_json(run: BenchRun) -> dict[str, Any]:
    """What the C simulation compared."""
    return {"kind": CSIM_KIND, **_compared([run])}


def csynth_json(report: CsynthReport, recurrence: QuantizedRecurrence) -> dict[str, Any]:
    """A synthesis in the layout of the estimate."""
    processes = report.processes()
    names = stage_names([module.name for module in processes], recurrence)
    region = report.region()
    pace = region.interval if region is not None else None
    known = [module for module in processes if module.interval is not None]
    # A process that the tool cannot bound might be the slowest.
    slowest = (
        max(known, key=lambda module: module.interval or 0)
        if known and len(known) == len(processes)
        else None
    )
    return {
        "cycles_per_frame": pace,
        "limited_by": None if slowest is None else names[slowest.name],
        "fill_latency_cycles": None,
        "recurrent_latency_cycles": None,
        "stages": [_stage(module, names[module.name]) for module in processes],
        "kind": CSYNTH_KIND,
        "resources": dict(report.top.resources),
        "available": dict(report.available),
        "clock": {
            "target_ns": report.clock.target,
            "uncertainty_ns": report.clock.uncertainty,
            "estimated_ns": report.clock.estimated,
            "met": report.clock.met,
        },
        "part": report.part,
        "version": report.version,
    }


def _stage(module: Module, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "cycles": module.interval,
        "latency_cycles": module.latency,
        "resources": dict(module.resources),
        "module": module.name,
    }


def cosim_json(report: CosimReport, runs: Sequence[BenchRun]) -> dict[str, Any]:
    """A co-simulation in the layout of the estimate; it knows no single stage."""
    calls = runs[0].calls
    pace, fill = report.clocks_per_frame(calls), report.fill(calls)
    return {
        "cycles_per_frame": pace,
        "limited_by": None,
        "fill_latency_cycles": fill,
        "recurrent_latency_cycles": None,
        "stages": [],
        "kind": COSIM_KIND,
        "language": report.language,
        "total_cycles": report.total,
        "latency_cycles": [report.least, report.most],
        "frames_per_call": list(calls),
        **_compared(runs),
    }


def _compared(runs: Sequence[BenchRun]) -> dict[str, int]:
    return {
        "frames": runs[0].frames,
        "words_compared": sum(run.compared for run in runs),
        "mismatches": sum(run.mismatches for run in runs),
    }


def report_lines(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Results, step by step, for people."""
    lines = []
    for step, result in results.items():
        lines += _LINES[step](result)
    return lines


def _compared_line(label: str, result: Mapping[str, Any]) -> str:
    return (
        f"{label:<22}{result['frames']} frames, {result['words_compared']} words compared, "
        f"{result['mismatches']} mismatches  {result['kind']}"
    )


def _csynth_lines(result: Mapping[str, Any]) -> list[str]:
    clock, kind = result["clock"], result["kind"]
    pace = result["cycles_per_frame"]
    lines = [
        f"{'C synthesis':<22}"
        + (
            "cycles a frame unknown"
            if pace is None
            else f"{pace} cycles a frame, limited by {result['limited_by'] or 'an unknown stage'}"
        )
        + f"  {kind}",
        *_resource_lines(result),
    ]
    allowed = clock["target_ns"] - clock["uncertainty_ns"]
    met = "met" if clock["met"] else "MISSED"
    lines.append(f"{'clock':<22}{met}: {clock['estimated_ns']:.3f} ns of {allowed:.3f} ns  {kind}")
    return lines


def _resource_lines(result: Mapping[str, Any]) -> list[str]:
    used, available = result["resources"], result["available"]
    parts = [
        f"{used[name]:g} {name.upper()} ({used[name] / available[name]:.0%})"
        if available[name]
        else f"{used[name]:g} {name.upper()}"
        for name in used
    ]
    over = [name.upper() for name in used if used[name] > available[name]]
    lines = [f"{'resources':<22}{', '.join(parts)}  {result['kind']}"]
    if over:
        lines.append(f"{'':<22}more {', '.join(over)} than the device has")
    return lines


def _cosim_lines(result: Mapping[str, Any]) -> list[str]:
    pace = result["cycles_per_frame"]
    text = "cycles a frame unknown" if pace is None else f"{pace:g} cycles a frame"
    return [
        _compared_line("co-simulation", result),
        f"{'':<22}{text}, {result['total_cycles']} in all  {result['kind']}",
    ]


def _impl_lines(result: Mapping[str, Any]) -> list[str]:
    clock = result["clock"]
    met = "met" if clock["met"] else "MISSED"
    return [
        f"{'implementation':<22}clock {met}: {clock['achieved_ns']:.3f} ns "
        f"of {clock['target_ns']:.3f} ns  {result['kind']}",
        *_resource_lines(result),
    ]


_LINES = {
    "csim": lambda result: [_compared_line("C simulation", result)],
    "csynth": _csynth_lines,
    "cosim": _cosim_lines,
    "export": lambda result: [f"{'IP core':<22}{result['vlnv']}: {result['directory']}"],
    "impl": _impl_lines,
}
