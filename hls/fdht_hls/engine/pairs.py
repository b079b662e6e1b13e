"""Two products in one DSP slice: of a value with its weights of two outputs (*DSP packing*).

A slice multiplies 25 bits by 18, and codes are far narrower. So the weight of one output is put
above that of another, `lane` bits higher:

    value x (high x 2^lane + low)  =  (value x high) x 2^lane  +  value x low

A lane has as many bits as both codes together. One product uses half of its range, so that the
sums of two slices can be added before their lanes are taken apart, with the adder of a slice: the
largest product is that of the two smallest codes, 2^(lane - 2), and none is as far below zero.
Twice that, 2^(lane - 1), is the one sum that has the bits of another number, -2^(lane - 1), which
cannot occur. What a lower lane below zero borrows from the upper one is given back afterwards.
"""

from __future__ import annotations

import numpy as np

from fdht_hls.engine.contractions import StageDesign
from fdht_hls.schedule import StageSchedule, weight_rows
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import Codes

#: Operands of a DSP slice, signs included: a DSP48E1; later ones are wider.
_WIDE_BITS, _NARROW_BITS = 25, 18


def source_bits(design: StageDesign) -> int:
    """Bits of a value with a sign."""
    return design.source.width + int(not design.source.signed)


def lane_bits(design: StageDesign) -> int:
    """Bits of the lower lane."""
    return source_bits(design) + design.core.format.width


def pair_bits(design: StageDesign) -> int:
    """Bits that are kept of a pair of weights; see `pair_codes`."""
    return 2 * design.core.format.width + 1


def why_no_pairs(design: StageDesign, schedule: StageSchedule) -> str | None:
    """Why a stage's products cannot share DSP slices: a clause; None if they can."""
    if schedule.weights != "constant":
        return f"are for constant weights, and these are {schedule.weights}"
    if weight_rows(design.shape, schedule) == 1:
        return "are for weights from a memory, and all beats of this stage have the same"
    if schedule.outputs % 2:
        return f"take two outputs each, and {schedule.outputs} meet a value in a clock"
    if not design.core.format.signed:
        return "are for weights with a sign"
    wide = lane_bits(design) + design.core.format.width + 1
    if wide > _WIDE_BITS or source_bits(design) > _NARROW_BITS:
        return (
            f"need {wide} x {source_bits(design)} bits here, and a DSP slice multiplies "
            f"{_WIDE_BITS} x {_NARROW_BITS}"
        )
    return None


def pair_codes(rows: QuantizedArray) -> Codes:
    """Rows of weights [rows, values x outputs] as they are kept: [rows, values x pairs].

    The lower weight in the lowest bits, and above it the upper one, less what the lower one borrows
    if it is below zero: all bits between them are the lower one's sign, and need not be kept.
    """
    width = rows.format.width
    codes = rows.codes.reshape(len(rows.codes), -1, 2).astype(np.int64)
    low, high = codes[..., 0], codes[..., 1]
    found: Codes = ((high - (low < 0)) << width) + (low & ((1 << width) - 1))
    return found
