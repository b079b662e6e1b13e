"""Builds the overlay of a simulated board: the C simulation in the place of a bitstream."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fdht_hls.boards import Board
from fdht_hls.estimate import estimate_of_manifest
from fdht_hls.registers import VLNV
from fdht_hls.weights import WEIGHTS_FILE
from fdht_models.artifacts import MANIFEST, digest_file, digest_of, is_current, new_stage
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.stages import open_stage
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.versions import package_versions
from fdht_overlays.bitfile import simulated_bitfile
from fdht_overlays.golden import GoldenVectors, golden_frames, save_golden
from fdht_overlays.hwh import fabric_clock, hwh_text
from fdht_overlays.manifest import (
    SIMULATION_FLOW,
    STAGE,
    CycleCount,
    Format,
    InputLayout,
    OverlayManifest,
    ResultLayout,
)

#: The core, compiled: see the C simulation's entry point `fdht_csim_run`.
CSIM_LIBRARY = "csim.so"
NETWORK = "network.json"
#: Which test clips the network has, and how long they are; an overlay carries it.
EXPERIMENT = "experiment.json"
#: Raised when this module writes something else from the same inputs.
_BUILDER_VERSION = 1


@dataclass(frozen=True, eq=False)
class SimulatedDesign:
    """What a simulated overlay is made of.

    Args:
        experiment: its name; any name that a file can have.
        design_id: 64 bits, as the core's identity registers show it.
        input: layout of the frames.
        results: layout of the results.
        cycles_per_frame: of the core.
        golden: frames and the results that the reference gives for them.
        files: files to copy, by their name in the overlay; `csim.so` among them.
    """

    experiment: str
    design_id: int
    input: InputLayout
    results: ResultLayout
    cycles_per_frame: CycleCount
    golden: GoldenVectors
    files: Mapping[str, Path]


def build_simulated_overlay(hls_directory: Path, directory: Path, board: Board) -> bool:
    """Builds a simulated board's overlay from a converted experiment.

    Args:
        hls_directory: what `fdht convert` wrote: `network.json`, `csim.so`, and the estimate in
            its manifest.
        directory: stage directory to write, `build/<name>/overlay/<board>/csim`.
        board: a simulated board.

    Returns:
        False if nothing had changed, so that nothing was done.

    Raises:
        ConfigError: the board is not a simulated one.
        ArtifactError: an input is missing or damaged, or the overlay cannot be written.
    """
    _check_simulated(board)
    stage = open_stage(hls_directory, "hls")
    files = {name: hls_directory / name for name in (CSIM_LIBRARY, NETWORK)}
    for name in (WEIGHTS_FILE, EXPERIMENT):
        if (hls_directory / name).is_file():
            files[name] = hls_directory / name
    digests = {name: _digest(path) for name, path in files.items()}
    for name in files:
        # A library that was damaged since the conversion would end the process that loads it.
        stage.find(name)
    estimate = stage.manifest.get("estimate")
    paced = estimate_of_manifest(stage.manifest, hls_directory / MANIFEST)
    cycles = CycleCount(paced.cycles_per_frame, paced.kind)
    inputs = {
        "builder": _BUILDER_VERSION,
        "board": digest_of(asdict(board)),
        "estimate": digest_of(estimate),
        **digests,
    }
    if is_current(directory, STAGE, inputs):
        return False
    design = design_of_network(QuantizedNetwork.load(files[NETWORK]), cycles, files)
    write_simulated_overlay(design, directory, board, inputs)
    return True


def design_of_network(
    network: QuantizedNetwork, cycles: CycleCount, files: Mapping[str, Path]
) -> SimulatedDesign:
    """The overlay's contents for a quantised network; runs the reference for golden vectors."""
    layout = InputLayout(
        network.inputs,
        Format(**network.input_format.to_json()),
        network.frame_bytes,
        network.feature,
        tuple(network.frame_shape),
    )
    results = ResultLayout(
        tuple(str(label) for label in network.classes),
        Format(**network.logit_format.to_json()),
        network.result_bytes,
    )
    frames = golden_frames(layout)
    golden = GoldenVectors(frames, ReferenceModel(network).run(frames))
    return SimulatedDesign(network.name, network.design_id, layout, results, cycles, golden, files)


def write_simulated_overlay(
    design: SimulatedDesign, directory: Path, board: Board, inputs: Mapping[str, Any]
) -> OverlayManifest:
    """Writes the stage directory, whole or not at all.

    Args:
        design: what it holds.
        directory: the stage directory.
        board: a simulated board.
        inputs: digests of all that the design was made from.

    Raises:
        ConfigError: the board is not a simulated one.
        ArtifactError: the overlay cannot be written.
    """
    _check_simulated(board)
    clock = fabric_clock(board.clock_mhz)
    tools = {"fdht": "unknown", **package_versions("fdht", "numpy")}
    manifest = OverlayManifest(
        design_id=f"{design.design_id:016x}",
        experiment=design.experiment,
        board=board.name,
        flow=SIMULATION_FLOW,
        vlnv=VLNV,
        clock_mhz=clock.mhz,
        input=design.input,
        results=design.results,
        cycles_per_frame=design.cycles_per_frame,
        bitstream=f"{design.experiment}.bit",
        handoff=f"{design.experiment}.hwh",
        golden="golden.npz",
        weights=WEIGHTS_FILE if WEIGHTS_FILE in design.files else None,
        tools=tools,
    )
    header_part = board.part.device.removeprefix("xc") + board.part.package
    with new_stage(directory, STAGE, inputs, tools) as (temporary, extra):
        extra["overlay"] = manifest.to_json()
        bitfile = simulated_bitfile(design.design_id, header_part)
        (temporary / manifest.bitstream).write_bytes(bitfile.to_bytes())
        (temporary / manifest.handoff).write_text(
            hwh_text(board, clock, loadable=manifest.weights is not None), encoding="utf-8"
        )
        save_golden(temporary / manifest.golden, design.golden)
        for name, path in design.files.items():
            shutil.copyfile(path, temporary / name)
    return manifest


def _check_simulated(board: Board) -> None:
    if not board.simulated:
        raise ConfigError(
            "is a real board, which runs no C simulation",
            field="board",
            value=board.name,
            remedy="use --board sim, or build a bitstream",
        )


def _digest(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError as error:
        raise ArtifactError(
            "cannot be read",
            field=str(path),
            value=error.strerror,
            remedy="run fdht convert again",
        ) from error
