"""The training loop: epochs in an order keyed by seed and epoch, resumed after any interruption.

Keras' `fit` is not used because its shuffling and callbacks do not let a resumed run follow the
course of one that was never interrupted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.data import ClipSet
from fdht_models.data.batch_pipeline import clip_pipeline
from fdht_models.errors import ArtifactError, NumericError
from fdht_models.kerasapi import tf
from fdht_models.training.checkpoint import read_noted, write_arrays
from fdht_models.training.display import Display, PhaseLog, PhaseReport
from fdht_models.training.distribution import ALONE, Devices, Part, answers_expected
from fdht_models.training.phase import (
    Phase,
    divide,
    kept_units,
    losses_of,
    optimizer_of,
    rate_of,
    scoring,
    training_step,
)

Row = dict[str, Any]


@dataclass
class Course:
    """How far a phase has come; kept after every epoch.

    Attributes:
        history: one row an epoch.
        seconds: of a step, by epoch.
        best: weights after the best epoch, where they will be restored; otherwise empty.
    """

    history: list[Row] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best: list[npt.NDArray[Any]] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the least validation loss; 0 before there is one."""
        losses = [row["validation_loss"] for row in self.history]
        return int(np.argmin(losses)) + 1 if losses else 0

    def is_over(self, phase: Phase) -> bool:
        """True after the last epoch, or when patience is at its end."""
        done = len(self.history)
        if not phase.patience:
            return done >= phase.epochs
        return done >= phase.epochs or done - self.best_epoch >= phase.patience


@dataclass(frozen=True)
class Surroundings:
    """Where and how visibly a training runs; the result does not depend on it but for rounding.

    Attributes:
        display: shows progress.
        devices: what to train on.
        working: directory of the courses, a file a phase, kept after every epoch; a training goes
            on from one of the same `key`. None keeps none.
        key: digest of everything that a course depends on, but not on the devices.
        logs: directory of TensorBoard's events, with one for each phase; None writes none.
    """

    display: Display
    devices: Devices = ALONE
    working: Path | None = None
    key: str = ""
    logs: Path | None = None


def fit(model: Any, clips: ClipSet, phase: Phase, around: Surroundings) -> list[Row]:
    """Trains a classifier in place.

    Args:
        model: uint8 [batch, steps, inputs] -> logits [batch, classes], built in the scope of the
            devices.
        clips: what to train on.
        phase: the recipe.
        around: where.

    Returns:
        One row an epoch: phase, epoch, loss, accuracy, and with clips held out validation_loss
        and validation_accuracy.

    Raises:
        ConfigError: too few clips to hold some out, or for all devices; or groups to hold out that
            are not known.
        NumericError: the loss is no longer finite.
        ArtifactError: the state or the logs cannot be written.
        ToolError: another worker does not answer.
    """
    devices, key = around.devices, around.key
    state = None if around.working is None else around.working / f"{phase.name}.npz"
    numbers, held_out = divide(clips, phase)
    batch = min(phase.batch, len(numbers))
    devices.check_batch(batch)
    steps = len(numbers) // batch
    with devices.scope():
        rate = rate_of(phase, steps)
        optimizer = optimizer_of(phase, rate)
        optimizer.build(model.trainable_variables)
    variables = [*model.trainable_variables, *optimizer.variables]
    course = _begin(state, key, variables, devices)
    losses = losses_of(phase, clips.labels[numbers], len(clips.classes))
    step = training_step(model, optimizer, batch, devices, losses, bool(phase.dropout))
    score = scoring(model)
    units = model.layers[-1].input_shape[-1]
    directory = around.logs / phase.name if around.logs and devices.is_chief else None
    log = PhaseLog(directory, lambda epoch: float(rate(epoch * steps)))
    with around.display.phase(phase.name, phase.epochs, steps, done=len(course.history)) as report:
        log.begin(course.history, course.seconds)
        while not course.is_over(phase):
            epoch = len(course.history)
            batches = _batches(clips, numbers, batch, phase, epoch, devices, units)
            row, seconds = _epoch(step, batches, phase, epoch, steps, report, devices)
            if len(held_out):
                row |= _validate(score, clips, held_out, batch, devices)
            course.history.append(row)
            course.seconds.append(seconds)
            if phase.patience and course.best_epoch == epoch + 1:
                course.best = [variable.numpy() for variable in model.trainable_variables]
            report.epoch(row)
            if state is not None and devices.is_chief:
                _save(state, key, variables, course)
            log.epoch(row, seconds)
        log.close()
    if log.failure is not None:
        around.display.say(f"TensorBoard's events are incomplete: {log.failure}")
    if phase.patience:
        _restore_best(model, course, devices)
        report.best(course.best_epoch, len(course.history))
    return course.history


