"""From a quantised Keras layer to the QuantizedNetwork: integers, formats and tables."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

import numpy as np

from fdht_models.errors import ConversionError, NumericError
from fdht_models.kerasapi import keras, qkeras, tf
from fdht_models.layers.connections import check_connections
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
    accumulator_widths(recurrence)  # refuses what no accumulator could hold
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
    return ContractionPath(plan, cores, layer.quantizers.formats(names))


def _cell(layer: QuantizedRNN) -> Cell:
    bias = _codes(layer.stored_bias(training=False), layer.quantizer_format("bias"))
    kind = CELLS[layer.cell]
    named = {"bias": bias, **layer.tables}
    missing = [entry.name for entry in fields(kind) if entry.name not in named]
    values: dict[str, Any] = named | {name: layer.quantizer_format(name) for name in missing}
    return kind(**values)


def accumulator_widths(recurrence: QuantizedRecurrence) -> dict[str, int]:
    """Width in bits of every exact sum, by name."""
    widths = {
        f"{label}.{stage.core}": recurrence.accumulator_format(path, position).width
        for label, path in (("input", recurrence.input_path), ("hidden", recurrence.hidden_path))
        for position, stage in enumerate(path.plan.stages)
    }
    return widths | {name: format.width for name, format in recurrence.sums.items()}


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
