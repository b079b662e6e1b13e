"""Models that Keras 2 and Keras 3 make and save, and what is read of them, computed in NumPy."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.kerasapi import keras as keras_2
from fdht_models.kerasfile import SavedLayer
from tests.models.inexact import sigmoid

#: `keras` itself may only be loaded once `kerasapi` has chosen the legacy one for us.
KERAS: dict[str, Any] = {"keras-2": keras_2, "keras-3": importlib.import_module("keras")}
STEPS, INPUTS, UNITS, CLASSES = 4, 30, 8, 7

Real = npt.NDArray[np.float64]


def frames(clips: int = 5, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Bytes, [clips, steps, inputs]."""
    shape = (clips, STEPS, INPUTS)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def randomised(model: Any, seed: int = 0) -> Any:
    """The model with weights of which no two are equal, statistics of normalisation too."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        name = getattr(variable, "path", variable.name)
        if "count" in name or "seed" in name:
            continue
        values = generator.normal(0, 0.5, tuple(variable.shape))
        # A GRU's recurrent bias of the candidate is in the way; that is tested elsewhere.
        if "gru" in name and "bias" in name and values.ndim == 2:
            values[1, -values.shape[1] // 3 :] = 0
        variable.assign(np.abs(values) + 0.1 if "variance" in name else values)
    return model


def sequence(k: Any, *layers: Any, shape: tuple[int, ...] = (STEPS, INPUTS)) -> Any:
    """A Sequential with random weights."""
    return randomised(k.Sequential([k.Input(shape, dtype="float64"), *layers]))


def layers_of(k: Any) -> Callable[..., Any]:
    """Makes layers that compute in float64: `make("LSTM", 8)`."""
    return lambda kind, *arguments, **options: getattr(k.layers, kind)(
        *arguments, dtype="float64", **options
    )


def computed(found: SavedLayer, clips: npt.NDArray[np.uint8], last: bool = True) -> Real:
    """Logits of what was read, [clips, classes], by Keras' definitions of LSTM and GRU.

    Args:
        found: a layer with sigmoid and tanh, and a classifier.
        clips: bytes, which our networks see divided by 256.
        last: of the last frame only; otherwise [clips, steps, classes].
    """
    kernel, recurrent = (np.float64(one) for one in (found.kernel, found.recurrent_kernel))
    columns = kernel.shape[1]
    gru = columns == 3 * len(recurrent)
    bias = np.zeros((2, columns)) if found.bias is None else np.atleast_2d(found.bias)
    assert found.head is not None
    hidden = cell = np.zeros((len(clips), len(recurrent)))
    logits = []
    for frame in (clips / 256.0).swapaxes(0, 1):
        if gru:
            z, r, h = np.split(frame @ kernel + bias[0], 3, axis=-1)
            zh, rh, hh = np.split(hidden @ recurrent + bias[1], 3, axis=-1)
            z, r = sigmoid(z + zh), sigmoid(r + rh)
            hidden = z * hidden + (1 - z) * np.tanh(h + r * hh)
        else:
            gates = np.split(frame @ kernel + hidden @ recurrent + bias[0], 4, axis=-1)
            i, f, o = (sigmoid(gates[place]) for place in (0, 1, 3))
            cell = f * cell + i * np.tanh(gates[2])
            hidden = o * np.tanh(cell)
        logits.append(hidden @ found.head[0] + found.head[1])
    return np.asarray(logits[-1] if last else np.stack(logits, 1))


def softmax(logits: Real) -> Real:
    """Of the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))
