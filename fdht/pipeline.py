"""What the commands of the front door do, stage by stage, with progress for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from fdht_models.artifacts import recover
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.experiment import Experiment, load_experiment, read_experiment, without_roots
from fdht_models.records import first_difference
from fdht_models.training.comparison import accuracy_lines

if TYPE_CHECKING:
    from fdht_hls.stage import Conversion

#: The experiment that `fdht demo` runs, and the directory of its build.
DEMO_EXPERIMENT, DEMO_NAME = "motion", "demo"
#: Test clips in the video that the demo encodes: a few of each class.
_DEMO_VIDEO_CLIPS = 33
#: Seed of that video's clips; neither training nor evaluation uses it.
_DEMO_VIDEO_SEED = 70_000

#: Between two lines of progress where there is no terminal.
_SECONDS_A_LINE = 10.0

_console = Console(stderr=True, highlight=False)


class Bars:
    """Progress bars by label, on standard error."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, label: str, done: int, total: int) -> None:
        """Shows that `done` of `total` (0: unknown) are done."""
        if label not in self._tasks:
            self._progress.start()  # not before: with nothing to show it would leave an empty line
            # Names of files may hold bytes that are no text, and no terminal shows them.
            text = label.encode("utf-8", "backslashreplace").decode()
            self._tasks[label] = self._progress.add_task(text, total=total or None)
        self._progress.update(self._tasks[label], completed=done, total=total or None)

    def close(self) -> None:
        """Removes the bars."""
        if self._tasks:
            self._progress.stop()


class Lines:
    """Progress where there is no terminal, as in a log: a line now and then, on standard error."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say, self._clock = say, clock
        self._last = clock()

    def __call__(self, label: str, done: int, total: int) -> None:
        """Says that `done` of `total` (0: unknown) are done, unless something was said just now."""
        now = self._clock()
        if now - self._last >= _SECONDS_A_LINE:
            self._last = now
            self._say(f"{label}: {done}" + (f" of {total}" if total else ""))


@contextmanager
def bars() -> Iterator[Bars | Lines]:
    """Progress bars for the length of a stage; lines where nobody would see a bar move."""
    if not _console.is_terminal:
        yield Lines(lambda line: _console.print(line, markup=False), time.monotonic)
        return
    columns = (
        # Labels are names of files, which are no markup of ours.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    # Where nobody watches, bars would leave an empty line before an error's.
    hidden = not _console.is_terminal
    shown = Bars(Progress(*columns, console=_console, transient=True, disable=hidden))
    try:
        yield shown
    finally:
        shown.close()


def experiment_directory(name: str, build: Path) -> Path:
    """build/<name> of an experiment by name, by file, or of one that is only there as a build.

    Raises:
        ConfigError: there is neither.
    """
    recover(build / name / "model")
    if (build / name / "model").is_dir() or (build / name / "overlay").is_dir():
        return build / name
    recipe = load_experiment(name)
    _note_change(recipe, build / recipe.name / "model", name)
    return build / recipe.name


def _note_change(recipe: Experiment, model: Path, name: str) -> None:
    """Says so where a file is not what was trained: stages go by what was."""
    path = model / "experiment.json"
    if not path.is_file():
        return
    trained = read_experiment(path)
    if trained.digest != recipe.digest:
        given, kept = (
            {**one.to_json(), "description": "", "data": without_roots(one.to_json()["data"])}
            for one in (recipe, trained)
        )
        where = first_difference(given, kept)
        _console.print(
            f"note: {name} is not what was trained ({where} differs); what was trained is taken; "
            "to change that, run fdht train again",
            markup=False,
        )


def train(
    experiment: Experiment,
    directory: Path,
    *,
    start: str,
    steps: int | None,
    tensorboard: bool = False,
    distribute: str | None = None,
) -> dict[str, Any]:
    """Trains into `directory`/model; returns what `metrics.json` holds."""
    from fdht_models.training.options import check_training

    check_training(experiment, directory, start=start, steps=steps, distribute=distribute)
    from fdht_models.training import train_stage  # imports TensorFlow

    metrics: dict[str, Any] = train_stage(
        experiment,
        directory,
        start=start,
        steps=steps,
        tensorboard=tensorboard,
        distribute=distribute,
    )
    return metrics


def cross_validate(
    experiment: Experiment,
    directory: Path,
    folds: int,
    *,
    start: str,
    steps: int | None,
    tensorboard: bool,
    distribute: str | None,
) -> dict[str, Any]:
    """Trains once a fold into `directory`/folds; returns what `folds.json` holds.

    Raises:
        ConfigError: folds are trained from nothing.
    """
    from fdht_models.training.options import check_training

    if start != "scratch" or steps is not None:
        raise ConfigError(
            "has no effect on folds, which are trained from nothing",
            field="start",
            value=start,
            remedy="leave out --start and --steps",
        )
    check_training(experiment, directory, start=start, steps=steps, distribute=distribute)
    from fdht_models.training.folds import cross_validate as run_folds  # imports TensorFlow

    return run_folds(experiment, directory, folds, tensorboard=tensorboard, distribute=distribute)


def search(
    experiment: Experiment, directory: Path, space: Path, trials: int, storage: str | None
) -> dict[str, Any]:
    """Searches ranks and widths; returns the study's result."""
    from fdht_models.training.options import check_data, check_output
    from fdht_models.training.space import load_space

    found = load_space(space)
    found.check(experiment)
    check_data(experiment)
    check_output(directory)
    from fdht_models.training.rank_search import search as run_search  # imports TensorFlow

    return run_search(experiment, directory, found, trials, storage=storage)


