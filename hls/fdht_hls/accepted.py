"""Which Keras models are converted: those whose hardware equals Keras by construction.

A list of what is taken, not of what is not: an input, one of our layers, and behind it dense layers
and activations whose formats follow from their quantizers. All else is refused with its layer, its
option and a remedy, before hls4ml reads the model. Connections are followed, not the order in which
a model lists its layers, and an option that hls4ml does not read is looked at here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn

import numpy as np

from fdht_hls.plugin import LAYERS
from fdht_models.errors import ConversionError
from fdht_models.tensor.arrays import QuantizedArray, exact_product_format, exact_sum_format
from fdht_models.tensor.fixedpoint import FixedPoint

#: Keras computes in float32, which holds integers exactly up to 2**24: so many bits with a sign.
FLOAT32_BITS = 25
_OURS = f"one of {', '.join(LAYERS)} (docs/model-author.md)"
_HOST = "leave it out: the host takes the largest logit, which is the same class"
_BEHIND = "behind it QDense, ReLU and QActivation are exact; leave the rest to the host"
_RECURRENT = ("RNN", "LSTM", "GRU", "Bidirectional")
#: What would do in place of a layer, by the name of its class.
_REMEDIES = {
    "Dense": "use qkeras.QDense with kernel_quantizer and bias_quantizer",
    "BatchNormalization": "fold it into kernel and bias of the QDense next to it",
    "QBatchNormalization": "fold it into kernel and bias of the QDense next to it",
    "Softmax": _HOST,
    "TimeDistributed": "use return_sequences=False and a QDense behind",
    "Masking": "give clips of one length, or run them one by one",
}
#: Words that nothing in C++ may be called, and names that the core's sources use.
_WORDS = re.compile(
    "alignas|alignof|and|and_eq|asm|auto|bitand|bitor|bool|break|case|catch|char|class|compl|const|"
    "constexpr|continue|decltype|default|delete|do|double|else|enum|explicit|export|extern|false|"
    "float|for|friend|goto|if|inline|int|long|main|mutable|namespace|new|noexcept|not|not_eq|nullptr|"
    "operator|or|or_eq|private|protected|public|register|return|short|signed|sizeof|static|struct|"
    "switch|template|this|throw|true|try|typedef|typeid|typename|union|unsigned|using|virtual|void|"
    "volatile|while|xor|xor_eq|std|hls|nnet|fdht|fdht_lstm|fdht_csim|fdht_testbench"
)


@dataclass(frozen=True, eq=False)
class Step:
    """One of hls4ml's nodes behind our layer, as it must be to equal Keras.

    Args:
        layer: name of the Keras layer.
        node: name that hls4ml gives the node.
        kind: what it computes.
        result: format of its results.
        weights: of a dense layer, [inputs, outputs].
        bias: of a dense layer; None if it has none.
    """

    layer: str
    node: str
    kind: Literal["dense", "relu", "linear"]
    result: FixedPoint
    weights: QuantizedArray | None = None
    bias: QuantizedArray | None = None


def check_settings(config: Mapping[str, Any]) -> None:
    """Refuses settings of hls4ml that no core can be written with.

    Raises:
        ConversionError: names the setting.
    """
    project = config.get("ProjectName")
    if not is_free_name(project):
        raise ConversionError(
            "names a C++ function and its file",
            field="project_name",
            value=project,
            remedy="use letters, digits and _, for example 'my_network'",
        )
    namespace = (config.get("WriterConfig") or {}).get("Namespace")
    if namespace is not None:
        raise ConversionError(
            "the core is not in a namespace", field="namespace", value=namespace, remedy="use None"
        )
    if ((config.get("HLSConfig") or {}).get("Model") or {}).get("BitExact"):
        raise ConversionError(
            "types follow from the quantizers here",
            field="bit_exact",
            value=True,
            remedy="use None",
        )


def is_free_name(name: object) -> bool:
    """Can a C++ function or variable of the project be called so?"""
    allowed = isinstance(name, str) and re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII)
    return bool(allowed) and "__" not in str(name) and not _WORDS.fullmatch(str(name))


def accepted_steps(model: Any) -> tuple[Step, ...]:
    """What stands behind our layer in a Keras model that is converted, in order.

    Args:
        model: a functional or sequential Keras model, built.

    Raises:
        ConversionError: a layer, an option or a connection is not known to be exact.
    """
    from fdht_models.kerasapi import keras

    if not isinstance(model, keras.Model) or not getattr(model, "outputs", None):
        raise ConversionError(
            "needs a functional or sequential Keras model with an Input, not a file",
            field="model",
            value=type(model).__name__ if not isinstance(model, str) else model,
            remedy="call hls4ml.converters.convert_from_keras_model(model, ...)",
        )
    _check_kinds(model)
    layer, *behind = _chain(model)
    if layer.return_state:
        _refuse(layer, "return_state", True, "states stay in the core", "use return_state=False")
    if layer.return_sequences and behind:
        raise ConversionError(
            f"{behind[0].name} ({type(behind[0]).__name__}) behind every time step is not exact",
            field=f"{layer.name}.return_sequences",
            value=True,
            remedy="use return_sequences=False, or end the model with the layer",
        )
    hidden = layer.quantizer_format("hidden")
    _check_float32(hidden, f"{layer.name}.quantizers.hidden")
    steps, form = [], hidden
    for one in behind:
        for step in _steps(one, form):
            steps.append(step)
            form = step.result
    _check_names(model, layer, steps)
    return tuple(steps)


def _refuse(layer: Any, option: str, value: object, problem: str, remedy: str) -> NoReturn:
    raise ConversionError(problem, field=f"{layer.name}.{option}", value=value, remedy=remedy)


def _is_ours(layer: Any) -> bool:
    from fdht_models.layers.quantized import OWN_LAYERS

    return type(layer) in OWN_LAYERS


def _known() -> tuple[type, ...]:
    """Kinds of layers behind ours. A class made from one of them may compute anything."""
    from fdht_models.kerasapi import keras, qkeras

    layers = keras.layers
    return (qkeras.QDense, qkeras.QActivation, layers.ReLU, layers.Activation, layers.Dropout)


def _check_kinds(model: Any) -> None:
    """Raises ConversionError for the first layer that is no kind of ours or behind ours."""
    from fdht_models.kerasapi import keras

    found, known = False, _known()
    for layer in model.layers:
        kind = type(layer).__name__
        if _is_ours(layer):
            if found:
                remedy = "convert one recurrent layer"
                problem = "a second recurrent layer is not exact"
                raise ConversionError(problem, field=layer.name, value=kind, remedy=remedy)
            found = True
        elif type(layer) is keras.layers.InputLayer or (found and type(layer) in known):
            continue
        else:
            raise ConversionError(
                "is not known to be exact in hardware",
                field=layer.name,
                value=kind,
                remedy=_remedy(kind, found),
            )
    if not found:
        name = f"model {model.name}"
        raise ConversionError("has no layer of ours", field=name, remedy=f"use {_OURS}")


def _remedy(kind: str, behind: bool) -> str:
    if kind in _REMEDIES and (behind or kind == "Masking"):
        return _REMEDIES[kind]
    if any(word in kind for word in _RECURRENT):
        return "leave it to the host" if behind else f"use {_OURS}"
    return (
        _BEHIND
        if behind
        else f"the first layer must be {_OURS}; compute what is before it on the host"
    )


def _chain(model: Any) -> list[Any]:
    """Layers from ours to the output, followed backwards; Dropout, which infers nothing, left out.

    Raises:
        ConversionError: the model is no chain of single calls with nothing but their input.
    """
    from fdht_models.kerasapi import keras

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConversionError(
            "the core has one input and one output",
            field=f"model {model.name}",
            value=f"{len(model.inputs)} inputs, {len(model.outputs)} outputs",
            remedy="use a model with one of each",
        )
    chain, tensor = [], model.outputs[0]
    while True:
        layer, place, _ = tensor._keras_history
        if isinstance(layer, keras.layers.InputLayer):
            break
        node = layer._inbound_nodes[place]
        _check_call(layer, node)
        chain.append(layer)
        tensor = node.keras_inputs[0]
    for layer in model.layers:
        calls = sum(one is layer for one in chain)
        if calls != 1 and not isinstance(layer, keras.layers.InputLayer):
            raise ConversionError(
                "each layer must be called once between input and output",
                field=layer.name,
                value=f"{calls} calls",
                remedy="use a layer of its own for each call",
            )
    chain.reverse()
    return [layer for layer in chain if not isinstance(layer, keras.layers.Dropout)]


def _check_call(layer: Any, node: Any) -> None:
    """Raises ConversionError for a call with more than its input: states, masks, training."""
    names = layer._call_spec.arg_names
    arguments = {**dict(zip(names[1:], node.call_args[1:], strict=False)), **node.call_kwargs}
    given = [name for name, value in arguments.items() if value is not None and value is not False]
    if not given and len(node.keras_inputs) == 1:
        return
    option = given[0] if given else names[0]
    remedy = {
        "initial_state": "start from a state of zero, or feed the frames that lead to it",
        "training": "leave it to Keras: hardware infers",
        "mask": "give clips of one length",
    }.get(option, "call it with its input alone")
    _refuse(layer, option, "given", "is not exact in hardware", remedy)


def _check_float32(form: FixedPoint, field: str) -> None:
    """Raises ConversionError where Keras itself cannot hold what hardware does."""
    if form.width > FLOAT32_BITS:
        raise ConversionError(
            f"Keras computes in float32, exact up to {FLOAT32_BITS} bits",
            field=field,
            value=f"{form.width} bits",
            remedy="use fewer bits, or a quantized_relu in front",
        )


def _steps(layer: Any, form: FixedPoint) -> Iterator[Step]:
    """hls4ml's nodes of a layer behind ours.

    Args:
        layer: one of the kinds of `_known`.
        form: format of what it reads.
    """
    from fdht_models.kerasapi import keras, qkeras

    if layer.compute_dtype != "float32":
        remedy = "use dtype='float32'"
        _refuse(layer, "dtype", layer.compute_dtype, "rounds otherwise than hardware", remedy)
    if isinstance(layer, qkeras.QDense):
        step = _dense(layer, form)
        yield step
        yield _activation(layer, layer.activation, step.result)
    elif isinstance(layer, qkeras.QActivation):
        yield _quantized(layer, layer.quantizer, form)
    elif isinstance(layer, keras.layers.ReLU):
        for option, plain in (("max_value", None), ("negative_slope", 0), ("threshold", 0)):
            value = getattr(layer, option)
            if value is not None and value != plain:
                remedy = f"use {option}={plain}, or QActivation(quantized_relu(bits, integer))"
                _refuse(layer, option, float(value), "is not exact in hardware", remedy)
        yield Step(layer.name, layer.name, "relu", form)
    else:
        yield _activation(layer, layer.activation, form)


def _dense(layer: Any, form: FixedPoint) -> Step:
    from fdht_models.layers.export import quantized_weights

    weights = quantized_weights(layer, "kernel", layer.name)
    _check_rounding(layer, "kernel", weights)
    bias = None
    if layer.use_bias:
        bias = quantized_weights(layer, "bias", layer.name)
        _check_rounding(layer, "bias", bias)
    terms = weights.codes.shape[0]
    result = exact_sums(form, weights.format, terms, bias.format if bias else None)
    _check_float32(result, layer.name)
    return Step(layer.name, layer.name, "dense", result, weights, bias)


def _check_rounding(layer: Any, name: str, wanted: QuantizedArray) -> None:
    """Raises ConversionError where QKeras' own x + (q - x) misses q, as it may beyond its range."""
    found = np.asarray(getattr(layer, f"{name}_quantizer_internal")(getattr(layer, name)))
    wrong = found != wanted.format.dequantize(wanted.codes)
    if wrong.any():
        value = float(np.asarray(getattr(layer, name))[wrong].flat[0])
        remedy = "clip the weights to their range, as QKeras' Clip constraint does"
        _refuse(layer, name, value, "QKeras rounds it to no value of its quantizer", remedy)


