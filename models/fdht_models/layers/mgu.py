"""TensorMGU: a minimal gated unit in any tensor format."""

from __future__ import annotations

from fdht_models.kerasapi import keras, tf
from fdht_models.layers.recurrent import ForwardPass, States, TensorRNN


@keras.utils.register_keras_serializable("fdht")
class TensorMGU(TensorRNN):
    """Minimal gated unit whose matrix is a tensor network; see `TensorRNN` for arguments.

    f = sigmoid(W_xf x + W_hf h + b_f), n = tanh(W_xn x + b_n + f (W_hn h)), h_t = (1 - f) h_{t-1}
    + f n. Zhou et al. (2016) have W_hn (f h); here the gate acts behind the matrix, so that W_h h
    is one product also where W_h is part of a decomposed matrix.
    """

    cell = "mgu"

    def step(self, projected: tf.Tensor, states: States, forward: ForwardPass) -> States:
        """One time step: [batch, 2 H] and (h,) -> [h]."""
        (hidden,) = states
        recurrent = self.recur(hidden, forward)
        forget, candidate = tf.split(projected + forward.bias, 2, axis=1)
        recurrent_forget, recurrent_candidate = tf.split(recurrent, 2, axis=1)
        pre = self.emit("preactivation", forget + recurrent_forget, forward)
        forget = self.apply("gate", pre, forward)
        memory = self.emit("recurrent", recurrent_candidate, forward)
        pre = self.emit("preactivation", candidate + forget * memory, forward)
        candidate = self.apply("candidate", pre, forward)
        hidden = self.emit("hidden", hidden + forget * (candidate - hidden), forward)
        return [hidden]
