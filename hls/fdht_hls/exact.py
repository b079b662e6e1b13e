"""hls4ml's nodes behind our layer: their types and weights stated from Keras, and then proven.

hls4ml takes types from quantizers' bits alone, weights by parts of their names, and precisions from
a configuration that may be anything. So for a Keras model all of these are stated anew, from what
`accepted` found. Whatever a graph was made of, it is checked before it is written: each node is of
a kind that is exact, and no type rounds or saturates what Keras does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from hls4ml.model.types import (
    FixedPrecisionType,
    NamedType,
    PrecisionType,
    RoundingMode,
    SaturationMode,
)

from fdht_hls.accepted import Step, accepted_steps, exact_sums
from fdht_hls.nodes import FdhtCell, FdhtContraction, FdhtHead, fixed_type
from fdht_models.errors import ConversionError, NumericError
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import FixedPoint

if TYPE_CHECKING:  # hls4ml loads this plug-in while its own graph is half imported
    from hls4ml.model.graph import ModelGraph

#: In place of a bias that a layer does not have.
_NO_BIAS = FixedPoint(1, 0, signed=False)
#: Of hls4ml's ways to multiply, those that are compared with Keras.
_STRATEGIES = ("latency", "resource")


def state_types(model: ModelGraph) -> None:
    """Gives hls4ml's nodes behind our layer the weights and types of the Keras model.

    Runs before any pass of hls4ml's, which then find nothing to infer.
    """
    keras_model = model.config.get_config_value("KerasModel")
    if keras_model is None:
        return
    steps = accepted_steps(keras_model)
    nodes = [node for node in model.get_layers() if node.class_name not in ("Input", "FdhtLstm")]
    if [node.name for node in nodes] != [step.node for step in steps]:
        raise ConversionError(
            f"hls4ml read {', '.join(node.name for node in nodes)}",
            field="model",
            value=", ".join(step.node for step in steps),
            remedy="rename the layers",
        )
    for node, step in zip(nodes, steps, strict=True):
        if step.kind == "dense":
            _check_strategy(model, node)
        _state(node, step)


def _check_strategy(model: ModelGraph, node: Any) -> None:
    """Raises ConversionError for a way to multiply that is not compared with Keras."""
    strategy = model.config.get_strategy(node)
    if model.config.get_compression(node):
        option, value = "Compression", True
    elif strategy not in _STRATEGIES:
        option, value = "Strategy", strategy
    else:
        return
    raise ConversionError(
        "is not compared with Keras",
        field=f"{node.name}.{option}",
        value=value,
        remedy=f"use {' or '.join(_STRATEGIES)}, without compression",
    )


def _state(node: Any, step: Step) -> None:
    if step.kind == "dense":
        assert step.weights is not None
        units = step.weights.codes.shape[1]
        bias = step.bias or QuantizedArray(_NO_BIAS, np.zeros(units, np.int64))
        for name, short, array in (("weight", "w", step.weights), ("bias", "b", bias)):
            node.set_attr(f"{name}_quantizer", None)
            node.add_weights_variable(
                name=name,
                var_name=short + "{index}",
                type_name=name + "{index}_t",
                precision=fixed_type(array.format),
                data=array.format.dequantize(array.codes),
            )
        accumulator = NamedType(f"layer{node.index}_accum_t", fixed_type(step.result))
        node.set_attr("accum_t", accumulator)
    else:
        node.set_attr("activation", step.kind)
    shape = node.get_output_variable().shape
    node.add_output_variable(list(shape), precision=fixed_type(step.result))


def format_of(precision: PrecisionType) -> FixedPoint:
    """Our name of one of hls4ml's fixed-point types."""
    return FixedPoint(precision.width, precision.fractional, bool(precision.signed))


