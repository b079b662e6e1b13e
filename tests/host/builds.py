"""A build directory whose overlay is run on a simulated board, with the reference as its core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fdht_host.accelerator
from fdht_hls.boards import get_board
from fdht_hls.schedule import Schedule
from fdht_host import video
from fdht_host.run import RunSettings, run_stage
from fdht_host.simulator.device import SimulatedDevice
from fdht_host.video.labels import write_labels
from fdht_models.artifacts import digest_file, new_stage, write_json
from fdht_models.console import Show
from fdht_models.directories import BuildDirectory, ConversionDirectory
from fdht_models.experiment import load_experiment
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.simulated_overlay import build_simulated_overlay
from tests.host.reference_computation import ReferenceComputation
from tests.overlays.sample_network import sample_network
from tests.stage_files import estimate, metrics, proof, summary

#: Of a seed whose weights tell one noise from another.
NETWORK = sample_network(seed=7)
OTHER = sample_network(seed=8)
#: The experiment, and its section `[data]`.
EXPERIMENT = load_experiment("motion").to_json()
DATA = {**EXPERIMENT["data"], "test_clips": 4, "test_seed": 3}
EXPERIMENT["data"] = DATA


def write_model(directory: Path, network: QuantizedNetwork = NETWORK, **changes: Any) -> Path:
    """What training leaves, as far as a run needs it."""
    with new_stage(directory, "model", {}) as (temporary, extra):
        extra["design_id"] = f"{network.design_id:016x}"
        network.save(temporary / "network.json")
        write_json(temporary / "metrics.json", {**metrics(), **changes})
        write_json(temporary / "experiment.json", EXPERIMENT)
    return directory


def write_hls(
    directory: Path,
    network: QuantizedNetwork = NETWORK,
    *,
    carried: bool = True,
    schedule: Schedule | None = None,
    **changes: Any,
) -> Path:
    """What conversion leaves, as far as a build needs it; not `carried`: without a recipe."""
    with new_stage(directory, "hls", {}) as (temporary, extra):
        extra["design_id"] = f"{network.design_id:016x}"
        extra["estimate"] = {**summary(), **changes}
        network.save(temporary / "network.json")
        write_json(temporary / "estimate.json", {**estimate(), **changes})
        write_json(temporary / "equality.json", proof())
        (temporary / "csim.so").write_bytes(b"replaced by the reference")
        write_json(temporary / "metrics.json", metrics())
        if carried:
            write_json(temporary / "experiment.json", EXPERIMENT)
        if schedule is not None:
            write_json(temporary / "schedule.json", schedule.to_json())
    return directory


def write_build(
    build: Path,
    network: QuantizedNetwork = NETWORK,
    *,
    carried: bool = True,
    schedule: Schedule | None = None,
) -> Path:
    """build/tiny-net: trained, converted and built for `sim`."""
    directory = build / "tiny-net"
    write_model(directory / "model", network)
    hls = write_hls(directory / "hls", network, carried=carried, schedule=schedule)
    overlay = BuildDirectory(directory).overlay("sim", "csim")
    build_simulated_overlay(ConversionDirectory(hls), overlay, get_board("sim"))
    return directory


def run_built(
    directory: Path, settings: RunSettings, progress: Show = lambda *_: None
) -> dict[str, Any]:
    """The report of a run of that overlay."""
    build = BuildDirectory(directory)
    return run_stage(build.overlay("sim", "csim"), build.runs, settings, progress)[1]


def reference_as_core(monkeypatch: pytest.MonkeyPatch, network: QuantizedNetwork = NETWORK) -> None:
    """Simulated boards run the integer reference of a network."""
    computation = lambda _, manifest: ReferenceComputation(  # noqa: E731
        network,
        form=manifest.input.sparse_format,
        raw=manifest.input.frames == "raw",
        contexts=manifest.contexts,
    )
    device = lambda board: SimulatedDevice(board, computation=computation)  # noqa: E731
    monkeypatch.setattr(fdht_host.accelerator, "SimulatedDevice", device)


def write_video(path: Path, frames: int = 40, labelled: bool = False) -> Path:
    """Coarse noise; with labels, of clips of ten frames."""
    coarse = np.random.default_rng(7).integers(0, 256, (frames, 4, 5, 3)).astype(np.uint8)
    video.encode(path, coarse.repeat(6, axis=1).repeat(6, axis=2), 25)
    if labelled:
        clips = [video.Clip(start, 10, 0) for start in range(0, frames, 10)]
        write_labels(path, clips, NETWORK.classes, frames, digest_file(path))
    return path


def cut_short(path: Path) -> Path:
    """The same video without its last part, as after a download that broke off."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    return path
