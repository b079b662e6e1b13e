"""The training loop: epochs in an order keyed by seed and epoch, resumed after any interruption.

Keras' `fit` is not used because its shuffling and callbacks do not let a resumed run follow the
course of one that was never interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.data import ClipSet
from fdht_models.errors import ArtifactError, NumericError
from fdht_models.kerasapi import keras, tf
from fdht_models.training.arrays import read_arrays, write_arrays
from fdht_models.training.display import Display

#: The learning rate falls along a cosine to this part of the first one.
_LAST_RATE = 0.02

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
Row = dict[str, Any]


@dataclass(frozen=True)
class Phase:
    """One stretch of training with a rate of its own.

    Args:
        name: "float", "quantized" or "checkpoint".
        epochs: passes over the clips.
        rate: Adam's first rate.
        batch: clips a step.
        clip_norm: largest norm of a weight's gradient.
        seed: of the order of clips.
    """

    name: str
    epochs: int
    rate: float
    batch: int
    clip_norm: float
    seed: int


def fit(
    model: Any,
    clips: ClipSet,
    phase: Phase,
    display: Display,
    state: Path | None = None,
    key: str = "",
    after_epoch: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Trains a classifier in place.

    Args:
        model: uint8 [batch, steps, inputs] -> logits [batch, classes].
        clips: what to train on.
        phase: the recipe.
        display: shows progress.
        state: file that keeps the course after every epoch; if it holds one of the same `key`,
            training goes on from there.
        key: digest of everything that the course depends on.
        after_epoch: called after an epoch was kept, for tests.

    Returns:
        One row an epoch: phase, epoch, loss, accuracy.

    Raises:
        NumericError: the loss is no longer finite.
        ArtifactError: the state cannot be written.
    """
    batch = min(phase.batch, len(clips))
    steps = len(clips) // batch
    rate = keras.optimizers.schedules.CosineDecay(phase.rate, phase.epochs * steps, _LAST_RATE)
    optimizer = keras.optimizers.Adam(rate, clipnorm=phase.clip_norm)
    optimizer.build(model.trainable_variables)
    variables = [*model.trainable_variables, *optimizer.variables]
    history = _load(state, key, variables) if state is not None else []
    step = _training_step(model, optimizer)
    with display.phase(phase.name, phase.epochs, steps, done=len(history)) as report:
        for epoch in range(len(history), phase.epochs):
            totals = np.zeros(2)
            batches = _batches(clips, _order(len(clips), phase.seed, epoch), batch, steps)
            for number, (frames, labels) in enumerate(batches, 1):
                totals += [float(value) for value in step(tf.constant(frames), tf.constant(labels))]
                if not np.isfinite(totals[0]):
                    raise NumericError(
                        "is no longer finite",
                        field=f"loss in {phase.name} epoch {epoch + 1}",
                        value=float(totals[0]),
                        remedy="lower training.rate or training.clip_norm",
                    )
                report.step(totals[0] / number, totals[1] / number)
            loss, accuracy = totals / steps
            row = {"phase": phase.name, "epoch": epoch + 1, "loss": loss, "accuracy": accuracy}
            history.append(row)
            report.epoch(row)
            if state is not None:
                _save(state, key, variables, history)
            if after_epoch is not None:
                after_epoch(row)
    return history


def _order(clips: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(clips)


def _batches(
    clips: ClipSet, order: npt.NDArray[np.int64], batch: int, steps: int
) -> Iterator[Batch]:
    """Yields batches, the next being read from disk while the present one is computed."""

    def read(step: int) -> Batch:
        # In ascending order, as the file lies on disk; inside a batch the order has no effect.
        chosen = np.sort(order[step * batch : (step + 1) * batch])
        return clips.frames[chosen], clips.labels[chosen]

    with ThreadPoolExecutor(1) as reader:
        future = reader.submit(read, 0)
        for step in range(steps):
            current = future.result()
            if step + 1 < steps:
                future = reader.submit(read, step + 1)
            yield current


def _training_step(model: Any, optimizer: Any) -> Any:
    @tf.function(reduce_retracing=True, autograph=False)
    def step(frames: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = model(frames, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        right = tf.argmax(logits, axis=1) == labels
        return loss, tf.reduce_mean(tf.cast(right, tf.float32))

    return step


def _save(path: Path, key: str, variables: list[Any], history: list[Row]) -> None:
    arrays = {f"v{place}": variable.numpy() for place, variable in enumerate(variables)}
    note = json.dumps({"key": key, "history": history})
    write_arrays(path, {"note": np.array(note), **arrays})


def _load(path: Path, key: str, variables: list[Any]) -> list[Row]:
    """Restores variables and returns the history; an empty one if there is nothing to resume."""
    try:
        kept = read_arrays(path)
        note = json.loads(str(kept["note"]))
        if note["key"] != key:
            return []
        arrays = [kept[f"v{place}"] for place in range(len(variables))]
    except (ArtifactError, ValueError, KeyError):
        return []
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return list(note["history"])
