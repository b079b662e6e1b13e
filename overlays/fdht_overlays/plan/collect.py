"""From a finished plan to an overlay: reports read, limits checked, manifest written.

Nothing is called an overlay before all of it was checked; it appears whole or not at all.
"""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdht_hls.registers import VLNV
from fdht_hls.vitis.cosim import read_cosim
from fdht_hls.vitis.log import bench_runs
from fdht_hls.vitis.tool import version_in
from fdht_hls.weights import WEIGHTS_FILE
from fdht_models.artifacts import digest_file, is_current, new_stage, read_manifest
from fdht_models.errors import ArtifactError, ToolError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.versions import package_versions
from fdht_overlays.bitfile import read_bitfile
from fdht_overlays.boards import Board
from fdht_overlays.golden import save_golden
from fdht_overlays.manifest import (
    STAGE,
    ArrayFacts,
    BuildFacts,
    CycleCount,
    Format,
    OverlayManifest,
    PowerFacts,
    TimingFacts,
)
from fdht_overlays.plan.plan import BuildPlan
from fdht_overlays.simulated import SimulatedDesign, design_of_network
from fdht_overlays.vivado.log import version_of
from fdht_overlays.vivado.reports import (
    Timing,
    Utilisation,
    read_power,
    read_timing,
    read_utilisation,
)

NETWORK = "network.json"
#: What is in a bitstream, and under whose terms.
_LICENCES = {
    "hls": "The core is made by AMD Vitis HLS from C++ of this project (Apache-2.0); AMD's licence "
    "for Vitis covers what the tool adds.",
    "rtl": "The core is Verilog of this project (Apache-2.0).",
    "vivado": "Processing system, SmartConnect and reset are AMD's IP, included with Vivado; its "
    "end user licence allows use on AMD's devices only.",
    "weights": "The weights are in the bitstream: the terms of their training data apply.",
}


@dataclass(frozen=True)
class _Results:
    """What the tools left, read and checked."""

    timing: Timing
    utilisation: Utilisation
    bitstream: Path
    handoff: Path
    reports: Mapping[str, Path]


def collect(plan: BuildPlan, work: Path, hls: Path, directory: Path, board: Board) -> bool:
    """Makes the overlay from a plan's finished directory.

    Args:
        plan: all of whose steps are done in `work`.
        work: the plan's directory.
        hls: what `fdht convert` wrote.
        directory: stage directory to write, `build/<name>/overlay/<board>/vitis`.
        board: the board.

    Returns:
        False if the overlay was there already.

    Raises:
        ToolError: timing is not met, or the design does not fit.
        ArtifactError: a result is missing, damaged, or of something else.
    """
    results = _read(plan, work, board)
    inputs = {
        "plan": plan.digest,
        **{path.name: digest_file(path) for path in (results.bitstream, results.handoff)},
        **{name: digest_file(path) for name, path in results.reports.items()},
    }
    if is_current(directory, STAGE, inputs):
        return False
    network = QuantizedNetwork.load(hls / NETWORK)
    cycles = _cycles(plan, work, hls)
    design = design_of_network(network, cycles, {NETWORK: hls / NETWORK})
    manifest = _manifest(plan, work, board, network, design, results)
    with new_stage(directory, STAGE, inputs, manifest.tools) as (temporary, extra):
        extra["overlay"] = manifest.to_json()
        shutil.copyfile(results.bitstream, temporary / manifest.bitstream)
        shutil.copyfile(results.handoff, temporary / manifest.handoff)
        shutil.copyfile(hls / NETWORK, temporary / NETWORK)
        if manifest.weights is not None:
            shutil.copyfile(hls / WEIGHTS_FILE, temporary / manifest.weights)
        save_golden(temporary / manifest.golden, design.golden)
        (temporary / "reports").mkdir()
        for name, path in results.reports.items():
            shutil.copyfile(path, temporary / "reports" / name)
    return True


def _read(plan: BuildPlan, work: Path, board: Board) -> _Results:
    for step in plan.steps:
        if not all(any(work.glob(pattern)) for pattern in step.returns):
            raise ArtifactError(
                "is not done", field=f"step {step.name}", remedy="run the same command again"
            )
    folder = work / "results"
    timing = read_timing(folder / "timing_summary.rpt")
    utilisation = read_utilisation(folder / "utilization.rpt")
    for report in (timing, utilisation):
        if not board.part.matches(report.head.device):
            raise ArtifactError(
                f"is of {report.head.device}, and the board has {board.part.name}",
                field=str(folder),
                remedy="build again",
            )
    _refuse_overflow(utilisation, board)
    if not timing.met and not plan.facts["allow_timing_failure"]:
        raise ToolError(
            f"does not meet its timing: {timing.worst:g} ns of slack, {timing.failing} failing "
            "endpoints",
            field="Vivado implementation",
            remedy="use a slower --clock or a schedule with less in parallel, or "
            "--allow-timing-failure",
        )
    bitstream, handoff = folder / "fdht.bit", folder / "fdht.hwh"
    _check_bitstream(bitstream, board)
    _check_handoff(handoff)
    reports = {path.name: path for path in sorted(folder.glob("*.rpt"))}
    for step in plan.steps:
        for pattern in step.returns:
            reports |= {
                path.name: path
                for path in work.glob(pattern)
                if path.suffix in (".rpt", ".xml") and path.name != "component.xml"
            }
    return _Results(timing, utilisation, bitstream, handoff, reports)


