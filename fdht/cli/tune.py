"""The command `fdht tune`: what a board can hold of an experiment, and how parallel to make it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdht.cli.options import (
    BUILD,
    AsJson,
    Build,
    CoreContexts,
    CoreFeature,
    CoreFrames,
    CoreName,
    Name,
    TargetBoard,
    asked_frames,
)
from fdht.cli.output import emit
from fdht_models.console import output, progress

if TYPE_CHECKING:
    from fdht_hls.estimate import Assumptions
    from fdht_hls.tuner.budget import Budget
    from fdht_hls.tuner.cores import CoreKind
    from fdht_hls.tuner.search import Effort
    from fdht_hls.tuner.training_frames import FramesAtHand
    from fdht_hls.tuner.tune import Tuning
    from fdht_models.directories import BuildDirectory
    from fdht_models.experiment import Experiment

#: Seconds for all. The networks of the zoo take up to 50 s.
_TIME_LIMIT = 900.0
#: Shapes that are explored.
_CANDIDATES = 24


def tune(
    experiment: Name,
    board: TargetBoard = None,
    core: CoreName = None,
    frames_per_second: Annotated[
        float | None, typer.Option(help="At least; by default as fast as the board allows.")
    ] = None,
    latency: Annotated[
        int | None, typer.Option(min=1, help="Clocks from last pixel to result at most.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Part of the device: 0.75, or lut=0.6,ff=0.6,dsp=0.75,bram36=0.25."),
    ] = None,
    port_bytes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Bytes a clock of a memory port.")
    ] = None,
    ports: Annotated[int, typer.Option(min=1, max=4, help="Memory ports that read frames.")] = 1,
    assume: Annotated[
        list[str] | None,
        typer.Option(help="int8-pairs; may be repeated."),
    ] = None,
    loadable: Annotated[
        bool, typer.Option("--loadable", help="Weights that can be loaded at run time.")
    ] = False,
    core_frames: CoreFrames = None,
    contexts: CoreContexts = None,
    feature: CoreFeature = None,
    clips: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of a core that skips zeros: tune for the frames of so many training clips; by "
            "default 100 where they can be had. 0: every frame counts as full.",
        ),
    ] = None,
    explore: Annotated[
        bool, typer.Option("--explore", help="Other modes, ranks and widths, too; untrained.")
    ] = False,
    parameters: Annotated[
        int | None, typer.Option(min=1, help="With --explore: at most; by default as many as now.")
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --explore: how many to tune, fewest MACs first; by default 24."
        ),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(min=1, max=1e6, help="Seconds that all may take.")
    ] = _TIME_LIMIT,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Chooses the parallelism of each stage for a board; prints the Pareto front (estimated)."""
    from fdht.pipeline import core_of, frames_to_tune
    from fdht_hls.boards import board_of
    from fdht_hls.tuner.board_plan import tuned
    from fdht_hls.tuner.budget import board_budget
    from fdht_hls.tuner.cores import checked_core
    from fdht_hls.tuner.training_frames import frames_at_hand
    from fdht_hls.tuner.written import network_to_tune
    from fdht_models.errors import ConfigError

    device = board_budget(board_of(board), budget, port_bytes, ports)
    kind = checked_core(core or "hls")
    for name, value in {"parameters": parameters, "candidates": candidates}.items():
        if value is not None and not explore:
            raise ConfigError("belongs to --explore", field=name, value=value)
    engine = _engine(assume or [])
    recipe, directory = experiment_or_build(experiment, build)
    if explore and contexts is not None:
        raise ConfigError(
            "shapes are explored for one",
            field="contexts",
            value=contexts,
            remedy="explore first, then tune the experiment with --contexts",
        )
    for name, kind_of in {"core-frames": core_frames, "feature": feature}.items():
        if explore and kind_of is not None:
            raise ConfigError(
                "shapes are explored for dense frames",
                field=name,
                value=kind_of,
                remedy=f"explore first, then tune the experiment with --{name}",
            )
    core_frames = asked_frames(core_frames, feature)
    if explore and loadable:
        raise ConfigError(
            "shapes are explored without it",
            field="loadable",
            remedy="explore first, then tune the experiment with --loadable",
        )
    if explore and kind != "hls":
        raise ConfigError(
            "shapes are explored for the core in C++", field="core", value=kind, remedy="use hls"
        )
    if explore:
        asked = (frames_per_second, latency, parameters, candidates or _CANDIDATES)
        _explore(recipe, directory, device, engine, asked, time_limit, as_json)
        return
    network, source = network_to_tune(directory.model, recipe)
    frames = frames_to_tune(experiment, build, core_frames, clips)
    known = frames_at_hand(network, device, kind, frames, directory, recipe, clips)
    asked_of = (frames_per_second, latency)
    with _effort(time_limit) as effort:
        found = tuned(
            network,
            device,
            kind,
            *asked_of,
            engine=engine,
            loadable=loadable,
            frames=frames,
            contexts=contexts or core_of(experiment, build).contexts,
            profile=known.profile,
            effort=effort,
        )
    _told(found, kind, directory, source, known, as_json)


