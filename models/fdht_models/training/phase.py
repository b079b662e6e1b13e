"""One stretch of training, and the optimiser that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fdht_models.augmentation import Augmentation
from fdht_models.kerasapi import keras
from fdht_models.sections import Recipe

#: The learning rate falls along a cosine to this part of the first one.
_LAST_RATE = 0.02
#: Variables that do not decay, by name: a gate's bias says how much it forgets.
_WITHOUT_DECAY = ["bias"]


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
