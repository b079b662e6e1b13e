"""One stretch of training: its optimiser, its losses, and what a step of it computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.augmentation import Augmentation
from fdht_models.kerasapi import keras, tf
from fdht_models.sections import Recipe
from fdht_models.training.distribution import Devices

#: The learning rate falls along a cosine to this part of the first one.
_LAST_RATE = 0.02
#: Variables that do not decay, by name: a gate's bias says how much it forgets.
_WITHOUT_DECAY = ["bias"]
#: Keeps the units that are dropped apart from everything else that is drawn for a clip.
_DROPPED = 0x64726F70


@dataclass(frozen=True)
class Phase(Recipe):
    """One stretch of training with a rate of its own.

    Args:
        name: "float", "quantized" or "checkpoint".
        epochs: passes over the clips.
        rate: Adam's first rate.
        augmentation: what is done to training clips; None: nothing.
    """

    name: str
    epochs: int
    rate: float
    augmentation: Augmentation | None = None

    def course(self, epoch: int) -> tuple[int, int, int]:
        """Keys of random numbers that are another stream in every phase and epoch."""
        return int.from_bytes(self.name.encode(), "big"), self.seed, epoch


def rate_of(phase: Phase, steps: int) -> Any:
    """Keras' schedule of the rate over a phase of so many steps an epoch.

    Step k of w warming ones has the rate (k + 1) / (w + 1), so that none is of no use.
    """
    total = phase.epochs * steps
    rising = min(round(phase.warmup * total), total - 1)
    decay = keras.optimizers.schedules.CosineDecay
    if not rising:
        return decay(phase.rate, total, _LAST_RATE)
    return decay(
        phase.rate / (rising + 1),
        total - rising,
        _LAST_RATE,
        warmup_target=phase.rate,
        warmup_steps=rising,
    )


def optimizer_of(phase: Phase, rate: Any) -> Any:
    """Adam, or AdamW where weights decay."""
    if not phase.weight_decay:
        return keras.optimizers.Adam(rate, clipnorm=phase.clip_norm)
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=phase.weight_decay, clipnorm=phase.clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=_WITHOUT_DECAY)
    return optimizer


def training_step(
    model: Any,
    optimizer: Any,
    batch: int,
    devices: Devices,
    losses: Callable[[Any, Any], Any] | None = None,
    dropout: bool = False,
) -> Any:
    """A function of what `Devices.place` gives: [loss, accuracy] of the global batch.

    Args:
        model: the classifier; its last layer is the head.
        optimizer: built.
        batch: clips a step, over all devices.
        devices: what to train on.
        losses: of labels and logits, one a clip; by default cross-entropy.
        dropout: a third argument says by what the head's inputs are multiplied, see `kept_units`.
    """
    losses = losses or cross_entropy
    with devices.scope():
        body = keras.Model(model.input, model.layers[-1].input) if dropout else None

    def logits_of(frames: tf.Tensor, kept: tuple[tf.Tensor, ...]) -> tf.Tensor:
        if body is None:
            return model(frames, training=True)
        return model.layers[-1](body(frames, training=True) * kept[0])

    def replica(frames: tf.Tensor, labels: tf.Tensor, *kept: tf.Tensor) -> tf.Tensor:
        # Means over the global batch are sums of these; with one replica the share is exactly 1.
        share = tf.cast(tf.shape(labels)[0], tf.float32) / batch
        with tf.GradientTape() as tape:
            logits = logits_of(frames, kept)
            loss = tf.reduce_mean(losses(labels, logits)) * share
        weights = model.trainable_variables
        # The optimiser sums the gradients of all replicas, and limits their norms afterwards.
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        right = tf.argmax(logits, axis=1) == labels
        return tf.stack([loss, tf.reduce_mean(tf.cast(right, tf.float32)) * share])

    @tf.function(reduce_retracing=True, autograph=False)
    def step(*arguments: Any) -> tf.Tensor:
        return devices.summed(replica, *arguments)

    return step


def scoring(model: Any) -> Any:
    """A function of a batch: [sum of losses, number of right answers], as after training."""

    @tf.function(reduce_retracing=True, autograph=False)
    def score(frames: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        logits = model(frames, training=False)
        losses = cross_entropy(labels, logits)
        right = tf.argmax(logits, axis=1) == labels
        return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))])

    return score


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Losses of clips: float32 [batch]."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def losses_of(phase: Phase, labels: npt.NDArray[np.int64], classes: int) -> Any:
    """A phase's losses: a function of labels and logits.

    Args:
        phase: label smoothing, and whether classes are balanced.
        labels: of all clips that are trained on.
        classes: how many there are.
    """
    smoothing = phase.label_smoothing
    weights = class_weights(labels, classes) if phase.class_weights == "balanced" else None

    def losses(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        if smoothing:
            off = smoothing / classes
            wanted = tf.one_hot(labels, classes, 1 - smoothing + off, off)
            found = tf.nn.softmax_cross_entropy_with_logits(wanted, logits)
        else:
            found = cross_entropy(labels, logits)
        return found if weights is None else found * tf.gather(weights, labels)

    return losses


def class_weights(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """Weights by class, inverse to its number of clips; their mean over the clips is 1.

    A class without a clip has the weight 0, which nothing is multiplied by.
    """
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    weights = len(labels) / (present * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0).astype(np.float32)


def kept_units(
    units: int, dropout: float, numbers: npt.NDArray[np.int64], course: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """What the hidden state is multiplied by in a training step: float32 [clips, units].

    0 for units that are dropped, and 1 / (1 - dropout) for the others, so that sums stay what they
    are on the average (Srivastava et al. 2014). Drawn for each clip by its number, so that a
    resumed training, and any number of devices, drop the same.

    Args:
        units: of the hidden state.
        dropout: share of them.
        numbers: of the clips.
        course: phase, seed and epoch.
    """
    drawn = np.empty((len(numbers), units))
    for row, number in zip(drawn, numbers, strict=True):
        np.random.default_rng([_DROPPED, *course, int(number)]).random(out=row)
    return np.where(drawn < dropout, 0, 1 / (1 - dropout)).astype(np.float32)
