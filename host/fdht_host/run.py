"""The stage `run`: build/<name>/overlay/... -> build/<name>/run/<time>/report.{json,html}.

Streams clips and videos through a board, compares every logit with the integer reference, measures
energy and writes the report. What a board lacks - a test set, the training stage's directory - is
"not run" in the report. All sources are looked at before anything runs; whatever fails afterwards
takes nothing away from what was done until then.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from fdht_host.accelerator import Accelerator
from fdht_host.choice import find_overlay
from fdht_host.energy import EnergyResult, EnergySettings, measure, measure_cpu
from fdht_host.evidence import Evidence, Recipe, gather, recipe_of
from fdht_host.outcome import Outcome, reason, tell, throughput
from fdht_host.power import search_meter
from fdht_host.report import build_report, sound_sections, write_report
from fdht_host.streams import (
    ClipRun,
    VideoRun,
    confusion,
    look_at_video,
    stream_clips,
    stream_video,
)
from fdht_models.artifacts import check_place, new_stage
from fdht_models.data import source_of
from fdht_models.data.chance import chance_of
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.interruption import interrupts_held_back
from fdht_models.stages import Stage, new_directory, open_stage
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.versions import package_versions
from fdht_overlays.boards import Board, get_board
from fdht_overlays.manifest import STAGE as OVERLAY
from fdht_overlays.manifest import load_manifest

#: The source that stands for the experiment's own test set.
TEST_SET = "test"
#: Directory of all reports of an experiment.
_RUNS = "run"
#: Frames that an energy window runs again and again; bounded by a board's memory.
_ENERGY_BLOCK = 32

#: Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RunSettings:
    """What to run.

    Args:
        sources: `TEST_SET`, or paths of videos; each once.
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


@dataclass(frozen=True)
class _Source:
    """A source that was looked at: `clips` of the test set, or a video's path."""

    name: str
    clips: Any = None
    path: Path | None = None
    clip_frames: int = 0


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
        FdhtError: something is missing, refused or fails. Nothing is written if it does so before
            the first result; otherwise the report holds all that was done, and why it ended.
        KeyboardInterrupt: likewise.
    """
    board = get_board(board_name)
    overlay = find_overlay(experiment_directory, board, settings.overlay)
    manifest, stage = load_manifest(overlay), open_stage(overlay, OVERLAY)
    built = _built(stage.file("network.json"), manifest.design_id)
    network = built if settings.weights is None else QuantizedNetwork.load(settings.weights)
    recipe = _recipe(experiment_directory, stage, settings)
    sources = _look_at(recipe, built, settings)
    evidence = gather(experiment_directory, stage, manifest, f"{network.design_id:016x}")
    check_place(experiment_directory / _RUNS / "report.json")
    started, done = datetime.now(timezone.utc), Outcome()
    with Accelerator.open(overlay) as accelerator:
        if settings.weights is not None:
            accelerator.load_weights(network)
        _stream(accelerator, network, sources, settings.resize, progress, done)
        if done.failures and not done.runs:
            raise done.failures[0][1]
        # Before the energy windows, whose frames lie in memory already, add to the phases' times.
        rates = throughput(accelerator.times, done)
        frames = accelerator.times.frames
        if settings.energy:
            done.energy = done.optional(
                "energy", lambda: _energy(accelerator, board, network, progress)
            )
            done.cpu_energy = done.optional("cpu_energy", lambda: _cpu_energy(network, progress))
        provenance = {
            "started": started.isoformat(timespec="seconds"),
            "design_id": manifest.design_id,
            "frames": frames,
            **_provenance(settings, network, done),
        }
        # Within: that closing the board fails is no reason to lose the report.
        report = _report(
            manifest.experiment,
            {
                "name": board.name,
                "title": board.title,
                "simulated": board.simulated,
                "clock_mhz": manifest.clock_mhz,
            },
            {
                **_sections(evidence, network, done),
                "throughput": rates,
                "provenance": provenance,
            },
            _left_out(evidence, recipe),
            done,
        )
        directory = _write(experiment_directory, started, manifest.design_id, report)
    if done.failures:
        tell(done.failures[0][1], directory)
    return directory, report


def _built(path: Path, design_id: str) -> QuantizedNetwork:
    """The network that an overlay was built for.

    Raises:
        ArtifactError: a file is missing or damaged, or of another network than the overlay.
    """
    network = QuantizedNetwork.load(path)
    if f"{network.design_id:016x}" != design_id:
        raise ArtifactError(
            f"is of another network than the overlay ({design_id})",
            field=f"{path}: design",
            value=f"{network.design_id:016x}",
            remedy="run fdht build again",
        )
    return network


def _sections(
    evidence: Evidence, network: QuantizedNetwork, done: Outcome
) -> dict[str, Mapping[str, Any] | None]:
    return {
        "accuracy": _accuracy(evidence, network, done.tests),
        "equality": _equality(evidence, done),
        "parameters": evidence.parameters,
        "latency": evidence.latency,
        "energy": None if done.energy is None else done.energy.to_json(),
        "cpu_energy": None if done.cpu_energy is None else done.cpu_energy.to_json(),
        "video": done.videos[0].to_json() if done.videos else None,
    }


def _provenance(settings: RunSettings, network: QuantizedNetwork, done: Outcome) -> dict[str, Any]:
    file = None if settings.weights is None else str(settings.weights)
    return {
        "weights": {"id": f"{network.design_id:016x}", "file": file},
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": package_versions("fdht", "pynq", "numpy", "av"),
        "sources": list(settings.sources),
        "videos": [video.to_json() for video in done.videos[1:]],
    }


def _left_out(evidence: Evidence, recipe: Recipe | None) -> dict[str, str]:
    notes = {"test clips": recipe.note} if recipe is not None and recipe.note else {}
    return {**evidence.left_out, **notes}


def _report(
    experiment: str,
    board: Mapping[str, Any],
    sections: Mapping[str, Mapping[str, Any] | None],
    left_out: Mapping[str, str],
    done: Outcome,
) -> dict[str, Any]:
    """The report; a section that cannot be true is left out with the reason."""
    kept, unsound = sound_sections(experiment, board, sections)
    return build_report(
        experiment=experiment,
        board=board,
        **kept,
        left_out={**left_out, **unsound},
        failures=[{"part": part, "reason": reason(error)} for part, error in done.failures],
    )


def _write(
    experiment_directory: Path, started: datetime, identity: str, report: Mapping[str, Any]
) -> Path:
    """Writes the report into a directory that no other run has."""
    name = started.strftime("%Y%m%dT%H%M%SZ")
    with (
        interrupts_held_back(),
        new_directory(experiment_directory / _RUNS, name) as directory,
        new_stage(directory, "run", {"overlay": identity}) as (temporary, extra),
    ):
        write_report(temporary, report)
        extra["experiment"] = report["experiment"]
    return directory


def _recipe(directory: Path, overlay: Stage, settings: RunSettings) -> Recipe | None:
    """The experiment's data, where a source needs them."""
    videos = [source for source in settings.sources if source != TEST_SET]
    if len(videos) < len(settings.sources) or (videos and settings.clip_frames is None):
        return recipe_of(directory, overlay)
    return None


