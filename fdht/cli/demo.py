"""The command `fdht demo`: the main job once, from training to a measured run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fdht import pipeline
from fdht.cli.convert import conversion_lines
from fdht.cli.options import BUILD, Build
from fdht.cli.run import MOST_CLIPS, run_in
from fdht.cli.run_lines import report_lines
from fdht_models.console import notes
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ArtifactError
from fdht_models.experiment import Experiment, load_experiment

#: The experiment that `fdht demo` runs, and the directory of its build.
DEMO_EXPERIMENT, DEMO_NAME = "motion", "demo"
#: Test clips in the video that the demo encodes: a few of each class.
_DEMO_VIDEO_CLIPS = 33
#: Seed of that video's clips; neither training nor evaluation uses it.
_DEMO_VIDEO_SEED = 70_000


def demo(
    build: Build = BUILD,
    steps: Annotated[int, typer.Option(min=1, help="Training steps to show.")] = 20,
    clips: Annotated[int | None, typer.Option(min=1, max=MOST_CLIPS, help="Test clips.")] = None,
) -> None:
    """The main job on the default experiment: train, convert, prove equal, run, measure."""
    # From a shipped checkpoint; every figure shown is made here and now.
    from fdht_host.run import RunSettings
    from fdht_host.run_sources import TEST_SET
    from fdht_host.verification import ALL
    from fdht_models.training.comparison import accuracy_lines

    directory = BuildDirectory(build / DEMO_NAME)
    experiment = load_experiment(DEMO_EXPERIMENT)
    _title("1. Train", f"{experiment.name}: {steps} steps from the shipped checkpoint, evaluation")
    metrics = pipeline.train(experiment, directory.path, start="checkpoint", steps=steps)
    _print(accuracy_lines(metrics["accuracy"]))
    _title("2. Convert", "through hls4ml to HLS C++; C simulation; proof of equality")
    conversion = pipeline.convert_into(directory, planned_for=experiment.core)
    _print(conversion_lines(conversion))
    _title("3. Build", "the overlay of a simulated PYNQ-Z2")
    overlay, _ = pipeline.build_into(directory, "sim")
    _print([str(overlay.path)])
    _title("4. Run and measure", "test set and a video file through the real pynq package")
    video = encode_demo_video(experiment, build)
    settings = RunSettings([TEST_SET, str(video)], clips, cache=directory.data, verify=ALL)
    run_directory, report = run_in(overlay, directory.runs, settings)
    _print(report_lines(run_directory, report))


def encode_demo_video(experiment: Experiment, build_directory: Path) -> Path:
    """Encodes test clips, made now, as a video file with labels beside it."""
    from fdht_host.video import encode_clips
    from fdht_models.data import render_clips

    frames, labels = render_clips(
        experiment.data.set, "test", _DEMO_VIDEO_CLIPS, _DEMO_VIDEO_SEED, steps=experiment.steps
    )
    path = build_directory / "videos" / f"{experiment.name}.mkv"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            "cannot be made", field=str(path.parent), value=error.strerror, remedy="choose another"
        ) from error
    encode_clips(path, frames, [int(label) for label in labels], experiment.source.classes)
    return path


def _title(title: str, text: str) -> None:
    notes().print(f"\n[bold]{title}[/bold] - {text}")


def _print(lines: list[str]) -> None:
    for line in lines:
        print(f"   {line}", flush=True)