def exact_sums(
    source: FixedPoint, weights: FixedPoint, terms: int, bias: FixedPoint | None
) -> FixedPoint:
    """The signed format that holds every sum of `terms` products and a bias."""
    product = exact_product_format(weights, source, terms)
    return product if bias is None else exact_sum_format(product, bias)


def _activation(layer: Any, function: Any, form: FixedPoint) -> Step:
    """The node of an activation function, which hls4ml makes of a QDense too."""
    from fdht_models.kerasapi import keras, qkeras

    node = layer.name
    if isinstance(layer, qkeras.QDense):
        node += f"_{getattr(function, '__name__', type(function).__name__)}"
        if not hasattr(function, "__name__"):
            return replace(_quantized(layer, function, form), node=node)
    if function is keras.activations.linear:
        return Step(layer.name, node, "linear", form)
    if function is keras.activations.relu:
        return Step(layer.name, node, "relu", form)
    return _quantized(layer, None, form, getattr(function, "__name__", str(function)))


def _quantized(layer: Any, function: Any, form: FixedPoint, called: str | None = None) -> Step:
    """The node of an activation by a quantizer.

    QKeras computes x + (q - x) in float32. The difference has the finer of both grids and is no
    larger than the sum of x and q, so it is exact if every sum of both is.
    """
    from fdht_models.kerasapi import qkeras
    from fdht_models.layers.quantizers import format_of, relu_format_of

    field = f"{layer.name}.activation"
    kind: Literal["relu", "linear"] = "linear"
    if type(function) is qkeras.quantized_relu:
        kind, result = "relu", relu_format_of(function, field)
    elif type(function) is qkeras.quantized_bits:
        result = format_of(function, field)
    else:
        name = called or str(getattr(function, "__name__", type(function).__name__))
        remedy = _HOST if "softmax" in name else "use quantized_relu, quantized_bits or relu"
        _refuse(layer, "activation", name, "is not exact in hardware", remedy)
    _check_float32(exact_sum_format(form, result), field)
    return Step(layer.name, layer.name, kind, result)


def _check_names(model: Any, layer: Any, steps: list[Step]) -> None:
    """Raises ConversionError where two nodes of hls4ml's graph would have one name."""
    stages = (f"{layer.name}_{core}" for core in layer.shape.input_cores)
    names = [*model.input_names, layer.name, *stages, f"{layer.name}_cell"]
    names += [step.node for step in steps]
    for name, count in Counter(names).items():
        if count > 1 or name == "input":
            raise ConversionError(
                "hls4ml has another node of that name" if count > 1 else "is a word of hls4ml's",
                field="layer name",
                value=name,
                remedy="rename the layer",
            )
