"""TensorGRU: a GRU in any tensor format."""

from __future__ import annotations

from collections.abc import Sequence

from fdht_models.kerasapi import keras, tf
from fdht_models.layers.recurrent import Recurrence, TensorRNN


@keras.utils.register_keras_serializable("fdht")
class TensorGRU(TensorRNN):
    """GRU whose matrix is a tensor network; see `TensorRNN` for arguments.

    r = sigmoid(W_xr x + W_hr h + b_r), z likewise, n = tanh(W_xn x + b_n + r (W_hn h)),
    h_t = (1 - z) n + z h_{t-1}. The reset gate acts behind the matrix (Keras' `reset_after`), so
    that W_h h is one product also where W_h is part of a decomposed matrix. There is one bias.
    """

    cell = "gru"

    def step(
        self,
        projected: tf.Tensor,
        states: Sequence[tf.Tensor],
        recurrence: Recurrence,
        training: bool,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One time step: [batch, 3 H] and (h,) -> h, [h]."""
        (hidden,) = states
        recurrent = self.recur(hidden, recurrence, training)
        gates, candidate = tf.split(projected + recurrence.bias, [2 * self.units, self.units], 1)
        recurrent_gates, recurrent_candidate = tf.split(recurrent, [2 * self.units, self.units], 1)
        pre = self.emit("preactivation", gates + recurrent_gates, training)
        reset, update = tf.split(self.apply("gate", pre, recurrence, training), 2, axis=1)
        memory = self.emit("recurrent", recurrent_candidate, training)
        pre = self.emit("preactivation", candidate + reset * memory, training)
        candidate = self.apply("candidate", pre, recurrence, training)
        hidden = self.emit("hidden", candidate + update * (hidden - candidate), training)
        return hidden, [hidden]
