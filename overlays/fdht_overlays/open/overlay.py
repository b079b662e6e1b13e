"""The overlay of the open flow: from a converted experiment to `.bit`, `.hwh` and manifest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from fdht_hls.estimate import FAMILIES, Core
from fdht_hls.registers import VLNV
from fdht_hls.rtl.stage import load_design
from fdht_hls.rtl.synthesis import KIND, read_statistics
from fdht_hls.schedule import Schedule
from fdht_hls.weights import WEIGHTS_FILE, LoadableWeights
from fdht_models.artifacts import digest_of, is_current, new_stage, write_json
from fdht_models.errors import ToolError
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork
from fdht_overlays.bitfile import read_bitfile, write_bitfile
from fdht_overlays.boards import Board
from fdht_overlays.golden import save_golden
from fdht_overlays.hwh import write_hwh
from fdht_overlays.manifest import STAGE, CycleCount, OverlayManifest
from fdht_overlays.open.check import check_bitstream, count_features
from fdht_overlays.open.flow import (
    BITSTREAM,
    CLOCK_MHZ,
    FEATURES,
    FLOW,
    MOST_DSP,
    PLACE_LOG,
    STATISTICS,
    OpenPlan,
    check_board,
    open_plan,
)
from fdht_overlays.open.placed import check_clock, read_placed
from fdht_overlays.open.running import run_plan
from fdht_overlays.open.tools import require_tools, tool_versions
from fdht_overlays.simulated import design_of_network

#: Beside the overlay's other files: resources, device id, decoded features.
REPORT = "report.json"
#: Where the tools run, beside the overlay.
WORK = "work"


def build_open_overlay(
    directory: Path,
    board: Board,
    *,
    schedule: Path | None = None,
    dsp: bool = False,
    environment: Mapping[str, str] | None = None,
    on_step: Callable[[str], None] = lambda name: None,
) -> bool:
    """Builds the overlay of an experiment; the hook of `fdht build --flow open`.

    Args:
        directory: build/<name>, converted; the overlay goes into overlay/<board>/open.
        board: PYNQ-Z1 or PYNQ-Z2.
        schedule: parallelism of the stages; by default that of the conversion.
        dsp: let yosys use DSP slices; see `flow`.
        environment: where the tools are looked for; by default this process's own.
        on_step: is told the name of each step before it runs.

    Returns:
        False if nothing had changed, so that nothing was done.

    Raises:
        ConfigError: the flow does not serve the board, or the schedule is of another network.
        ArtifactError: an input is missing or damaged, or the bitstream is not for this device.
        ToolError: a tool is missing, fails or takes too long, or the design is too large.
    """
    check_board(board)
    tools = require_tools(os.environ if environment is None else environment)
    network, chosen = load_design(directory, schedule)
    plan = open_plan(network, chosen, board, tools, dsp=dsp)
    cycles = _cycles(network, chosen)
    versions = tool_versions(tools)
    target = directory / "overlay" / board.name / FLOW
    inputs = {
        "plan": digest_of([plan.facts, dict(plan.files), [asdict(step) for step in plan.steps]]),
        "board": digest_of(asdict(board)),
        "tools": digest_of(versions),
    }
    if is_current(target, STAGE, inputs):
        return False
    work = target.parent / f"{FLOW}-{WORK}"
    run_plan(plan, work, on_step)
    package(plan, network, cycles, board, work, target, inputs, versions)
    return True


def package(
    plan: OpenPlan,
    network: QuantizedNetwork,
    cycles: CycleCount,
    board: Board,
    work: Path,
    target: Path,
    inputs: Mapping[str, Any],
    versions: Mapping[str, str],
) -> OverlayManifest:
    """Checks what the tools left and writes the overlay, whole or not at all.

    Raises:
        ArtifactError: the bitstream is damaged or for another device, or nothing can be written.
        ToolError: the design is larger than the device, or has more DSP slices than can be placed.
    """
    report = examine(plan, board, work)
    design = design_of_network(network, cycles, {})
    name = network.name
    tools = {"numpy": np.__version__, **versions}
    weights = LoadableWeights.of(network, Schedule.from_json(plan.facts["schedule"]))
    manifest = OverlayManifest(
        design_id=f"{network.design_id:016x}",
        experiment=name,
        board=board.name,
        flow=FLOW,
        vlnv=VLNV,
        clock_mhz=CLOCK_MHZ,
        input=design.input,
        results=design.results,
        cycles_per_frame=cycles,
        bitstream=f"{name}.bit",
        handoff=f"{name}.hwh",
        golden="golden.npz",
        weights=WEIGHTS_FILE if weights else None,
        tools=tools,
    )
    with new_stage(target, STAGE, dict(inputs), tools) as (temporary, extra):
        extra["overlay"] = manifest.to_json()
        bitfile = read_bitfile(work / BITSTREAM)
        # The tools put the place of a file into the header; equal designs are to be equal files.
        write_bitfile(temporary / manifest.bitstream, replace(bitfile, design=name))
        write_hwh(temporary / manifest.handoff, board, CLOCK_MHZ, loadable=weights is not None)
        if weights:
            weights.save(temporary / WEIGHTS_FILE)
        save_golden(temporary / manifest.golden, design.golden)
        write_json(temporary / REPORT, report)
        for log in sorted(work.glob("*.log")):
            shutil.copyfile(log, temporary / log.name)
    return manifest


def examine(plan: OpenPlan, board: Board, work: Path) -> dict[str, Any]:
    """Resources, device id and decoded features, as JSON with the kind of each figure.

    Raises:
        ArtifactError: the bitstream is damaged or for another device.
        ToolError: the design is too large, or too slow.
    """
    used = read_statistics((work / STATISTICS).read_text())
    for name, most in (
        ("lut", board.resources.lut),
        ("ff", board.resources.ff),
        ("dsp", min(board.resources.dsp, MOST_DSP)),
        ("bram36", board.resources.bram36),
    ):
        taken = used.lut + used.lutram if name == "lut" else getattr(used, name)
        if taken > most:
            raise ToolError(
                f"the design takes {taken:g} of {most} {name} ({KIND})",
                field="flow open",
                remedy="tune it for less: fdht tune --budget lut=0.25,dsp=0.13",
            )
    facts = check_bitstream(work / BITSTREAM, board.part)
    features = count_features((work / FEATURES).read_text())
    placed = read_placed((work / PLACE_LOG).read_text(errors="replace"))
    check_clock(placed, CLOCK_MHZ)
    return {
        "plan": {**plan.facts},
        "resources": used.to_json(),
        "bitstream": facts.to_json(),
        "placed": placed.to_json(),
        "features": {"kind": "decoded", **features},
    }


def _cycles(network: QuantizedNetwork, schedule: Schedule) -> CycleCount:
    estimate = Core(network, FAMILIES["zynq7000"], WORD_BYTES).estimate(schedule)
    return CycleCount(estimate.cycles_per_frame, "estimated")
