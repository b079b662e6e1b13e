"""Dot products of which two share their DSP slices; see `fdht_hls.engine.pairs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Value

from fdht_hls.engine.contractions import StagePlan
from fdht_hls.engine.pairs import lane_bits
from fdht_hls.rtl.arithmetic import (
    balanced_sum,
    bounded,
    delay,
    pipelined_sum,
    registered,
    tree_clocks,
)

#: Slices whose products are added before their lanes are taken apart.
_SLICES = 2


def pair_clocks(vector: int) -> int:
    """Clocks of `pair_sums`: products, sums of two, and these with what is given back."""
    return 2 + tree_clocks(-(-vector // _SLICES) + 1)


def pair_sums(
    module: Module, stage: StagePlan, values: Sequence[Any], pairs: Sequence[Any]
) -> tuple[Any, Any]:
    """Sums of values x the lower weights, and of values x the upper ones.

    Args:
        module: gets the logic.
        stage: whose values they are.
        values: of a vector.
        pairs: of weights, one a value; see `pair_codes`.

    Returns:
        Both, `pair_clocks(len(values))` later.
    """
    lane = lane_bits(stage.design)
    products = [
        registered(module, value * _factor(stage, pair), "product")
        for value, pair in zip(values, pairs, strict=True)
    ]
    sums = [
        bounded(module, balanced_sum(products[at : at + _SLICES]), 2 * lane + 1)
        for at in range(0, len(products), _SLICES)
    ]
    low, high, borrowed = [], [], []
    for total in sums:
        below = total[lane - 1] & total[: lane - 1].any()
        low.append(Cat(total[:lane], below).as_signed())
        high.append(total[lane:].as_signed())
        borrowed.append(below)
    width = stage.design.total.width
    waits = tree_clocks(len(sums) + 1) - tree_clocks(len(sums))
    lower = delay(module, pipelined_sum(module, low, width), waits)
    return lower, pipelined_sum(module, [*high, balanced_sum(borrowed)], width)


def _factor(stage: StagePlan, pair: Value) -> Value:
    """The operand of a slice: both weights in their lanes."""
    width = stage.rows.format.width
    between = pair[width - 1].replicate(lane_bits(stage.design) - width)
    return Cat(pair[:width], between, pair[width:]).as_signed()
