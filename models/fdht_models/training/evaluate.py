"""Accuracy on clips that training never saw, with exact integers for the quantised model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.data import ClipSet, ClipSource
from fdht_models.data.baseline import MOST_CLIPS, Pictures, baseline_table, logistic_clips
from fdht_models.data.significance import chance_of
from fdht_models.errors import EqualityError, FdhtError
from fdht_models.experiment import Experiment
from fdht_models.kerasapi import tf
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.recurrent import RecurrentShape
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.training.comparison import scores_of
from fdht_models.training.display import Display

#: Clips a call; bounds the memory that float64 intermediates take.
_BATCH = 16
#: Clips on which Keras is compared with the integer reference after every training; converting
#: compares far more.
_REFERENCE_CLIPS = 24

Logits = npt.NDArray[np.float64]


def logits_of(model: Any, frames: npt.NDArray[np.uint8]) -> Logits:
    """Logits after the last frame of each clip: float64 [clips, classes]."""

    @tf.function(reduce_retracing=True, autograph=False)
    def predict(batch: tf.Tensor) -> tf.Tensor:
        return model(batch, training=False)

    blocks = [
        predict(tf.constant(frames[start : start + _BATCH])).numpy()
        for start in range(0, len(frames), _BATCH)
    ]
    return np.concatenate(blocks).astype(np.float64)


def accuracy(logits: Logits, labels: npt.NDArray[np.int64]) -> float:
    """Share of clips whose largest logit is that of their label."""
    return float(np.mean(logits.argmax(axis=1) == labels))


def confusion(
    logits: Logits, labels: npt.NDArray[np.int64], classes: tuple[str, ...]
) -> dict[str, Any]:
    """{"classes", "matrix"}: matrix[i][j] clips of class i were taken for class j."""
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(matrix, (labels, logits.argmax(axis=1)), 1)
    return {"classes": list(classes), "matrix": matrix.tolist()}


def compare_with_reference(
    network: QuantizedNetwork, logits: Logits, frames: npt.NDArray[np.uint8]
) -> dict[str, int]:
    """Compares Keras' logits with the integer reference's on the first clips.

    Returns:
        {"compared": integers, "mismatches": 0}.

    Raises:
        EqualityError: one integer differs.
    """
    clips = min(_REFERENCE_CLIPS, len(frames))
    model = ReferenceModel(network)
    expected = np.empty((clips, len(network.classes)), np.int64)
    for index in range(clips):
        model.reset()
        expected[index] = model.run(np.ascontiguousarray(frames[index]))[-1]
    found = network.logit_format.exact(logits[:clips], "Keras' logits")
    mismatches = int(np.count_nonzero(found != expected))
    if mismatches:
        raise EqualityError(
            "Keras and the integer reference differ",
            field=network.name,
            value=f"{mismatches} of {expected.size} logits",
            remedy="report this with the experiment's file",
        )
    return {"compared": int(expected.size), "mismatches": mismatches}


def parameter_counts(shape: RecurrentShape, classes: int) -> dict[str, Any]:
    """Parameters of the LSTM, of the dense one it stands for, on the chip, and of the head."""
    return {
        "lstm": shape.parameter_count,
        "dense_lstm": shape.dense_parameter_count,
        "ratio_lstm": shape.dense_parameter_count / shape.parameter_count,
        "on_chip": shape.constant_count,
        "head": (shape.units + 1) * classes,
    }


def evaluate(
    experiment: Experiment,
    models: tuple[Any, Any],
    network: QuantizedNetwork,
    clips: tuple[ClipSet, ClipSet],
    display: Display,
    baselines: bool = True,
    cache: Path | None = None,
) -> dict[str, Any]:
    """What `metrics.json` holds.

    Args:
        experiment: what was trained.
        models: the float twin and the quantised model.
        network: what the quantised model was exported as.
        clips: training clips for the classifiers without a memory, and test clips.
        display: says what is being done.
        baselines: fit the classifiers without a memory, too; they take as long as a short
            training.
        cache: directory of clips, where raw frames of a folder are kept, too.

    Raises:
        EqualityError: Keras and the integer reference differ.
    """
    train, test = clips
    display.say(f"evaluating on {len(test)} clips of pictures or people that training never saw")
    real, exact = (logits_of(model, test.frames) for model in models)
    equality = compare_with_reference(network, exact, test.frames)
    scores = {
        "kind": "measured",
        "quantized": accuracy(exact, test.labels),
        "float": accuracy(real, test.labels),
        "chance": chance_of(test.labels),
    }
    counts = {"test": len(test), "test_seed": experiment.data.test_seed}
    if baselines:
        counts["single_frame_train"] = min(len(train), MOST_CLIPS)
        counts["logistic_train"] = logistic_clips(len(train), train.frames.shape[2])
        display.say("fitting classifiers without a memory, which the network has to beat")
        if experiment.source.feature not in (None, "pixels"):
            display.say("reading the raw frames for the mean picture; left out where that fails")
        scores |= _baselines(experiment.source, clips, exact.argmax(axis=1), cache)
        if "single_frame_failure" in scores:
            display.say(f"without a comparison: {scores['single_frame_failure']}")
    return {
        "experiment": experiment.name,
        "accuracy": scores,
        "clips": counts,
        "confusion": confusion(exact, test.labels, test.classes),
        "equality": {"keras_reference": equality},
        "parameters": parameter_counts(experiment.shape, len(test.classes)),
    }


def _baselines(
    source: ClipSource,
    clips: tuple[ClipSet, ClipSet],
    predictions: npt.NDArray[np.int64],
    cache: Path | None,
) -> dict[str, Any]:
    """The table of baselines, and the network's predictions held against the best of them.

    What is trained is worth more than its comparison: where that fails, the reason stands instead.
    """
    train, test = clips
    try:
        table = baseline_table(train, test, _pictures(source, train, test, cache))
        return scores_of(table, predictions, test.labels)
    except Exception as error:
        return {"single_frame_failure": f"{type(error).__name__}: {error}"}


def _pictures(source: ClipSource, train: ClipSet, test: ClipSet, cache: Path | None) -> Pictures:
    """Mean pictures of both splits, as far as regression is fitted to them."""
    some = logistic_clips(len(train), source.inputs)
    found = []
    for split, clips, count in (("train", train, some), ("test", test, len(test))):
        try:
            pictures = source.mean_pictures(split, clips, count, cache)
        except FdhtError as error:  # one row less is better than none
            return str(error)
        if pictures is None or isinstance(pictures, str):
            return pictures
        found.append(pictures)
    return found[0], found[1]
