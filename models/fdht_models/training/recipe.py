"""The course of a training: float phase, calibration, quantised phase; or from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from fdht_models.augmentation import Augmentation
from fdht_models.data import ClipSet
from fdht_models.experiment import Experiment, checkpoint_path
from fdht_models.kerasapi import keras
from fdht_models.sections import Recipe
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.training.calibrate import balance, choose_formats
from fdht_models.training.checkpoint import Checkpoint, Weights, load_checkpoint
from fdht_models.training.distribution import Devices
from fdht_models.training.loop import Row, Surroundings, fit
from fdht_models.training.models import (
    LSTM,
    float_classifier,
    quantized_classifier,
    set_weights,
    weights_of,
)
from fdht_models.training.phase import Phase, division_line

#: A checkpoint's rate as a part of the recipe's quantized_rate: the weights are trained already,
#: and a fresh optimiser's first steps are all of full length.
_CHECKPOINT_RATE = 0.1


@dataclass(frozen=True)
class Trained:
    """A float twin, a quantised model, and how they came about."""

    float_model: Any
    quantized_model: Any
    history: list[Row]


def from_scratch(
    experiment: Experiment, clips: ClipSet, around: Surroundings, initial: Weights | None = None
) -> Trained:
    """Trains both models; the quantised one begins with the float twin's weights.

    Args:
        experiment: the recipe.
        clips: to train on.
        around: where.
        initial: what the float twin begins with, such as a decomposed dense layer; None: random.

    Raises:
        NumericError: training diverged, or formats do not fit.
    """
    recipe = experiment.training
    keras.utils.set_random_seed(recipe.seed)
    phase = phase_of(experiment, "float", recipe.float_epochs, recipe.rate)
    if line := division_line(clips, phase):
        around.display.say(line)
    model, history = _train(lambda: float_classifier(experiment), initial, clips, phase, around)
    _balance(experiment, model)
    formats = _formats(experiment, model, clips, around.devices)
    phase = phase_of(experiment, "quantized", recipe.quantized_epochs, recipe.quantized_rate)
    quantized, rows = _train(
        lambda: quantized_classifier(experiment, formats, steps=experiment.steps),
        weights_of(model),
        clips,
        phase,
        around,
    )
    return Trained(model, quantized, history + rows)


def from_checkpoint(
    experiment: Experiment, clips: ClipSet, steps: int, around: Surroundings
) -> Trained:
    """Trains the quantised model of the checkpoint that ships for some steps; keeps no course."""
    checkpoint = load_checkpoint(experiment)
    model = float_classifier(experiment)
    set_weights(model, checkpoint.float_weights, str(checkpoint_path(experiment.name)))
    rate = experiment.training.quantized_rate * _CHECKPOINT_RATE
    quantized, history = continued(experiment, checkpoint, clips, steps, rate, around)
    return Trained(model, quantized, history)


def continued(
    experiment: Experiment,
    checkpoint: Checkpoint,
    clips: ClipSet,
    steps: int,
    rate: float,
    around: Surroundings,
) -> tuple[Any, list[Row]]:
    """A checkpoint's quantised model, trained for some more steps; its formats stay.

    Args:
        experiment: whose recipe counts; its clips may be others than the checkpoint's.
        checkpoint: what to begin with.
        clips: to train on.
        steps: training steps; 0: the checkpoint's model as it is.
        rate: Adam's first rate.
        around: where; no course is kept.

    Raises:
        NumericError: training diverged.
    """

    def build() -> Any:
        return quantized_classifier(experiment, checkpoint.formats, steps=experiment.steps)

    if not steps:
        return _with(build, checkpoint.quantized_weights, "the checkpoint"), []
    phase = phase_of(experiment, "checkpoint", 1, rate)
    return _train_some(build, checkpoint.quantized_weights, clips, steps, phase, around)


def requantized(
    experiment: Experiment, weights: Weights, clips: ClipSet, steps: int, around: Surroundings
) -> Any:
    """A quantised model of trained float weights: formats chosen anew, then trained for some steps.

    Args:
        experiment: whose widths count.
        weights: of its float twin, balanced, as in a checkpoint.
        clips: to choose formats on, and to train on.
        steps: training steps; 0: quantised after training.
        around: where; no course is kept.

    Raises:
        NumericError: training diverged, or formats do not fit.
    """
    model = float_classifier(experiment)
    set_weights(model, weights, "the float twin")
    formats = _formats(experiment, model, clips, around.devices)

    def build() -> Any:
        return quantized_classifier(experiment, formats, steps=experiment.steps)

    if not steps:
        return _with(build, weights_of(model), "the float twin")
    phase = phase_of(experiment, "quantized", 1, experiment.training.quantized_rate)
    return _train_some(build, weights_of(model), clips, steps, phase, around)[0]


def _with(build: Callable[[], Any], weights: Weights, source: str) -> Any:
    model = build()
    set_weights(model, weights, source)
    return model


def phase_of(experiment: Experiment, name: str, epochs: int, rate: float) -> Phase:
    """A phase of an experiment's recipe."""
    augmentation = None
    if experiment.augmentation.chosen:
        augmentation = Augmentation(experiment.augmentation, experiment.source.preprocessing)
    common = {entry.name: getattr(experiment.training, entry.name) for entry in fields(Recipe)}
    return Phase(name, epochs, rate, augmentation, **common)


def _train(
    build: Callable[[], Any],
    weights: Weights | None,
    clips: ClipSet,
    phase: Phase,
    around: Surroundings,
) -> tuple[Any, list[Row]]:
    """Builds a model, trains it, and returns it as one of a single device."""
    devices = around.devices
    with devices.scope():
        model = build()
        if weights is not None:
            set_weights(model, weights, "the weights to begin with")
    history = fit(model, clips, phase, around)
    if devices.strategy is None:
        return model, history
    single = build()
    set_weights(single, weights_of(model), "the replicas")
    return single, history


def _train_some(
    build: Callable[[], Any],
    weights: Weights,
    clips: ClipSet,
    steps: int,
    phase: Phase,
    around: Surroundings,
) -> tuple[Any, list[Row]]:
    """The same for some steps, on the first clips; no course is kept."""
    # One part of an epoch: there is nothing to choose between.
    phase = replace(phase, validation_share=0.0, patience=0)
    some = clips.of(slice(steps * phase.batch))
    return _train(build, weights, some, phase, replace(around, working=None))


def _balance(experiment: Experiment, model: Any) -> None:
    weights = weights_of(model)
    leaves = {name: weights[f"{LSTM}/{name}"] for name in experiment.shape.network.core_names}
    balanced = balance(experiment.shape, leaves)
    weights |= {f"{LSTM}/{name}": array for name, array in balanced.items()}
    set_weights(model, weights, "balance")


def _formats(
    experiment: Experiment, model: Any, clips: ClipSet, devices: Devices
) -> dict[str, FixedPoint]:
    """The chief's choice: on a machine of another kind a magnitude might round differently."""
    calibration = clips.frames[: experiment.quantization.calibration_clips]
    formats = choose_formats(model, calibration, experiment.quantization)
    shared = devices.share({name: format.to_json() for name, format in formats.items()})
    return {name: FixedPoint.from_json(value) for name, value in shared.items()}