def _told(
    tuning: Tuning,
    core: CoreKind,
    directory: BuildDirectory,
    source: str,
    known: FramesAtHand,
    as_json: bool,
) -> None:
    from fdht_hls.tuner.report import design_table, frames_table, front_table, lines
    from fdht_hls.tuner.written import result_json, write_tuning
    from fdht_models.directories import PLOT

    result = result_json(tuning, source, core, known.line)
    written = directory.tuning(tuning.budget.name)
    write_tuning(written, tuning, result)
    if as_json:
        emit({**result, "directory": str(written.path)})
        return
    console = output()
    for line in lines(tuning, source, core, known.line):
        console.print(line)
    console.print(front_table(tuning))
    console.print(design_table(tuning))
    table = frames_table(tuning)
    if table is not None:
        console.print(table)
    if not (written.path / PLOT).is_file():
        console.print("no plot could be drawn; pip install 'fdht[board]' brings matplotlib")
    console.print(f"use it: fdht convert {directory.name} --schedule {written.schedule}")


def _explore(
    recipe: Experiment | None,
    directory: BuildDirectory,
    device: Budget,
    engine: Assumptions,
    asked: tuple[float | None, int | None, int | None, int],
    time_limit: float,
    as_json: bool,
) -> None:
    from fdht_hls.tuner.explore import exploration_table, explore, write_exploration
    from fdht_models.errors import ConfigError

    if recipe is None:
        raise ConfigError(
            "is only a build; new shapes need its TOML file",
            field="experiment",
            value=directory.name,
        )
    with _effort(time_limit) as effort:
        found = explore(recipe, device, engine, *asked, effort=effort)
    written = directory.exploration(found.budget.name)
    write_exploration(written, found)
    if as_json:
        emit({**found.to_json(), "directory": str(written.path)})
        return
    console = output()
    for text in found.left_out:
        console.print(f"not considered: {text}")
    console.print(exploration_table(found))
    console.print(f"none of them is trained; each is an experiment to train: {written.path}")


@contextmanager
def _effort(time_limit: float) -> Iterator[Effort]:
    """An effort of so many seconds; where people look on, they see what it does."""
    from fdht_hls.tuner.search import Effort

    with progress() as show:
        yield Effort(time_limit, lambda text: show("schedules", 0, 0, text))


def _engine(assumed: list[str]) -> Assumptions:
    from dataclasses import fields

    from fdht_hls.estimate import Assumptions
    from fdht_models.errors import ConfigError, near_matches

    known = {entry.name.replace("_", "-"): entry.name for entry in fields(Assumptions)}
    for name in assumed:
        if name not in known:
            raise ConfigError(
                "is nothing that can be assumed",
                field="assume",
                value=name,
                remedy=near_matches(name, known),
            )
    return Assumptions(**{known[name]: True for name in assumed})


def experiment_or_build(name: str, build: Path) -> tuple[Experiment | None, BuildDirectory]:
    """The experiment, or None if only a build of that name is there; and its directory."""
    from fdht_models.directories import BuildDirectory
    from fdht_models.errors import ConfigError
    from fdht_models.experiment import load_experiment

    try:
        recipe = load_experiment(name)
    except ConfigError:
        found = BuildDirectory(build / name)
        if found.is_there():
            return None, found
        raise
    return recipe, BuildDirectory(build / recipe.name)
