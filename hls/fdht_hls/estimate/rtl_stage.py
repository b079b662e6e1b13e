"""What a contraction stage of the RTL takes, module by module of `fdht_hls.rtl.contraction`."""

from __future__ import annotations

import math

import numpy as np

from fdht_hls.engine.contractions import StagePlan
from fdht_hls.estimate.coefficients import Assumptions, ResourceModel
from fdht_hls.estimate.hls_parts import multipliers
from fdht_hls.estimate.primitives import dsps_of_product
from fdht_hls.estimate.resources import Resources, luts
from fdht_hls.estimate.rtl_memory import (
    RtlModel,
    bits_of,
    queue,
    rom_parts,
    select,
    single_port,
    table_parts,
)


def stage_parts(stage: StagePlan, model: RtlModel) -> Resources:
    """A contraction stage and the queue behind it."""
    design, schedule = stage.design, stage.schedule
    shape, vector = design.shape, schedule.vector
    # Vectors of a beat share its weights, but nothing else.
    outputs = schedule.vectors * schedule.outputs
    slots = max(1, shape.lanes // schedule.vectors) * stage.output_pieces
    taken = vector * schedule.vectors
    logic = select(design.word_in // taken, taken * design.source.width)
    if weights_from_memory(stage) and schedule.multipliers == "lut":
        # Operands wait for the weights in shift registers, a LUT a bit; a DSP slice has its own.
        logic += taken * design.source.width
    logic += _products(stage, model)
    if not shape.fibre and shape.mode > 1:
        kept = shape.groups * shape.inner // stage.words_at_once * slots
    else:
        kept = stage.output_pieces if stage.vector_pieces > 1 else 0
    if kept:
        logic += outputs * design.total.width
    if not design.exact:
        logic += outputs * design.result.width * model.rounding_bit
    logic += model.stage + slots * model.slot
    memory = single_port(kept, outputs * design.total.width)
    # Words that are completed at once share a place; they are given on one by one, but for those of
    # fibres, which the second stage takes as one.
    words, word = stage.words_split, design.word_out * design.result.width
    memory += queue(-(-stage.queue_words // words), words * word)
    logic += select(words, word)
    each = dsps_of_product(
        design.source.width + int(not design.source.signed),
        design.core.format.width,
        ResourceModel(),
    )
    in_dsp = schedule.multipliers == "dsp" and schedule.weights != "adders"
    dsp = each * schedule.parallel if in_dsp else 0
    own = Resources(lut=luts(logic + memory), dsp=dsp)
    return own + _stage_weights(stage, model)


def weights_from_memory(stage: StagePlan) -> bool:
    """Beats differ in their weights, which have registers before and behind their memory."""
    kind = stage.schedule.weights
    return kind == "loadable" or (kind == "constant" and len(stage.rows.codes) > 1)


def _stage_weights(stage: StagePlan, model: RtlModel) -> Resources:
    """The memory of a stage's weights."""
    schedule, codes = stage.schedule, stage.rows.codes
    if schedule.weights == "adders":
        return Resources()
    rows, core = len(codes), stage.rows.format.width
    width = schedule.weights_in_beat * core
    if schedule.weights == "loadable":
        return table_parts(rows, width, model)
    return rom_parts(rows, width, model, bits_of(codes, core))


def _products(stage: StagePlan, model: RtlModel) -> float:
    """Multipliers made of LUTs, and the adders of a vector's products."""
    design, schedule, codes = stage.design, stage.schedule, stage.rows.codes
    source = design.source.width + int(not design.source.signed)
    core, parallel = design.core.format.width, schedule.parallel
    outputs = schedule.vectors * schedule.outputs
    exact = design.source.width + core
    if schedule.weights == "adders":
        return float(multipliers(design, schedule, ResourceModel(), Assumptions()).lut)
    if schedule.multipliers == "dsp":
        # The adder behind two DSP slices is part of one of them.
        pairs = -(-schedule.vector // 2)
        return outputs * _adders(pairs, exact + 1, design.total.width)
    if weights_from_memory(stage):
        # Booth's recoding: a row of adders for two bits of the narrower operand.
        wide, narrow = max(source, core), min(source, core)
        sums = outputs * _adders(schedule.vector, exact, design.total.width)
        return sums + parallel * -(-narrow // 2) * (wide + 1)
    digits, bits = core / 3 + 1 / 9, float(core)
    if codes.any():
        digits = float(np.mean([_digits(int(code)) for code in codes.ravel()]))
        bits = 1 + math.log2(1 + float(np.abs(codes).mean()))
    sums = outputs * _adders(schedule.vector, math.ceil(source - 1 + bits), design.total.width)
    return sums + parallel * max(0.0, digits - 1) * (source + 1) * model.constant_bit


def _adders(terms: int, width: int, most: int) -> int:
    """Bits of the adders that sum terms of so many bits, two by two."""
    bits = 0
    while terms > 1:
        width = min(width + 1, most)
        bits += terms // 2 * width
        terms = -(-terms // 2)
    return bits


def _digits(factor: int) -> int:
    """Signed digits of a constant that are not 0: a product takes an adder less than that."""
    return (abs(factor) ^ (3 * abs(factor))).bit_count()
