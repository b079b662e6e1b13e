"""From a quantised Keras layer to the QuantizedNetwork: integers, formats and tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdht_models.errors import ConversionError, NumericError
from fdht_models.kerasapi import keras, qkeras, tf
from fdht_models.layers.lstm import QFDHTLSTM
from fdht_models.layers.quantizers import core_names, format_of, stage_names
from fdht_models.tensor.quantized import (
    ContractionPath,
    Head,
    LstmCell,
    QuantizedArray,
    QuantizedLstm,
    QuantizedNetwork,
)

#: Keras adds the logits in float32, which holds integers exactly up to 2**24.
_EXACT_FLOAT32_BITS = 25


def export_lstm(layer: QFDHTLSTM) -> QuantizedLstm:
    """The integers of a built layer.

    Raises:
        NumericError: an accumulator would need more than 48 bits.
    """
    stages = stage_names(layer.modes)
    cores = layer.stored_cores(training=False)
    lstm = QuantizedLstm(
        layer.format("input"),
        {name: _codes(cores[name], layer.format(name)) for name in core_names(layer.modes)},
        ContractionPath(
            layer.shape.input_plan,
            tuple(layer.input_cores),
            layer.quantizers.formats(f"input.{name}" for name in stages),
        ),
        ContractionPath(
            layer.shape.hidden_plan,
            tuple(layer.hidden_cores),
            layer.quantizers.formats(f"hidden.{name}" for name in stages),
        ),
        LstmCell(
            _codes(layer.quantized_bias(training=False), layer.format("bias")),
            layer.format("preactivation"),
            layer.gate_table,
            layer.candidate_table,
            layer.output_table,
            layer.format("cell"),
            layer.format("hidden"),
        ),
    )
    accumulator_widths(lstm)  # refuses what no accumulator could hold
    return lstm


def accumulator_widths(lstm: QuantizedLstm) -> dict[str, int]:
    """Width in bits of every exact sum, by name."""
    widths = {
        f"{label}.{stage.core}": lstm.accumulator_format(path, position).width
        for label, path in (("input", lstm.input_path), ("hidden", lstm.hidden_path))
        for position, stage in enumerate(path.plan.stages)
    }
    return widths | {"preactivation": lstm.sum_format.width, "cell": lstm.cell_sum_format.width}


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
            value=str(layer.activation),
            remedy="remove it, or make it a layer of its own",
        )
    kernel, bias = (tf.cast(weight, tf.float64).numpy() for weight in layer.weights)
    weight_format = format_of(layer.kernel_quantizer_internal, "head.kernel_quantizer")
    bias_format = format_of(layer.bias_quantizer_internal, "head.bias_quantizer")
    return Head(
        QuantizedArray(weight_format, weight_format.quantize(kernel)),
        QuantizedArray(bias_format, bias_format.quantize(bias)),
    )


def export_network(
    lstm: QFDHTLSTM,
    head: Any,
    *,
    name: str,
    classes: tuple[str, ...],
    feature: str | None,
    frame_shape: tuple[int, ...],
) -> QuantizedNetwork:
    """The whole classifier.

    Raises:
        NumericError: Keras could not add the logits exactly.
    """
    network = QuantizedNetwork(
        name, classes, feature, frame_shape, export_lstm(lstm), export_head(head)
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
