"""The stage `run`: build/<name>/overlay/... -> build/<name>/run/<time>/report.{json,html}.

Streams clips and videos through a board, compares every logit with the integer reference, measures
energy and writes the report. What a board lacks - a test set, the training stage's directory - is
"not run" in the report.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fdht_hls.estimate import load_estimate
from fdht_hls.proof import load_proof
from fdht_host.accelerator import Accelerator
from fdht_host.energy import EnergyResult, EnergySettings, measure, measure_cpu
from fdht_host.power import search_meter
from fdht_host.report import (
    Phase,
    build_report,
    latency_section,
    throughput_section,
    write_report,
)
from fdht_host.streams import ClipRun, VideoRun, confusion, stream_clips, stream_video
from fdht_models.artifacts import new_stage, read_manifest
from fdht_models.data import source_of
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.experiment import read_experiment
from fdht_models.metrics import load_metrics
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.versions import package_versions
from fdht_overlays.boards import Board, get_board

#: The source that stands for the experiment's own test set.
TEST_SET = "test"
#: Frames that an energy window runs again and again; bounded by a board's memory.
_ENERGY_BLOCK = 32
#: Directories of overlays that nobody would choose before others: the experimental flow's.
_LAST_CHOICE = ("open",)

#: Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RunSettings:
    """What to run.

    Args:
        sources: `TEST_SET`, or paths of videos.
        clips: test clips; None takes as many as the experiment evaluates.
        seed: of the test clips; None takes the experiment's.
        clip_frames: frames after which the state is reset in a video without labels; None takes
            the length of the experiment's clips, 0 never resets.
        resize: resize videos of another size; False refuses them.
        energy: measure energy.
        cache: directory for generated clips.
        weights: `network.json` of a network whose weights are loaded into the core first; None
            takes those that it was built with.
        overlay: which of several overlays for the board; None: see `find_overlay`.
    """

    sources: Sequence[str]
    clips: int | None = None
    seed: int | None = None
    clip_frames: int | None = None
    resize: bool = True
    energy: bool = True
    cache: Path | None = None
    weights: Path | None = None
    overlay: str | None = None


def run_stage(
    experiment_directory: Path, board_name: str, settings: RunSettings, progress: Progress
) -> tuple[Path, dict[str, Any]]:
    """Runs an experiment's overlay on a board.

    Args:
        experiment_directory: build/<name>.
        board_name: a board's name; "sim" is the simulated one.
        settings: what to run.
        progress: told how far it has come.

    Returns:
        The directory written, and the content of its report.json.

    Raises:
        FdhtError: something is missing, refused or fails; nothing is written then.
    """
    board = get_board(board_name)
    overlay = find_overlay(experiment_directory, board, settings.overlay)
    network = QuantizedNetwork.load(overlay / "network.json")
    started = datetime.now(timezone.utc)
    with Accelerator.open(overlay) as accelerator:
        if settings.weights is not None:
            network = QuantizedNetwork.load(settings.weights)
            accelerator.load_weights(network)
        tests, videos = _stream(experiment_directory, accelerator, network, settings, progress)
        # Before the energy windows, whose frames lie in memory already, add to the phases' times.
        throughput = _throughput(accelerator, tests, videos)
        frames = accelerator.times.frames
        energy = _energy(accelerator, board, network, progress) if settings.energy else None
        clock = accelerator.manifest.clock_mhz
        identity, name = accelerator.manifest.design_id, accelerator.manifest.experiment
    cpu = _cpu_energy(network, progress) if settings.energy else None
    report = build_report(
        experiment=name,
        board={
            "name": board.name,
            "title": board.title,
            "simulated": board.simulated,
            "clock_mhz": clock,
        },
        accuracy=_accuracy(experiment_directory, network, tests, settings.weights is None),
        equality=_equality(experiment_directory, f"{network.design_id:016x}", tests, videos),
        parameters=_metrics(experiment_directory).get("parameters"),
        latency=_latency(experiment_directory, clock),
        throughput=throughput,
        energy=None if energy is None else energy.to_json(),
        cpu_energy=None if cpu is None else cpu.to_json(),
        video=videos[0].to_json() if videos else None,
        provenance={
            "started": started.isoformat(timespec="seconds"),
            "design_id": identity,
            "weights": {
                "id": f"{network.design_id:016x}",
                "file": None if settings.weights is None else str(settings.weights),
            },
            "frames": frames,
            "machine": platform.machine(),
            "python": platform.python_version(),
            "versions": package_versions("fdht", "pynq", "numpy", "av"),
            "sources": list(settings.sources),
            "videos": [video.to_json() for video in videos[1:]],
        },
    )
    directory = experiment_directory / "run" / started.strftime("%Y%m%dT%H%M%SZ")
    with new_stage(directory, "run", {"overlay": identity}) as (temporary, extra):
        write_report(temporary, report)
        extra["experiment"] = name
    return directory, report


def find_overlay(experiment_directory: Path, board: Board, wanted: str | None = None) -> Path:
    """The overlay of an experiment for a board.

    Args:
        experiment_directory: build/<name>.
        board: the board.
        wanted: the name of its directory; None takes the only one, or of several one that a
            vendor's tools made rather than an experimental one.

    Raises:
        ArtifactError: none has been built, or not the one that is wanted.
    """
    root = experiment_directory / "overlay" / board.name
    paths = (path.parent for path in root.glob("*/manifest.json"))
    built = sorted(paths, key=lambda path: (path.name in _LAST_CHOICE, path.name))
    if built and wanted is not None:
        built = [path for path in built if path.name == wanted] or _refuse(root, wanted, built)
    if not built:
        name = experiment_directory.name
        raise ArtifactError(
            "holds no overlay",
            field=str(root),
            remedy=f"run fdht build {name} --board {board.name}"
            + ("" if board.simulated else ", or copy one for this board there"),
        )
    return built[0]


def _refuse(root: Path, wanted: str, built: Sequence[Path]) -> NoReturn:
    raise ArtifactError(
        "was not built",
        field=str(root / wanted),
        remedy=f"use one of {', '.join(path.name for path in built)}",
    )


def _stream(
    experiment_directory: Path,
    accelerator: Accelerator,
    network: QuantizedNetwork,
    settings: RunSettings,
    progress: Progress,
) -> tuple[ClipRun | None, list[VideoRun]]:
    tests: ClipRun | None = None
    videos = []
    for source in settings.sources:
        if source == TEST_SET:
            tests = _test_set(experiment_directory, accelerator, network, settings, progress)
        else:
            length = settings.clip_frames
            if length is None:
                length = _clip_frames(experiment_directory)
            videos.append(
                stream_video(accelerator, network, Path(source), length, settings.resize, progress)
            )
    return tests, videos


def _test_set(
    experiment_directory: Path,
    accelerator: Accelerator,
    network: QuantizedNetwork,
    settings: RunSettings,
    progress: Progress,
) -> ClipRun:
    data = _experiment(experiment_directory)["data"]
    given = {"test_clips": settings.clips or None, "test_seed": settings.seed}
    data |= {key: value for key, value in given.items() if value is not None}
    clips = source_of(data).load("test", settings.cache, progress=False)
    return stream_clips(accelerator, network, clips.frames, clips.labels, progress)


def _energy(
    accelerator: Accelerator, board: Board, network: QuantizedNetwork, progress: Progress
) -> EnergyResult:
    """Energy per frame of a block of frames that stays in memory."""
    generator = np.random.default_rng(0)
    dtype = np.dtype(accelerator.manifest.input.dtype)
    block = generator.integers(0, 64, (_ENERGY_BLOCK, network.inputs)).astype(dtype)
    run = 0

    def run_frames(count: int) -> None:
        nonlocal run
        for start in range(0, count, _ENERGY_BLOCK):
            accelerator.infer(block[: min(_ENERGY_BLOCK, count - start)], reset=False)
        run += count
        progress("energy windows", run, 0)

    search = search_meter(board, accelerator.device)
    clock: Any = accelerator.device.clock if accelerator.simulated else time
    return measure(
        run_frames,
        lambda: accelerator.driver.identity().frames_done,
        search.meter,
        clock,
        EnergySettings(),
        reason=search.reason,
    )


def _cpu_energy(network: QuantizedNetwork, progress: Progress) -> EnergyResult:
    model = ReferenceModel(network)
    frame = np.random.default_rng(0).integers(0, 64, (1, network.inputs)).astype(np.uint8)
    codes = frame.view(np.int8) if network.input_format.signed else frame

    def run_frames(count: int) -> None:
        for _ in range(count):
            model.run(codes)

    progress("CPU energy", 0, 0)
    return measure_cpu(run_frames)


def _accuracy(
    experiment_directory: Path, network: QuantizedNetwork, tests: ClipRun | None, as_built: bool
) -> dict[str, Any]:
    # What training measured is of the weights that it gave.
    metrics = _metrics(experiment_directory).get("accuracy", {}) if as_built else {}
    section = {key: metrics.get(key) for key in ("float", "single_frame")}
    section["chance"] = 1 / len(network.classes)
    if tests is not None:
        section |= {
            "quantized": tests.accuracy,
            "clips": len(tests.labels),
            "classes": list(network.classes),
            "confusion": confusion(tests, len(network.classes)),
        }
    return section


def _equality(
    experiment_directory: Path, design_id: str, tests: ClipRun | None, videos: Sequence[VideoRun]
) -> dict[str, Any]:
    section: dict[str, Any] = {}
    hls = experiment_directory / "hls"
    if (hls / "manifest.json").is_file():
        manifest = read_manifest(hls, "hls")
        if manifest.get("design_id") == design_id:
            proof = load_proof(hls / "equality.json")
            section["keras_reference"] = proof["keras_reference"]
            section["reference_csim"] = proof["reference_csim_exact"]
            section["reference_csim_native"] = proof["reference_csim"]
    runs: list[ClipRun | VideoRun] = [*([tests] if tests else []), *videos]
    if runs:
        section["reference_board"] = {
            "compared": sum(run.compared for run in runs),
            "mismatches": sum(run.mismatches for run in runs),
        }
    return section


def _throughput(
    accelerator: Accelerator, tests: ClipRun | None, videos: Sequence[VideoRun]
) -> dict[str, Any]:
    times = accelerator.times
    phases = {
        name: Phase(getattr(times, name), times.frames)
        for name in ("pack", "transfer", "compute", "unpack")
    }
    for name in ("decode", "resize", "feature"):
        total = sum(getattr(video.times, f"{name}_seconds") for video in videos)
        phases[name] = Phase(total, sum(video.times.frames for video in videos))
    runs: list[ClipRun | VideoRun] = [*([tests] if tests else []), *videos]
    overall = Phase(sum(run.seconds for run in runs), sum(run.frames for run in runs))
    return throughput_section(phases, overall)


def _latency(experiment_directory: Path, clock_mhz: float) -> dict[str, Any] | None:
    path = experiment_directory / "hls" / "estimate.json"
    return latency_section(load_estimate(path), clock_mhz) if path.exists() else None


def _metrics(experiment_directory: Path) -> dict[str, Any]:
    path = experiment_directory / "model" / "metrics.json"
    return load_metrics(path) if path.exists() else {}


def _experiment(experiment_directory: Path) -> dict[str, Any]:
    path = experiment_directory / "model" / "experiment.json"
    if not path.is_file():
        raise ConfigError(
            "is not here, so that test clips and clip lengths are not known",
            field=str(path),
            remedy="give --clip-frames and a video, or run fdht train",
        )
    return read_experiment(path).to_json()


def _clip_frames(experiment_directory: Path) -> int:
    """Frames of the clips that the experiment was trained on."""
    data = _experiment(experiment_directory)["data"]
    return source_of(data).steps
