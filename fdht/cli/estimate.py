"""What `fdht build --estimate` tells: what would fit which board, and how fast it would be."""

from __future__ import annotations

from pathlib import Path

from fdht.cli.build import check_flow, core_of
from fdht.cli.output import emit
from fdht_models.console import output, progress


def print_estimate(
    experiments: list[str],
    board: str | None,
    asked: tuple[str | None, str | None, float | None],
    plot: Path | None,
    build: Path,
    as_json: bool,
) -> None:
    """Prints what would fit a board, or all real ones, and draws it into a file if given.

    Args:
        experiments: their names; none: all that ship.
        board: its name; None: all.
        asked: flow, core and clock (MHz), each None for the usual one.
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

    flow, core, clock = asked
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
    if as_json:
        emit([row.to_json() for row in rows])
    else:
        output().print(table(rows))
    if plot is not None:
        draw(rows, plot)
        if not as_json:
            print(plot)
