"""Keras and QKeras models without a layer of ours, after the tests of hls4ml and QKeras.

Shapes and options are those of their recurrent tests; the code is ours. None is what the backend
FDHT converts, so each is to be refused by a line that names a layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fdht_models.kerasapi import keras, qkeras

layers = keras.layers
_BITS = "quantized_bits(8, 0, alpha=1)"
#: Quantizers of QKeras' recurrent layers, as its own tests give them.
_QUANTIZED = {
    "kernel_quantizer": _BITS,
    "recurrent_quantizer": _BITS,
    "bias_quantizer": _BITS,
    "state_quantizer": "quantized_bits(8, 2, alpha=1)",
}
_QUANTIZED_GATES = {
    **_QUANTIZED,
    "activation": "quantized_tanh(8)",
    "recurrent_activation": "quantized_sigmoid(8)",
}


def _sequence(*stack: Any, shape: tuple[int, ...] = (8, 5)) -> Any:
    """A model of layers one behind the other."""
    return keras.Sequential([layers.Input(shape), *stack])


def _initial_states(kind: Any, count: int) -> Any:
    inputs = keras.Input((8, 5))
    states = [keras.Input((6,)) for _ in range(count)]
    return keras.Model([inputs, *states], kind(6, name="rnn")(inputs, initial_state=states))


def _constant_state(kind: Any) -> Any:
    """Initial states that a dense layer computes: the decoder of an image captioner."""
    inputs, image = keras.Input((8, 5)), keras.Input((3,))
    state = layers.Dense(6, name="image")(image)
    return keras.Model([inputs, image], kind(6, name="rnn")(inputs, initial_state=[state]))


def _return_state() -> Any:
    inputs = keras.Input((8, 5))
    return keras.Model(inputs, layers.LSTM(6, return_state=True, name="rnn")(inputs))


def _encoder_and_decoder() -> Any:
    inputs, target = keras.Input((8, 5)), keras.Input((4, 5))
    _, *states = layers.LSTM(6, return_state=True, name="encoder")(inputs)
    decoded = layers.LSTM(6, return_sequences=True, name="decoder")(target, initial_state=states)
    return keras.Model([inputs, target], layers.Dense(3, name="head")(decoded))


def _two_branches() -> Any:
    inputs = keras.Input((8, 5))
    branches = [layers.LSTM(6, name="left")(inputs), layers.GRU(6, name="right")(inputs)]
    return keras.Model(inputs, layers.Concatenate(name="both")(branches))


#: Name -> a function that builds the model.
STOCK: dict[str, Callable[[], Any]] = {
    "SimpleRNN": lambda: _sequence(layers.SimpleRNN(6, name="rnn")),
    "SimpleRNN, sequences": lambda: _sequence(
        layers.SimpleRNN(6, return_sequences=True, name="rnn")
    ),
    "SimpleRNN, relu": lambda: _sequence(layers.SimpleRNN(6, activation="relu", name="rnn")),
    "LSTM": lambda: _sequence(layers.LSTM(6, name="rnn")),
    "LSTM, sequences": lambda: _sequence(layers.LSTM(6, return_sequences=True, name="rnn")),
    "LSTM, hard_sigmoid": lambda: _sequence(
        layers.LSTM(6, recurrent_activation="hard_sigmoid", name="rnn")
    ),
    "LSTM, no bias": lambda: _sequence(layers.LSTM(6, use_bias=False, name="rnn")),
    "LSTM, go_backwards": lambda: _sequence(layers.LSTM(6, go_backwards=True, name="rnn")),
    "LSTM, unrolled, stateful": lambda: keras.Sequential(
        [layers.Input((8, 5), batch_size=1), layers.LSTM(6, stateful=True, unroll=True, name="rnn")]
    ),
    "LSTM, dropout": lambda: _sequence(
        layers.LSTM(6, dropout=0.5, recurrent_dropout=0.5, name="rnn")
    ),
    "LSTM, return_state": _return_state,
    "LSTM, initial states": lambda: _initial_states(layers.LSTM, 2),
    "LSTM and Dense": lambda: _sequence(layers.LSTM(6, name="rnn"), layers.Dense(3, name="head")),
    "LSTM and softmax": lambda: _sequence(
        layers.LSTM(6, name="rnn"), layers.Dense(3, activation="softmax", name="head")
    ),
    "GRU": lambda: _sequence(layers.GRU(6, name="rnn")),
    "GRU, sequences": lambda: _sequence(layers.GRU(6, return_sequences=True, name="rnn")),
    "GRU, reset before": lambda: _sequence(layers.GRU(6, reset_after=False, name="rnn")),
    "GRU, go_backwards": lambda: _sequence(
        layers.GRU(6, go_backwards=True, return_sequences=True, name="rnn")
    ),
    "GRU, no bias": lambda: _sequence(layers.GRU(6, use_bias=False, name="rnn")),
    "GRU, initial state": lambda: _initial_states(layers.GRU, 1),
    "GRU, state of a Dense": lambda: _constant_state(layers.GRU),
    "stacked LSTM": lambda: _sequence(
        layers.LSTM(6, return_sequences=True, name="first"), layers.LSTM(4, name="second")
    ),
    "stacked GRU": lambda: _sequence(
        layers.GRU(6, return_sequences=True, name="first"), layers.GRU(4, name="second")
    ),
    "LSTM over GRU": lambda: _sequence(
        layers.GRU(6, return_sequences=True, name="first"), layers.LSTM(4, name="second")
    ),
    "Conv1D and LSTM": lambda: _sequence(
        layers.Conv1D(4, 3, activation="relu", name="conv"), layers.LSTM(6, name="rnn")
    ),
    "Conv1D, pooling and GRU": lambda: _sequence(
        layers.Conv1D(4, 3, name="conv"), layers.MaxPooling1D(2), layers.GRU(6, name="rnn")
    ),
    "Conv2D and LSTM": lambda: _sequence(
        layers.Conv2D(2, 3, name="conv"),
        layers.Reshape((6, 6)),
        layers.LSTM(6, name="rnn"),
        shape=(8, 5, 1),
    ),
    "Dense and LSTM": lambda: _sequence(layers.Dense(4, name="front"), layers.LSTM(6, name="rnn")),
    "Embedding and LSTM": lambda: _sequence(
        layers.Embedding(20, 5, name="words"), layers.LSTM(6, name="rnn"), shape=(8,)
    ),
    "Masking and LSTM": lambda: _sequence(layers.Masking(name="mask"), layers.LSTM(6, name="rnn")),
    "BatchNormalization and LSTM": lambda: _sequence(
        layers.BatchNormalization(name="norm"), layers.LSTM(6, name="rnn")
    ),
    "LSTM and LayerNormalization": lambda: _sequence(
        layers.LSTM(6, return_sequences=True, name="rnn"), layers.LayerNormalization(name="norm")
    ),
    "LSTM and mean": lambda: _sequence(
        layers.LSTM(6, return_sequences=True, name="rnn"), layers.GlobalAveragePooling1D()
    ),
    "LSTM and Flatten": lambda: _sequence(
        layers.LSTM(6, return_sequences=True, name="rnn"), layers.Flatten(), layers.Dense(2)
    ),
    "LSTM and TimeDistributed": lambda: _sequence(
        layers.LSTM(6, return_sequences=True, name="rnn"),
        layers.TimeDistributed(layers.Dense(3), name="each"),
    ),
    "RepeatVector": lambda: _sequence(
        layers.LSTM(6, name="encoder"),
        layers.RepeatVector(4),
        layers.LSTM(6, return_sequences=True, name="decoder"),
    ),
    "encoder and decoder": _encoder_and_decoder,
    "two branches": _two_branches,
    "Bidirectional LSTM": lambda: _sequence(
        layers.Bidirectional(layers.LSTM(6, name="rnn"), name="both")
    ),
    "Bidirectional GRU, sum": lambda: _sequence(
        layers.Bidirectional(
            layers.GRU(6, return_sequences=True, name="rnn"), merge_mode="sum", name="both"
        )
    ),
    "Bidirectional of two kinds": lambda: _sequence(
        layers.Bidirectional(
            layers.LSTM(6, name="rnn"),
            backward_layer=layers.GRU(6, go_backwards=True, name="back"),
            name="both",
        )
    ),
    "RNN of cells": lambda: _sequence(
        layers.RNN([layers.LSTMCell(6), layers.LSTMCell(4)], name="rnn")
    ),
    "ConvLSTM1D": lambda: _sequence(layers.ConvLSTM1D(2, 3, name="rnn"), shape=(8, 5, 1)),
    "QSimpleRNN": lambda: _sequence(
        qkeras.QSimpleRNN(6, activation="quantized_tanh(8)", **_QUANTIZED, name="rnn")
    ),
    "QLSTM": lambda: _sequence(qkeras.QLSTM(6, **_QUANTIZED_GATES, name="rnn")),
    "QLSTM, sequences": lambda: _sequence(
        qkeras.QLSTM(6, return_sequences=True, **_QUANTIZED_GATES, name="rnn")
    ),
    "QLSTM, plain gates": lambda: _sequence(
        qkeras.QLSTM(6, activation="tanh", recurrent_activation="sigmoid", **_QUANTIZED, name="rnn")
    ),
    "QGRU": lambda: _sequence(qkeras.QGRU(6, **_QUANTIZED_GATES, name="rnn")),
    "QGRU, reset before": lambda: _sequence(
        qkeras.QGRU(6, reset_after=False, **_QUANTIZED_GATES, name="rnn")
    ),
    "stacked QLSTM": lambda: _sequence(
        qkeras.QLSTM(6, return_sequences=True, **_QUANTIZED_GATES, name="first"),
        qkeras.QLSTM(4, **_QUANTIZED_GATES, name="second"),
    ),
    "QLSTM and QDense": lambda: _sequence(
        qkeras.QLSTM(6, **_QUANTIZED_GATES, name="rnn"),
        qkeras.QDense(3, kernel_quantizer=_BITS, bias_quantizer=_BITS, name="head"),
    ),
    "QBidirectional QLSTM": lambda: _sequence(
        qkeras.QBidirectional(qkeras.QLSTM(6, **_QUANTIZED_GATES, name="rnn"), name="both")
    ),
    "QConv1D and QLSTM": lambda: _sequence(
        qkeras.QConv1D(4, 3, kernel_quantizer=_BITS, bias_quantizer=_BITS, name="conv"),
        qkeras.QLSTM(6, **_QUANTIZED_GATES, name="rnn"),
    ),
    "QDense alone": lambda: _sequence(
        qkeras.QDense(3, kernel_quantizer=_BITS, bias_quantizer=_BITS, name="head"), shape=(5,)
    ),
    "Dense alone": lambda: _sequence(layers.Dense(3, name="head"), shape=(5,)),
}
