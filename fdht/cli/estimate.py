"""What `fdht build --estimate` tells: what would fit which board, and how fast it would be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fdht.cli.output import tell
from fdht_models.console import progress
from fdht_models.errors import ConfigError

if TYPE_CHECKING:
    from fdht_hls.boards import Board
    from fdht_hls.tuner.cores import CoreKind


def print_estimate(
    experiments: list[str],
    board: str | None,
    flow: str | None,
    core: str | None,
    clock: float | None,
    plot: Path | None,
    build: Path,
    as_json: bool,
) -> None:
    """Prints what would fit a board, or all real ones, and draws it into a file if given.

    Args:
        experiments: their names; none: all that ship.
        board: its name; None: all.
        flow: None: the usual one.
        core: likewise.
        clock: in MHz; None: the board's.
        plot: file of a picture.
        build: directory of what was trained.
        as_json: for programs.
    """
    from fdht_hls.boards import board_names, get_board
    from fdht_hls.tuner.budget import board_budget
    from fdht_overlays.open.flow import check_board
    from fdht_overlays.open.parallelism import open_budget
    from fdht_overlays.open.tools import FLOW as OPEN
    from fdht_overlays.plan.vitis import Options
    from fdht_overlays.whatif import check_picture, draw, table, what_if, zoo_names

    kind = core_of(flow, core)
    if plot is not None:
        check_picture(plot)
    Options(kind, clock)  # as strict as a build
    boards = [get_board(name) for name in ([board] if board else board_names())]
    if board is None:
        boards = [one for one in boards if not one.simulated]
    elif flow is not None:
        check_flow(boards[0], flow)
    if flow == OPEN:
        if board is None:
            boards = [one for one in boards if one.family == "zynq7000"]
        for one in boards:
            check_board(one)
    budgets = open_budget if flow == OPEN else board_budget
    with progress() as show:
        rows = what_if(
            experiments or zoo_names(),
            boards,
            build,
            kind,
            budgets,
            clock,
            lambda text: show("estimates", 0, 0, text),
        )
    tell([row.to_json() for row in rows], as_json, lambda _: table(rows))
    if plot is not None:
        draw(rows, plot)
        if not as_json:
            print(plot)


def core_of(flow: str | None, core: str | None) -> CoreKind:
    """The core that a flow builds.

    Raises:
        ConfigError: the core is not known, or not for that flow.
    """
    from fdht_hls.tuner.cores import checked_core
    from fdht_overlays.open.tools import FLOW as OPEN

    if flow == OPEN:
        if core not in (None, "rtl"):
            raise ConfigError("is not for --flow open", field="core", value=core, remedy="use rtl")
        return "rtl"
    return checked_core(core or "hls")


def check_flow(board: Board, flow: str | None) -> None:
    """Refuses a flow that is not for a board.

    Raises:
        ConfigError: names those that are.
    """
    from fdht_overlays.manifest import SIMULATION_FLOW
    from fdht_overlays.open.tools import FLOW as OPEN
    from fdht_overlays.plan.vitis import FLOW

    flows = (SIMULATION_FLOW,) if board.simulated else (FLOW, OPEN)
    if flow not in (None, *flows):
        raise ConfigError(
            f"is not for {board.title}",
            field="flow",
            value=flow,
            remedy=f"use {' or '.join(flows)}",
        )
