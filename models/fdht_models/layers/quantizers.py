"""QKeras quantizers and our fixed-point formats, two names for one thing; gates and their tables.

A quantised gate has a finite argument: its function, evaluated once over every code by the same
TensorFlow function that trains, is a table that hardware can hold. So any function will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fdht_models.errors import ConfigError, NumericError, near_matches
from fdht_models.kerasapi import keras, qkeras, tf
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.recurrent import RecurrentShape

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


def format_of(quantizer: Any, field: str = "quantizer") -> FixedPoint:
    """The format of a QKeras `quantized_bits` with a fixed scale.

    Raises:
        NumericError: it is another quantizer, or its scale, symmetry or rounding depends on
            anything but its bits, which hardware could not follow.
    """
    if not isinstance(quantizer, qkeras.quantized_bits):
        raise NumericError(
            "must be a quantized_bits", field=field, value=str(quantizer), remedy="use one"
        )
    unfit = (
        not _is_one(quantizer.alpha, unset=True)
        or quantizer.symmetric
        or quantizer.use_stochastic_rounding
        or not _is_one(quantizer.qnoise_factor)
        or not _are_whole(quantizer)
        or quantizer.bits - int(quantizer.keep_negative) < 1
    )
    if unfit:
        raise NumericError(
            "must have alpha=1, symmetric=0, no stochastic rounding, whole numbers of bits and at "
            "least one value bit",
            field=field,
            # QKeras cannot show one with a scale for each output.
            value=str(quantizer) if np.ndim(quantizer.alpha) == 0 else "several scales",
            remedy="for example quantized_bits(8, 0, alpha=1)",
        )
    signed = bool(quantizer.keep_negative)
    width = int(quantizer.bits)
    return FixedPoint(width, width - int(signed) - int(quantizer.integer), signed)


def relu_format_of(quantizer: Any, field: str = "quantizer") -> FixedPoint:
    """The format of a QKeras `quantized_relu` that rounds and clips to its bits, and no more.

    Raises:
        NumericError: a slope, bound, sigmoid or stochastic rounding makes it another function.
    """
    plain = (
        quantizer.use_sigmoid,
        quantizer.negative_slope,
        quantizer.use_stochastic_rounding,
        quantizer.relu_upper_bound is not None,
        not quantizer.is_quantized_clip,
        not _is_one(quantizer.qnoise_factor),
        not _are_whole(quantizer),
    )
    if any(plain):
        raise NumericError(
            "must be without sigmoid, negative slope, upper bound and stochastic rounding, and of "
            "whole numbers of bits",
            field=field,
            value=str(quantizer),
            remedy="for example quantized_relu(8, 2)",
        )
    width = int(quantizer.bits)
    return FixedPoint(width, width - int(quantizer.integer), signed=False)


def _is_one(value: Any, unset: bool = False) -> bool:
    """Is a scale 1, or, where that means the same, not given?"""
    if value is None or isinstance(value, str):
        return unset and value is None
    return bool(np.all(np.asarray(value) == 1))


def _are_whole(quantizer: Any) -> bool:
    return all(float(value).is_integer() for value in (quantizer.bits, quantizer.integer))


def quantizer_for(format: FixedPoint) -> Any:
    """The QKeras quantizer of a format.

    Raises:
        NumericError: the format has fewer integer bits than QKeras can express.
    """
    integer = format.integer - int(format.signed)
    if integer < 0:
        raise NumericError(
            "QKeras has no negative number of integer bits",
            field="format",
            value=str(format),
            remedy="scale the weights up; `balance` does that",
        )
    return qkeras.quantized_bits(format.width, integer, keep_negative=format.signed, alpha=1)


def as_quantizer(value: Any, field: str) -> Any:
    """A quantizer from a quantizer, a QKeras string, a Keras config or a FixedPoint.

    Raises:
        NumericError: it is none of these, or one that `format_of` refuses.
    """
    if isinstance(value, FixedPoint):
        return quantizer_for(value)
    try:
        quantizer = qkeras.get_quantizer(value)
    except (AttributeError, KeyError, NameError, SyntaxError, TypeError, ValueError) as error:
        raise NumericError(
            f"QKeras cannot read it ({error})",
            field=field,
            value=value,
            remedy="for example quantized_bits(8, 0, alpha=1)",
        ) from error
    format_of(quantizer, field)
    return quantizer


def round_to(values: tf.Tensor, format: FixedPoint) -> tf.Tensor:
    """Rounds half to even and saturates, exactly, in the tensor's own precision.

    QKeras computes `x + (xq - x)`. In float32 that is xq exactly as long as x is below 2^24 steps
    of the format: the difference is a multiple of x's last place, and no larger than x. Beyond
    that a saturated value can come out as another code, even one that the format does not have.
    Where integers must be met, this is used instead.
    """
    scale = tf.constant(format.scale, values.dtype)
    codes = tf.clip_by_value(
        tf.round(values / scale),
        tf.constant(format.minimum, values.dtype),
        tf.constant(format.maximum, values.dtype),
    )
    return codes * scale


def quantizers_from(values: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    """Quantizers of a layer by name.

    Args:
        values: by name, as `as_quantizer` takes them.
        wanted: what `required_names` gives.

    Raises:
        NumericError: a name is missing or unknown, or a quantizer is unfit.
    """
    for name in wanted:
        if name not in values:
            raise NumericError("is missing", field=f"quantizers.{name}", remedy="add it")
    for name in values:
        if name not in wanted:
            raise NumericError(
                "is not a quantizer of this layer",
                field=f"quantizers.{name}",
                remedy=f"have {', '.join(wanted)}",
            )
    return {name: as_quantizer(values[name], f"quantizers.{name}") for name in wanted}


def stage_names(shape: RecurrentShape) -> tuple[str, ...]:
    """What the stages of both paths emit, such as "input.C4"; the last ones stay exact."""
    paths = {"input": shape.input_plan, "hidden": shape.hidden_plan}
    return tuple(
        f"{label}.{stage.core}" for label, plan in paths.items() for stage in plan.stages[:-1]
    )


def required_names(shape: RecurrentShape) -> tuple[str, ...]:
    """Names of the quantizers of a layer.

    The slices of the first core that meet h are stored on their own, with their own scale: 57,600
    summands meet the x part and only H the h part, so that the latter must be much larger; one
    scale for both costs five times the error.
    """
    kind = KINDS[shape.cell]
    return (
        "input",
        *shape.stored_names,
        "bias",
        *stage_names(shape),
        *kind.tables,
        *kind.formats,
    )


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
