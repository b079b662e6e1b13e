"""Boards as data: what each holds, how its memory is reached, and where each fact comes from."""

from fdht_hls.boards.board import (
    BOARDS_DIRECTORY,
    DEFAULT_BOARD,
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
    board_of,
    get_board,
    load_board,
)

__all__ = [
    "BOARDS_DIRECTORY",
    "DEFAULT_BOARD",
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
    "board_of",
    "get_board",
    "load_board",
]
