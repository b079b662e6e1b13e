"""What `fdht build --estimate` tells: what would fit which board, and how fast it would be."""

from __future__ import annotations

from pathlib import Path

from fdht.cli.output import emit
from fdht_models.console import output
from fdht_models.errors import ConfigError


def print_estimate(
    experiments: list[str],
    board: str,
    estimate: bool,
    all_boards: bool,
    plot: Path | None,
    build: Path,
    as_json: bool,
) -> None:
    """Prints it, and draws it into a file if given."""
    from fdht_hls.boards import board_names, get_board
    from fdht_overlays.whatif import draw, table, what_if, zoo_names

    if not estimate:
        raise ConfigError(
            "builds nothing", field="all-boards", remedy="add --estimate, or name one --board"
        )
    boards = [get_board(name) for name in board_names()] if all_boards else [get_board(board)]
    real = [one for one in boards if not one.simulated or not all_boards]
    rows = what_if(experiments or zoo_names(), real, build)
    if as_json:
        emit([row.to_json() for row in rows])
    else:
        output().print(table(rows))
    if plot is not None:
        draw(rows, plot)
        if not as_json:
            print(plot)
