"""ResourceModel: every coefficient of the estimate, with its unit and where it comes from.

"Study" is the architecture study behind this project: LUT figures of constant multipliers from
da4ml 0.6.0 and yosys, no place-and-route. "[E]" marks an engineer's estimate. All of it is to be
calibrated against synthesised designs; that changes this file only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResourceModel:
    """Coefficients of the estimate.

    Args:
        dsp_wide_bits: wider operand of a DSP slice, sign included: 25 of a DSP48E1 (7 series,
            UG479), 27 of a DSP48E2 (UltraScale+, UG579).
        dsp_narrow_bits: narrower operand: 18 of both.
        int8_bits: widest operand of two products in one DSP slice (WP486); see
            `Assumptions.int8_pairs`.
        lut_per_constant_bit: LUT for a constant multiply-accumulate, for each bit of weight times
            each bit of input, adders included: study, section 3 (10, 14, 14.6 and 20 LUT at 6 x 8,
            6 x 12, 8 x 8 and 8 x 12 bits; within 9 % of these, and 17 % of single kernels).
        ff_per_lut: flip-flops for each LUT of a multiplier made of LUT: study, section 3 (0.6 to
            0.9, two adders a pipeline stage).
        lut_per_adder_bit: LUT for a bit of a sum: one LUT and one bit of a carry chain (UG474).
        lut_per_clear_bit: LUT for a bit that is replaced by 0 at the start of a sum: two bits a
            LUT, which share their condition (UG474, LUT6_2).
        lut_per_rounding_bit: LUT for a bit of a sum that is rounded half to even: an adder.
        lut_per_saturation_bit: LUT for a bit that is replaced by a limit.
        lut_per_select_way: LUT for a bit that is chosen from several, for each way: a LUT chooses
            from 4 (UG474).
        lut_per_fifo_bit: LUT for a bit of a FIFO of up to 32 words: SRLC32E (UG474).
        ff_per_fifo_bit: flip-flops of its output register.
        fifo_control: LUT of a FIFO's counters and handshake [E].
        memory_deep: words from which a memory is made of block RAM; shallower ones are LUT [E].
        memory_bits: bits from which a memory is made of block RAM [E].
        stage_control_lut: counters and handshakes of a pipelined process [E].
        stage_control_ff: its flip-flops, pipeline valid bits included [E].
        reader_lut: AXI4 read master of 64 bits as HLS makes it, with its burst buffer [E].
        reader_ff: likewise [E].
        reader_bram18: likewise: a burst buffer of 64 bits [E].
        writer_lut: AXI4 write master of 64 bits [E].
        writer_ff: likewise [E].
        writer_bram18: likewise [E].
        control_lut: AXI4-Lite slave with the core's registers [E].
        control_ff: likewise [E].
        pipeline_depth: clocks between entry and exit of a pipelined loop [E].
        memory_latency: clocks for a first word from memory [E].
    """

    dsp_wide_bits: int = 25
    dsp_narrow_bits: int = 18
    int8_bits: int = 8
    lut_per_constant_bit: float = 0.21
    ff_per_lut: float = 0.75
    lut_per_adder_bit: float = 1.0
    lut_per_clear_bit: float = 0.5
    lut_per_rounding_bit: float = 1.0
    lut_per_saturation_bit: float = 1.0
    lut_per_select_way: float = 0.25
    lut_per_fifo_bit: float = 1.0
    ff_per_fifo_bit: float = 1.0
    fifo_control: int = 20
    memory_deep: int = 256
    memory_bits: int = 4096
    stage_control_lut: int = 150
    stage_control_ff: int = 200
    reader_lut: int = 900
    reader_ff: int = 1200
    reader_bram18: int = 2
    writer_lut: int = 700
    writer_ff: int = 900
    writer_bram18: int = 2
    control_lut: int = 350
    control_ff: int = 600
    pipeline_depth: int = 12
    memory_latency: int = 40


@dataclass(frozen=True)
class Assumptions:
    """What an engine does that today's C++ kernels do not; all of it is assumed only if asked for.

    Args:
        int8_pairs: two products of 8 bits that share a factor in one DSP slice (WP486); they are
            added in LUT.
    """

    int8_pairs: bool = False


#: DSP slices by family of device; see `hls/fdht_hls/boards`.
FAMILIES = {
    "zynq7000": ResourceModel(),
    "zynqmp": ResourceModel(dsp_wide_bits=27),
}
