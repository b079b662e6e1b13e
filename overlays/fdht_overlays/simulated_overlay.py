"""Builds the overlay of a simulated board: the C simulation in the place of a bitstream."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from fdht_hls.boards import Board
from fdht_hls.estimate import estimate_of_manifest
from fdht_hls.registers import VLNV
from fdht_hls.schedule import load_schedule
from fdht_models.artifacts import OVERLAY, digest_of
from fdht_models.directories import (
    EXPERIMENT,
    GOLDEN,
    LIBRARY,
    LOADABLE,
    NETWORK,
    SCHEDULE,
    ConversionDirectory,
    OverlayDirectory,
    experiment_in,
    network_in,
)
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.versions import package_versions
from fdht_overlays.bitfile import simulated_bitfile
from fdht_overlays.figures import NO_FIGURES, ClipFacts, Figures, clips_of, figures_of
from fdht_overlays.golden import GoldenVectors, golden_frames, save_golden
from fdht_overlays.hwh import fabric_clock, hwh_text
from fdht_overlays.manifest import (
    SIMULATION_FLOW,
    CycleCount,
    InputLayout,
    Kind,
    OverlayManifest,
    ResultLayout,
)
from fdht_overlays.sparse_pace import SparsePace, sparse_pace

#: Raised when this module writes something else from the same inputs.
_BUILDER_VERSION = 3


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
        clips: what the network was trained on; None: nobody knows.
        figures: of training and conversion.
        sparse_pace: of a core that takes sparse frames.
        contexts: states that the core keeps.
    """

    experiment: str
    design_id: int
    input: InputLayout
    results: ResultLayout
    cycles_per_frame: CycleCount
    golden: GoldenVectors
    files: Mapping[str, Path]
    clips: ClipFacts | None = None
    figures: Figures = NO_FIGURES
    sparse_pace: SparsePace | None = None
    contexts: int = 1

    def manifest(self, **facts: Any) -> OverlayManifest:
        """The description of its overlay.

        Args:
            facts: what the design does not say of itself: `board`, `flow`, `clock_mhz`, ...
        """
        return OverlayManifest(
            design_id=f"{self.design_id:016x}",
            experiment=self.experiment,
            vlnv=VLNV,
            input=self.input,
            results=self.results,
            cycles_per_frame=self.cycles_per_frame,
            bitstream=f"{self.experiment}.bit",
            handoff=f"{self.experiment}.hwh",
            golden=GOLDEN,
            clips=self.clips,
            figures=self.figures,
            sparse_pace=self.sparse_pace,
            contexts=self.contexts,
            **facts,
        )


def build_simulated_overlay(
    conversion: ConversionDirectory, overlay: OverlayDirectory, board: Board
) -> bool:
    """Builds a simulated board's overlay from a converted experiment.

    Args:
        conversion: what `fdht convert` wrote.
        overlay: to write.
        board: a simulated board.

    Returns:
        False if nothing had changed, so that nothing was done.

    Raises:
        ConfigError: the board is not a simulated one.
        ArtifactError: an input is missing or damaged, or the overlay cannot be written.
    """
    _check_simulated(board)
    stage = conversion.open()
    names = [LIBRARY, NETWORK, *filter(stage.holds, (LOADABLE, EXPERIMENT, SCHEDULE))]
    # A library that was damaged since the conversion would end the process that loads it.
    files = {name: stage.file(name) for name in names}
    if EXPERIMENT in files:
        experiment_in(stage)  # else an overlay could never be run that seems to be current
    paced = estimate_of_manifest(stage.manifest, conversion.manifest)
    figures = figures_of(stage)
    inputs = {
        "builder": _BUILDER_VERSION,
        "board": digest_of(asdict(board)),
        "figures": digest_of(asdict(figures)),
        **{name: stage.files[name] for name in names},
    }
    if overlay.is_current(inputs):
        return False
    cycles, network = CycleCount(paced.cycles_per_frame, paced.kind), network_in(stage)
    schedule = load_schedule(files[SCHEDULE]) if SCHEDULE in files else None
    pace = sparse_pace(network, schedule, cycles.cycles, paced.recurrent_latency_cycles)
    kind = schedule.frames if schedule else "dense"
    contexts = schedule.contexts if schedule else 1
    design = design_of_network(network, cycles, files, figures, pace, kind, contexts)
    write_simulated_overlay(design, overlay, board, inputs)
    return True


def design_of_network(
    network: QuantizedNetwork,
    cycles: CycleCount,
    files: Mapping[str, Path],
    figures: Figures = NO_FIGURES,
    sparse_pace: SparsePace | None = None,
    kind: str = "dense",
    contexts: int = 1,
) -> SimulatedDesign:
    """The overlay's contents for a quantised network; runs the reference for golden vectors.

    Args:
        network: the integers.
        cycles: clocks of a frame; where frames are sparse, of a full one.
        files: see `SimulatedDesign`.
        figures: of training and conversion.
        sparse_pace: of a core that takes sparse frames; None: it takes others.
        kind: of frames that the core takes, one of `CORE_FRAMES`.
        contexts: states that it keeps.
    """
    layout = InputLayout(
        network.inputs,
        network.input_format,
        network.frame_bytes,
        network.feature,
        tuple(network.frame_shape),
        cast(Kind, kind),
    )
    results = ResultLayout(
        tuple(str(label) for label in network.classes),
        network.logit_format,
        network.result_bytes,
    )
    frames = golden_frames(layout)
    picture = network.preprocessing.picture
    inputs = picture.features(frames) if layout.frames_before and picture else frames
    golden = GoldenVectors(frames, ReferenceModel(network).run(inputs))
    what = (network.name, network.design_id, layout, results, cycles, golden, files)
    return SimulatedDesign(*what, clips_of(network), figures, sparse_pace, contexts)


def write_simulated_overlay(
    design: SimulatedDesign, directory: OverlayDirectory, board: Board, inputs: Mapping[str, Any]
) -> OverlayManifest:
    """Writes the stage directory, whole or not at all.

    Args:
        design: what it holds.
        directory: to write.
        board: a simulated board.
        inputs: digests of all that the design was made from.

    Raises:
        ConfigError: the board is not a simulated one.
        ArtifactError: the overlay cannot be written.
    """
    _check_simulated(board)
    clock = fabric_clock(board.clock_mhz)
    tools = {"fdht": "unknown", **package_versions("fdht", "numpy")}
    manifest = design.manifest(
        board=board.name,
        flow=SIMULATION_FLOW,
        clock_mhz=clock.mhz,
        weights=LOADABLE if LOADABLE in design.files else None,
        tools=tools,
    )
    header_part = board.part.device.removeprefix("xc") + board.part.package
    with directory.write(inputs, tools) as (temporary, extra):
        extra[OVERLAY] = manifest.to_json()
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
