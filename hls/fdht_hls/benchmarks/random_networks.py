"""Networks of any shape whose integers are random: for cycles, resources and equality.

They classify nothing, but no sum is dead: every core, bias and truth table has codes over its whole
range. Needs neither Keras nor data. `STUDY` are the configurations of the architecture study, all
of 57,600 inputs and 256 hidden units.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.tuner.untrained import network_of
from fdht_models.sections import QuantizationSettings
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.quantized import Head, QuantizedNetwork
from fdht_models.tensor.recurrent import RecurrentShape, fdht_shape

#: Leaf rank and inner rank of all of them.
RANK = 4
#: Input modes, output modes (gates in the first) and the box of h.
MODES: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    "A0": ((8, 20, 20, 18), (16, 4, 4, 4), (8, 4, 8)),
    "B": ((10, 12, 20, 24), (16, 8, 4, 2), (8, 4, 8)),
    "C": ((10, 12, 20, 24), (32, 8, 4, 1), (8, 4, 8)),
    "E": ((8, 10, 10, 9, 8), (16, 4, 4, 2, 2), (4, 4, 4, 4)),
}
STUDY: dict[str, RecurrentShape] = {
    name: fdht_shape(*modes, RANK, RANK) for name, modes in MODES.items()
}
#: Labels of UCF11, whose frames have this size.
CLASSES = 11


def random_network(
    name: str,
    shape: RecurrentShape,
    widths: QuantizationSettings | None = None,
    classes: int = CLASSES,
    seed: int = 0,
) -> QuantizedNetwork:
    """A network of a shape with random integers.

    Args:
        name: its name.
        shape: cell, format, modes and ranks.
        widths: bits of all numbers; by default those of an experiment that names none.
        classes: number of logits.
        seed: of the integers.

    Raises:
        NumericError: a sum would be wider than an accumulator.
    """
    labels = tuple(f"class {number}" for number in range(classes))
    return with_random_codes(
        network_of(name, shape, widths or QuantizationSettings(), labels), seed
    )


def with_random_codes(network: QuantizedNetwork, seed: int = 0) -> QuantizedNetwork:
    """The same network with random integers in place of its own."""
    generator = np.random.default_rng(seed)

    def random(array: QuantizedArray) -> QuantizedArray:
        form = array.format
        codes = generator.integers(form.minimum, form.maximum + 1, array.codes.shape)
        return QuantizedArray(form, codes)

    recurrence, head = network.recurrence, network.head
    arrays: dict[str, Any] = {
        entry.name: random(value)
        for entry in fields(recurrence.cell)
        if isinstance(value := getattr(recurrence.cell, entry.name), QuantizedArray)
    }
    cores = {key: random(core) for key, core in recurrence.cores.items()}
    return replace(
        network,
        recurrence=replace(recurrence, cores=cores, cell=replace(recurrence.cell, **arrays)),
        head=Head(random(head.weights), random(head.bias)),
    )


def random_frames(network: QuantizedNetwork, frames: int, seed: int = 0) -> npt.NDArray[Any]:
    """Noise over all codes of a frame's values: [frames, inputs]."""
    form = network.input_format
    codes = np.random.default_rng(seed).integers(
        form.minimum, form.maximum + 1, (frames, network.inputs)
    )
    return codes.astype(np.int8 if form.signed else np.uint8)
