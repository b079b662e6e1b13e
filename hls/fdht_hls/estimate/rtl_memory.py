"""Coefficients of the estimate of the RTL, and what its memories take.

yosys decides whether a memory becomes LUTs or block RAM by weighing both; its weights are in
`RtlModel`, so that the same decision falls here. Constants are counted on their contents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fdht_hls.estimate.primitives import BRAM18_SHAPES
from fdht_hls.estimate.resources import Resources, luts
from fdht_models.tensor.fixedpoint import Codes

#: Rows of a memory that one LUT holds, a bit wide.
_ROWS = 64


@dataclass(frozen=True)
class RtlModel:
    """Coefficients, in LUTs unless another unit is named.

    Args:
        block: what yosys weighs a RAMB18 with, where a memory of LUTs counts for `logic_bit` a bit
            of constants, or for `lut_memory` four LUTs of a RAM32M or RAM64M (its libraries
            brams_xc4v.txt and lutrams_xc5v.txt, and `synth_xilinx`).
        selected_bit: what it weighs a bit with that is selected from two blocks, one below the
            other (its `memory_libmap`).
        logic_bit: see there; the number of readers does not count.
        lut_memory: see there.
        constant_bit: for a bit of an adder of a product with a constant. Far below 1, because
            low bits pass by and products that are alike are made once.
        rounding_bit: for a bit of a result that is rounded and saturated.
        stage: counters and handshakes of a stage, and the queue's control.
        slot: for each part of a word of output that has an enable.
        control: registers, interrupt, and what runs calls.
        reader: of the port for frames.
        writer: of the port for results, without a result's words.
        loader: what takes weights to their tables, beside a reader.
        loaded_table: for each of these tables.
        front: handshakes between the parts of the cell.
        bitmap_bit: of a reader of sparse frames, for a word that a bitmap tells of.
        block_bit: of such a reader, for a bit of a bitmap's number.
        unit_bit: where zeros are skipped, for a bit of what words are collected in.
        division: likewise, for a division by what is no power of two.
        feature: of raw frames, beside what a bit takes.
        difference_bit: likewise, for a bit of a word.
        argument_bit: for a bit of a sum of three in the cell: rows of full adders take two, and
            the carry chain behind them one; the bias is shorter.
    """

    block: float = 129.0
    selected_bit: float = 0.5
    logic_bit: float = 1 / 64
    lut_memory: float = 8.0
    constant_bit: float = 0.4
    rounding_bit: float = 1.1
    stage: int = 45
    slot: float = 1.0
    control: int = 390
    reader: int = 220
    writer: int = 65
    loader: int = 130
    loaded_table: int = 10
    front: int = 60
    bitmap_bit: float = 7.1
    block_bit: float = 9.0
    unit_bit: float = 2.2
    division: float = 135.0
    feature: float = 50.0
    difference_bit: float = 3.2
    argument_bit: float = 2.5


def bits_of(codes: Codes | None, width: int) -> Codes | None:
    """The bits of rows of codes: [rows, columns x width]; None if the codes are not known."""
    if codes is None or not codes.any():
        return None
    places = codes[:, :, None] >> np.arange(width)
    found: Codes = (places & 1).reshape(len(codes), -1)
    return found


def block_parts(rows: int, width: int, model: RtlModel) -> Resources:
    """A memory of block RAM, in the shape that yosys finds best.

    Few deep blocks side by side may cost one more than shallow ones below each other, but spare
    what selects from these: 7,200 rows of 64 bits are 16 blocks of 36 Kbit, and not 15.
    """

    def weight(depth: int, bits: int, halves: int) -> tuple[float, int, int]:
        below, beside = -(-rows // depth), -(-width // bits)
        blocks = halves * below * beside
        return model.block * blocks + model.selected_bit * width * (below - 1), blocks, below

    # A RAMB36 is twice as deep, or twice as wide, as a RAMB18.
    shapes = [(depth, bits, 1) for depth, bits in BRAM18_SHAPES]
    shapes += [(2 * depth, bits, 2) for depth, bits in BRAM18_SHAPES]
    _, blocks, below = min(weight(*shape) for shape in shapes)
    return Resources(bram18=blocks, lut=luts(select(below, width)))


def rom_parts(
    rows: int, width: int, model: RtlModel, bits: Codes | None = None, readers: int = 1
) -> Resources:
    """Constants of which each reader takes a row in each clock.

    Args:
        rows: of the memory.
        width: bits of a row.
        model: coefficients.
        bits: the constants [rows, width]; None: any.
        readers: two of them share a block RAM, but no LUT.
    """
    if rows <= 1:
        return Resources()
    found = block_parts(rows, width, model)
    blocks = -(-readers // 2) * found.bram18
    if rows * width * model.logic_bit > model.block * blocks:
        return Resources(bram18=blocks, lut=readers * found.lut)
    return Resources(lut=readers * _rom_luts(rows, width, bits))


def _rom_luts(rows: int, width: int, bits: Codes | None) -> int:
    """LUTs of constants: one for each 64 rows of a column; columns that are alike are made once.

    Multiplexers behind the LUTs (MUXF7, MUXF8) select from four of them; of more, other LUTs do.
    """
    pieces = -(-rows // _ROWS)
    selectors = -(-(-(-pieces // 4) - 1) // 3)
    if bits is None:
        # Few rows have few different columns.
        return luts(min(width * (pieces + selectors), 2.0 ** min(rows, _ROWS)))
    padded = np.zeros((pieces * _ROWS, width), bits.dtype)
    padded[:rows] = bits
    found = 0
    for piece in padded.reshape(pieces, _ROWS, width):
        columns = np.unique(piece[: min(rows, _ROWS)], axis=1)
        found += int(np.sum(columns.min(axis=0) != columns.max(axis=0)))
    return found + width * selectors


def table_parts(rows: int, width: int, model: RtlModel) -> Resources:
    """A memory with a port for reading and one for writing, each a row a clock."""
    # A single row has a second one, so that there is an address.
    rows = max(2, rows)
    lut, found = queue(rows, width), block_parts(rows, width, model)
    if lut / 4 * model.lut_memory > model.block * found.bram18:
        return found
    return Resources(lut=lut)


def select(ways: int, width: int) -> float:
    """One of several words: a LUT chooses from four, or from two."""
    return 0.0 if ways <= 1 else width * max(1.0, ways / 3)


def single_port(rows: int, width: int) -> int:
    """A memory that is read and written at the same place (RAM32X2S, RAM64X1S; UG474)."""
    if rows <= 1:
        return 0
    return -(-width // 2) if rows <= _ROWS // 2 else width * -(-rows // _ROWS)


def queue(depth: int, width: int) -> int:
    """A queue's memory: 32 x 6 bits in 4 LUTs, or 64 x 3 (RAM32M, RAM64M; UG474)."""
    if depth <= _ROWS // 2:
        return 4 * -(-width // 6)
    return 4 * -(-width // 3) * -(-depth // _ROWS)
