"""The classifier as a Keras model: uint8 frames -> [0, 1) -> a recurrent layer -> logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy.typing as npt

from fdht_models.errors import ArtifactError, ConfigError, require_known
from fdht_models.experiment import INPUT_FORMAT, Experiment
from fdht_models.kerasapi import keras, qkeras
from fdht_models.layers.kinds import LAYER_OF
from fdht_models.layers.quantized import QUANTIZED_OF
from fdht_models.layers.quantizers import quantizer_for, required_names
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.training.checkpoint import Weights

#: Names of the layers with weights.
LSTM, HEAD = "lstm", "head"
#: Names of the head's formats among those of a classifier.
HEAD_FORMATS = ("head.weights", "head.bias")

Formats = Mapping[str, FixedPoint]


def float_classifier(experiment: Experiment) -> Any:
    """The float twin: Keras model, uint8 [batch, steps, inputs] -> float32 [batch, classes].

    Raises:
        ConfigError: a gate function does not exist, or the experiment's cell is no recurrent one.
    """
    kind, _ = _layers(experiment)
    try:
        layer = kind(**_arguments(experiment), name=LSTM)
    except ConfigError as error:
        raise error.moved(field=f"model.{error.field}") from None
    head = keras.layers.Dense(experiment.source.class_count, name=HEAD)
    return _assemble(experiment, layer, head, experiment.steps, None)


def quantized_classifier(
    experiment: Experiment,
    formats: Formats,
    *,
    return_sequences: bool = False,
    stateful: bool = False,
    batch: int | None = None,
    steps: int | None = None,
    class_count: int | None = None,
) -> Any:
    """The quantised model; `training=False` computes exactly what hardware does.

    Args:
        experiment: the network's shape and gates.
        formats: `required_names` and `HEAD_FORMATS`.
        return_sequences: logits of every frame, [batch, steps, classes].
        stateful: keep the state from call to call; needs `batch`.
        batch: clips a call, or None for any.
        steps: frames a clip, or None for any.
        class_count: how many classes; None: those of the experiment's clips, which then must be
            there if they alone tell.
    """
    _, kind = _layers(experiment)
    layer = kind(
        **_arguments(experiment),
        quantizers={name: formats[name] for name in required_names(experiment.shape)},
        return_sequences=return_sequences,
        stateful=stateful,
        name=LSTM,
    )
    weights, bias = (quantizer_for(formats[name]) for name in HEAD_FORMATS)
    count = experiment.source.class_count if class_count is None else class_count
    head = qkeras.QDense(count, kernel_quantizer=weights, bias_quantizer=bias, name=HEAD)
    return _assemble(experiment, layer, head, steps, batch)


def weights_of(model: Any) -> Weights:
    """All weights of a classifier by name, such as "lstm/U1" and "head/kernel"; no state."""
    return {name: variable.numpy() for name, variable in _variables(model).items()}


def set_weights(model: Any, weights: Mapping[str, npt.NDArray[Any]], source: str) -> None:
    """Sets all weights of a classifier by name.

    Raises:
        ArtifactError: `weights`, which come from `source`, are not of this model.
    """
    for name, variable in _variables(model).items():
        found = weights.get(name)
        if found is None or found.shape != tuple(variable.shape):
            raise ArtifactError(
                f"expected an array of shape {tuple(variable.shape)}",
                field=f"{source}: {name}",
                value=None if found is None else found.shape,
                remedy="train this experiment again",
            )
        variable.assign(found)


def formats_of(network: QuantizedNetwork) -> dict[str, FixedPoint]:
    """The formats that `quantized_classifier` wants, read back from what was exported."""
    recurrence = network.recurrence
    formats = {"input": recurrence.input_format}
    formats |= {name: core.format for name, core in recurrence.cores.items()}
    for label, path in (("input", recurrence.input_path), ("hidden", recurrence.hidden_path)):
        named = zip(path.plan.stages, path.formats, strict=False)  # the last stage stays exact
        formats |= {f"{label}.{stage.core}": format for stage, format in named}
    for entry in fields(recurrence.cell):
        value = getattr(recurrence.cell, entry.name)
        formats[entry.name] = value.format if isinstance(value, QuantizedArray) else value
    head = (network.head.weights.format, network.head.bias.format)
    return formats | dict(zip(HEAD_FORMATS, head, strict=True))


def _assemble(
    experiment: Experiment, layer: Any, head: Any, steps: int | None, batch: int | None
) -> Any:
    shape = (steps, experiment.shape.input_size)
    frames = keras.Input(shape, batch_size=batch, dtype="uint8", name="frames")
    scaled = keras.layers.Rescaling(INPUT_FORMAT.scale, name="scale")(frames)
    return keras.Model(frames, head(layer(scaled)), name=experiment.name.replace("-", "_"))


def _layers(experiment: Experiment) -> tuple[Any, Any]:
    """The float layer and the quantised one."""
    cell = experiment.shape.cell
    problem = "is a matrix for comparison of counts, and cannot be trained"
    require_known(cell, LAYER_OF, "model.cell", problem)
    return LAYER_OF[cell], QUANTIZED_OF[cell]


def _arguments(experiment: Experiment) -> dict[str, Any]:
    model, shape = experiment.model, experiment.shape
    return {
        "format": shape.format,
        "input_modes": shape.input_modes,
        "output_modes": shape.output_modes,
        "hidden_box": shape.hidden_box,
        "objective": shape.objective,
        "recurrent_activation": model.recurrent_activation,
        "activation": model.activation,
        "input_gain": model.input_gain,
    }


def _variables(model: Any) -> dict[str, Any]:
    # Keras' own names carry counters (":0") and prefixes that depend on what was built before.
    named = {}
    for label in (LSTM, HEAD):
        for variable in model.get_layer(label).trainable_variables:
            name = variable.name.split("/")[-1].split(":")[0]
            named[f"{label}/{name}"] = variable
    return named
