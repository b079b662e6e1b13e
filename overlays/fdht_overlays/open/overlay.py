"""What the open tools left: checked, and the overlay made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fdht_hls.boards import Board
from fdht_hls.engine import EnginePlan, lower
from fdht_hls.estimate.rtl import estimate_rtl
from fdht_hls.flow.build_plan import BuildPlan
from fdht_hls.flow.record import recorded_outputs
from fdht_hls.rtl.core import emit_verilog
from fdht_hls.rtl.yosys_count import KIND, Resources, read_statistics
from fdht_hls.schedule import Schedule
from fdht_hls.weights import LoadableWeights
from fdht_models.artifacts import canonical_json
from fdht_models.directories import EXPERIMENT, LOADABLE, REPORT, SCHEDULE, OverlayDirectory
from fdht_models.errors import ArtifactError, ToolError
from fdht_models.stages import Stage
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.bitfile import read_bitfile
from fdht_overlays.figures import figures_of
from fdht_overlays.hwh import fabric_clock, hwh_text
from fdht_overlays.manifest import BuildFacts, CycleCount, TimingFacts
from fdht_overlays.open.check import BitstreamFacts, check_bitstream, count_features
from fdht_overlays.open.flow import (
    BITSTREAM,
    FEATURES,
    MOST_DSP,
    PLACE_AND_ROUTE,
    STATISTICS,
)
from fdht_overlays.open.placed import PROGRAM, Placed, read_placed
from fdht_overlays.open.tools import versions_in
from fdht_overlays.plan.package import (
    WEIGHTS_LICENCE,
    Finished,
    array_facts,
    simulated_cycles,
    write_overlay,
)
from fdht_overlays.sparse_pace import sparse_pace

#: Below the overlay's reports: resources, clock, device id, decoded features.
EXAMINATION = "examination.json"
_LICENCE = (
    "Core and shell are Verilog of this project (Apache-2.0); nothing of a vendor's is in them."
)


def collect_open(
    plan: BuildPlan,
    network: QuantizedNetwork,
    work: Path,
    origin: Stage | None,
    cosim: Path,
    overlay: OverlayDirectory,
    board: Board,
    *,
    allow_timing_failure: bool = False,
) -> bool:
    """Checks what the tools left and writes the overlay, whole or not at all.

    Args:
        plan: of `open_plan`, all of whose steps are done in `work`.
        network: the integers.
        work: the plan's directory.
        origin: the conversion or training that the network is of, if it is there.
        cosim: what `fdht cosim` may have written.
        overlay: to write.
        board: the board.
        allow_timing_failure: package what misses its clock, and say so in the manifest.

    Returns:
        False if the overlay was there already.

    Raises:
        ArtifactError: a result is missing, damaged, or of another device.
        ToolError: the clock is missed, the design is larger than the device, or it has more DSP
            slices than can be placed.
    """
    for step in plan.steps:
        recorded_outputs(step, work)
    schedule = Schedule.from_json(plan.facts["schedule"])
    used = _resources(work, board)
    facts = check_bitstream(work / BITSTREAM, board.part)
    log = work / plan.step(PLACE_AND_ROUTE).log
    placed = read_placed(_read(log), str(log))
    _check_clock(placed, allow_timing_failure)
    core = lower(network, schedule)
    cycles, checked = _cycles(core, cosim)
    weights = LoadableWeights.of(network, core)
    build = _build_facts(plan, network, board, used, placed, checked)
    finished = Finished(
        # The tools put the place of a file into the header; equal designs are to be equal files.
        replace(read_bitfile(work / BITSTREAM), design=network.name).to_bytes(),
        hwh_text(
            board, fabric_clock(plan.facts["clock_mhz"]), loadable=weights is not None
        ).encode(),
        build,
        cycles,
        _versions(plan, work),
        {
            EXAMINATION: _examination(plan, work, used, facts, placed),
            log.name: _read(log).encode(),
        },
        _carried(schedule, weights, origin),
        figures_of(origin, schedule),
        sparse_pace(network, schedule, cycles.cycles, estimate_rtl(core).recurrent_latency_cycles),
        schedule.frames,
        schedule.contexts,
    )
    return write_overlay(plan, network, finished, overlay)


def _carried(
    schedule: Schedule, weights: LoadableWeights | None, origin: Stage | None
) -> dict[str, bytes]:
    found = {SCHEDULE: canonical_json(schedule.to_json()).encode()}
    if weights is not None:
        found[LOADABLE] = canonical_json(weights.to_json()).encode()
    if origin is not None and origin.holds(EXPERIMENT):
        found[EXPERIMENT] = origin.file(EXPERIMENT).read_bytes()
    return found


def _resources(work: Path, board: Board) -> Resources:
    used = read_statistics(_read(work / STATISTICS))
    for name, taken, most in _shares(used, board):
        if taken > most:
            raise ToolError(
                f"the design takes {taken:g} of {most:g} {name} ({KIND})",
                field="flow open",
                remedy="tune it for less: fdht tune --budget lut=0.25,dsp=0.13",
            )
    return used


def _shares(used: Resources, board: Board) -> list[tuple[str, float, float]]:
    """Name, what is taken, and what there is."""
    there = board.resources
    return [
        ("lut", used.lut + used.lutram, there.lut),
        ("ff", used.ff, there.ff),
        ("dsp", used.dsp, min(there.dsp, MOST_DSP)),
        ("bram36", used.bram36, there.bram36),
    ]


def _check_clock(placed: Placed, allowed: bool) -> None:
    clock = placed.clock
    if clock.slack < 0 and not allowed:
        raise ToolError(
            f"does not meet its timing: the clock reaches {clock.mhz:g} MHz of "
            f"{clock.target_mhz:g} MHz ({PROGRAM}'s figure, no sign-off)",
            field=f"{PROGRAM} {PLACE_AND_ROUTE}",
            remedy="use a slower --clock or a schedule with less in parallel, or "
            "--allow-timing-failure",
        )


def _cycles(core: EnginePlan, cosim: Path) -> tuple[CycleCount, tuple[str, ...]]:
    """Clocks a frame, and what compared the core with the reference."""
    # Verilog of a large core takes a while, which is only worth it where there is a simulation.
    if (cosim / REPORT).is_file():
        verilog = emit_verilog(core)
        simulated = simulated_cycles(cosim, hashlib.sha256(verilog.encode()).hexdigest())
        if simulated is not None:
            return simulated, ("fdht cosim",)
    return CycleCount(estimate_rtl(core).cycles_per_frame, "estimated"), ()


def _build_facts(
    plan: BuildPlan,
    network: QuantizedNetwork,
    board: Board,
    used: Resources,
    placed: Placed,
    checked: tuple[str, ...],
) -> BuildFacts:
    there = board.resources
    slack = placed.clock.slack
    met = slack >= 0
    return BuildFacts(
        "rtl",
        plan.digest,
        TimingFacts(round(slack, 3), None, None, None, met, not met, by=PROGRAM, sign_off=False),
        {name: float(taken) for name, taken, _ in _shares(used, board)},
        {"lut": there.lut, "ff": there.ff, "dsp": there.dsp, "bram36": there.bram36},
        None,
        array_facts(network),
        checked,
        (_LICENCE, WEIGHTS_LICENCE),
        KIND,
    )


def _versions(plan: BuildPlan, work: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for step in plan.steps:
        found = {**found, **versions_in(_read(work / step.log))}
    return {step.tool: found.get(step.tool, "unknown") for step in plan.steps}


def _examination(
    plan: BuildPlan,
    work: Path,
    used: Resources,
    facts: BitstreamFacts,
    placed: Placed,
) -> bytes:
    """Resources, clock, device id and decoded features, each with its kind."""
    value: Mapping[str, Any] = {
        "plan": dict(plan.facts),
        "resources": used.to_json(),
        "placed": placed.to_json(),
        "bitstream": facts.to_json(),
        "features": {"kind": "decoded", **count_features(_read(work / FEATURES))},
    }
    return (json.dumps(value, indent=1) + "\n").encode()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise ArtifactError(
            "cannot be read", field=str(path), value=error.strerror, remedy="build again"
        ) from error
