"""A schedule that suits the open flow: little logic, few multipliers, at its clock."""

from __future__ import annotations

from dataclasses import replace

from fdht_hls.estimate import Core
from fdht_hls.tuner.budget import SHARES, Budget
from fdht_hls.tuner.tune import Tuning, tune
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.boards import Board
from fdht_overlays.budget import budget_of
from fdht_overlays.open.flow import CLOCK_MHZ, MOST_DSP

#: Part of the device's LUTs, by the estimate. The largest design that was placed and routed took
#: 11,000 LUTs by yosys' count, and 84 % of the slices.
LUT_SHARE = 0.25


def open_budget(board: Board) -> Budget:
    """What a design of the open flow may take of a board."""
    shares = {**SHARES, "lut": LUT_SHARE, "dsp": MOST_DSP / board.resources.dsp}
    return replace(budget_of(board), clock_mhz=CLOCK_MHZ, shares=shares)


def choose_schedule(network: QuantizedNetwork, board: Board) -> Tuning:
    """The fastest design within `open_budget`, by the estimator.

    Raises:
        ConfigError: none fits; says what would.
    """
    budget = open_budget(board)
    return tune(Core(network, budget.model, budget.bytes_per_clock), budget)
