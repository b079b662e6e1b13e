"""Dense LSTMs and GRUs of Keras, or from files, and the tensorized layers that replace them.

    layer = tensorize(model.get_layer("lstm"), TensorTrain(4), (8, 20, 20, 18), (16, 4, 4, 4))

Needs TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ArtifactError, ConfigError, ShapeError, near_matches
from fdht_models.kerasapi import keras, tf
from fdht_models.layers.contract import initial_deviations
from fdht_models.layers.gru import TensorGRU
from fdht_models.layers.lstm import TensorLSTM
from fdht_models.tensor.decompose import Fitting
from fdht_models.tensor.decompose.arrays import Arrays
from fdht_models.tensor.decompose.recurrent import (
    CellDecomposition,
    DenseCell,
    cell_from_keras,
    decompose_cell,
)
from fdht_models.tensor.formats import Format
from fdht_models.tensor.recurrent import RecurrentShape
from fdht_models.training.arrays import read_arrays

#: Arrays that a .npz file of dense weights must hold.
_NEEDED = ("kernel", "recurrent_kernel")
#: Keras' names of gate functions and ours.
_SIGMOIDS = {"sigmoid": "sigmoid", "hard_sigmoid": "keras_hard_sigmoid"}
_TANHS = {"tanh": "tanh"}
_AS_NPZ = (
    "np.savez('dense.npz', **dict(zip(('kernel', 'recurrent_kernel', 'bias'), "
    "layer.get_weights())))"
)


@keras.utils.register_keras_serializable("fdht")
class InputBiasOnly(keras.constraints.Constraint):
    """Keeps the second bias of a Keras GRU at zero, as in `GRU(256, bias_constraint=..)`.

    Our GRU has one bias; see `cell_from_keras`.
    """

    def __call__(self, bias: tf.Tensor) -> tf.Tensor:
        """[2, gates x H] -> the same with a second row of zeros."""
        return bias * tf.constant([[1.0], [0.0]], bias.dtype)


@dataclass(frozen=True)
class DenseLayer:
    """A trained dense layer, and what else its file knows.

    Attributes:
        name: of the layer, or of its file.
        cell: its weights.
        functions: our names of its gate functions, recurrent activation first; None if not known.
        head: kernel and bias of the classifier behind it, if there is one.
    """

    name: str
    cell: DenseCell
    functions: tuple[str, str] | None
    head: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None


def tensorize(
    keras_layer: Any,
    format: Format,
    input_modes: Sequence[int],
    output_modes: Sequence[int],
    hidden_box: Sequence[int] | None = None,
    *,
    objective: str = "macs",
    fitting: Fitting | None = None,
) -> TensorLSTM | TensorGRU:
    """A tensorized layer with the weights of a trained dense one, ready for fine-tuning.

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
    layer = {"lstm": TensorLSTM, "gru": TensorGRU}[dense.cell](
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


def load_dense(path: Path, layer: str | None, classes: int) -> DenseLayer:
    """Reads a trained dense layer; see `decompose_stage` for the files.

    Args:
        path: the file.
        layer: name of the layer in a Keras model.
        classes: of the classifier to look for.

    Raises:
        ArtifactError: the file cannot be read.
        FdhtError: there is no such layer in it, or it cannot be used.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        return _load_arrays(path, layer, classes)
    if kind in (".keras", ".h5", ".hdf5"):
        return _load_model(path, layer, classes)
    raise ConfigError(
        "is neither a Keras model (.keras, .h5) nor a file of arrays (.npz)",
        field="weights",
        value=str(path),
        remedy=_AS_NPZ,
    )


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
    if not isinstance(layer, keras.layers.LSTM | keras.layers.GRU):
        raise ConfigError(
            "is not an LSTM or GRU of Keras",
            field="layer",
            value=type(layer).__name__,
            remedy="give keras.layers.LSTM or GRU",
        )
    config = layer.get_config()
    for key in ("go_backwards", "time_major"):
        if config.get(key):
            raise ConfigError(
                "tensorized layers do not do this", field=f"{layer.name}.{key}", value=True
            )
    if config.get("reset_after") is False:
        raise ConfigError(
            "the reset gate of this GRU acts before its matrix, but here it acts behind it",
            field=f"{layer.name}.reset_after",
            value=False,
            remedy="train it with reset_after=True, Keras' default",
        )
    found = []
    for key, known in (("recurrent_activation", _SIGMOIDS), ("activation", _TANHS)):
        if config[key] not in known:
            raise ConfigError(
                "tensorized layers have no such function",
                field=f"{layer.name}.{key}",
                value=config[key],
                remedy=f"train the dense layer with {' or '.join(known)}",
            )
        found.append(known[config[key]])
    return found[0], found[1]


def _load_arrays(path: Path, layer: str | None, classes: int) -> DenseLayer:
    if layer is not None:
        raise ConfigError("a .npz file holds one layer only", field="layer", value=layer)
    try:
        arrays = read_arrays(path)
    except ArtifactError as error:
        raise ArtifactError(error.problem, field=error.field, remedy=_AS_NPZ) from error
    for name in _NEEDED:
        if name not in arrays:
            raise ArtifactError(
                f"there is no array {name!r}",
                field=str(path),
                value=sorted(arrays),
                remedy=_AS_NPZ,
            )
    cell = cell_from_keras(arrays["kernel"], arrays["recurrent_kernel"], arrays.get("bias"))
    head = None
    if "head_kernel" in arrays:
        kernel, wanted = arrays["head_kernel"], (cell.hidden.shape[1], classes)
        bias = arrays.get("head_bias", np.zeros(classes))
        if kernel.shape != wanted or bias.shape != wanted[1:]:
            raise ShapeError(
                f"must have shape {list(wanted)}, [hidden units, classes], and head_bias "
                f"{list(wanted[1:])}",
                field="head_kernel",
                value=[list(kernel.shape), list(bias.shape)],
            )
        head = (kernel, bias)
    return DenseLayer(path.name, cell, None, head)


def _load_model(path: Path, name: str | None, classes: int) -> DenseLayer:
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever it meets
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ArtifactError(
            f"cannot be read by Keras 2 ({reason})",
            field=str(path),
            remedy=f"if Keras 3 wrote it, save its weights instead: {_AS_NPZ}",
        ) from error
    layers = list(_layers_of(model))
    recurrent = [one for one in layers if isinstance(one, keras.layers.LSTM | keras.layers.GRU)]
    names = [one.name for one in recurrent]
    chosen = [one for one in recurrent if name in (None, one.name)]
    if len(chosen) != 1:
        raise ConfigError(
            f"the model's LSTM and GRU layers are {', '.join(names) or 'none'}",
            field="layer",
            value=name,
            remedy=near_matches(name, names) if name and names else "name one of them",
        )
    (layer,) = chosen
    functions = _functions(layer)
    cell = cell_from_keras(*_keras_weights(layer))
    wanted = (cell.hidden.shape[1], classes)
    heads = [
        one.get_weights()
        for one in layers
        if isinstance(one, keras.layers.Dense)
        and tuple(one.kernel.shape) == wanted
        and one.activation in (keras.activations.linear, keras.activations.softmax)
    ]
    head = None
    if len(heads) == 1:
        kernel, *bias = heads[0]
        head = (kernel, bias[0] if bias else np.zeros(classes))
    return DenseLayer(layer.name, cell, functions, head)


def _layers_of(model: Any) -> Iterator[Any]:
    """All layers of a model, and of models in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers_of(layer)
        else:
            yield layer
