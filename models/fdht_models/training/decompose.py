"""The stage `decomposed`: a trained dense Keras LSTM or GRU, in an experiment's tensor format.

    experiment = load_experiment("motion")
    errors = decompose_stage(experiment, Path("build/motion"), Path("dense.keras"))

Training goes on from its weights with `train_stage(..., start="decomposed")`. Needs TensorFlow.
Nothing in a file of weights is run: models are read by `fdht_models.kerasfile`, arrays without
pickles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.artifacts import digest_file, digest_of, read_json, write_json
from fdht_models.directories import EXPERIMENT, WEIGHTS, BuildDirectory
from fdht_models.errors import ArtifactError, ConfigError, NumericError, ShapeError
from fdht_models.experiment import Experiment
from fdht_models.kerasapi import keras, tf
from fdht_models.kerasfile import SavedLayer, read_model
from fdht_models.kerasfile.saved_files import AS_NPZ
from fdht_models.tensor.decompose import Fitting
from fdht_models.tensor.decompose.error_table import rank_text, ranks_of, row
from fdht_models.tensor.decompose.recurrent_weights import (
    CellDecomposition,
    DenseCell,
    decompose_cell,
    scaled_shape,
)
from fdht_models.tensor.recurrent import RecurrentShape
from fdht_models.training.checkpoint import Arrays, Weights, read_arrays, write_arrays
from fdht_models.training.display import Display
from fdht_models.training.models import HEAD, LSTM, float_classifier, weights_of
from fdht_models.training.options import ARRAYS, check_decomposed, check_dense_weights
from fdht_models.training.tensorize import assign
from fdht_models.versions import package_versions

#: Errors of the decomposition.
ERRORS = "errors.json"
#: Counts changes of this package that make former results stale.
_VERSION = 2
#: Arrays that a .npz file of dense weights must hold, and those that it may hold.
_NEEDED = ("kernel", "recurrent_kernel")
_KNOWN = (*_NEEDED, "bias", "head_kernel", "head_bias")


def decompose_stage(
    experiment: Experiment,
    directory: Path,
    weights: Path,
    *,
    layer: str | None = None,
    factors: Sequence[float] = (1.0,),
    fitting: Fitting | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Decomposes a trained dense layer into an experiment's format, in `directory`/decomposed.

    The ranks of the experiment are those that are written; other multiples of them are tried, and
    their errors reported.

    Args:
        experiment: format, modes and ranks.
        directory: build/<name>.
        weights: a model of Keras 2 or 3 (.keras, .h5), its weights alone (.weights.h5), or a .npz
            file with `kernel`, `recurrent_kernel` and `bias` as Keras keeps them, and, if the
            classifier is to be taken over, `head_kernel` and `head_bias`. The model must have been
            trained on what the experiment's network sees: bytes divided by 256. Nothing in a file
            is run.
        layer: name of the LSTM or GRU in a Keras model that has several.
        factors: multiples of the experiment's ranks to try besides 1.
        fitting: of the iterative fits.
        quiet: show no progress.

    Returns:
        What `errors.json` holds: `rows` of ranks, parameters and relative errors (see
        `CellDecomposition`), whether the classifier's weights are trained, and notes: what of the
        model was folded into the layer or the classifier, left out, or not taken.

    Raises:
        ArtifactError: the file cannot be read, or the result not be written.
        FdhtError: layer and experiment do not fit together.
    """
    fitting = fitting or Fitting()
    display, target = Display(quiet), BuildDirectory(directory).decomposition
    if weights.is_dir():
        raise ArtifactError(
            "is a directory, not a file of Keras",
            field=str(weights),
            remedy="save the model as .keras or .h5",
        )
    check_dense_weights(weights)
    multiples = sorted({1.0, *map(float, factors)})
    inputs = {
        "version": _VERSION,
        **_model_inputs(experiment),
        "weights": digest_file(weights),
        "layer": layer,
        "factors": multiples,
        "fitting": asdict(fitting),
    }
    if target.is_current(inputs):
        display.say(f"{target.path} is up to date")
        kept: dict[str, Any] = read_json(target.path / ERRORS)
        return kept
    dense = load_dense(weights, layer, experiment.source.class_count)
    model = float_classifier(experiment)
    rows = []
    for factor in multiples:
        shape = experiment.shape if factor == 1 else scaled_shape(experiment.shape, factor)
        display.say(f"ranks x {factor:g}: {rank_text(ranks_of(shape))}")
        found = _decomposed(dense.cell, shape, fitting)
        rows.append(row(found, factor))
        if factor == 1:
            assign(model.get_layer(LSTM), found)
    _begin_head(model, dense, experiment.training.seed)
    result = _result(experiment, dense, rows)
    # Not every format needs tensorly.
    tools = package_versions("tensorflow", "tf_keras", "numpy", "tensorly")
    with target.write(inputs, tools) as (temporary, _):
        write_arrays(temporary / WEIGHTS, weights_of(model))
        write_json(temporary / EXPERIMENT, experiment.to_json())
        write_json(temporary / ERRORS, result)
    return result


