"""TensorGRU: a GRU in any tensor format."""

from __future__ import annotations

from fdht_models.kerasapi import keras, tf
from fdht_models.layers.recurrent import ForwardPass, States, TensorRNN


@keras.utils.register_keras_serializable("fdht")
class TensorGRU(TensorRNN):
    """GRU whose matrix is a tensor network; see `TensorRNN` for arguments.

    r = sigmoid(W_xr x + W_hr h + b_r), z likewise, n = tanh(W_xn x + b_n + r (W_hn h)),
    h_t = (1 - z) n + z h_{t-1}. The reset gate acts behind the matrix (Keras' `reset_after`), so
    that W_h h is one product also where W_h is part of a decomposed matrix. There is one bias.
    """

    cell = "gru"

    def step(self, projected: tf.Tensor, states: States, forward: ForwardPass) -> States:
        """One time step: [batch, 3 H] and (h,) -> [h]."""
        (hidden,) = states
        recurrent = self.recur(hidden, forward)
        gates, candidate = tf.split(projected + forward.bias, [2 * self.units, self.units], 1)
        recurrent_gates, recurrent_candidate = tf.split(recurrent, [2 * self.units, self.units], 1)
        pre = self.emit("preactivation", gates + recurrent_gates, forward)
        reset, update = tf.split(self.apply("gate", pre, forward), 2, axis=1)
        memory = self.emit("recurrent", recurrent_candidate, forward)
        pre = self.emit("preactivation", candidate + reset * memory, forward)
        candidate = self.apply("candidate", pre, forward)
        hidden = self.emit("hidden", candidate + update * (hidden - candidate), forward)
        return [hidden]
