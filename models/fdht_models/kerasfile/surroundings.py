"""From a recurrent layer back to the model's input, and on to its classifier, by connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ConfigError
from fdht_models.kerasfile.configuration import INPUT, Graph, Tensor
from fdht_models.kerasfile.frame_maps import FrameMap, Real, shapes_of, step_of
from fdht_models.kerasfile.layer_weights import Layer
from fdht_models.kerasfile.saved_files import AS_ARRAYS, SavedModel

#: Bytes are from 0 to 255, and the experiment's network sees them divided by this.
_BYTES = 256.0
#: A `Rescaling` by less than this is of bytes: 1/255, 1/127.5, 1/128.
_SCALE_OF_BYTES = 1 / 64


@dataclass(frozen=True)
class Before:
    """What stands between the model's input and the recurrent layer, on its input's last axis.

    Attributes:
        kernel: [values of a frame, gates x H], with all that could be folded into it.
        offset: [gates x H], to be added to the bias of the input; None: nothing.
        folded, idle: labels of layers that are in the kernel, and of those that do nothing.
        stop: label of the layer nearest to the recurrent one that could not be folded, and why.
        of_bytes: the model's input is bytes and not bytes divided by 256.
    """

    kernel: npt.NDArray[Any]
    offset: Real | None = None
    folded: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    stop: tuple[str, str] | None = None
    of_bytes: bool = False


@dataclass(frozen=True)
class Way:
    """A way from the recurrent layer to an output of the model, or to where it ends.

    Attributes:
        kernel: [H, values], the affine map so far; None before the first layer.
        bias: [values].
        dense: label of the last Dense on the way, or None.
        function: behind the affine map, with the label of its layer.
        folded, idle: labels of layers in the affine map, and of those that do nothing.
        stop: label of the layer at which the way ends, and why; None at an output.
    """

    kernel: Real
    bias: Real
    dense: str | None = None
    function: tuple[str, str] | None = None
    folded: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    stop: tuple[str, str] | None = None


def before(model: SavedModel, graph: Graph, number: int, kernel: npt.NDArray[Any]) -> Before:
    """Walks from a recurrent layer back to the model's input, folding what is affine.

    Args:
        model: the open file.
        graph: of the model.
        number: of the call of the recurrent layer.
        kernel: of the recurrent layer, [inputs, gates x H].

    Raises:
        ConfigError: a layer on the way is code.
    """
    shapes, walk = shapes_of(graph), Before(kernel)
    tensor = graph.calls[number].inputs[0]
    while walk.stop is None and graph.calls[tensor.call].layer.kind != INPUT:
        call = graph.calls[tensor.call]
        refuse_code([call.layer])
        step = step_of(model, call, shapes.get(call.inputs[0]) if call.inputs else None)
        found = step if isinstance(step, str) else _fold_back(walk, call.layer, step)
        if isinstance(found, str):
            walk = replace(walk, stop=(call.layer.label, found))
        else:
            walk, tensor = found, call.inputs[0]
    if walk.stop is not None:
        refuse_code(_ancestors(graph, tensor))
        return replace(walk, of_bytes=False)
    dtype = str(graph.calls[tensor.call].layer.config.get("dtype", ""))
    if walk.of_bytes or dtype.startswith(("int", "uint")):
        return replace(walk, kernel=walk.kernel * _BYTES, of_bytes=True)
    return walk


def after(model: SavedModel, graph: Graph, number: int, units: int) -> list[Way]:
    """All ways from a recurrent layer on, each to an output of the model or to its end.

    Args:
        model: the open file.
        graph: of the model.
        number: of the call of the recurrent layer.
        units: H.
    """
    shapes = shapes_of(graph)
    layer = graph.calls[number].layer
    whole = Way(np.eye(units), np.zeros(units))
    # The output, and if they are returned h and an LSTM's c.
    states = (1, 2) if layer.config.get("return_state") else ()
    ends: list[Way] = []
    waiting = [(Tensor(number, output), whole) for output in (0, *states)]
    while waiting:
        tensor, path = waiting.pop()
        if tensor.output == 2 and tensor.call == number:
            ends.extend(
                _ended(path, graph.calls[one].layer, "it reads the cell's state")
                for one in graph.readers(tensor)
            )
            continue
        if tensor in graph.outputs:
            ends.append(path)
        for one in graph.readers(tensor):
            call = graph.calls[one]
            step = step_of(model, call, shapes.get(tensor))
            reached = _fold_on(path, call.layer, step)
            if reached.stop is None:
                waiting.append((Tensor(one), reached))
            else:
                ends.append(reached)
    return ends[::-1]


def descendants(graph: Graph, number: int) -> list[Layer]:
    """Layers behind a call, near ones first."""
    reached, found = {number}, []
    for one in range(number + 1, len(graph.calls)):
        call = graph.calls[one]
        if any(tensor.call in reached for tensor in call.inputs):
            reached.add(one)
            found.append(call.layer)
    return found


def refuse_code(layers: Sequence[Layer]) -> None:
    """Refuses layers that are code.

    Raises:
        ConfigError: one is.
    """
    for layer in layers:
        if layer.code:
            raise ConfigError(
                f"stands in the way of the frames; {layer.code}",
                field=layer.name,
                value=layer.kind,
                remedy=f"put a layer of Keras in its place, {AS_ARRAYS}",
            )


def _fold_back(walk: Before, layer: Layer, step: FrameMap) -> Before | str:
    """Folds what a layer does before the kernel; a reason if that cannot be."""
    if step.function is not None:
        return f"its function is {step.function}"
    kernel = walk.kernel.astype(np.float64, copy=False)
    offset = step.offset
    if step.matrix is not None:
        if step.matrix.shape[1] != len(kernel):
            return "it works on the last of several axes of a frame"
    elif step.affine:
        sizes = [one.size for one in (step.scale, offset) if one is not None]
        if any(len(kernel) % size for size in sizes):
            return "its values are not as many as a frame's"
    if not step.affine:
        return replace(walk, idle=(*walk.idle, layer.label))
    added = walk.offset
    if offset is not None:
        added = np.resize(offset, len(kernel)) @ kernel + (0 if added is None else added)
    if step.matrix is not None:
        kernel = step.matrix @ kernel
    if step.scale is not None:
        kernel = np.resize(step.scale, len(kernel))[:, None] * kernel
    of_bytes = walk.of_bytes
    if layer.kind == "Rescaling" and step.scale is not None:
        of_bytes |= bool((np.abs(step.scale) <= _SCALE_OF_BYTES).all())
    folded = (*walk.folded, layer.label)
    return replace(walk, kernel=kernel, offset=added, folded=folded, of_bytes=of_bytes)


def _fold_on(path: Way, layer: Layer, step: FrameMap | str) -> Way:
    """A way with one layer more."""
    if isinstance(step, str):
        return _ended(path, layer, step)
    idle = not step.affine and step.function is None
    if idle:
        return replace(path, idle=(*path.idle, layer.label))
    if path.function is not None:
        label, function = path.function
        return replace(path, stop=(label, f"its function is {function}"))
    kernel, bias = path.kernel, path.bias
    if step.matrix is not None:
        if step.matrix.shape[0] != kernel.shape[1]:
            return _ended(path, layer, "its values are not as many as before it")
        kernel, bias = kernel @ step.matrix, bias @ step.matrix
    for one in (step.scale, step.offset):
        if one is not None and one.size not in (1, len(bias)):
            return _ended(path, layer, "its values are not as many as before it")
    if step.scale is not None:
        kernel, bias = kernel * step.scale, bias * step.scale
    if step.offset is not None:
        bias = bias + step.offset
    return replace(
        path,
        kernel=kernel,
        bias=bias,
        dense=layer.label if layer.kind == "Dense" or step.matrix is not None else path.dense,
        function=None if step.function is None else (layer.label, step.function),
        folded=(*path.folded, layer.label) if step.affine else path.folded,
    )


def _ended(path: Way, layer: Layer, reason: str) -> Way:
    return replace(path, stop=(layer.label, reason))


def _ancestors(graph: Graph, tensor: Tensor) -> tuple[Layer, ...]:
    """Layers from which a tensor comes, the nearest first; not the inputs."""
    wanted, found = {tensor.call}, []
    for number in range(tensor.call, -1, -1):
        call = graph.calls[number]
        if number not in wanted:
            continue
        wanted |= {one.call for one in call.inputs}
        if call.layer.kind != INPUT:
            found.append(call.layer)
    return tuple(found)