def decomposed_weights(experiment: Experiment, directory: Path) -> tuple[Weights, str]:
    """Weights to begin a training with, by the names of `weights_of`, and their file's digest.

    Args:
        experiment: what will be trained.
        directory: build/<name>, in which `decompose_stage` was run.

    Raises:
        ArtifactError: it was not, or its result is damaged.
        ConfigError: it was run for another model.
    """
    stage = check_decomposed(BuildDirectory(directory).decomposition)
    inputs, weights = stage.manifest["inputs"], stage.file(WEIGHTS)
    if any(inputs.get(key) != value for key, value in _model_inputs(experiment).items()):
        raise ConfigError(
            "was decomposed for other settings of data.set or model",
            field=str(stage.directory),
            remedy="run fdht decompose again",
        )
    return read_arrays(weights), stage.files[WEIGHTS]


def _decomposed(cell: DenseCell, shape: RecurrentShape, fitting: Fitting) -> CellDecomposition:
    """`decompose_cell`, whose errors name the experiment's settings."""
    try:
        return decompose_cell(cell, shape, fitting)
    except (ConfigError, ShapeError) as error:
        raise error.moved(field=f"model.{error.field}") from None


def _begin_head(model: Any, dense: SavedLayer, seed: int) -> None:
    """The trained classifier, or a fresh one that is the same every time."""
    head = model.get_layer(HEAD)
    if dense.head is not None:
        head.set_weights([np.asarray(values, np.float32) for values in dense.head])
        return
    kernel, bias = head.weights
    kernel.assign(keras.initializers.GlorotUniform(seed)(kernel.shape))
    bias.assign(tf.zeros_like(bias))


def _result(
    experiment: Experiment, dense: SavedLayer, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    notes = []
    ours = (experiment.model.recurrent_activation, experiment.model.activation)
    if dense.functions not in (None, ours):
        notes.append(
            f"the dense layer's gates are {dense.functions}, those of the experiment {ours}: "
            "its accuracy before fine-tuning will be worse than the errors let expect"
        )
    notes.extend(dense.notes)
    return {
        "name": experiment.name,
        "format": experiment.model.format,
        "cell": experiment.shape.cell,
        "integrated": experiment.shape.integrated,
        "layer": dense.name,
        "classifier": "fresh" if dense.head is None else "trained",
        "notes": notes,
        "rows": rows,
    }


def _model_inputs(experiment: Experiment) -> dict[str, Any]:
    """What decomposed weights depend on of an experiment; its recipe may change."""
    model = {key: value for key, value in asdict(experiment.model).items() if value is not None}
    return {"model": digest_of(model), "set": experiment.data.set}


def load_dense(path: Path, layer: str | None, classes: int) -> SavedLayer:
    """Reads a trained dense layer; see `decompose_stage` for the files.

    Args:
        path: the file.
        layer: name of the layer in a Keras model.
        classes: of the classifier to look for.

    Raises:
        ArtifactError: the file cannot be read.
        FdhtError: there is no such layer in it, or it cannot be used.
    """
    check_dense_weights(path)
    if path.suffix.lower() == ARRAYS:
        return _load_arrays(path, layer, classes)
    return read_model(path, layer, classes)


def _load_arrays(path: Path, layer: str | None, classes: int) -> SavedLayer:
    if layer is not None:
        raise ConfigError("a .npz file holds one layer only", field="layer", value=layer)
    try:
        arrays = read_arrays(path)
    except ArtifactError as error:
        raise ArtifactError(error.problem, field=error.field, remedy=AS_NPZ) from error
    for name in _NEEDED:
        if name not in arrays:
            raise ArtifactError(
                f"there is no array {name!r}",
                field=str(path),
                value=sorted(arrays),
                remedy=AS_NPZ,
            )
    for name in set(_KNOWN) & set(arrays):
        if arrays[name].dtype.kind not in "fiu":
            raise ArtifactError(
                "must be real numbers", field=f"{path}: {name}", value=str(arrays[name].dtype)
            )
    kernel, recurrent = (arrays[name] for name in _NEEDED)
    found = SavedLayer(path.name, kernel, recurrent, arrays.get("bias"), None, None, ())
    head = _head(arrays, found.cell.hidden.shape[1], classes)
    notes = []
    if head is None:
        notes.append("no classifier was found beside the layer: it begins with random weights")
    if others := sorted(set(arrays) - set(_KNOWN)):
        notes.append(f"arrays left out: {', '.join(others)}")
    return replace(found, head=head, notes=tuple(notes))


def _head(
    arrays: Arrays, units: int, classes: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
    """The classifier among arrays."""
    if "head_kernel" not in arrays:
        if "head_bias" in arrays:
            raise ArtifactError("is there without head_kernel", field="head_bias", remedy="add it")
        return None
    kernel, wanted = arrays["head_kernel"], (units, classes)
    bias = arrays.get("head_bias", np.zeros(classes))
    if kernel.shape != wanted or bias.shape != wanted[1:]:
        raise ShapeError(
            f"must have shape {list(wanted)}, [hidden units, classes], and head_bias "
            f"{list(wanted[1:])}",
            field="head_kernel",
            value=[list(kernel.shape), list(bias.shape)],
        )
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise NumericError(
            "is not finite everywhere",
            field="head_kernel or head_bias",
            remedy="look where the training diverged",
        )
    return kernel, bias
