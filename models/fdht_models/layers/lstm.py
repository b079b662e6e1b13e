"""TensorLSTM: an LSTM in any tensor format; FDHTLSTM: the fully decomposed one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fdht_models.kerasapi import keras, tf
from fdht_models.layers.recurrent import ForwardPass, States, TensorRNN
from fdht_models.tensor.formats import HierarchicalTucker


@keras.utils.register_keras_serializable("fdht")
class TensorLSTM(TensorRNN):
    """LSTM whose matrix is a tensor network; see `TensorRNN` for arguments.

    [f; u; c~; o] = W_x x_t + W_h h_{t-1} + b, c_t = f c_{t-1} + u tanh(c~), h_t = o tanh(c_t), with
    sigmoids on f, u and o.
    """

    cell = "lstm"

    def step(self, projected: tf.Tensor, states: States, forward: ForwardPass) -> States:
        """One time step: [batch, 4 H] and (h, c) -> [h, c]."""

        def gate(values: tf.Tensor) -> tf.Tensor:
            return self.apply("gate", values, forward)

        hidden, cell = states
        recurrent = self.recur(hidden, forward)
        pre = self.emit("preactivation", projected + recurrent + forward.bias, forward)
        forget, update, candidate, output = tf.split(pre, 4, axis=1)
        candidate = self.apply("candidate", candidate, forward)
        cell = self.emit("cell", gate(forget) * cell + gate(update) * candidate, forward)
        squashed = self.apply("output", cell, forward)
        hidden = self.emit("hidden", gate(output) * squashed, forward)
        return [hidden, cell]

    def initial_bias(self, shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
        """Zero, but 1 for the forget gate, as is usual since Jozefowicz et al. 2015."""
        values = np.zeros(tuple(shape), np.float32)
        values[: self.units] = 1.0
        return tf.constant(values, dtype)


@keras.utils.register_keras_serializable("fdht")
class FDHTLSTM(TensorLSTM):
    """LSTM in fully decomposed hierarchical Tucker format (Yin et al., CVPR 2021).

    [f; u; c~; o] = W [x_t; h_{t-1}] + b with W one HT network (see `fdht_shape`).

    Args:
        input_modes: n_1 .. n_d.
        output_modes: m_1 .. m_d, the gate factor 4 in m_1; their product is 4 H.
        hidden_box: p_2 .. p_d, product H.
        leaf_rank: rank of the leaf frames, or one a leaf.
        inner_rank: rank of the transfer tensors.
        tree: "balanced", "unbalanced", or nested pairs of mode numbers.
        **kwargs: as for `TensorRNN`.

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
        tree: Any = "balanced",
        **kwargs: Any,
    ) -> None:
        ranks = leaf_rank if isinstance(leaf_rank, int) else tuple(leaf_rank)
        form = HierarchicalTucker(ranks, inner_rank, tree)
        super().__init__(form, input_modes, output_modes, hidden_box, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """All arguments of the constructor."""
        config = super().get_config()
        form = config.pop("format")
        return {**config, **{key: form[key] for key in ("leaf_rank", "inner_rank", "tree")}}
