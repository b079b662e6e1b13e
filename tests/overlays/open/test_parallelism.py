"""Which schedule the overlay of the open flow gets."""

from __future__ import annotations

from dataclasses import replace

from fdht_hls.boards import get_board
from fdht_hls.schedule import Schedule, default_schedule
from fdht_overlays.open.parallelism import choose_schedule, open_budget, schedule_of_flow
from tests.overlays.sample_network import sample_network

NETWORK, BOARD = sample_network(), get_board("pynq-z2")


def test_the_default_gives_way_to_multipliers_of_luts():
    chosen = schedule_of_flow(NETWORK, None, BOARD)
    # Adders take the place of multipliers, whatever these would be made of.
    kinds = {one.multipliers for one in chosen.stages if one.weights != "adders"}
    assert kinds == {"lut"}
    tuning = choose_schedule(NETWORK, BOARD)
    assert chosen == tuning.chosen.schedule
    assert tuning.chosen.resources.lut <= open_budget(BOARD).limits.lut
    # The same plan must come out when results are brought back.
    assert schedule_of_flow(NETWORK, None, get_board("pynq-z1")) == chosen


def test_what_somebody_chose_stays():
    default = default_schedule(NETWORK.recurrence)
    first, *rest = default.input
    own = Schedule((replace(first, multipliers="lut"), *rest), default.hidden)
    assert schedule_of_flow(NETWORK, own, BOARD) is own
