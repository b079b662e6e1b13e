"""One stretch of training: the clips held out, its optimiser and losses, what a step computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.augmentation import Augmentation
from fdht_models.data import ClipSet
from fdht_models.errors import ConfigError
from fdht_models.kerasapi import keras, tf
from fdht_models.sections import Recipe
from fdht_models.training.distribution import Devices

#: The learning rate falls along a cosine to this part of the first one.
_LAST_RATE = 0.02
#: Variables that do not decay, by name: a gate's bias says how much it forgets.
_WITHOUT_DECAY = ["bias"]
#: Keeps the units that are dropped apart from everything else that is drawn for a clip.
_DROPPED = 0x64726F70
#: Keeps the choice of clips that are held out apart from the order of epochs.
_HELD_OUT = 0x68656C64

Numbers = npt.NDArray[np.int64]


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


def divide(clips: ClipSet, phase: Phase) -> tuple[Numbers, Numbers]:
    """Numbers of the clips to train on, and of those held out, both ascending.

    Raises:
        ConfigError: so few clips that one of the two would be empty, or groups are to be held out
            that are not known, or that cannot be divided.
    """
    count = len(clips)
    if not phase.validation_share:
        return np.arange(count), np.arange(0)
    if by_groups(clips, phase):
        return _divide_groups(clips, phase)
    held_out = round(count * phase.validation_share)
    if not 0 < held_out < count:
        raise ConfigError(
            f"of {count} clips {held_out} would be held out, and {count - held_out} trained on",
            field="training.validation_share",
            value=phase.validation_share,
            remedy="choose another share, or more training clips",
        )
    order = _generator(phase).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def division_line(clips: ClipSet, phase: Phase) -> str | None:
    """Says what is held out; None: nothing.

    Raises:
        ConfigError: as `divide`.
    """
    _, held_out = divide(clips, phase)
    if not len(held_out):
        return None
    counts = f"{len(held_out)} of {len(clips)} training clips are held out to validate on"
    if by_groups(clips, phase):
        assert clips.groups is not None
        groups, all_groups = (len(np.unique(one)) for one in (clips.groups[held_out], clips.groups))
        return f"{counts}: {groups} of {all_groups} groups"
    return f"{counts}, one by one"


def by_groups(clips: ClipSet, phase: Phase) -> bool:
    """True if whole groups are held out.

    Raises:
        ConfigError: they are asked for and not known, or there is one only.
    """
    known = 0 if clips.groups is None else len(np.unique(clips.groups))
    if phase.validation == "groups" and known < 2:
        raise ConfigError(
            "all training clips are of one group" if known else "the set's groups are not known",
            field="training.validation",
            value=phase.validation,
            remedy="use clips" if known else "use clips, or a folder that says who or what is seen",
        )
    return phase.validation != "clips" and known > 1


def _divide_groups(clips: ClipSet, phase: Phase) -> tuple[Numbers, Numbers]:
    """Groups in a drawn order, as long as each brings the share nearer and leaves every class."""
    assert clips.groups is not None
    wanted = len(clips) * phase.validation_share
    left = np.bincount(clips.labels, minlength=len(clips.classes))
    chosen: list[int] = []
    done = 0
    for group in _generator(phase).permutation(np.unique(clips.groups)):
        own = np.bincount(clips.labels[clips.groups == group], minlength=len(left))
        size = int(own.sum())
        loses_a_class = bool(((own > 0) & (own == left)).any())
        if loses_a_class or abs(done + size - wanted) >= abs(done - wanted):
            continue
        chosen.append(int(group))
        left, done = left - own, done + size
    if not chosen:
        raise ConfigError(
            "no group is so small, or none can be spared by its classes",
            field="training.validation_share",
            value=phase.validation_share,
            remedy="choose a larger share, or training.validation = 'clips'",
        )
    held_out = np.isin(clips.groups, chosen)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _generator(phase: Phase) -> np.random.Generator:
    return np.random.default_rng([phase.seed, _HELD_OUT])
