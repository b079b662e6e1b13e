"""Networks whose heads have unusual formats: unsigned, of whole numbers, of one bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import Head, QuantizedNetwork
from tests.models.strategies import build_network

_SIGNED, _UNSIGNED = FixedPoint(8, 7), FixedPoint(8, 8, signed=False)
#: Formats of weights and bias.
_FORMATS = {
    "unsigned weights": (_UNSIGNED, _SIGNED),
    "unsigned bias": (_SIGNED, _UNSIGNED),
    "all unsigned": (_UNSIGNED, _UNSIGNED),
    "whole numbers": (FixedPoint(4, 0), FixedPoint(6, 0, signed=False)),
    "even numbers": (FixedPoint(4, -1), FixedPoint(8, -1)),
    "one bit": (FixedPoint(1, 1, signed=False), FixedPoint(1, 0, signed=False)),
    "fine bias": (FixedPoint(2, 0), FixedPoint(20, 19)),
}


def _network(name: str, weights: FixedPoint, bias: FixedPoint) -> QuantizedNetwork:
    network = build_network(name=name)
    generator = np.random.default_rng(len(name))

    def draw(form: FixedPoint, shape: tuple[int, ...]) -> QuantizedArray:
        codes = generator.integers(form.minimum, form.maximum + 1, shape)
        codes.flat[:2] = form.maximum, form.minimum
        return QuantizedArray(form, codes)

    units, classes = network.recurrence.units, len(network.classes)
    head = Head(draw(weights, (units, classes)), draw(bias, (classes,)))
    return replace(network, head=head)


HEADS = {name: _network(name, *formats) for name, formats in _FORMATS.items()}
