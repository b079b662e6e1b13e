"""The command `fdht show`: everything that is built of an experiment, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    PortBits,
    Schedule,
    TargetBoard,
    asked_frames,
    port_bytes_of,
)
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
    core_frames: CoreFrames = None,
    feature: CoreFeature = None,
    contexts: CoreContexts = None,
    save: Annotated[Path | None, typer.Option(help="Write the plan here (.json).")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="With a plan that was saved; exits with 1 if they differ.")
    ] = None,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Shows the plan of the engine: stages, loops, formats, weights, buffers, cell, head, ports."""
    from fdht_hls.engine.listing import plan_differences, plan_json
    from fdht_models.artifacts import check_place, write_json

    other = None if compare is None else _saved(compare)
    if save is not None:
        check_place(save)
    asked = asked_frames(core_frames, feature)
    plan, origin = _planned(experiment, build, board, core, schedule, port_bits, asked, contexts)
    value = plan_json(plan)
    if save is not None:
        write_json(save, value)
    found = [] if other is None else plan_differences(value, other)
    if as_json:
        emit({"plan": value, "origin": origin, "differences": None if other is None else found})
    elif other is None:
        _print(plan, origin)
    else:
        print("\n".join(found) or f"as in {compare}")
    if found:
        raise typer.Exit(1)


def _print(plan: EnginePlan, origin: str) -> None:
    from rich.table import Table

    from fdht_hls.engine.listing import COLUMNS, plan_lines, plan_rows

    table = Table(*COLUMNS, box=None, padding=(0, 2, 0, 0))
    for row in plan_rows(plan):
        table.add_row(*row)
    output().print(table)
    print("\n".join((*plan_lines(plan), f"schedule: {origin}")))


def _saved(path: Path) -> Mapping[str, Any]:
    """A plan that was saved.

    Raises:
        ArtifactError: it cannot be read, or is none.
    """
    from fdht_hls.engine.listing import SCHEMA
    from fdht_models.artifacts import read_json

    remedy = "write one with fdht show --save"
    value = read_json(path, remedy)
    if not isinstance(value, dict) or value.get("schema") != SCHEMA or "stages" not in value:
        raise ArtifactError("is no plan of an engine", field=str(path), remedy=remedy)
    return value


def _planned(
    name: str,
    build: Path,
    board: str | None,
    core: str | None,
    schedule: Path | None,
    port_bits: int,
    frames: str | None,
    contexts: int | None,
) -> tuple[EnginePlan, str]:
    """The plan of an experiment's engine, and where its schedule comes from."""
    from fdht.cli.tune import experiment_or_build
    from fdht.pipeline import core_of
    from fdht_hls.boards import board_of
    from fdht_hls.engine import lower
    from fdht_hls.schedule import load_schedule
    from fdht_hls.tuner.board_plan import plan
    from fdht_hls.tuner.budget import board_budget
    from fdht_hls.tuner.cores import checked_core
    from fdht_hls.tuner.training_frames import frames_at_hand
    from fdht_hls.tuner.written import network_to_tune
    from fdht_models.directories import SCHEDULE
    from fdht_models.tensor.quantized import WORD_BYTES

    recipe, directory = experiment_or_build(name, build)
    network, source = network_to_tune(directory.model, recipe)
    chosen = schedule
    if chosen is None and board is None and core is None and port_bits == 8 * WORD_BYTES:
        chosen = directory.hls.find_file(SCHEDULE)
    if chosen is not None:  # and no board's width bounds it
        asked = (None, None) if schedule is None else (frames, contexts)
        own = load_schedule(chosen, *asked).with_frames(frames, contexts)
        return lower(network, own, port_bytes_of(port_bits, None)), f"{chosen} ({source})"
    device = board_of(board)
    port_bytes = port_bytes_of(port_bits, device)
    kind, budget = checked_core(core or "hls"), board_budget(device, port_bytes=port_bytes)
    said = core_of(name, build)
    frames, contexts = frames or said.reads, contexts or said.contexts
    known = frames_at_hand(network, budget, kind, frames, directory, recipe)
    found = plan(network, budget, kind, frames=frames, contexts=contexts, profile=known.profile)
    origin = f"planned for {budget.name} and core {kind} ({source})"
    if known.line:
        origin += f"; {known.line}"
    return lower(network, found.schedule, port_bytes), origin
