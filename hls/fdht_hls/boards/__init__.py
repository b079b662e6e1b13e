"""Boards as data: what each holds, how its memory is reached, and where each fact comes from."""

from fdht_hls.boards.board import (
    BOARDS_DIRECTORY,
    Board,
    Ddr,
    Image,
    Part,
    Port,
    PowerModel,
    PowerSensor,
    ProcessingSystem,
    Resources,
    board_names,
    get_board,
    load_board,
)

__all__ = [
    "BOARDS_DIRECTORY",
    "Board",
    "Ddr",
    "Image",
    "Part",
    "Port",
    "PowerModel",
    "PowerSensor",
    "ProcessingSystem",
    "Resources",
    "board_names",
    "get_board",
    "load_board",
]
