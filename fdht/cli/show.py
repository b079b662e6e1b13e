"""The command `fdht show`: everything that is built of an experiment, as one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdht.cli.options import BUILD, AsJson, Build, CoreName, Name, PortBits, Schedule, TargetBoard
from fdht.cli.output import emit
from fdht_models.console import output
from fdht_models.errors import ArtifactError

if TYPE_CHECKING:
    from fdht_hls.engine import EnginePlan


def show(
    experiment: Name,
    board: TargetBoard = None,
    core: CoreName = None,
    schedule: Schedule = None,
    port_bits: PortBits = 64,
    save: Annotated[Path | None, typer.Option(help="Write the plan here (.json).")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="A saved plan: print where this one differs.")
    ] = None,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Shows the plan of the engine: stages, loops, formats, weights, buffers, cell, head, ports."""
    from rich.table import Table

    from fdht_hls.engine.listing import COLUMNS, plan_differences, plan_lines, plan_rows
    from fdht_models.artifacts import check_place, write_json
    from fdht_models.documents import read_json_file

    other = None
    if compare is not None:
        other = read_json_file(compare, remedy="name a file that fdht show --save wrote")
        if not isinstance(other, dict) or "stages" not in other:
            raise ArtifactError(
                "is no plan", field=str(compare), remedy="name a file that fdht show --save wrote"
            )
    if save is not None:
        check_place(save)
    plan, origin = _planned(experiment, build, board, core, schedule, port_bits // 8)
    value = plan.to_json()
    if save is not None:
        write_json(save, value)
    differing = None if other is None else plan_differences(other, value)
    if as_json:
        emit({**value, "origin": origin, **({} if other is None else {"differences": differing})})
        return
    for line in (*plan_lines(plan), f"schedule: {origin}"):
        print(line)
    table = Table(*COLUMNS)
    for row in plan_rows(plan):
        table.add_row(*row)
    output().print(table)
    for line in differing or ():
        print(f"differs: {line} (saved, now)")
    if differing == []:
        print(f"the same plan as {compare}")


def _planned(
    name: str,
    build: Path,
    board: str | None,
    core: str | None,
    schedule: Path | None,
    port_bytes: int,
) -> tuple[EnginePlan, str]:
    """The plan of an experiment's engine, and where its schedule comes from."""
    from fdht.cli.tune import experiment_or_build
    from fdht_hls.boards import board_of
    from fdht_hls.engine import lower
    from fdht_hls.schedule import load_schedule
    from fdht_hls.tuner.budget import board_budget
    from fdht_hls.tuner.cores import checked_core
    from fdht_hls.tuner.planner import plan
    from fdht_hls.tuner.stage import network_to_tune
    from fdht_models.directories import SCHEDULE
    from fdht_models.tensor.quantized import WORD_BYTES

    recipe, directory = experiment_or_build(name, build)
    network, source = network_to_tune(directory.model, recipe)
    chosen = schedule
    if chosen is None and board is None and core is None and port_bytes == WORD_BYTES:
        chosen = directory.hls.find_file(SCHEDULE)
    if chosen is not None:
        return lower(network, load_schedule(chosen), port_bytes), f"{chosen} ({source})"
    kind, budget = checked_core(core or "hls"), board_budget(board_of(board), port_bytes=port_bytes)
    found = plan(network, budget, kind)
    origin = f"planned for {budget.name} and core {kind} ({source})"
    return lower(network, found.schedule, port_bytes), origin