def array_of(node: Any, name: str) -> QuantizedArray:
    """The integers of one of hls4ml's weight arrays.

    Raises:
        ConversionError: its type rounds one of them.
    """
    weights = node.weights[name]
    form = _fixed(weights.type.precision, f"{node.name}.{name}")
    try:
        return QuantizedArray(form, form.exact(weights.data))
    except NumericError as error:
        raise ConversionError(
            "rounds its weights",
            field=f"{node.name}.{name}",
            value=str(weights.type.precision),
            remedy="use a type that holds them",
        ) from error


def _fixed(precision: PrecisionType, field: str) -> FixedPoint:
    if not isinstance(precision, FixedPrecisionType):
        raise ConversionError(
            "is no fixed-point type", field=field, value=str(precision), remedy="use ap_fixed"
        )
    return format_of(precision)


def check_exact(model: ModelGraph) -> None:
    """Refuses a graph that is not exact by construction: follows formats from cell to output.

    Raises:
        ConversionError: a node or a type is not exact.
    """
    form: FixedPoint | None = None
    previous = None
    for node in model.get_layers():
        if previous is not None and node.get_input_node() is not previous:
            _refuse(node, "stands in no chain of layers", "use one layer behind the other")
        previous = node
        if isinstance(node, FdhtCell):
            form = node.get_attr("plan").hidden
        elif isinstance(node, FdhtHead):
            plan = node.get_attr("plan")
            form = _check_sums(node, form, plan.weights, plan.bias, (plan.logits,))
        elif node.class_name == "Dense" and form is not None:
            form = _check_dense(node, form)
        elif node.class_name == "Activation" and form is not None:
            form = _check_activation(node, form)
        elif node.class_name != "Input" and not isinstance(node, FdhtContraction):
            _refuse(node, "is not known to be exact in hardware", "leave it to the host")
    if form is None:
        raise ConversionError(
            "has no layer of ours", field="model", remedy="see docs/model-author.md"
        )


def _refuse(node: Any, problem: str, remedy: str) -> NoReturn:
    raise ConversionError(problem, field=node.name, value=node.class_name, remedy=remedy)


def _check_dense(node: Any, source: FixedPoint) -> FixedPoint:
    result = node.get_output_variable().type.precision
    holders = [
        _fixed(precision, f"{node.name}.{name}")
        for name, precision in (("accum", node.types["accum_t"].precision), ("result", result))
    ]
    return _check_sums(node, source, array_of(node, "weight"), array_of(node, "bias"), holders)


def _check_sums(
    node: Any,
    source: FixedPoint | None,
    weights: QuantizedArray,
    bias: QuantizedArray,
    holders: Iterable[FixedPoint],
) -> FixedPoint:
    """Raises ConversionError unless each of `holders` holds any sum; returns the last."""
    assert source is not None
    terms = weights.codes.size // bias.codes.size
    added = None if bias.format == _NO_BIAS else bias.format
    exact = exact_sums(source, weights.format, terms, added)
    for form in holders:
        if not holds(form, exact):
            raise ConversionError(
                f"does not hold its sums, which need {exact}",
                field=f"{node.name}.Precision",
                value=str(form),
                remedy="leave it to this backend",
            )
    return form


def _check_activation(node: Any, source: FixedPoint) -> FixedPoint:
    function, precision = node.get_attr("activation"), node.get_output_variable().type.precision
    if function not in ("linear", "relu"):
        _refuse(node, f"computes {function} by a table of its own", "leave it to the host")
    form = _fixed(precision, f"{node.name}.result")
    rounds = (precision.rounding_mode, precision.saturation_mode)
    if rounds != (RoundingMode.RND_CONV, SaturationMode.SAT) and not holds(form, source):
        raise ConversionError(
            "rounds otherwise than Keras",
            field=f"{node.name}.Precision",
            value=str(precision),
            remedy="leave it to this backend",
        )
    return form


def holds(form: FixedPoint, exact: FixedPoint) -> bool:
    """Does a format hold every number of a signed one?"""
    return form.signed and form.fraction >= exact.fraction and form.integer >= exact.integer
