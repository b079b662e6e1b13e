"""What the commands of the front door do, stage by stage, with progress for people."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdht_models.console import progress, say
from fdht_models.directories import EXPERIMENT, BuildDirectory, OverlayDirectory
from fdht_models.errors import ConfigError, near_matches
from fdht_models.experiment import (
    Experiment,
    experiment_names,
    load_experiment,
    read_experiment,
    without_roots,
)
from fdht_models.records import first_difference
from fdht_models.sections import CoreSettings

if TYPE_CHECKING:
    from fdht_hls.conversion import Conversion


def experiment_directory(name: str, build: Path) -> BuildDirectory:
    """The build of an experiment by name, by file, or of one that is only there as a build.

    Raises:
        ConfigError: there is neither.
    """
    found = BuildDirectory(build / name)
    if found.is_there():
        return found
    recipe = _load(name, build)
    found = BuildDirectory(build / recipe.name)
    _note_change(recipe, found.model.path / EXPERIMENT, name)
    return found


def experiment_of(name: str, build: Path) -> Experiment:
    """An experiment by name, by file, or as it was trained where only its build is there.

    Raises:
        ConfigError: there is neither.
    """
    trained = BuildDirectory(build / name).model.path / EXPERIMENT
    if _is_name(name) and name not in experiment_names() and trained.is_file():
        return read_experiment(trained)
    return _load(name, build)


def core_of(name: str, build: Path) -> CoreSettings:
    """What is to be built of an experiment: what its section `[core]` says now.

    Of one that is only there as a build, what it said when it was trained.

    Raises:
        ConfigError: there is no such experiment.
    """
    found = BuildDirectory(build / name)
    only_built = _is_name(name) and name not in experiment_names() and found.is_there()
    if only_built and not (found.model.path / EXPERIMENT).is_file():
        return CoreSettings()  # a network without a recipe
    return experiment_of(name, build).core


def frames_of(name: str, build: Path) -> str:
    """The kind of frames that an experiment's core is to read; see `core_of`."""
    return core_of(name, build).reads


def frames_to_tune(name: str, build: Path, asked: str | None, clips: int | None) -> str:
    """The kind of frames that a core is tuned for.

    Args:
        name: of the experiment.
        build: where it may have been built.
        asked: the kind that an option asks for; None: none does.
        clips: training clips to tune for, of which only a core that skips zeros makes something.

    Raises:
        ConfigError: such a core is ruled out, but there are to be clips; or there is no such
            experiment.
    """
    found = asked or frames_of(name, build)
    if not clips or found != "dense":
        return found
    if asked is not None or experiment_of(name, build).core.frames is not None:
        raise ConfigError(
            "is for a core that skips zeros, and dense frames are asked for",
            field="clips",
            value=clips,
            remedy="leave it out, or use --core-frames sparse or --feature chip",
        )
    return "sparse"


def _load(name: str, build: Path) -> Experiment:
    """An experiment that ships, or a file; of another name, those are told that are alike."""
    shipped = experiment_names()
    named = _is_name(name)
    missing = not named and not name.endswith(".toml") and not Path(name).exists()
    if missing or (named and name not in shipped):
        known = {*shipped, *(path.parent.name for path in build.glob("*/model"))}
        alike = difflib.get_close_matches(Path(name).name, sorted(known), cutoff=0.5)
        raise ConfigError(
            f"there is no such experiment, and '{build}' holds no build of that name"
            if named
            else "there is no such directory, file or experiment",
            field="experiment",
            value=name,
            remedy=(near_matches(Path(name).name, alike) if alike else "choose one of fdht zoo")
            + " (or give a .toml file, or say with --build where it was built)",
        )
    return load_experiment(name)


def _is_name(name: str) -> bool:
    """Is it a name and not the path of a file?"""
    return not name.endswith(".toml") and "/" not in name


def _note_change(recipe: Experiment, path: Path, name: str) -> None:
    """Says so where a file is not what was trained: stages go by what was."""
    if not path.is_file():
        return
    trained = read_experiment(path)
    if trained.digest != recipe.digest:
        given, kept = (
            {**one.to_json(), "description": "", "data": without_roots(one.to_json()["data"])}
            for one in (recipe, trained)
        )
        where = first_difference(given, kept)
        say(
            f"note: {name} is not what was trained ({where} differs); what was trained is taken; "
            "to change that, run fdht train again"
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


def convert_into(
    directory: BuildDirectory,
    schedule: Path | None = None,
    board: str | None = None,
    part: str | None = None,
    clock_period: float | None = None,
    frames: str | None = None,
    contexts: int | None = None,
    planned_for: CoreSettings | None = None,
) -> Conversion:
    """Converts what was trained, and warns of what does not fit its board.

    Args:
        directory: of the experiment.
        schedule: file with the parallelism; None: planned for the board.
        board: its name; see `fdht_hls.boards.board_of`.
        part: in place of the board's.
        clock_period: in place of the board's, in nanoseconds.
        frames: that the core is to read; None: as the schedule has it, or else `planned_for`.
        contexts: that it is to keep; None: likewise.
        planned_for: what the experiment says of its core; None: nothing.
    """
    from fdht_hls.boards import board_of
    from fdht_hls.schedule import load_schedule
    from fdht_hls.tuner.budget import board_budget
    from fdht_models.training.options import check_output

    said = planned_for or CoreSettings()
    chosen = None if schedule is None else load_schedule(schedule, frames, contexts)
    if chosen is not None and chosen.frames != said.reads and frames is None:
        say(
            f"note: the experiment names {said.reads} frames, and {schedule} is for "
            f"{chosen.frames} ones, which are taken"
        )
    if chosen is not None and chosen.contexts != said.contexts and contexts is None:
        say(
            f"note: the experiment names contexts = {said.contexts}, and {schedule} has "
            f"{chosen.contexts}, which are taken"
        )
    check_output(directory.hls.path)
    from fdht_hls.conversion import convert_stage

    found = board_of(board, part)
    period = clock_period or 1000 / found.clock_mhz
    settings = {"part": part or found.part.name, "clock_period": period}
    budget = replace(board_budget(found), clock_mhz=1000 / period)
    with progress() as show:
        conversion = convert_stage(
            *(directory.model, directory.hls, settings, show, chosen, budget),
            frames or said.reads,
            contexts or said.contexts,
        )
    if not conversion.plan["fits"]:
        say(too_large_line(directory.name, conversion.plan))
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


def build_into(directory: BuildDirectory, board_name: str) -> tuple[OverlayDirectory, bool]:
    """Builds the overlay of a simulated board; returns it, and whether there was work to do."""
    from fdht_hls.boards import get_board
    from fdht_overlays.manifest import SIMULATION_FLOW
    from fdht_overlays.simulated_overlay import build_simulated_overlay

    board = get_board(board_name)
    overlay = directory.overlay(board.name, SIMULATION_FLOW)
    return overlay, build_simulated_overlay(directory.hls, overlay, board)
