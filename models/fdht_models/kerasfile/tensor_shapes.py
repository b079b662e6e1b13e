"""Shapes of the tensors of a graph, without the batch, as far as they follow from the settings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fdht_models.kerasfile.configuration import INPUT, Graph, Tensor
from fdht_models.kerasfile.layers import BATCH_NORMALIZATION, IDLE, Layer

#: Sizes of the axes behind the batch; None: any. As a whole None: not known.
Shape = tuple[int | None, ...] | None

#: Layers whose weights can be taken.
RECURRENT = ("LSTM", "GRU")
#: Layers that change no shape.
KEEPING = frozenset(
    {
        *IDLE,
        *BATCH_NORMALIZATION,
        "Activation",
        "ELU",
        "LayerNormalization",
        "LeakyReLU",
        "Masking",
        "Normalization",
        "PReLU",
        "ReLU",
        "Rescaling",
        "Softmax",
        "ThresholdedReLU",
        "UnitNormalization",
    }
)


def shapes_of(graph: Graph) -> dict[Tensor, Shape]:
    """Shapes of tensors; of one that is not in it, nothing is known."""
    shapes: dict[Tensor, Shape] = {}
    for number, call in enumerate(graph.calls):
        before = shapes.get(call.inputs[0]) if call.inputs else None
        shapes[Tensor(number)] = _shape(call.layer, before)
        if call.layer.kind in RECURRENT and call.layer.config.get("return_state"):
            units = (_size(call.layer.config.get("units")),)
            shapes |= {Tensor(number, state): units for state in (1, 2)}
    return shapes


def keeps_frames(layer: Layer, before: Shape) -> bool:
    """Whether a `Reshape` or `Flatten` leaves every frame's values in their order.

    Frames are the first axis; Keras lays out values with the last axis fastest, as we do.
    """
    after = _shape(layer, before)
    if before is None or after is None or len(before) < 2 or len(after) < 2:
        return False
    time, values = before[0], _product(before[1:])
    return values is not None and values == _product(after[1:]) and time == after[0]


def _shape(layer: Layer, before: Shape) -> Shape:
    if layer.kind == INPUT:
        return _input_shape(layer)
    if layer.kind in KEEPING:
        return before
    if layer.kind in RECURRENT:
        units = (_size(layer.config.get("units")),)
        return (*before[:1], *units) if before and layer.config.get("return_sequences") else units
    if before is None:
        return None
    if layer.kind == "Dense":
        return (*before[:-1], _size(layer.config.get("units")))
    if layer.kind == "Flatten":
        return (_product(before),)
    if layer.kind == "Reshape":
        return _reshaped(before, layer.config.get("target_shape"))
    if layer.kind == "TimeDistributed" and layer.wrapped is not None and len(before) > 1:
        inner = _shape(layer.wrapped, before[1:])
        return None if inner is None else (before[0], *inner)
    return None


def _input_shape(layer: Layer) -> Shape:
    found = layer.config.get("batch_input_shape", layer.config.get("batch_shape"))
    if not isinstance(found, list) or not found:
        return None
    return tuple(_size(one) for one in found[1:])


def _reshaped(before: Sequence[int | None], target: object) -> Shape:
    if not isinstance(target, list) or not all(_is_size(one) or one == -1 for one in target):
        return None
    if target.count(-1) != 1:
        return tuple(target)
    known = math.prod(one for one in target if one != -1)
    total = _product(before)
    if total is not None and known:
        return tuple(total // known if one == -1 else one for one in target)
    # Any number of frames stays any number if what is left of a frame is all of it.
    rest = _product(before[1:])
    open_time = before[0] is None and target[0] == -1 and rest == known
    return (None, *target[1:]) if open_time else None


def _product(sizes: Sequence[int | None]) -> int | None:
    known = [one for one in sizes if one is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def _size(value: object) -> int | None:
    return value if _is_size(value) else None  # type: ignore[return-value]


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
