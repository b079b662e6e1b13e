"""What Vitis HLS and Vivado left: reports read, limits checked, and the overlay made of it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from fdht_hls.boards import Board
from fdht_hls.estimate import estimate_of_manifest
from fdht_hls.flow.build_plan import BuildPlan
from fdht_hls.flow.record import recorded_outputs
from fdht_hls.registers import VLNV
from fdht_hls.schedule import Schedule, load_schedule
from fdht_hls.vitis.cosim_report import read_cosim
from fdht_hls.vitis.log import bench_runs, version_in
from fdht_hls.vitis.step_results import REPORTS as CORE_REPORTS
from fdht_hls.vitis.step_results import TOP
from fdht_models.directories import (
    EXPERIMENT,
    LOADABLE,
    SCHEDULE,
    ConversionDirectory,
    OverlayDirectory,
    network_in,
)
from fdht_models.errors import ArtifactError, ToolError
from fdht_models.stages import Stage
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.bitfile import read_bitfile
from fdht_overlays.figures import figures_of
from fdht_overlays.manifest import BuildFacts, CycleCount, TimingFacts
from fdht_overlays.plan.package import (
    WEIGHTS_LICENCE,
    Finished,
    array_facts,
    simulated_cycles,
    write_overlay,
)
from fdht_overlays.sparse_pace import SparsePace, sparse_pace
from fdht_overlays.vivado.reports import (
    Utilisation,
    read_power,
    read_timing,
    read_utilisation,
)
from fdht_overlays.vivado.scripts import version_of

#: What is in a bitstream, and under whose terms.
_LICENCES = {
    "hls": "The core is made by AMD Vitis HLS from C++ of this project (Apache-2.0); AMD's licence "
    "for Vitis covers what the tool adds.",
    "rtl": "The core is Verilog of this project (Apache-2.0).",
    "vivado": "Processing system, SmartConnect and reset are AMD's IP, included with Vivado; its "
    "end user licence allows use on AMD's devices only.",
}


def collect(
    plan: BuildPlan,
    work: Path,
    conversion: ConversionDirectory,
    cosim: Path,
    overlay: OverlayDirectory,
    board: Board,
) -> bool:
    """Makes the overlay from a plan's finished directory.

    Args:
        plan: all of whose steps are done in `work`.
        work: the plan's directory.
        conversion: what `fdht convert` wrote.
        cosim: what `fdht cosim` may have written.
        overlay: to write.
        board: the board.

    Returns:
        False if the overlay was there already.

    Raises:
        ToolError: timing is not met, or the design does not fit.
        ArtifactError: a result is missing, damaged, or of something else.
    """
    for step in plan.steps:
        recorded_outputs(step, work)
    folder = work / "results"
    stage = conversion.open()
    network = network_in(stage)
    schedule = load_schedule(stage.file(SCHEDULE)) if stage.holds(SCHEDULE) else None
    skips = schedule is not None and schedule.skips
    cycles, checked = _cycles(plan, work, conversion, cosim, skips=skips)
    build = _build_facts(plan, folder, board, network, checked)
    bitstream, handoff = folder / "fdht.bit", folder / "fdht.hwh"
    _check_bitstream(bitstream, board)
    _check_handoff(handoff)
    carried = [EXPERIMENT, SCHEDULE, *([LOADABLE] if plan.facts["weights"] else [])]
    finished = Finished(
        bitstream.read_bytes(),
        handoff.read_bytes(),
        build,
        cycles,
        _tools(work, plan.facts["core"]),
        {path.name: path.read_bytes() for path in _reports(plan, work)},
        {name: stage.file(name).read_bytes() for name in carried if stage.holds(name)},
        figures_of(stage),
        _sparse_pace(stage, network, cycles, conversion, schedule),
        schedule.frames if schedule else "dense",
        schedule.contexts if schedule else 1,
    )
    return write_overlay(plan, network, finished, overlay)


def _sparse_pace(
    stage: Stage,
    network: QuantizedNetwork,
    cycles: CycleCount,
    conversion: ConversionDirectory,
    schedule: Schedule | None,
) -> SparsePace | None:
    if schedule is None or not schedule.sparse:
        return None
    estimate = estimate_of_manifest(stage.manifest, conversion.manifest)
    return sparse_pace(network, schedule, cycles.cycles, estimate.recurrent_latency_cycles)


def _reports(plan: BuildPlan, work: Path) -> list[Path]:
    patterns = ["results/*.rpt", *(pattern for step in plan.steps for pattern in step.returns)]
    found = [path for pattern in patterns for path in sorted(work.glob(pattern))]
    return [
        path for path in found if path.suffix in (".rpt", ".xml") and path.name != "component.xml"
    ]


def _build_facts(
    plan: BuildPlan,
    folder: Path,
    board: Board,
    network: QuantizedNetwork,
    checked: tuple[str, ...],
) -> BuildFacts:
    """What Vivado says of the design, if it fits the board and meets its timing."""
    timing = read_timing(folder / "timing_summary.rpt")
    utilisation = read_utilisation(folder / "utilization.rpt")
    for report in (timing, utilisation):
        if not board.part.matches(report.device):
            raise ArtifactError(
                f"is of {report.device}, and the board has {board.part.name}",
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
    slacks = (timing.setup, timing.hold, timing.pulse, timing.failing)
    core = plan.facts["core"]
    return BuildFacts(
        core,
        plan.digest,
        TimingFacts(*slacks, timing.met, allowed_failure=not timing.met),
        dict(utilisation.used),
        dict(utilisation.available),
        read_power(folder / "power.rpt"),
        array_facts(network),
        checked,
        (_LICENCES[core], _LICENCES["vivado"], WEIGHTS_LICENCE),
    )


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


def _cycles(
    plan: BuildPlan, work: Path, conversion: ConversionDirectory, cosim: Path, *, skips: bool
) -> tuple[CycleCount, tuple[str, ...]]:
    """Clocks a frame, and what compared the core with the reference.

    Of the simulated Verilog if there was a simulation: by Vitis HLS of its own, by `fdht cosim` of
    ours. Else the estimate. Where the core skips zeros, they are those of a full frame, and frames
    of the simulation by Vitis HLS are not all full.
    """
    compared = tuple(step.name for step in plan.steps if step.name in ("csim", "cosim"))
    simulated = None
    if plan.facts["core"] == "rtl":
        simulated = simulated_cycles(cosim, plan.digests[f"core/{TOP}.v"])
        compared = () if simulated is None else ("fdht cosim",)
    elif "cosim" in compared and not skips:
        simulated = _cosim_cycles(work)
    if simulated is not None:
        return simulated, compared
    estimate = estimate_of_manifest(conversion.open().manifest, conversion.manifest)
    return CycleCount(estimate.cycles_per_frame, estimate.kind), compared


def _cosim_cycles(work: Path) -> CycleCount | None:
    for path in work.glob(CORE_REPORTS["cosim"]):
        runs = bench_runs(_log(work, "cosim"))
        pace = read_cosim(path).clocks_per_frame(runs[0].calls) if runs else None
        if pace:
            return CycleCount(round(pace), "simulated")
    return None


def _tools(work: Path, core: str) -> dict[str, str]:
    found = {"vivado": version_of(_log(work, "implementation"))}
    if core == "hls":
        found["vitis hls"] = version_in(_log(work, "csynth"))
    return {name: version or "unknown" for name, version in found.items()}


def _log(work: Path, step: str) -> str:
    path = work / "logs" / f"{step}.log"
    return path.read_text(errors="replace") if path.is_file() else ""