def _look_at(
    recipe: Recipe | None, network: QuantizedNetwork, settings: RunSettings
) -> list[_Source]:
    """Finds out before anything runs whether each source can be read.

    Raises:
        FdhtError: one cannot.
    """
    if settings.sources.count(TEST_SET) > 1:
        raise ConfigError("is named twice", field="source", value=TEST_SET)
    found = []
    for name in settings.sources:
        if name == TEST_SET:
            assert recipe is not None
            found.append(_Source(name, clips=_test_set(recipe, network, settings)))
            continue
        look_at_video(network, Path(name), settings.resize)
        length = settings.clip_frames
        if length is None:
            assert recipe is not None
            length = source_of(recipe.data).steps
        found.append(_Source(name, path=Path(name), clip_frames=length))
    return found


def _test_set(recipe: Recipe, network: QuantizedNetwork, settings: RunSettings) -> Any:
    given = {"test_clips": settings.clips or None, "test_seed": settings.seed}
    data = {**recipe.data, **{key: value for key, value in given.items() if value is not None}}
    clips = source_of(data).load("test", settings.cache, progress=False)
    if tuple(clips.classes) != tuple(network.classes):
        raise ConfigError(
            "has other classes, or another order of them, than the network",
            field="test set",
            value=", ".join(clips.classes),
            remedy="run fdht convert and fdht build again, or give a video",
        )
    return clips


def _stream(
    accelerator: Accelerator,
    network: QuantizedNetwork,
    sources: Sequence[_Source],
    resize: bool,
    progress: Progress,
    done: Outcome,
) -> None:
    """Runs the sources; what of one was run stays in `done` where it fails in the middle."""
    for source in sources:
        if done.ended:
            return
        run: ClipRun | VideoRun
        try:
            if source.path is None:
                run, clips = ClipRun(), source.clips
                stream_clips(accelerator, network, clips.frames, clips.labels, progress, run)
            else:
                run = VideoRun(source.path)
                length = source.clip_frames
                stream_video(accelerator, network, source.path, length, resize, progress, run)
        except BaseException as error:
            done.failed(source.name, error)
        if isinstance(run, VideoRun) and run.frames:
            done.videos.append(run)
        elif isinstance(run, ClipRun) and run.frames:
            done.tests = run


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
    evidence: Evidence, network: QuantizedNetwork, tests: ClipRun | None
) -> dict[str, Any]:
    section = dict(evidence.accuracy)
    if tests is not None:
        section |= {
            "quantized": tests.accuracy,
            "chance": chance_of(tests.labels),
            "clips": len(tests.labels),
            "classes": list(network.classes),
            "confusion": confusion(tests, len(network.classes)),
        }
    return section


def _equality(evidence: Evidence, done: Outcome) -> dict[str, Any]:
    if not done.runs:
        return dict(evidence.equality)
    counts = {
        "compared": sum(run.compared for run in done.runs),
        "mismatches": sum(run.mismatches for run in done.runs),
    }
    return {**evidence.equality, "reference_board": counts}