def _refuse_overflow(utilisation: Utilisation, board: Board) -> None:
    for name, used in utilisation.used.items():
        if used > utilisation.available[name]:
            raise ToolError(
                f"takes {utilisation.share(name):.0%} of the {name} of {board.title}",
                field="Vivado implementation",
                value=used,
                remedy="use a schedule that takes less (fdht tune), or a larger board",
            )


def _check_bitstream(path: Path, board: Board) -> None:
    found = read_bitfile(path)
    if found.simulated or not board.part.matches(found.part):
        raise ArtifactError(
            f"is for {found.part}, and the board has {board.part.name}",
            field=str(path),
            remedy="build again",
        )


def _check_handoff(path: Path) -> None:
    """The driver finds the core by its name in this file."""
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except (OSError, ElementTree.ParseError) as error:
        raise ArtifactError(
            f"is no hardware hand-off ({error})", field=str(path), remedy="build again"
        ) from error
    if not any(module.get("VLNV") == VLNV for module in root.iter("MODULE")):
        raise ArtifactError(
            f"names no core {VLNV}", field=str(path), remedy="do not rename the core"
        )


def _cycles(plan: BuildPlan, work: Path, hls: Path) -> CycleCount:
    """Clocks a frame: of the simulated Verilog if there was a simulation, else the estimate."""
    for path in work.glob("core/fdht_core/*/sim/report/*_cosim.rpt"):
        runs = bench_runs(_log(work, "cosim"))
        pace = read_cosim(path).clocks_per_frame(runs[0].calls) if runs else None
        if pace and any(step.name == "cosim" for step in plan.steps):
            return CycleCount(round(pace), "simulated")
    estimate = read_manifest(hls, "hls")["estimate"]
    return CycleCount(estimate["cycles_per_frame"], "estimated")


def _manifest(
    plan: BuildPlan,
    work: Path,
    board: Board,
    network: QuantizedNetwork,
    design: SimulatedDesign,
    results: _Results,
) -> OverlayManifest:
    facts = plan.facts
    timing, power = results.timing, read_power(work / "results" / "power.rpt")
    core = facts["core"]
    build = BuildFacts(
        core,
        plan.digest,
        TimingFacts(
            timing.setup,
            timing.hold,
            timing.pulse,
            timing.failing,
            timing.met,
            not timing.met and bool(facts["allow_timing_failure"]),
        ),
        dict(results.utilisation.used),
        dict(results.utilisation.available),
        PowerFacts(power.total, power.dynamic, power.static, power.confidence),
        {
            name: ArrayFacts(tuple(array.codes.shape), Format(**array.format.to_json()))
            for name, array in network.recurrence.cores.items()
        },
        tuple(step.name for step in plan.steps if step.name in ("csim", "cosim")),
        (_LICENCES[core], _LICENCES["vivado"], _LICENCES["weights"]),
    )
    return OverlayManifest(
        design_id=f"{network.design_id:016x}",
        experiment=network.name,
        board=board.name,
        flow=facts["flow"],
        vlnv=VLNV,
        clock_mhz=facts["clock_mhz"],
        input=design.input,
        results=design.results,
        cycles_per_frame=design.cycles_per_frame,
        bitstream=f"{network.name}.bit",
        handoff=f"{network.name}.hwh",
        golden="golden.npz",
        weights=WEIGHTS_FILE if facts["weights"] else None,
        tools=_tools(work, core),
        build=build,
    )


def _tools(work: Path, core: str) -> dict[str, str]:
    found: dict[str, Any] = {"vivado": version_of(_log(work, "implementation"))}
    if core == "hls":
        found["vitis hls"] = version_in(_log(work, "csynth"))
    versions = {name: version or "unknown" for name, version in found.items()}
    return {**versions, "fdht": "unknown", **package_versions("fdht", "numpy")}


def _log(work: Path, step: str) -> str:
    path = work / "logs" / f"{step}.log"
    return path.read_text(errors="replace") if path.is_file() else ""
