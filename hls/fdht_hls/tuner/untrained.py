"""A quantised network of an experiment that is not trained: shapes and formats, weights of zero.

An estimate needs no more. Widths are the experiment's; binary points, which calibration chooses
when a network is trained, are put where random weights would need them. They move the widths of
the cell's sums by a few bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fdht_models.errors import NumericError
from fdht_models.experiment import INPUT_FORMAT, Experiment
from fdht_models.preprocessing import plain
from fdht_models.sections import QuantizationSettings
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells import CELLS, Cell
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.fixedpoint import FixedPoint, signed_bits
from fdht_models.tensor.plan import ContractionPlan
from fdht_models.tensor.quantized import (
    ContractionPath,
    Head,
    QuantizedNetwork,
    QuantizedRecurrence,
)
from fdht_models.tensor.recurrent import RecurrentShape

#: Bits of the widest sum: the accumulator of a DSP48 (UG479, UG579).
ACCUMULATOR_BITS = 48
#: How many standard deviations a format holds: two bits.
_HEADROOM_BITS = 2
#: Binary places left of the point of the gates' argument and of the cell state: +-8.
_ARGUMENT_BITS = 4


def untrained_network(experiment: Experiment) -> QuantizedNetwork:
    """The network of an experiment, as far as hardware depends on it.

    Raises:
        NumericError: a sum would be wider than an accumulator.
    """
    found = network_of(
        experiment.name,
        experiment.shape,
        experiment.quantization,
        experiment.source.class_names,
    )
    # Which feature it is of, decides whether a core can compute it.
    return replace(found, preprocessing=experiment.source.preprocessing)


def network_of(
    name: str,
    shape: RecurrentShape,
    widths: QuantizationSettings,
    classes: tuple[str, ...],
    source: FixedPoint = INPUT_FORMAT,
) -> QuantizedNetwork:
    """A network with weights of zero.

    Args:
        name: its name.
        shape: cell, format, modes and ranks.
        widths: bits of all numbers.
        classes: labels of the logits.
        source: format of a frame's values.

    Raises:
        NumericError: a sum would be wider than an accumulator.
    """
    hidden = FixedPoint(widths.hidden, widths.hidden - 1)
    check_accumulators(shape, widths, source)
    forms = {key: _weight_format(widths.core_width(key)) for key in shape.stored_shapes}
    paths = []
    for plan, names, start in (
        (shape.input_plan, shape.input_cores, source),
        (shape.hidden_plan, shape.hidden_cores, hidden),
    ):
        formats, size = _stage_formats(plan, [forms[core] for core in names], start, widths)
        # What the gates see is about +-1: the scale of the last core, which no path shares.
        last = forms[names[-1]]
        forms[names[-1]] = FixedPoint(last.width, last.fraction + size)
        paths.append(ContractionPath(plan, names, formats))
    cores = {key: _zeros(forms[key], sizes) for key, sizes in shape.stored_shapes.items()}
    recurrence = QuantizedRecurrence(
        source, cores, paths[0], paths[1], _cell(shape, widths, hidden)
    )
    head = Head(
        _zeros(_weight_format(widths.head_weights), (shape.units, len(classes))),
        _zeros(FixedPoint(widths.head_bias, widths.head_bias - 2), (len(classes),)),
    )
    preprocessing = plain(shape.input_size, steps=1)
    return QuantizedNetwork(name, classes, preprocessing, recurrence, head)


def check_accumulators(
    shape: RecurrentShape, widths: QuantizationSettings, source: FixedPoint = INPUT_FORMAT
) -> None:
    """Refuses widths with which a stage's sum does not fit an accumulator.

    Raises:
        NumericError: says which stage, how wide, and which widths would fit.
    """
    hidden = FixedPoint(widths.hidden, widths.hidden - 1)
    between = FixedPoint(widths.intermediates, 0)
    for label, plan, names, first in (
        ("W_x", shape.input_plan, shape.input_cores, source),
        ("W_h", shape.hidden_plan, shape.hidden_cores, hidden),
    ):
        for position, (stage, name) in enumerate(zip(plan.stages, names, strict=True)):
            read = between if position else first
            core = FixedPoint(widths.core_width(name), 0)
            bits = signed_bits(read.magnitude * core.magnitude * stage.terms)
            if bits <= ACCUMULATOR_BITS:
                continue
            excess = bits - ACCUMULATOR_BITS
            fits = [
                f"{what} of {width - excess} bits"
                for what, width in (
                    (f"core {name}", core.width),
                    *((("intermediates", read.width),) if position else ()),
                )
                if width - excess >= 2
            ]
            raise NumericError(
                f"sums {stage.terms} products of {read.width} and {core.width} bits, which takes "
                f"{bits} bits; an accumulator has {ACCUMULATOR_BITS}",
                field=f"stage {label} {name}",
                remedy=f"use {' or '.join(fits)}" if fits else "use lower ranks or smaller modes",
            )


def _weight_format(width: int) -> FixedPoint:
    return FixedPoint(width, width - 1)


def _zeros(form: FixedPoint, sizes: Sequence[int]) -> QuantizedArray:
    return QuantizedArray(form, np.zeros(tuple(sizes), np.int64))


def _stage_formats(
    plan: ContractionPlan,
    cores: Sequence[FixedPoint],
    source: FixedPoint,
    widths: QuantizationSettings,
) -> tuple[tuple[FixedPoint, ...], int]:
    """Formats of what all stages but the last emit, and how many bits the last one's sums have."""
    # Uniform codes have a root mean square of half their range over the root of 3.
    size = source.magnitude * source.scale / math.sqrt(3)
    formats = []
    for stage, core in zip(plan.stages, cores, strict=True):
        size *= core.magnitude * core.scale / math.sqrt(3 / stage.terms)
        width = widths.intermediates
        formats.append(FixedPoint(width, width - 1 - _HEADROOM_BITS - round(math.log2(size))))
    return tuple(formats[:-1]), round(math.log2(size))


def _cell(shape: RecurrentShape, widths: QuantizationSettings, hidden: FixedPoint) -> Cell:
    kind = KINDS[shape.cell]
    bias = FixedPoint(widths.bias, widths.bias - _ARGUMENT_BITS + 1)
    values: dict[str, Any] = {"bias": _zeros(bias, (len(shape.gates) * shape.units,))}
    for name in kind.formats:
        width = getattr(widths, name)
        values[name] = FixedPoint(width, width - _ARGUMENT_BITS)
    values["hidden"] = hidden
    for name, table in kind.tables.items():
        width, unsigned = getattr(widths, name), table.function == "gate"
        result = FixedPoint(width, width - int(not unsigned), signed=not unsigned)
        values[name] = _zeros(result, (1 << values[table.argument].width,))
    return CELLS[shape.cell](**values)
