"""FDHTLSTM and its quantised twin: Keras layers whose matrices are one HT network.

The input part W_x x of all time steps is computed at once, before the recurrence; only W_h h is
in the loop. Training rounds in float32 through QKeras' quantizers; inference computes in float64,
where every sum of quantised products is exact, so that its integers are those of the hardware.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fdht_models.errors import ShapeError
from fdht_models.kerasapi import keras, tf
from fdht_models.layers.contract import (
    hidden_slice_gain,
    initial_deviations,
    merge_cores,
    run_plan,
)
from fdht_models.layers.gates import SIGMOIDS, TANHS, gate_function, truth_table
from fdht_models.layers.quantizers import QuantizerSet, round_to, stage_names
from fdht_models.tensor.fdht import GATES, FdhtShape, as_tree
from fdht_models.tensor.fixedpoint import FixedPoint

#: Time steps up to which the recurrence is unrolled, which is faster on a processor.
_UNROLL = 16

States = tuple[tf.Tensor, tf.Tensor]


@keras.utils.register_keras_serializable("fdht")
class FDHTLSTM(keras.layers.Layer):
    """LSTM in fully decomposed hierarchical Tucker format (Yin et al., CVPR 2021).

    [f; u; c~; o] = W [x_t; h_{t-1}] + b with W one HT network (see `FdhtShape`).
    Input [batch, time, ...] with prod(...) = prod(input_modes); output [batch, H], or
    [batch, time, H] with `return_sequences`.

    Args:
        input_modes: n_1 .. n_d.
        output_modes: m_1 .. m_d, the gate factor 4 in m_1; their product is 4 H.
        hidden_box: p_2 .. p_d, product H.
        leaf_rank: rank of the leaf frames, or one a leaf.
        inner_rank: rank of the transfer tensors.
        tree: dimension tree as nested pairs of mode numbers; balanced by default.
        recurrent_activation: function of forget, update and output gate.
        activation: function of candidate and cell state.
        input_gain: scale of the initial weights that meet x.
        return_sequences: results of every time step.
        return_state: also return h and c.
        stateful: keep h and c from call to call; needs a fixed batch size.

    Raises:
        ShapeError: modes, ranks and input do not fit together.
        ConfigError: an activation does not exist.
    """

    def __init__(
        self,
        input_modes: Sequence[int],
        output_modes: Sequence[int],
        hidden_box: Sequence[int],
        leaf_rank: int | Sequence[int],
        inner_rank: int,
        tree: Any = None,
        recurrent_activation: str = "sigmoid",
        activation: str = "tanh",
        input_gain: float = 1.0,
        return_sequences: bool = False,
        return_state: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shape = FdhtShape(
            tuple(input_modes),
            tuple(output_modes),
            tuple(hidden_box),
            leaf_rank if isinstance(leaf_rank, int) else tuple(leaf_rank),
            inner_rank,
            None if tree is None else as_tree(tree),
        )
        self.units = self.shape.units
        self.modes = len(self.shape.input_modes)
        self.recurrent_activation = recurrent_activation
        self.activation = activation
        self.gate = gate_function(recurrent_activation, SIGMOIDS, "recurrent_activation")
        self.squash = gate_function(activation, TANHS, "activation")
        self.input_gain = input_gain
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.stateful = stateful
        self.input_cores = [*(f"C{k}" for k in range(self.modes, 0, -1))]
        self.hidden_cores = [*self.input_cores[:-1], "C1_hidden"]

    def build(self, input_shape: Any) -> None:
        """Makes leaf frames `U{k}`, transfer tensors `B{a}_{b}` and the bias."""
        found = input_shape[2:]
        if None in found or math.prod(found) != self.shape.input_size:
            raise ShapeError(
                f"a time step must hold {self.shape.input_size} values "
                f"({' x '.join(map(str, self.shape.input_modes))})",
                field="input_shape",
                value=tuple(input_shape),
                remedy="change input_modes, or pad the input",
            )
        deviations = initial_deviations(self.shape, self.input_gain)
        self.tensors = {
            core.name: self.add_weight(
                name=core.name,
                shape=self.shape.network.shape(core.name),
                initializer=self._initializer(core.name, deviations[core.name]),
            )
            for core in self.shape.network.cores
        }
        self.bias = self.add_weight(
            name="bias", shape=(len(GATES) * self.units,), initializer=_forget_one(self.units)
        )
        if self.stateful:
            if input_shape[0] is None:
                raise ShapeError(
                    "a stateful layer needs a fixed batch size",
                    field="input_shape",
                    value=tuple(input_shape),
                    remedy="give the Input layer a batch_size",
                )
            self.states = [
                self.add_weight(
                    name=name,
                    shape=(input_shape[0], self.units),
                    initializer="zeros",
                    trainable=False,
                )
                for name in ("state_hidden", "state_cell")
            ]
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        initial_state: Sequence[tf.Tensor] | None = None,
        training: Any = None,
    ) -> Any:
        """Runs the LSTM over the time axis; see the class for shapes."""
        training = bool(training)
        cores = self.stored_cores(training)
        steps = inputs.shape[1]
        frames = tf.reshape(tf.cast(inputs, tf.float32), (-1, self.shape.input_size))
        projected = self.project(frames, cores, training)
        projected = tf.reshape(
            projected, (-1, tf.shape(inputs)[1] if steps is None else steps, 4 * self.units)
        )
        recurrent = self.begin_recurrence(cores, training)
        states = self._initial(inputs, initial_state, projected.dtype)
        last, outputs, states = keras.backend.rnn(
            lambda row, states: self.step(row, (states[0], states[1]), recurrent, training),
            projected,
            [*states],
            unroll=steps is not None and steps <= _UNROLL,
        )
        if self.stateful:
            for variable, state in zip(self.states, states, strict=True):
                variable.assign(tf.cast(state, variable.dtype))
        result = tf.cast(outputs if self.return_sequences else last, tf.float32)
        if self.return_state:
            return [result, *(tf.cast(state, tf.float32) for state in states)]
        return result

    def stored_cores(self, training: bool) -> dict[str, tf.Tensor]:
        """Chain cores as the chip would hold them: here, unrounded."""
        return merge_cores(self.shape, self.tensors)

    def project(self, frames: tf.Tensor, cores: Mapping[str, tf.Tensor], training: bool) -> Any:
        """W_x x of frames [batch, inputs] -> [batch, 4 H]."""
        return run_plan(self.shape.input_plan, frames, [cores[name] for name in self.input_cores])

    def begin_recurrence(self, cores: Mapping[str, tf.Tensor], training: bool) -> list[tf.Tensor]:
        """What every step needs: the cores of W_h and the bias."""
        return [*(cores[name] for name in self.hidden_cores), self.bias]

    def step(
        self, projected: tf.Tensor, states: States, weights: Sequence[tf.Tensor], training: bool
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One time step: [batch, 4 H] and (h, c) -> h, [h, c]."""
        hidden, cell = states
        recurrent = run_plan(self.shape.hidden_plan, hidden, weights[:-1])
        pre = projected + recurrent + weights[-1]
        forget, update, candidate, output = tf.split(pre, len(GATES), axis=1)
        cell = self.gate(forget) * cell + self.gate(update) * self.squash(candidate)
        hidden = self.gate(output) * self.squash(cell)
        return hidden, [hidden, cell]

    def reset_states(self) -> None:
        """Sets the kept state to zero."""
        for variable in self.states if self.stateful else ():
            variable.assign(tf.zeros_like(variable))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of what `call` returns."""
        state = (input_shape[0], self.units)
        result = (*input_shape[:2], self.units) if self.return_sequences else state
        return [result, state, state] if self.return_state else result

    def get_config(self) -> dict[str, Any]:
        """All arguments of the constructor."""
        return {
            **super().get_config(),
            "input_modes": list(self.shape.input_modes),
            "output_modes": list(self.shape.output_modes),
            "hidden_box": list(self.shape.hidden_box),
            "leaf_rank": self.shape.leaf_rank,
            "inner_rank": self.shape.inner_rank,
            "tree": self.shape.tree,
            "recurrent_activation": self.recurrent_activation,
            "activation": self.activation,
            "input_gain": self.input_gain,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "stateful": self.stateful,
        }

    def _initial(self, inputs: tf.Tensor, given: Any, dtype: tf.DType) -> list[tf.Tensor]:
        if given is not None:
            return [tf.cast(state, dtype) for state in given]
        if self.stateful:
            return [tf.cast(state, dtype) for state in self.states]
        zeros = tf.zeros((tf.shape(inputs)[0], self.units), dtype)
        return [zeros, zeros]

    def _initializer(self, name: str, deviation: float) -> Any:
        normal = keras.initializers.RandomNormal(stddev=deviation)
        if name != "U1":
            return normal
        slices = self.shape.network.shape("U1")[0]
        gain = np.ones((slices, 1, 1), np.float32)
        gain[-1] = hidden_slice_gain(self.shape, self.input_gain)
        return lambda shape, dtype=None, **_: normal(shape, dtype=dtype) * tf.cast(gain, dtype)


@keras.utils.register_keras_serializable("fdht")
class QFDHTLSTM(FDHTLSTM):
    """FDHTLSTM with every number quantised; inference is exact, integer for integer.

    Args:
        *args: as for `FDHTLSTM`.
        quantizers: QKeras quantizers (`quantized_bits` with alpha=1), FixedPoint formats or their
            configs by name: "input"; "C1" .. "Cd" and "C1_hidden" for the merged chain cores;
            "bias"; "input.Ck" and "hidden.Ck" for what the stage of core k emits on either path;
            "preactivation"; "gate" (unsigned) and "candidate" for the gates, "output" for the
            squashed cell state; "cell"; "hidden".
        **kwargs: as for `FDHTLSTM`.

    Raises:
        NumericError: a quantizer is missing, unknown or unfit.
    """

    def __init__(self, *args: Any, quantizers: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.quantizers = QuantizerSet.build(quantizers, self.modes)
        self.gate_table = truth_table(self.gate, self.format("preactivation"), self.format("gate"))
        self.candidate_table = truth_table(
            self.squash, self.format("preactivation"), self.format("candidate")
        )
        self.output_table = truth_table(self.squash, self.format("cell"), self.format("output"))

    def format(self, name: str) -> FixedPoint:
        """Fixed-point format of a quantizer."""
        return self.quantizers.format(name)

    def stored_cores(self, training: bool) -> dict[str, tf.Tensor]:
        """Chain cores, quantised; in float64 for inference."""
        merged = merge_cores(self.shape, self.tensors)
        if training:
            return {name: self.quantizers[name](core) for name, core in merged.items()}
        return {
            name: round_to(tf.cast(core, tf.float64), self.format(name))
            for name, core in merged.items()
        }

    def quantized_bias(self, training: bool) -> tf.Tensor:
        """The bias, quantised; in float64 for inference."""
        if training:
            return self.quantizers["bias"](self.bias)
        return round_to(tf.cast(self.bias, tf.float64), self.format("bias"))

    def project(self, frames: tf.Tensor, cores: Mapping[str, tf.Tensor], training: bool) -> Any:
        """W_x x of frames, every stage rounded once."""
        if not training:
            frames = tf.cast(frames, tf.float64)
        frames = self._round("input", frames, training)
        weights = [cores[name] for name in self.input_cores]
        rounding = self._stage_rounding("input", training)
        return run_plan(self.shape.input_plan, frames, weights, rounding)

    def begin_recurrence(self, cores: Mapping[str, tf.Tensor], training: bool) -> list[tf.Tensor]:
        """The cores of W_h, the bias, and for inference the truth tables."""
        weights = [*(cores[name] for name in self.hidden_cores), self.quantized_bias(training)]
        if training:
            return weights
        tables = (self.gate_table, self.candidate_table, self.output_table)
        values = (table.format.dequantize(table.codes) for table in tables)
        return [*weights, *(tf.constant(value, tf.float64) for value in values)]

    def step(
        self, projected: tf.Tensor, states: States, weights: Sequence[tf.Tensor], training: bool
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One time step, every value rounded once."""
        hidden, cell = states
        cores, bias = weights[: self.modes], weights[self.modes]
        rounding = self._stage_rounding("hidden", training)
        recurrent = run_plan(self.shape.hidden_plan, hidden, cores, rounding)
        pre = self._round("preactivation", projected + recurrent + bias, training)
        forget, update, candidate, output = tf.split(pre, len(GATES), axis=1)
        if training:

            def gate(values: tf.Tensor) -> tf.Tensor:
                return self.quantizers["gate"](self.gate(values))

            candidate = self.quantizers["candidate"](self.squash(candidate))
            cell = self._round("cell", gate(forget) * cell + gate(update) * candidate, training)
            squashed = self.quantizers["output"](self.squash(cell))
        else:
            gates, candidates, outputs = weights[self.modes + 1 :]

            def gate(values: tf.Tensor) -> tf.Tensor:
                return _look_up(gates, values, self.format("preactivation"))

            candidate = _look_up(candidates, candidate, self.format("preactivation"))
            cell = self._round("cell", gate(forget) * cell + gate(update) * candidate, training)
            squashed = _look_up(outputs, cell, self.format("cell"))
        hidden = self._round("hidden", gate(output) * squashed, training)
        return hidden, [hidden, cell]

    def get_config(self) -> dict[str, Any]:
        """All arguments of the constructor."""
        return {**super().get_config(), "quantizers": self.quantizers.get_config()}

    def _round(self, name: str, values: tf.Tensor, training: bool) -> tf.Tensor:
        return self.quantizers[name](values) if training else round_to(values, self.format(name))

    def _stage_rounding(self, path: str, training: bool) -> Any:
        names = [f"{path}.{name}" for name in stage_names(self.modes)]
        return lambda position, values: self._round(names[position], values, training)


def _look_up(table: tf.Tensor, values: tf.Tensor, format: FixedPoint) -> tf.Tensor:
    codes = tf.cast(values / format.scale, tf.int32)
    return tf.gather(table, tf.bitwise.bitwise_and(codes, (1 << format.width) - 1))


def _forget_one(units: int) -> Any:
    """Zero bias, but 1 for the forget gate, as is usual since Jozefowicz et al. 2015."""

    def initialize(shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
        values = np.zeros(tuple(shape), np.float32)
        values[:units] = 1.0
        return tf.constant(values, dtype)

    return initialize