def convert_into(
    directory: Path,
    schedule: Path | None = None,
    board: str | None = None,
    part: str | None = None,
    clock_period: float | None = None,
) -> Conversion:
    """Converts `directory`/model into `directory`/hls, and warns of what does not fit its board.

    Args:
        directory: build/<name>.
        schedule: file with the parallelism; None: planned for the board.
        board: its name; see `fdht_hls.boards.board_of`.
        part: in place of the board's.
        clock_period: in place of the board's, in nanoseconds.
    """
    from fdht_hls.boards import board_of
    from fdht_hls.schedule import load_schedule
    from fdht_hls.tuner.budget import board_budget
    from fdht_models.training.options import check_output

    chosen = None if schedule is None else load_schedule(schedule)
    check_output(directory / "hls")
    from fdht_hls.stage import convert_stage

    found = board_of(board, part)
    period = clock_period or 1000 / found.clock_mhz
    settings = {"part": part or found.part.name, "clock_period": period}
    budget = replace(board_budget(found), clock_mhz=1000 / period)
    with bars() as progress:
        conversion = convert_stage(
            directory / "model", directory / "hls", settings, progress, chosen, budget
        )
    if not conversion.plan["fits"]:
        _console.print(too_large_line(directory.name, conversion.plan), markup=False)
    return conversion


def too_large_line(name: str, plan: Mapping[str, Any]) -> str:
    """What a design takes too much of, and what would fit, as one line."""
    whose = "the smallest design" if plan["chosen_by"] == "planner" else "the given schedule"
    board = plan["budget"]["board"]
    taken = ", ".join(plan["lacking"])
    return (
        f"warning: {name} does not fit {board}: {whose} is estimated to take {taken} that a design "
        f"may take; would fit: {plan['would_fit']}"
    )


def build(name: str, build_directory: Path, board: str) -> tuple[Path, bool]:
    """The command `fdht build`, for simulated boards."""
    return build_into(experiment_directory(name, build_directory), board)


def build_into(directory: Path, board_name: str) -> tuple[Path, bool]:
    """Builds `directory`/overlay/<board>/csim; returns it, and whether there was work to do."""
    from fdht_hls.boards import get_board
    from fdht_overlays.manifest import SIMULATION_FLOW
    from fdht_overlays.simulated_overlay import build_simulated_overlay

    board = get_board(board_name)
    overlay = directory / "overlay" / board.name / SIMULATION_FLOW
    return overlay, build_simulated_overlay(directory / "hls", overlay, board)


def demo(build_directory: Path, steps: int, clips: int | None) -> dict[str, Any]:
    """The main job from a shipped checkpoint; every figure shown is made here and now."""
    from fdht.cli.run import report_lines, run_in
    from fdht_host.run import RunSettings
    from fdht_host.run_sources import TEST_SET

    directory = build_directory / DEMO_NAME
    experiment = load_experiment(DEMO_EXPERIMENT)
    _title("1. Train", f"{experiment.name}: {steps} steps from the shipped checkpoint, evaluation")
    metrics = train(experiment, directory, start="checkpoint", steps=steps)
    _print(accuracy_lines(metrics["accuracy"]))
    _title("2. Convert", "through hls4ml to HLS C++; C simulation; proof of equality")
    conversion = convert_into(directory)
    _print(conversion_lines(conversion))
    _title("3. Build", "the overlay of a simulated PYNQ-Z2")
    overlay, _ = build_into(directory, "sim")
    _print([str(overlay)])
    _title("4. Run and measure", "test set and a video file through the real pynq package")
    video = encode_demo_video(experiment, build_directory)
    settings = RunSettings([TEST_SET, str(video)], clips, cache=build_directory / "data")
    run_directory, report = run_in(directory, "sim", settings)
    _print(report_lines(run_directory, report))
    return report


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


def conversion_lines(conversion: Conversion) -> list[str]:
    """Equality and estimate for people."""
    equality, estimate = conversion.equality, conversion.estimate
    pairs = {
        "keras_reference": "Keras = integer reference",
        "reference_csim_exact": "reference = C simulation (ap_int)",
        "reference_csim": "reference = C simulation (native)",
    }
    lines = [
        f"{text:<36}{equality[key]['compared']:>7} integers, "
        f"{equality[key]['mismatches']} mismatches  counted"
        for key, text in pairs.items()
    ]
    plan = conversion.plan
    used = ", ".join(
        f"{part:.0%} {name.upper()}" for name, part in plan["used"].items() if part is not None
    )
    whose = "planned" if plan["chosen_by"] == "planner" else "the given schedule"
    lines.append(
        f"{whose} for {plan['budget']['board']}: {plan['frames_per_second']:,.0f} frames/s, "
        f"{used}  estimated ({plan['model']})"
    )
    lines.append(
        f"{estimate['cycles_per_frame']} cycles a frame, limited by {estimate['limited_by']}; "
        f"{estimate['fill_latency_cycles']} from the last word to the result  estimated"
    )
    return lines


def _title(title: str, text: str) -> None:
    _console.print(f"\n[bold]{title}[/bold] - {text}")


def _print(lines: list[str]) -> None:
    for line in lines:
        print(f"   {line}", flush=True)
