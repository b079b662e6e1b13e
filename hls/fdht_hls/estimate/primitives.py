"""What multipliers, memories and FIFOs take: formulas over the coefficients of a ResourceModel."""

from __future__ import annotations

import math

from fdht_hls.estimate.coefficients import ResourceModel
from fdht_hls.estimate.resources import Resources, luts

#: Depth and width of a RAMB18 with one port for reading and one for writing (UG473).
BRAM18_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
#: Most words of a FIFO that shift registers hold (SRLC32E, UG474).
_SHIFT_REGISTER = 32


def dsps_of_product(first: int, second: int, model: ResourceModel) -> int:
    """DSP slices of one product of signed operands of so many bits.

    A wider operand is cut into pieces; all but the topmost are unsigned, a bit less.
    """
    wide, narrow = max(first, second), min(first, second)
    if wide <= model.dsp_wide_bits and narrow <= model.dsp_narrow_bits:
        return 1
    return _pieces(wide, model.dsp_wide_bits) * _pieces(narrow, model.dsp_narrow_bits)


def _pieces(bits: int, room: int) -> int:
    return max(1, math.ceil((bits - 1) / (room - 1)))


def luts_of_product(first: int, second: int, model: ResourceModel) -> int:
    """LUT of one product of two variables of so many bits.

    Booth's recoding, radix 4: a row of adders for two bits of the narrower operand, in which a LUT
    selects 0, the value or its double and adds it. 52 LUT for 12 x 8 bits and 39 for 9 x 8, counted
    by yosys on `fdht_hls.rtl.arithmetic`.
    """
    wide, narrow = max(first, second), min(first, second)
    return luts(-(-narrow // 2) * (wide + 1) * model.lut_per_adder_bit)


def luts_of_constant_product(first: int, second: int, model: ResourceModel) -> float:
    """LUT of one multiply-accumulate with a constant: distributed arithmetic, adders included."""
    return model.lut_per_constant_bit * first * second


def lut_memory(depth: int, width: int) -> int:
    """LUT of a memory with one port for reading and one for writing (UG474, SLICEM).

    A RAM32M is 32 x 6 bits in 4 LUT, a RAM64M 64 x 3 bits; deeper ones need selectors.
    """
    if depth <= 32:
        return 4 * -(-width // 6)
    banks = -(-depth // 64)
    return banks * 4 * -(-width // 3) + width * -(-(banks - 1) // 3)


def lut_rom(depth: int, width: int) -> int:
    """LUT of constants: a LUT holds 64 x 1 or 32 x 2 bits; F7 and F8 select from four LUT."""
    if depth <= 1:
        return 0
    if depth <= 32:
        return -(-width // 2)
    banks = -(-depth // 64)
    return width * (banks + -(-banks // 4) - 1)


def bram18(depth: int, width: int) -> int:
    """RAMB18 of a memory, in the shape that needs the fewest."""
    return min(-(-depth // words) * -(-width // bits) for words, bits in BRAM18_SHAPES)


def is_block_ram(depth: int, width: int, model: ResourceModel) -> bool:
    """Is a memory of this shape made of block RAM?"""
    return depth >= model.memory_deep and depth * width >= model.memory_bits


def memory(depth: int, width: int, model: ResourceModel, count: int = 1) -> Resources:
    """`count` memories that are written and read in the same clock; one word is a register."""
    if depth <= 1:
        return Resources(ff=width * count)
    if is_block_ram(depth, width, model):
        return Resources(bram18=bram18(depth, width) * count)
    return Resources(lut=lut_memory(depth, width) * count, ff=width * count)


def rom(depth: int, width: int, model: ResourceModel) -> Resources:
    """Constants of which one word a clock is read."""
    if is_block_ram(depth, width, model):
        return Resources(bram18=bram18(depth, width))
    return Resources(lut=lut_rom(depth, width), ff=width if depth > 1 else 0)


def fifo(depth: int, width: int, model: ResourceModel) -> Resources:
    """A FIFO: a register, shift registers, or block RAM.

    A register of two words needs no shift register (HLS makes FIFOs of depth 1 and 2 so).
    """
    if depth <= 2:
        return Resources(lut=model.fifo_control, ff=2 * width)
    if depth <= _SHIFT_REGISTER:
        return Resources(
            lut=luts(width * model.lut_per_fifo_bit) + model.fifo_control,
            ff=luts(width * model.ff_per_fifo_bit),
        )
    return memory(depth, width, model) + Resources(lut=model.fifo_control)


def rounding(sum_width: int, result_width: int, model: ResourceModel) -> int:
    """LUT that round a sum half to even and saturate it."""
    return luts(
        sum_width * model.lut_per_rounding_bit + result_width * model.lut_per_saturation_bit
    )


def select(ways: int, width: int, model: ResourceModel) -> int:
    """LUT that choose one of several words."""
    return 0 if ways <= 1 else luts(width * max(1.0, ways * model.lut_per_select_way))
