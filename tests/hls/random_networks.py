"""Networks with random integers, made without Keras: twins share all but their weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fdht_hls.tuner.untrained import network_of
from fdht_models.sections import QuantizationSettings
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.quantized import Head, QuantizedNetwork
from fdht_models.tensor.recurrent import RecurrentShape, fdht_shape

#: 60 inputs, 8 units; fibres that share memory words.
SMALL = fdht_shape((3, 4, 5), (8, 2, 2), (2, 2, 2), 2, 2)
#: Codes that no word holds a whole number of.
NARROW = QuantizationSettings(cores=6, head_weights=7)
CLASSES = ("a", "b", "c")


def random_network(
    seed: int,
    shape: RecurrentShape = SMALL,
    widths: QuantizationSettings | None = None,
    classes: tuple[str, ...] = CLASSES,
) -> QuantizedNetwork:
    """A network; those of one shape and widths differ in their weights only."""
    network = network_of(f"random {seed}", shape, widths or QuantizationSettings(), classes)
    recurrence, cell = network.recurrence, network.recurrence.cell
    own, shared = np.random.default_rng(seed), np.random.default_rng(0)
    tables = {
        name: _filled(getattr(cell, name), shared)
        for name in ("gate", "candidate", "output")
        if hasattr(cell, name)
    }
    return replace(
        network,
        recurrence=replace(
            recurrence,
            cores={name: _filled(core, own) for name, core in recurrence.cores.items()},
            cell=replace(cell, bias=_filled(cell.bias, own), **tables),
        ),
        head=Head(_filled(network.head.weights, own), _filled(network.head.bias, own)),
    )


def _filled(array: QuantizedArray, generator: Any) -> QuantizedArray:
    form = array.format
    codes = generator.integers(form.minimum, form.maximum + 1, array.codes.shape)
    return QuantizedArray(form, codes.astype(np.int64))
