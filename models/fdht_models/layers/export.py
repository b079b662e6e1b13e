"""From a quantised Keras layer to the QuantizedNetwork: integers, formats and tables.

What stands around a layer and its head in a model must not be lost: such models are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, Literal

import numpy as np

from fdht_models.errors import ConversionError, NumericError
from fdht_models.kerasapi import keras, qkeras, tf
from fdht_models.layers.quantized import OWN_LAYERS, QuantizedRNN
from fdht_models.layers.quantizers import format_of
from fdht_models.preprocessing import Preprocessing
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells import CELLS, Cell
from fdht_models.tensor.plan import ContractionPlan
from fdht_models.tensor.quantized import (
    ContractionPath,
    Head,
    QuantizedNetwork,
    QuantizedRecurrence,
)

#: Keras adds the logits in float32, which holds integers exactly up to 2**24.
_EXACT_FLOAT32_BITS = 25
#: Layers that compute nothing in inference, by the names of their classes.
_NOTHING = ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "Activation")
#: Functions that rise: the largest logit stays the largest.
_RISING = tuple(getattr(keras.activations, name) for name in ("sigmoid", "tanh", "softplus"))


def export_recurrence(layer: QuantizedRNN) -> QuantizedRecurrence:
    """The integers of a built layer.

    Raises:
        ConversionError: it is none of ours, or not built.
        NumericError: an accumulator would need more than 48 bits.
    """
    if type(layer) not in OWN_LAYERS:
        raise ConversionError(
            "is no layer of ours",
            field=str(getattr(layer, "name", "layer")),
            value=type(layer).__name__,
            remedy=f"use {', '.join(kind.__name__ for kind in OWN_LAYERS)} (docs/model-author.md)",
        )
    _check_built(layer)
    shape = layer.shape
    cores = layer.stored_cores(training=False)
    recurrence = QuantizedRecurrence(
        layer.quantizer_format("input"),
        {name: _codes(cores[name], layer.quantizer_format(name)) for name in shape.stored_names},
        _path(layer, "input", shape.input_plan, shape.input_cores),
        _path(layer, "hidden", shape.hidden_plan, shape.hidden_cores),
        _cell(layer),
    )
    recurrence.check_sums()
    return recurrence


def _check_built(layer: Any) -> None:
    if not layer.built:
        raise ConversionError(
            "has no weights yet", field=layer.name, remedy="call it, or build the model, before"
        )


def _path(
    layer: QuantizedRNN, label: str, plan: ContractionPlan, cores: tuple[str, ...]
) -> ContractionPath:
    names = (f"{label}.{stage.core}" for stage in plan.stages[:-1])
    return ContractionPath(plan, cores, tuple(map(layer.quantizer_format, names)))


def _cell(layer: QuantizedRNN) -> Cell:
    bias = _codes(layer.stored_bias(training=False), layer.quantizer_format("bias"))
    kind = CELLS[layer.cell]
    named = {"bias": bias, **layer.tables}
    missing = [entry.name for entry in fields(kind) if entry.name not in named]
    values: dict[str, Any] = named | {name: layer.quantizer_format(name) for name in missing}
    return kind(**values)


def export_head(layer: Any) -> Head:
    """The integers of a built QDense layer without activation.

    Raises:
        ConversionError: it is another layer, or has no bias or an activation.
        NumericError: a quantizer is missing or unfit.
    """
    if not isinstance(layer, qkeras.QDense):
        raise ConversionError(
            "must be a QDense", field="head", value=type(layer).__name__, remedy="use one"
        )
    if not layer.use_bias:
        raise ConversionError("must be True", field="head.use_bias", value=False)
    if layer.activation not in (None, keras.activations.linear):
        raise ConversionError(
            "the core sends logits",
            field="head.activation",
            value=getattr(layer.activation, "__name__", str(layer.activation)),
            remedy="remove it, or make it a layer of its own",
        )
    return Head(*(quantized_weights(layer, name, "head") for name in ("kernel", "bias")))


def quantized_weights(layer: Any, name: Literal["kernel", "bias"], field: str) -> QuantizedArray:
    """The integers of a built QDense layer's kernel or bias.

    Raises:
        ConversionError: the layer is not built.
        NumericError: the quantizer is missing or unfit.
    """
    _check_built(layer)
    quantizer = getattr(layer, f"{name}_quantizer_internal")
    form = format_of(quantizer, f"{field}.{name}_quantizer")
    values = tf.cast(getattr(layer, name), tf.float64).numpy()
    return QuantizedArray(form, form.quantize(values))


def export_network(
    layer: QuantizedRNN,
    head: Any,
    *,
    name: str,
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
) -> QuantizedNetwork:
    """The whole classifier.

    Args:
        layer: one of our quantised layers, built.
        head: the QDense behind it.
        name: of the network.
        classes: one a logit.
        preprocessing: how a clip becomes its inputs.

    Raises:
        ConversionError: the layers are not ours, are not connected, or the model computes more
            than a network holds.
        NumericError: Keras could not add the logits exactly.
    """
    check_connections(layer, head)
    network = QuantizedNetwork(
        name, classes, preprocessing, export_recurrence(layer), export_head(head)
    )
    if network.logit_format.width > _EXACT_FLOAT32_BITS:
        raise NumericError(
            f"Keras adds logits in float32, exact up to {_EXACT_FLOAT32_BITS} bits",
            field="head",
            value=f"{network.logit_format.width} bits",
            remedy="use fewer bits for the head's weights or for h",
        )
    return network


def _codes(values: tf.Tensor, format: Any) -> QuantizedArray:
    return QuantizedArray(format, format.exact(np.asarray(values)))


def check_connections(layer: Any, head: Any) -> None:
    """Refuses to export a layer and a head of which a model makes something else.

    Looks at every call of both. Layers that no model was made of have no calls; then there is
    nothing to look at.

    Args:
        layer: our recurrent layer.
        head: the dense layer behind it.

    Raises:
        ConversionError: a layer that computes something stands before, between or behind them, or
            the layer starts from given states.
    """
    calls = list(getattr(layer, "_inbound_nodes", ()))
    for call in calls:
        if len(call.keras_inputs) > 1 or call.call_kwargs.get("initial_state") is not None:
            raise ConversionError(
                "an exported network starts from a state of zero",
                field=f"{layer.name}.initial_state",
                value="given",
                remedy="call it without",
            )
        for before in _before(call):
            if (
                before.weights
                or "RNN" in type(before).__name__
                or type(before).__name__ == "Masking"
            ):
                raise ConversionError(
                    f"stands before {layer.name} and is not exported",
                    field=before.name,
                    value=type(before).__name__,
                    remedy="export a model whose first layer with weights is ours",
                )
    for call in getattr(head, "_inbound_nodes", ()):
        found = _source(call)
        if calls and found is not layer:
            raise ConversionError(
                f"stands between {layer.name} and {head.name} and is not exported"
                if layer in _before(call)
                else f"{head.name} does not stand behind {layer.name}",
                field=found.name,
                value=type(found).__name__,
                remedy=f"export the layer that feeds {head.name}",
            )
    for behind in _behind(head):
        if not (_changes_nothing(behind) or _keeps_order(behind)):
            raise ConversionError(
                f"stands behind {head.name} and is not exported",
                field=behind.name,
                value=type(behind).__name__,
                remedy="export the last dense layer; only softmax is left to the host",
            )


def _source(call: Any) -> Any:
    """The layer whose results a call gets, past layers that change nothing."""
    (layer, *_), *_ = call.iterate_inbound()
    inbound = layer._inbound_nodes
    if _changes_nothing(layer) and len(inbound) == 1 and inbound[0].keras_inputs:
        return _source(inbound[0])
    return layer


def _changes_nothing(layer: Any) -> bool:
    linear = getattr(layer, "activation", keras.activations.linear) is keras.activations.linear
    return type(layer).__name__ in _NOTHING and linear


def _keeps_order(layer: Any) -> bool:
    """Is the largest logit the largest result, too?"""
    function = getattr(layer, "activation", None)
    return type(layer).__name__ == "Softmax" or (
        type(layer) is keras.layers.Activation and function in (*_RISING, keras.activations.softmax)
    )


def _before(call: Any) -> list[Any]:
    """All layers on which a call depends, each once."""
    return _reached(call.parent_nodes, lambda node: node.parent_nodes)


def _behind(layer: Any) -> list[Any]:
    """All layers that depend on a layer, each once."""
    outbound = getattr(layer, "_outbound_nodes", ())
    return _reached(outbound, lambda node: node.layer._outbound_nodes)


def _reached(start: Iterable[Any], following: Callable[[Any], Iterable[Any]]) -> list[Any]:
    waiting, layers, seen = [*start], {}, set()
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            layers[id(node.layer)] = node.layer
            waiting += following(node)
    return list(layers.values())
