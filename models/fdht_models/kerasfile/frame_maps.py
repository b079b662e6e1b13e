"""What a trained layer does to a frame: nothing, an affine map, a function, or what is not ours.

And the shapes of tensors, without the batch, as far as they follow from the settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ShapeError
from fdht_models.kerasfile.configuration import INPUT, Graph, LayerCall, Tensor
from fdht_models.kerasfile.layer_weights import (
    BATCH_NORMALIZATION,
    IDLE,
    KERAS,
    Layer,
    numbered,
    weights_of,
)
from fdht_models.kerasfile.saved_files import SavedModel

Real = npt.NDArray[np.float64]

#: Keras' smallest divisor, `backend.epsilon()`.
_EPSILON = 1e-7
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


@dataclass(frozen=True)
class FrameMap:
    """y = function(scale * x + offset), or function(x @ matrix + offset), on the last axis.

    Attributes:
        scale: of each value, or a single one; None: 1.
        matrix: [values before, values after], or None.
        offset: of each value after, or a single one; None: 0.
        function: name of a function that is no affine map, or None.
    """

    scale: Real | None = None
    matrix: Real | None = None
    offset: Real | None = None
    function: str | None = None

    @property
    def affine(self) -> bool:
        """Whether it changes values by an affine map."""
        return self.scale is not None or self.matrix is not None or self.offset is not None


def step_of(model: SavedModel, call: LayerCall, before: Shape) -> FrameMap | str:
    """What a call does; why it is none of these, as a clause, where it is another.

    Args:
        model: the open file, for weights.
        call: of a layer that is not recurrent.
        before: shape of what it reads.

    Raises:
        FdhtError: weights are missing or damaged.
    """
    if call.layer.code:
        return call.layer.code
    if len(call.inputs) != 1:
        return "it joins several tensors"
    if call.arguments:
        return f"it is called with {', '.join(call.arguments)}"
    return _step(model, call.layer, before)


def _step(model: SavedModel, layer: Layer, before: Shape) -> FrameMap | str:
    kind, config = layer.kind, layer.config
    if kind in IDLE:
        return FrameMap()
    if kind in ("Reshape", "Flatten"):
        return _reshape(layer, before)
    if kind == "Dense":
        return _dense(model, layer)
    if kind in BATCH_NORMALIZATION:
        return _batch_normalization(model, layer, before)
    if kind == "Normalization":
        return _normalization(model, layer, before)
    if kind == "Rescaling":
        return _rescaling(config)
    if kind == "Activation":
        name = function_name(config.get("activation"))
        return FrameMap(function=None if name == "linear" else name)
    if kind == "Softmax":
        on_last = _on_last_axis(config.get("axis", -1), before)
        return FrameMap(function="softmax") if on_last else "it works on another axis"
    if kind == "TimeDistributed" and layer.wrapped is not None:
        return _each_frame(model, layer.wrapped, before)
    return "the experiment's network has no such layer"


def function_name(value: Any) -> str:
    """The name of an activation as Keras writes it; "another function" if it is not Keras' own."""
    if isinstance(value, dict):  # a function of Keras' own, or anything else
        own = str(value.get("module")).split(".")[0] in KERAS
        value = value.get("config") if own and value.get("class_name") == "function" else None
    return value if isinstance(value, str) and value else "another function"


def _reshape(layer: Layer, before: Shape) -> FrameMap | str:
    if keeps_frames(layer, before):
        return FrameMap()
    if layer.kind == "Flatten" and before is not None and len(before) == 1:
        return FrameMap()
    if layer.kind == "Reshape" and before is not None and len(before) == 1:
        target = layer.config.get("target_shape")
        if target in ([-1], [before[0]]) and before[0] is not None:
            return FrameMap()
    return "it changes what a frame is, or the shape before it is not in the file"


def _each_frame(model: SavedModel, inner: Layer, before: Shape) -> FrameMap | str:
    if inner.kind == "Flatten":
        if inner.config.get("data_format", "channels_last") != "channels_last":
            return "it moves the channels to the end"
        return FrameMap()
    if before is not None and len(before) < 2:
        return "there are no frames before it"
    return _step(model, inner, None if before is None else before[1:])


