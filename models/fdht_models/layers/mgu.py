"""TensorMGU: a minimal gated unit in any tensor format."""

from __future__ import annotations

from collections.abc import Sequence

from fdht_models.kerasapi import keras, tf
from fdht_models.layers.recurrent import Recurrence, TensorRNN


@keras.utils.register_keras_serializable("fdht")
class TensorMGU(TensorRNN):
    """Minimal gated unit whose matrix is a tensor network; see `TensorRNN` for arguments.

    f = sigmoid(W_xf x + W_hf h + b_f), n = tanh(W_xn x + b_n + f (W_hn h)), h_t = (1 - f) h_{t-1}
    + f n. Zhou et al. (2016) have W_hn (f h); here the gate acts behind the matrix, so that W_h h
    is one product also where W_h is part of a decomposed matrix.
    """

    cell = "mgu"

    def step(
        self,
        projected: tf.Tensor,
        states: Sequence[tf.Tensor],
        recurrence: Recurrence,
        training: bool,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One time step: [batch, 2 H] and (h,) -> h, [h]."""
        (hidden,) = states
        recurrent = self.recur(hidden, recurrence, training)
        forget, candidate = tf.split(projected + recurrence.bias, 2, axis=1)
        recurrent_forget, recurrent_candidate = tf.split(recurrent, 2, axis=1)
        pre = self.emit("preactivation", forget + recurrent_forget, training)
        forget = self.apply("gate", pre, recurrence, training)
        memory = self.emit("recurrent", recurrent_candidate, training)
        pre = self.emit("preactivation", candidate + forget * memory, training)
        candidate = self.apply("candidate", pre, recurrence, training)
        hidden = self.emit("hidden", hidden + forget * (candidate - hidden), training)
        return hidden, [hidden]
