"""What the core in RTL takes where zeros are skipped: parser, placer, and places in queues."""

from __future__ import annotations

import math

from fdht_hls.engine.engine_plan import EnginePlan
from fdht_hls.estimate.resources import Resources, luts
from fdht_hls.estimate.rtl_memory import RtlModel, queue
from fdht_models.tensor.sparse_frames import SparseFormat

#: Fibres and places that wait behind the placer.
_FIBRES, _PLACES = 16, 4
#: Numbers of fewer bits are multiplied by LUTs when they are divided, and not by a DSP slice.
_SLICE_BITS = 7


def place_bits(modes: tuple[int, ...] | None) -> int:
    """Bits of a word's place: a coordinate and a mark for each mode that is still to be summed."""
    return sum(_bits(length) + 1 for length in modes or ())


def skipping_parts(plan: EnginePlan, model: RtlModel) -> dict[str, Resources]:
    """What stands in the gearbox's place, and, of sparse frames, what reads their bitmaps."""
    found = {"placer": _placer(plan, model)}
    if plan.sparse:
        form = SparseFormat(plan.port.frame_bytes, plan.port.word_bytes)
        logic = model.bitmap_bit * form.block_words + model.block_bit * _bits(form.blocks)
        found = {"parser": Resources(lut=luts(logic)), **found}
    return found


def _placer(plan: EnginePlan, model: RtlModel) -> Resources:
    """Words are collected in units, whose fibres wait for their places."""
    port, first = plan.port, plan.input[0]
    fibre, modes = first.design.word_in, first.coming or ()
    unit = math.lcm(fibre, port.word_bytes)
    waiting = queue(_FIBRES, 8 * fibre) + queue(_PLACES, place_bits(modes))
    # The number of a word by the words of a unit, then that of a fibre by one mode after the other.
    divisions, left = [(port.frame_words, unit // port.word_bytes)], math.prod(modes)
    for length in modes[:-1]:
        divisions.append((left, length))
        left //= length
    wide = [limit for limit, divisor in divisions if divisor & (divisor - 1)]
    logic = model.unit_bit * 8 * unit + model.division * len(wide)
    slices = sum(_bits(limit) >= _SLICE_BITS for limit in wide)
    return Resources(lut=luts(logic) + waiting, dsp=slices)


def _bits(count: int) -> int:
    """Bits of a number below `count`."""
    return max(1, (count - 1).bit_length())