def _dense(model: SavedModel, layer: Layer) -> FrameMap | str:
    config = layer.config
    if config.get("quantization_mode") or _quantised(config.get("dtype")):
        return "it is quantised"
    names = ["kernel", "bias"] if config.get("use_bias", True) else ["kernel"]
    arrays = weights_of(model, layer, names)
    kernel = arrays["kernel"].astype(np.float64)
    bias = arrays["bias"].astype(np.float64) if "bias" in arrays else None
    units = config.get("units", config.get("output_dim"))
    if (
        kernel.ndim != 2
        or kernel.shape[1] != units
        or (bias is not None and bias.shape != (units,))
    ):
        raise ShapeError(
            f"must have a kernel of [values, {units}] and as long a bias",
            field=layer.name,
            value=[list(one.shape) for one in arrays.values()],
        )
    name = function_name(config.get("activation", "linear"))
    return FrameMap(matrix=kernel, offset=bias, function=None if name == "linear" else name)


def _batch_normalization(model: SavedModel, layer: Layer, before: Shape) -> FrameMap | str:
    config = layer.config
    if not _on_last_axis(config.get("axis", -1), before):
        return "it works on another axis than a frame's last, or the file does not say"
    if config.get("renorm"):
        return "it renormalises"
    trained = [name for name, key in (("gamma", "scale"), ("beta", "center")) if config.get(key, 1)]
    arrays = weights_of(model, layer, [*trained, "moving_mean", "moving_variance"])
    epsilon = _number(config.get("epsilon", 1e-3), layer)
    vectors = {name: array.astype(np.float64) for name, array in arrays.items()}
    sizes = {array.shape for array in vectors.values()}
    if len(sizes) != 1 or len(next(iter(sizes))) != 1:
        raise ShapeError("must have vectors of one length", field=layer.name, value=sorted(sizes))
    # y = gamma (x - mean) / sqrt(variance + epsilon) + beta
    scale = 1 / np.sqrt(vectors["moving_variance"] + epsilon)
    if "gamma" in vectors:
        scale = scale * vectors["gamma"]
    offset = -vectors["moving_mean"] * scale
    return FrameMap(scale=scale, offset=offset + vectors["beta"] if "beta" in vectors else offset)


def _normalization(model: SavedModel, layer: Layer, before: Shape) -> FrameMap | str:
    config = layer.config
    axis, given = config.get("axis", -1), (config.get("mean"), config.get("variance"))
    whole = axis is None or axis == []
    if not whole and not _on_last_axis(axis, before):
        return "it works on another axis than a frame's last, or the file does not say"
    if any(one is not None for one in given):
        mean, variance = (_vector(one) for one in given)
        if mean is None or variance is None:
            return "its mean and variance are not in the file as numbers"
    else:
        arrays = weights_of_normalization(model, layer)
        mean, variance = (arrays[name].astype(np.float64).reshape(-1) for name in arrays)
    deviation = np.maximum(np.sqrt(variance), _EPSILON)
    if config.get("invert"):
        return FrameMap(scale=deviation, offset=mean)
    return FrameMap(scale=1 / deviation, offset=-mean / deviation)


def weights_of_normalization(model: SavedModel, layer: Layer) -> dict[str, npt.NDArray[Any]]:
    """Mean and variance; the number of samples behind them is a whole number, and is not read."""
    names = ("mean", "variance")
    if not model.stored:
        return weights_of(model, layer, names)
    group = model.root.group(f"{layer.group}/vars")
    arrays = {} if group is None else numbered(group, names)
    return arrays if len(arrays) == 2 else weights_of(model, layer, names)


def _rescaling(config: Mapping[str, Any]) -> FrameMap | str:
    scale, offset = _vector(config.get("scale", 1.0)), _vector(config.get("offset", 0.0))
    if scale is None or offset is None:
        return "its scale and offset are not in the file as numbers"
    return FrameMap(scale=scale, offset=offset if offset.any() else None)


def _vector(value: Any) -> Real | None:
    """A number, or a list of numbers, perhaps in lists of a single entry; None: something else."""
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        (value,) = value
    listed = value if isinstance(value, list) else [value]
    if not listed or any(
        isinstance(one, bool) or not isinstance(one, int | float) for one in listed
    ):
        return None
    return np.array(listed, np.float64)


def _on_last_axis(axis: Any, before: Shape) -> bool:
    if isinstance(axis, list) and len(axis) == 1:
        (axis,) = axis
    return axis == -1 or (before is not None and axis == len(before))


def _quantised(dtype: Any) -> bool:
    return isinstance(dtype, dict) and "Quantized" in str(dtype.get("class_name"))


def _number(value: Any, layer: Layer) -> float:
    found = _vector(value)
    if found is None or found.size != 1:
        raise ShapeError("must be a number", field=f"{layer.name}.epsilon", value=value)
    return float(found[0])


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
