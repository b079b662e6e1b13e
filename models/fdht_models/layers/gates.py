"""Gate functions, and their truth tables.

A quantised gate has a finite argument: its function, evaluated once over every code by the same
TensorFlow function that trains, is a table that hardware can hold. So any function will do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fdht_models.errors import ConfigError, NumericError, near_matches
from fdht_models.kerasapi import keras, qkeras, tf
from fdht_models.layers.quantizers import round_to
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import FixedPoint

#: Functions onto 0..1 by name: real, and QKeras' hardware-friendly ones.
SIGMOIDS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": tf.sigmoid,
    "hard_sigmoid": qkeras.hard_sigmoid,
    "smooth_sigmoid": qkeras.smooth_sigmoid,
    "binary_sigmoid": qkeras.binary_sigmoid,
    "keras_hard_sigmoid": keras.activations.hard_sigmoid,
}
#: Functions onto -1..1 by name.
TANHS: dict[str, Callable[[Any], Any]] = {
    "tanh": tf.tanh,
    "hard_tanh": qkeras.hard_tanh,
    "smooth_tanh": qkeras.smooth_tanh,
    "binary_tanh": qkeras.binary_tanh,
}
#: Widest argument of a table: 2**16 bytes are 16 block RAMs.
_TABLE_BITS = 16
_QUANTIZED = {"quantized_sigmoid": SIGMOIDS, "quantized_tanh": TANHS}


def gate_function(
    spec: str, kind: dict[str, Callable[[Any], Any]], field: str
) -> Callable[..., Any]:
    """The function that `spec` names.

    Args:
        spec: a name of `kind`, or a QKeras activation such as "quantized_sigmoid(10)" or
            "quantized_tanh(10, use_real_tanh=True)".
        kind: `SIGMOIDS` or `TANHS`.
        field: what to call it in an error.

    Raises:
        ConfigError: there is none of that name.
    """
    if spec in kind:
        return kind[spec]
    if _QUANTIZED.get(spec.split("(")[0]) is kind:
        return qkeras.get_quantizer(spec)
    names = [*kind, *(f"{name}(bits)" for name, of in _QUANTIZED.items() if of is kind)]
    raise ConfigError(
        "is not a gate function", field=field, value=spec, remedy=near_matches(spec, names)
    )


def truth_table(
    function: Callable[..., Any], argument: FixedPoint, result: FixedPoint
) -> QuantizedArray:
    """`function`, rounded to `result`, over all codes of `argument` in the order of raw bits.

    Raises:
        NumericError: the table would be larger than any chip holds.
    """
    if argument.width > _TABLE_BITS:
        raise NumericError(
            f"a gate's table would have 2**{argument.width} entries",
            field="argument",
            value=str(argument),
            remedy=f"use a narrower preactivation and cell, of at most {_TABLE_BITS} bits",
        )
    values = tf.constant(argument.dequantize(argument.all_codes()).astype(np.float32))
    rounded = round_to(tf.cast(function(values), tf.float64), result)
    return QuantizedArray(result, result.exact(rounded.numpy(), "gate"))
