"""The stage `model`: trains, quantises, evaluates, exports into build/<name>/model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fdht_models.artifacts import DECOMPOSITION, digest_file, digest_of, write_json
from fdht_models.directories import (
    EXPERIMENT,
    HISTORY,
    METRICS,
    NETWORK,
    WEIGHTS,
    BuildDirectory,
    ModelDirectory,
    experiment_in,
    network_in,
)
from fdht_models.errors import ArtifactError
from fdht_models.experiment import Experiment, checkpoint_path
from fdht_models.interruption import termination_as_interrupt
from fdht_models.layers.export import export_network
from fdht_models.metrics import load_metrics
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.training.checkpoint import (
    QUANTIZED,
    pack_weights,
    read_arrays,
    recipe_digest,
    unpack_weights,
    write_arrays,
)
from fdht_models.training.comparison import stream_statement
from fdht_models.training.decompose import decomposed_weights
from fdht_models.training.display import Display
from fdht_models.training.distribution import Devices, devices_for
from fdht_models.training.evaluate import evaluate
from fdht_models.training.loop import Surroundings
from fdht_models.training.models import (
    HEAD,
    LSTM,
    formats_of,
    quantized_classifier,
    set_weights,
    weights_of,
)
from fdht_models.training.options import check_start
from fdht_models.training.recipe import Trained, from_checkpoint, from_scratch
from fdht_models.versions import package_versions

#: Beside the stage's directory: where an interrupted training goes on from, TensorBoard's events.
WORKING, LOGS = ".training", "logs"
#: Counts changes of this package that make former results stale.
_VERSION = 3


def train_stage(
    experiment: Experiment,
    directory: Path,
    *,
    start: str = "scratch",
    steps: int | None = None,
    test_clips: int | None = None,
    test_seed: int | None = None,
    cache: Path | None = None,
    quiet: bool = False,
    tensorboard: bool = False,
    distribute: str | None = None,
    baselines: bool = True,
) -> dict[str, Any]:
    """Trains an experiment into `directory`/model, or does nothing if that is up to date.

    An interrupted training goes on after its last finished epoch, on the course that it would
    have taken.

    Args:
        experiment: what to train.
        directory: build/<name>; written are `model/`, while training `.training/`, and `logs/`.
        start: "scratch"; "checkpoint": from the trained weights that ship; or "decomposed": as
            from scratch, but from the dense layer that `decompose_stage` left in `directory`.
        steps: training steps from the checkpoint; 20 by default.
        test_clips: clips to score on instead of the experiment's number.
        test_seed: seed of these clips instead of the experiment's.
        cache: directory of generated clips; by default `directory`/../data.
        quiet: show no progress.
        tensorboard: write events of every epoch into `directory`/logs.
        distribute: None, "local" or "workers"; see `devices_for`. Of several workers the first
            one alone writes into `directory`, and all return the same.
        baselines: compare with classifiers that have no memory.

    Returns:
        What `metrics.json` holds.

    Raises:
        ConfigError: a setting that cannot be used.
        DataError: the clips cannot be made.
        NumericError: training diverged, or formats do not fit.
        EqualityError: Keras and the integer reference differ.
        ArtifactError: the results cannot be written; former ones are untouched.
        ToolError: another worker does not answer.
    """
    experiment = _with_test(experiment, test_clips, test_seed)
    count = check_start(experiment, start, steps)
    initial, digest = None, None
    if start == DECOMPOSITION:
        initial, digest = decomposed_weights(experiment, directory)
    devices = devices_for(distribute)
    devices.check_batch(experiment.training.batch)
    cache = BuildDirectory(directory).data if cache is None else cache
    inputs = _inputs(experiment, start, count, cache)
    # Only where there is one: former results and courses stay what they are.
    decomposed = {} if digest is None else {DECOMPOSITION: digest}
    inputs |= decomposed if baselines else {**decomposed, "baselines": False}
    target, working = BuildDirectory(directory).model, directory / WORKING
    display = Display(quiet or not devices.is_chief)
    if devices.share(devices.is_chief and is_trained(target, inputs)):
        display.say(f"{target.path} is up to date")
        return _shared(devices, lambda: load_metrics(target.path / METRICS))
    logs = directory / LOGS if tensorboard else None
    key = digest_of({"recipe": recipe_digest(experiment), "clips": inputs["train"], **decomposed})
    around = Surroundings(display, devices, working, key, logs)
    with termination_as_interrupt():
        # All of them, from a checkpoint too: the classifiers without a memory see the clips
        # that the network was trained on. With fewer they look weaker than they are.
        train = experiment.source.load("train", cache, progress=devices.is_chief)
        # Before the training, which is of no use if they cannot be read.
        test = experiment.source.load("test", cache) if devices.is_chief else None
        # What is made of a clip, with the time step that is learnt.
        preprocessing = experiment.source.preprocessing.with_time_step(train.time_step)
        streams = stream_statement(preprocessing)
        if streams is not None:
            display.say(streams["statement"])
        if start == "checkpoint":
            trained = from_checkpoint(experiment, train, count, around)
        else:
            trained = from_scratch(experiment, train, around, initial)

        def finish() -> dict[str, Any]:
            layers = (trained.quantized_model.get_layer(name) for name in (LSTM, HEAD))
            network = export_network(
                *layers,
                name=experiment.name,
                classes=train.classes,
                preprocessing=preprocessing,
            )
            assert test is not None
            models = (trained.float_model, trained.quantized_model)
            metrics = evaluate(
                experiment, models, network, (train, test), display, baselines, cache
            )
            metrics["start"] = {"from": start, "steps": count or None}
            if streams is not None:
                metrics["streams"] = streams
            tools = package_versions("tensorflow", "tf_keras", "qkeras", "numpy")
            with target.write(inputs, tools) as (temporary, extra):
                extra["design_id"] = f"{network.design_id:016x}"
                if streams is not None:
                    extra["streams"] = streams["statement"]
                _write(temporary, experiment, trained, network, metrics)
            shutil.rmtree(working, ignore_errors=True)
            return metrics

        return _shared(devices, finish)


def restore(
    directory: Path,
    return_sequences: bool = True,
    stateful: bool = False,
    batch: int | None = None,
    steps: int | None = None,
) -> Any:
    """Rebuilds the quantised Keras model of a model directory.

    Args:
        directory: build/<name>/model.
        return_sequences: logits of every frame, [batch, steps, classes], rather than of the last.
        stateful: keep the LSTM state from call to call; needs `batch`.
        batch: clips a call; None for any.
        steps: frames a clip; None for any.

    Returns:
        Keras model, uint8 [batch, steps, inputs] -> float32 logits. Called with
        `training=False`, it computes the integers of `network.json`.

    Raises:
        ArtifactError: the directory is missing or damaged.
    """
    directory = Path(directory)
    stage = ModelDirectory(directory).open()
    experiment, network = experiment_in(stage), network_in(stage)
    model = quantized_classifier(
        experiment,
        formats_of(network),
        return_sequences=return_sequences,
        stateful=stateful,
        batch=batch,
        steps=steps,
        class_count=len(network.classes),  # the folder of the clips may be elsewhere
    )
    weights = unpack_weights(read_arrays(stage.file(WEIGHTS)), QUANTIZED)
    set_weights(model, weights, str(directory / WEIGHTS))
    return model


def is_trained(target: ModelDirectory, inputs: Mapping[str, Any]) -> bool:
    """Is there nothing to train? What later stages refuse to read is to be made anew."""
    if not target.is_current(inputs):
        return False
    try:
        experiment_in(target.open())
    except ArtifactError:
        return False
    return True


def _shared(devices: Devices, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the chief's `work` returns, on all workers."""
    result: dict[str, Any] = devices.share(work() if devices.is_chief else None)
    return result


