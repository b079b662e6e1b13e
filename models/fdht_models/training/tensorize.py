"""Dense LSTMs and GRUs of Keras, and the tensorized layers that replace them.

    layer = tensorize(model.get_layer("lstm"), TensorTrain(4), (8, 20, 20, 18), (16, 4, 4, 4))

Needs TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdht_models.errors import ConfigError, ShapeError
from fdht_models.kerasapi import keras, tf
from fdht_models.kerasfile.model_reader import gate_functions
from fdht_models.layers.contract import initial_deviations
from fdht_models.layers.kinds import LAYER_OF
from fdht_models.layers.recurrent import TensorRNN
from fdht_models.tensor.decompose import Fitting
from fdht_models.tensor.decompose.recurrent_weights import (
    CellDecomposition,
    cell_from_keras,
    decompose_cell,
)
from fdht_models.tensor.decompose.unfolding import Arrays
from fdht_models.tensor.formats import Format
from fdht_models.tensor.recurrent import RecurrentShape


@keras.utils.register_keras_serializable("fdht")
class InputBiasOnly(keras.constraints.Constraint):
    """Keeps the second bias of a Keras GRU at zero, as in `GRU(256, bias_constraint=..)`.

    Our GRU has one bias; see `cell_from_keras`.
    """

    def __call__(self, bias: tf.Tensor) -> tf.Tensor:
        """[2, gates x H] -> the same with a second row of zeros."""
        return bias * tf.constant([[1.0], [0.0]], bias.dtype)


def tensorize(
    keras_layer: Any,
    format: Format,
    input_modes: Sequence[int],
    output_modes: Sequence[int],
    hidden_box: Sequence[int] | None = None,
    *,
    objective: str = "macs",
    fitting: Fitting | None = None,
) -> TensorRNN:
    """A tensorized layer with the weights of a trained dense one, ready for fine-tuning.

    Weights and gates are taken over, and what the layer returns; what acts in training only
    (dropout, regularisers, constraints) is not.

    Args:
        keras_layer: a built `LSTM`, or `GRU` with `reset_after` (see `cell_from_keras`).
        format: the decomposition and its ranks.
        input_modes: n_1 .. n_d.
        output_modes: m_1 .. m_e, the gate factor in m_1.
        hidden_box: integrates W_h; see `RecurrentShape`.
        objective: see `TensorRNN`.
        fitting: of the iterative fits.

    Raises:
        ConfigError: the layer is of another kind, or has a setting that ours lacks.
        FdhtError: see `decompose_cell`.
    """
    functions = _functions(keras_layer)
    dense = cell_from_keras(*_keras_weights(keras_layer))
    layer = LAYER_OF[dense.cell](
        format,
        input_modes,
        output_modes,
        hidden_box,
        objective,
        *functions,
        return_sequences=keras_layer.return_sequences,
        return_state=keras_layer.return_state,
        stateful=keras_layer.stateful,
        name=keras_layer.name,
    )
    found = decompose_cell(dense, layer.shape, fitting)
    batch = keras_layer.input_spec[0].shape[0] if keras_layer.stateful else None
    layer.build((batch, None, dense.input.shape[1]))
    assign(layer, found)
    return layer


def assign(layer: Any, found: CellDecomposition) -> None:
    """Sets the weights of a built tensorized layer, balanced as they would begin a training."""
    arrays = balanced(found.shape, found.arrays, layer.input_gain)
    for name, variable in layer.tensors.items():
        variable.assign(arrays[name].astype(np.float32))
    layer.bias.assign(found.bias.astype(np.float32))


def balanced(shape: RecurrentShape, arrays: Arrays, input_gain: float = 1.0) -> Arrays:
    """The same function, with cores as large beside each other as fresh ones are.

    A decomposition leaves bases of unit norm and the matrix's whole norm in one core; a rate that
    suits one would not suit the other. The factors are powers of two, which change no digit.
    """
    names = shape.network.core_names
    sizes = [float(np.sqrt(np.mean(np.square(arrays[name])))) for name in names]
    if min(sizes) == 0:
        return arrays
    deviations = initial_deviations(shape, input_gain)
    ratios = [math.log2(size / deviations[name]) for name, size in zip(names, sizes, strict=True)]
    mean, wanted, given, scaled = sum(ratios) / len(ratios), 0.0, 0, dict(arrays)
    for name, ratio in zip(names, ratios, strict=True):
        wanted += mean - ratio  # 0 after the last, so that the exponents add up to 0
        exponent = round(wanted) - given
        scaled[name] = np.ldexp(arrays[name], exponent)
        given += exponent
    return scaled


def _keras_weights(layer: Any) -> tuple[Any, Any, Any]:
    """Kernel, recurrent kernel, and bias or None, of a built Keras layer."""
    if not layer.built:
        raise ShapeError(
            "has no weights yet", field=f"layer {layer.name}", remedy="build or load its model"
        )
    cell = layer.cell
    bias = None if cell.bias is None else cell.bias.numpy()
    return cell.kernel.numpy(), cell.recurrent_kernel.numpy(), bias


def _functions(layer: Any) -> tuple[str, str]:
    """Our names of a Keras layer's gate functions; refuses layers that ours cannot stand for."""
    # Not of a class derived from these, which may compute something else.
    if type(layer) not in (keras.layers.LSTM, keras.layers.GRU):
        raise ConfigError(
            "is not an LSTM or GRU of Keras",
            field="layer",
            value=type(layer).__name__,
            remedy="give keras.layers.LSTM or GRU",
        )
    # Of Keras 2: `keras` is the legacy one.
    return gate_functions(type(layer).__name__, layer.get_config(), 2)
