"""TensorRNN: what all tensorized recurrent Keras layers have in common.

The input part W_x x of all time steps is computed at once, before the recurrence; only W_h h is
in the loop. A cell's arithmetic is written once: each value that hardware would round goes through
`emit`, each gate through `apply`, and the quantised twins (`fdht_models.layers.quantized`)
replace these two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fdht_models.errors import ShapeError
from fdht_models.kerasapi import keras, tf
from fdht_models.layers.contract import (
    hidden_slice_gain,
    initial_deviations,
    merge_cores,
    run_plan,
)
from fdht_models.layers.quantizers import SIGMOIDS, TANHS, gate_function
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.cells.operations import CellKind
from fdht_models.tensor.formats import Format, format_from
from fdht_models.tensor.plan import ContractionPlan
from fdht_models.tensor.recurrent import DENSE_HIDDEN, RecurrentShape

#: Time steps up to which the recurrence is unrolled, which is faster on a processor.
UNROLL = 16

#: States of the cell, h first, each [batch, H].
States = Sequence[tf.Tensor]
#: Called with the name of a value that hardware would round, and the value.
Observer = Callable[[str, tf.Tensor], None]


@dataclass(frozen=True)
class ForwardPass:
    """What every time step of a call needs.

    Args:
        training: whether a training calls.
        cores: the stored cores by name.
        bias: [gates x H].
        tables: truth tables by name, where gates are looked up.
    """

    training: bool
    cores: Mapping[str, tf.Tensor]
    bias: tf.Tensor
    tables: Mapping[str, tf.Tensor]


class TensorRNN(keras.layers.Layer):
    """A recurrent layer whose matrix is a tensor network; the base of all kinds of cells.

    Input [batch, time, ...] with prod(...) = prod(input_modes); output [batch, H], or
    [batch, time, H] with `return_sequences`.

    Args:
        format: a `Format`, or its JSON object, such as {"name": "tt", "ranks": [4, 4, 4]}.
        input_modes: n_1 .. n_d.
        output_modes: m_1 .. m_e, the gate factor in m_1; their product is gates x H.
        hidden_box: integrates W_h (see `RecurrentShape`); None: W_h is a dense matrix.
        objective: what the order of contraction minimises; see `best_plan`.
        recurrent_activation: function of the gates.
        activation: function of candidate and cell state.
        input_gain: scale of the initial weights that meet x.
        return_sequences: results of every time step.
        return_state: also return the states.
        stateful: keep the states from call to call; needs a fixed batch size.

    Raises:
        ShapeError: modes, ranks and input do not fit together.
        ConfigError: a format, objective or activation does not exist.
    """

    #: A key of `fdht_models.tensor.cells.kinds.KINDS`.
    cell: ClassVar[str]

    def __init__(
        self,
        format: Format | Mapping[str, Any],
        input_modes: Sequence[int],
        output_modes: Sequence[int],
        hidden_box: Sequence[int] | None = None,
        objective: str = "macs",
        recurrent_activation: str = "sigmoid",
        activation: str = "tanh",
        input_gain: float = 1.0,
        return_sequences: bool = False,
        return_state: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shape = RecurrentShape(
            format if isinstance(format, Format) else format_from(format),
            tuple(input_modes),
            tuple(output_modes),
            None if hidden_box is None else tuple(hidden_box),
            self.cell,
            objective,
        )
        self.units = self.shape.units
        self.recurrent_activation = recurrent_activation
        self.activation = activation
        self.gate = gate_function(recurrent_activation, SIGMOIDS, "recurrent_activation")
        self.squash = gate_function(activation, TANHS, "activation")
        self.input_gain = input_gain
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.stateful = stateful
        self.observer: Observer | None = None

    @property
    def kind(self) -> CellKind:
        """States, formats and truth tables of the cell."""
        return KINDS[self.cell]

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states, h first."""
        return tuple(self.kind.states)

    def function(self, name: str) -> Callable[..., Any]:
        """The function that a truth table of the kind holds."""
        return self.gate if self.kind.tables[name].function == "gate" else self.squash

    def build(self, input_shape: Any) -> None:
        """Makes the cores of the network, a dense W_h `H` if it is not part of it, and the bias."""
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
        if not self.shape.integrated:
            self.tensors[DENSE_HIDDEN] = self.add_weight(
                name=DENSE_HIDDEN,
                shape=self.shape.hidden_network.shape(DENSE_HIDDEN),
                initializer=_orthogonal,
            )
        self.bias = self.add_weight(
            name="bias",
            shape=(len(self.shape.gates) * self.units,),
            initializer=self.initial_bias,
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
                    name=f"state_{name}",
                    shape=(input_shape[0], self.units),
                    initializer="zeros",
                    trainable=False,
                )
                for name in self.state_names
            ]
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        initial_state: Sequence[tf.Tensor] | None = None,
        training: Any = None,
    ) -> Any:
        """Runs the layer over the time axis; see the class for shapes."""
        forward = self.begin(bool(training))
        steps = inputs.shape[1]
        frames = tf.reshape(tf.cast(inputs, tf.float32), (-1, self.shape.input_size))
        projected = self.project(frames, forward)
        rows = len(self.shape.gates) * self.units
        projected = tf.reshape(
            projected, (-1, tf.shape(inputs)[1] if steps is None else steps, rows)
        )

        def step(row: tf.Tensor, before: States) -> tuple[tf.Tensor, States]:
            after = self.step(row, before, forward)
            return after[0], after

        states = self._initial(inputs, initial_state, projected.dtype)
        unroll = steps is not None and steps <= UNROLL
        last, outputs, states = keras.backend.rnn(step, projected, [*states], unroll=unroll)
        if self.stateful:
            for variable, state in zip(self.states, states, strict=True):
                variable.assign(tf.cast(state, variable.dtype))
        result = tf.cast(outputs if self.return_sequences else last, tf.float32)
        if self.return_state:
            return [result, *(tf.cast(state, tf.float32) for state in states)]
        return result

    def stored_cores(self, training: bool) -> dict[str, tf.Tensor]:
        """The arrays that the chip would hold, by name: here, unrounded."""
        return merge_cores(self.shape, self.tensors)

    def stored_bias(self, training: bool) -> tf.Tensor:
        """The bias as the chip would hold it: here, unrounded."""
        return self.bias

    def emit(self, name: str, values: tf.Tensor, forward: ForwardPass) -> tf.Tensor:
        """A value that hardware would round, by the name of its quantizer: here, unrounded."""
        if self.observer is not None:
            self.observer(name, values)
        return values

    def apply(self, name: str, values: tf.Tensor, forward: ForwardPass) -> tf.Tensor:
        """The function of a truth table, such as "gate" or "candidate", of values."""
        return self.function(name)(values)

    def begin(self, training: bool) -> ForwardPass:
        """What every step needs."""
        return ForwardPass(training, self.stored_cores(training), self.stored_bias(training), {})

    def project(self, frames: tf.Tensor, forward: ForwardPass) -> tf.Tensor:
        """W_x x of frames [batch, inputs] -> [batch, gates x H]."""
        plan, cores = self.shape.input_plan, self.shape.input_cores
        return self._contract("input", plan, cores, frames, forward)

    def recur(self, hidden: tf.Tensor, forward: ForwardPass) -> tf.Tensor:
        """W_h h: [batch, H] -> [batch, gates x H]."""
        plan, cores = self.shape.hidden_plan, self.shape.hidden_cores
        return self._contract("hidden", plan, cores, hidden, forward)

    def step(self, projected: tf.Tensor, states: States, forward: ForwardPass) -> States:
        """One time step: [batch, gates x H] and the states -> the new states."""
        raise NotImplementedError

    def initial_bias(self, shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
        """Initial bias: zero."""
        return tf.zeros(shape, dtype)

    def reset_states(self) -> None:
        """Sets the kept states to zero."""
        for variable in self.states if self.stateful and self.built else ():
            variable.assign(tf.zeros_like(variable))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of what `call` returns."""
        state = (input_shape[0], self.units)
        result = (*input_shape[:2], self.units) if self.return_sequences else state
        return [result, *(state for _ in self.state_names)] if self.return_state else result

    def get_config(self) -> dict[str, Any]:
        """All arguments of the constructor."""
        box = self.shape.hidden_box
        return {
            **super().get_config(),
            "format": self.shape.format.to_json(),
            "input_modes": list(self.shape.input_modes),
            "output_modes": list(self.shape.output_modes),
            "hidden_box": None if box is None else list(box),
            "objective": self.shape.objective,
            "recurrent_activation": self.recurrent_activation,
            "activation": self.activation,
            "input_gain": self.input_gain,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "stateful": self.stateful,
        }

    def _contract(
        self,
        path: str,
        plan: ContractionPlan,
        cores: Sequence[str],
        values: tf.Tensor,
        forward: ForwardPass,
    ) -> tf.Tensor:
        def emit(position: int, emitted: tf.Tensor) -> tf.Tensor:
            return self.emit(f"{path}.{plan.stages[position].core}", emitted, forward)

        return run_plan(plan, values, [forward.cores[name] for name in cores], emit)

    def _initial(self, inputs: tf.Tensor, given: Any, dtype: tf.DType) -> list[tf.Tensor]:
        if given is not None:
            return [tf.cast(state, dtype) for state in given]
        if self.stateful:
            return [tf.cast(state, dtype) for state in self.states]
        zeros = tf.zeros((tf.shape(inputs)[0], self.units), dtype)
        return [zeros for _ in self.state_names]

    def _initializer(self, name: str, deviation: float) -> Any:
        normal = keras.initializers.RandomNormal(stddev=deviation)
        core, first = self.shape.network.core(name), self.shape.network.inputs[0]
        if not self.shape.integrated or first not in core.indices:
            return normal
        # The slices that meet h differ from those that meet x.
        shape = [1] * len(core.indices)
        axis = core.indices.index(first)
        shape[axis] = self.shape.network.sizes[first]
        gain = np.ones(shape[axis], np.float32)
        gain[self.shape.input_modes[0] :] = hidden_slice_gain(self.shape, self.input_gain)
        gain = gain.reshape(shape)
        return lambda shape, dtype=None, **_: normal(shape, dtype=dtype) * tf.cast(gain, dtype)


def _orthogonal(shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
    """Orthogonal H x (gates x H), as Keras' recurrent layers begin."""
    flat = (shape[0], math.prod(shape[1:]))
    return tf.reshape(keras.initializers.Orthogonal()(flat, dtype=dtype), shape)