def _write(
    directory: Path,
    experiment: Experiment,
    trained: Trained,
    network: QuantizedNetwork,
    metrics: dict[str, Any],
) -> None:
    network.save(directory / NETWORK)
    weights = pack_weights(weights_of(trained.float_model), weights_of(trained.quantized_model))
    write_arrays(directory / WEIGHTS, weights)
    write_json(directory / EXPERIMENT, experiment.to_json())
    write_json(directory / METRICS, metrics)
    write_json(directory / HISTORY, trained.history)


def _with_test(experiment: Experiment, clips: int | None, seed: int | None) -> Experiment:
    data = asdict(experiment.data)
    given = {"test_clips": clips, "test_seed": seed}
    changed = data | {key: value for key, value in given.items() if value is not None}
    if changed == data:
        return experiment
    checked = Experiment.from_json({**experiment.to_json(), "data": changed})
    return replace(experiment, data=checked.data)


def _inputs(experiment: Experiment, start: str, steps: int, cache: Path) -> dict[str, Any]:
    checkpoint = start == "checkpoint"
    return {
        "version": _VERSION,
        "experiment": experiment.digest,
        "train": experiment.source.digest("train", cache),
        "test": experiment.source.digest("test", cache),
        "start": start,
        "steps": steps or None,
        "checkpoint": digest_file(checkpoint_path(experiment.name)) if checkpoint else None,
    }
