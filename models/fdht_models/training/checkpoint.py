"""Files of named arrays (.npz), and trained checkpoints: weights of both models and the formats.

A file is written whole or not at all, and refused when it is damaged.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.artifacts import digest_of, write_bytes
from fdht_models.data import FOLDER_KEYS
from fdht_models.directories import WEIGHTS, ModelDirectory, experiment_in, network_in
from fdht_models.documents import parse_json
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.experiment import Experiment, checkpoint_path, experiment_names
from fdht_models.files import read_file
from fdht_models.records import Record, read_record
from fdht_models.tensor.fixedpoint import FixedPoint

#: Labels of the two models in a file of weights.
FLOAT, QUANTIZED = "float", "quantized"
#: Keys of `[training]` that older recipes do not have, with what leaves the course as it was: no
#: part of the digest unless they are set to something else.
_LATER_KEYS: Mapping[str, Any] = {
    "validation_share": 0.0,
    "patience": 0,
    "validation": "auto",
    "label_smoothing": 0.0,
    "weight_decay": 0.0,
    "dropout": 0.0,
    "warmup": 0.0,
    "class_weights": "none",
}
#: Weights of a model by their names.
Weights = dict[str, npt.NDArray[np.float32]]

Arrays = dict[str, npt.NDArray[Any]]
#: What numpy and zipfile raise over a damaged file; an array of objects, which is a pickle, and so
#: code, is a ValueError.
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    AttributeError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Checkpoint:
    """A trained classifier.

    Attributes:
        float_weights: of the float twin.
        quantized_weights: of the quantised model, before rounding.
        formats: of the quantised model.
    """

    float_weights: Weights
    quantized_weights: Weights
    formats: dict[str, FixedPoint]


@dataclass(frozen=True)
class _Note:
    """What a checkpoint's file says beside the arrays."""

    recipe: str
    formats: Mapping[str, FixedPoint]


def recipe_digest(experiment: Experiment) -> str:
    """Digest of all that trained weights depend on; how they are tested is no part of it."""
    training = {
        key: value
        for key, value in asdict(experiment.training).items()
        if key not in _LATER_KEYS or value != _LATER_KEYS[key]
    }
    # Named, since clips were held out one by one before it could be chosen.
    if "validation_share" in training:
        training["validation"] = experiment.training.validation
    changed = experiment.augmentation.chosen
    return digest_of(
        {
            "data": _trained_on(asdict(experiment.data)),
            # Without keys that are not set: those of other formats, among them formats to come.
            "model": {
                key: value for key, value in asdict(experiment.model).items() if value is not None
            },
            "quantization": asdict(experiment.quantization),
            "training": training,
            **({"augmentation": changed} if changed else {}),
        }
    )


def _trained_on(data: Mapping[str, Any]) -> dict[str, Any]:
    """What of a section `[data]` the training clips depend on; keys that are not set left out."""
    folder = {key: data[key] for key in FOLDER_KEYS if key != "root" and data[key] is not None}
    if not data["dead_zone"]:  # none is what a recipe has that does not speak of it
        folder.pop("dead_zone", None)
    mix = [_trained_on(part) for part in data["mix"] or ()]
    always = {key: data[key] for key in ("set", "steps", "train_clips", "seed")}
    return always | folder | ({"mix": mix} if mix else {})


def pack_weights(float_weights: Weights, quantized_weights: Weights) -> Weights:
    """Weights of both models in one dictionary: "float/lstm/U1", "quantized/lstm/U1"."""
    return {
        f"{label}/{name}": array
        for label, weights in ((FLOAT, float_weights), (QUANTIZED, quantized_weights))
        for name, array in weights.items()
    }


def unpack_weights(packed: Weights, label: str) -> Weights:
    """The weights of one model out of `pack_weights`."""
    prefix = f"{label}/"
    return {
        name.removeprefix(prefix): array
        for name, array in packed.items()
        if name.startswith(prefix)
    }


def load_checkpoint(experiment: Experiment) -> Checkpoint:
    """Reads the checkpoint that ships for an experiment.

    Raises:
        ConfigError: there is none, or it was made by another recipe than `experiment`'s.
        ArtifactError: it is damaged.
    """
    path = checkpoint_path(experiment.name)
    if not path.is_file():
        shipped = [name for name in experiment_names() if checkpoint_path(name).is_file()]
        raise ConfigError(
            "no checkpoint ships for this experiment",
            field="experiment",
            value=experiment.name,
            remedy=f"start from scratch (there is one for: {', '.join(shipped) or 'none'})",
        )
    note, arrays = read_noted(_Note, path, "install fdht again")
    if note.recipe != recipe_digest(experiment):
        raise ConfigError(
            "its checkpoint was trained with other settings",
            field="experiment",
            value=experiment.name,
            remedy="start from scratch, or undo the changes to data, model, quantization, training",
        )
    real, exact = (unpack_weights(arrays, label) for label in (FLOAT, QUANTIZED))
    return Checkpoint(real, exact, dict(note.formats))


def write_checkpoint(model_directory: Path, path: Path | None = None) -> Path:
    """Makes a checkpoint of a model that was trained from scratch; returns the file.

    This is how checkpoints that ship are made:
    `fdht train watch`, then `write_checkpoint(Path("build/watch/model"))`.

    Args:
        model_directory: build/<name>/model.
        path: where to; by default where checkpoints that ship are.

    Raises:
        ArtifactError: the model is missing, or was itself started from a checkpoint.
    """
    from fdht_models.training.models import formats_of  # needs TensorFlow

    stage = ModelDirectory(model_directory).open()
    if stage.manifest["inputs"]["start"] != "scratch":
        raise ArtifactError(
            "was not trained from scratch",
            field=str(model_directory),
            value=stage.manifest["inputs"]["start"],
            remedy="run fdht train without --start",
        )
    experiment = experiment_in(stage)
    arrays = read_arrays(stage.file(WEIGHTS))
    note = {
        "recipe": recipe_digest(experiment),
        "formats": {
            name: format.to_json() for name, format in formats_of(network_in(stage)).items()
        },
    }
    path = path or checkpoint_path(experiment.name)
    write_arrays(path, {"note": np.array(json.dumps(note)), **arrays})
    return path


def read_arrays(path: Path) -> Arrays:
    """Reads an .npz file.

    Raises:
        ArtifactError: it is missing or damaged, or holds pickled objects, which are never loaded.
    """
    try:
        # Read first: given a path, numpy leaves the file open when it is damaged.
        with np.load(
            io.BytesIO(read_file(path, error=ArtifactError, remedy="train the experiment again")),
            allow_pickle=False,
        ) as kept:
            return {name: kept[name] for name in kept.files}
    except _DAMAGE as error:
        raise ArtifactError(
            f"cannot be read ({error})", field=str(path), remedy="train the experiment again"
        ) from error


def read_noted(kind: type[Record], path: Path, remedy: str) -> tuple[Record, Arrays]:
    """The note of an .npz file, a record as JSON, and its other arrays.

    Raises:
        ArtifactError: as `read_arrays`, or there is no such note.
    """
    arrays, place = read_arrays(path), f"{path}: note"
    if "note" not in arrays:
        raise ArtifactError("is missing", field=place, remedy=remedy)
    text = str(arrays.pop("note"))
    value = parse_json(text, place, error=ArtifactError, remedy=remedy)
    return read_record(kind, value, source=place, error=ArtifactError, remedy=remedy), arrays


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes an .npz file atomically.

    Raises:
        ArtifactError: it cannot be written; a file that was there before is untouched.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))
    write_bytes(path, buffer.getvalue())