def _epoch(
    step: Any,
    batches: Iterator[list[Part]],
    phase: Phase,
    epoch: int,
    steps: int,
    report: PhaseReport,
    devices: Devices,
) -> tuple[Row, float]:
    """Trains one epoch; returns its row, and the seconds of a step."""
    totals = np.zeros(2)
    begin = time.perf_counter()
    for number, parts in enumerate(batches, 1):
        with answers_expected():
            totals += step(*devices.place(parts)).numpy()
        if not np.isfinite(totals[0]):
            raise NumericError(
                "is no longer finite",
                field=f"loss in {phase.name} epoch {epoch + 1}",
                value=float(totals[0]),
                remedy="lower training.rate or training.clip_norm",
            )
        report.step(totals[0] / number, totals[1] / number)
    seconds = (time.perf_counter() - begin) / steps
    loss, accuracy = totals / steps
    row = {"phase": phase.name, "epoch": epoch + 1, "loss": loss, "accuracy": accuracy}
    return row, seconds


def _validate(
    score: Any, clips: ClipSet, numbers: npt.NDArray[np.int64], batch: int, devices: Devices
) -> Row:
    """Loss and accuracy on the clips held out; the chief's, so that all workers stop together."""
    totals = np.zeros(2)
    if devices.is_chief:
        for start in range(0, len(numbers), batch):
            chosen = numbers[start : start + batch]
            frames, labels = clips.frames[chosen], clips.labels[chosen]
            totals += score(tf.constant(frames), tf.constant(labels)).numpy()
    loss, accuracy = totals / len(numbers)
    if not np.isfinite(loss):
        loss = np.finfo(np.float32).max  # worse than all others, and still JSON
    row: Row = devices.share(
        {"validation_loss": float(loss), "validation_accuracy": float(accuracy)}
    )
    return row


def _batches(
    clips: ClipSet,
    numbers: npt.NDArray[np.int64],
    batch: int,
    phase: Phase,
    epoch: int,
    devices: Devices,
    units: int,
) -> Iterator[list[Part]]:
    """Yields this worker's parts of each batch, the next being read while one is computed.

    With dropout, a part holds what the head's inputs are multiplied by, too.
    """

    def own(chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.concatenate(devices.local_parts(chosen))

    def change(
        frames: npt.NDArray[np.uint8], chosen: npt.NDArray[np.int64], at: int
    ) -> npt.NDArray[np.uint8]:
        assert phase.augmentation is not None
        return phase.augmentation.change(frames, chosen, phase.course(at))

    dataset = clip_pipeline(
        clips,
        batch,
        phase.seed,
        epoch=epoch,
        numbers=numbers,
        part=own,
        change=None if phase.augmentation is None else change,
        numbered=True,
    )
    sizes = [len(part) for part in devices.local_parts(np.arange(batch))]
    ends = np.cumsum(sizes)[:-1]
    for *arrays, chosen in dataset.as_numpy_iterator():
        if phase.dropout:
            arrays.append(kept_units(units, phase.dropout, chosen, phase.course(epoch)))
        yield list(zip(*(np.split(array, ends) for array in arrays), strict=True))


def _restore_best(model: Any, course: Course, devices: Devices) -> None:
    weights = model.trainable_variables
    if devices.is_chief:
        for variable, array in zip(weights, course.best, strict=True):
            variable.assign(array)
    devices.synchronise(weights)


def _begin(state: Path | None, key: str, variables: list[Any], devices: Devices) -> Course:
    """The chief's course so far, with its variables, on all workers."""
    course = Course()
    if state is not None and devices.is_chief:
        course = _load(state, key, variables)
    devices.synchronise(variables)
    history, seconds = devices.share([course.history, course.seconds])
    return Course(history, seconds, course.best)


@dataclass(frozen=True)
class _Note:
    """What the file of a course says beside the arrays."""

    key: str
    history: tuple[Mapping[str, Any], ...]
    seconds: tuple[float, ...]


def _save(path: Path, key: str, variables: list[Any], course: Course) -> None:
    arrays = {f"v{place}": variable.numpy() for place, variable in enumerate(variables)}
    arrays |= {f"b{place}": array for place, array in enumerate(course.best)}
    note = json.dumps({"key": key, "history": course.history, "seconds": course.seconds})
    write_arrays(path, {"note": np.array(note), **arrays})


def _load(path: Path, key: str, variables: list[Any]) -> Course:
    """Restores variables and returns the course; an empty one if there is nothing to resume."""
    try:
        note, kept = read_noted(_Note, path, "it is made anew")
        if note.key != key:
            return Course()
        arrays = [kept[f"v{place}"] for place in range(len(variables))]
        best = [kept[f"b{place}"] for place in range(sum(name[0] == "b" for name in kept))]
        course = Course([dict(row) for row in note.history], list(note.seconds), best)
    except (ArtifactError, ValueError, KeyError):
        return Course()
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return course
