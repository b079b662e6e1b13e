"""Networks with random integers, made without Keras: twins share all but their weights."""

from __future__ import annotations

from dataclasses import replace

from fdht_hls.benchmarks.random_networks import with_random_codes
from fdht_hls.tuner.untrained import network_of
from fdht_models.sections import QuantizationSettings
from fdht_models.tensor.quantized import QuantizedNetwork
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
    made, first = with_random_codes(network, seed), with_random_codes(network)
    # Truth tables are in the hardware for good.
    cell = replace(first.recurrence.cell, bias=made.recurrence.cell.bias)
    return replace(made, recurrence=replace(made.recurrence, cell=cell))
