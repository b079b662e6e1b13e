"""A board as the tuner sees it; the tuner itself knows no boards."""

from __future__ import annotations

from fdht_hls.boards import Board
from fdht_hls.tuner.budget import Budget


def budget_of(board: Board) -> Budget:
    """The whole device, one port of a memory word, the board's clock and the usual shares."""
    device = board.resources
    return Budget(
        board.name,
        device.lut,
        device.ff,
        device.dsp,
        device.bram36,
        board.clock_mhz,
        family=board.family,
    )
