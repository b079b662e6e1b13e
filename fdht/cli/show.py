"""The command `fdht show`: what will be built of an experiment, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdht.cli.options import BUILD, AsJson, Build, Name, Schedule, board_option
from fdht.cli.output import emit
from fdht_models.console import output
from fdht_models.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from fdht_hls.engine import EnginePlan


def show(
    experiment: Name,
    board: Annotated[
        str | None, board_option("With the parallelism that fdht tune chose for this board.")
    ] = None,
    schedule: Schedule = None,
    save: Annotated[Path | None, typer.Option(help="Write the plan here, as JSON.")] = None,
    compare: Annotated[
        Path | None,
        typer.Option(help="With a plan that was saved; exits with 1 if they differ."),
    ] = None,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Shows the plan of the engine: stages, loops, formats, multipliers, queues, registers."""
    from fdht_hls.engine.listing import plan_differences
    from fdht_models.artifacts import check_place, write_json

    other = None if compare is None else _read_plan(compare)
    if save is not None:
        check_place(save)
    plan, trained = _plan(experiment, build, board, schedule)
    found = plan.to_json()
    if save is not None:
        write_json(save, found)
    differences = [] if other is None else plan_differences(found, other)
    if as_json:
        emit(found if other is None else {"plan": found, "differences": differences})
    elif other is None:
        _print(plan, trained)
    else:
        print("\n".join(differences) or f"as in {compare}")
    if differences:
        raise typer.Exit(1)


def _plan(
    name: str, build: Path, board: str | None, schedule: Path | None
) -> tuple[EnginePlan, bool]:
    """The plan, and whether it is of a trained network and not only of shapes and widths."""
    from fdht import pipeline
    from fdht_hls.boards import get_board
    from fdht_hls.engine import lower
    from fdht_hls.rtl.stage import load_design
    from fdht_hls.schedule import load_schedule
    from fdht_hls.tuner.stage import network_to_tune
    from fdht_models.directories import NETWORK

    directory = pipeline.experiment_directory(name, build)
    if board is not None:
        if schedule is not None:
            raise ConfigError("cannot go with --schedule", field="board", value=board)
        schedule = directory.tuning(get_board(board).name).schedule
        if not schedule.is_file():
            raise ArtifactError(
                "is not there",
                field=str(schedule),
                remedy=f"run fdht tune {name} --board {board} first",
            )
    if directory.find_trained(NETWORK) is not None:
        return load_design(directory, schedule)[1], True
    network, _ = network_to_tune(directory.model, pipeline.experiment_of(name, build))
    return lower(network, None if schedule is None else load_schedule(schedule)), False


def _read_plan(path: Path) -> Mapping[str, Any]:
    """A plan that was saved.

    Raises:
        ArtifactError: it cannot be read, or is none.
    """
    from fdht_hls.engine.listing import SCHEMA
    from fdht_models.artifacts import read_json

    value = read_json(path)
    if not isinstance(value, dict) or value.get("schema") != SCHEMA or "stages" not in value:
        raise ArtifactError(
            "is no plan of an engine", field=str(path), remedy="write one with fdht show --save"
        )
    return value


def _print(plan: EnginePlan, trained: bool) -> None:
    from rich.table import Table

    from fdht_hls.engine.listing import COLUMNS, plan_lines, plan_rows

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in COLUMNS:
        table.add_column(column)
    for row in plan_rows(plan):
        table.add_row(*row)
    console = output()
    console.print(table)
    for line in plan_lines(plan):
        console.print(line, soft_wrap=True)
    if not trained:
        console.print("not trained: of the shapes and widths that it declares")
