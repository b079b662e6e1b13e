"""The stage `decomposed` end to end on a small experiment."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fdht_models.artifacts import read_json, read_manifest
from fdht_models.errors import ArtifactError, ConfigError, FdhtError
from fdht_models.experiment import Experiment
from fdht_models.kerasapi import keras
from fdht_models.tensor.decompose.error_table import parse_factors, table
from fdht_models.training import decompose, tensorize
from fdht_models.training.decompose import decompose_stage, decomposed_weights, load_dense
from fdht_models.training.models import HEAD, LSTM, float_classifier, set_weights, weights_of
from tests.models.inexact import matrices
from tests.models.training_samples import small_experiment

EXPERIMENT = small_experiment()
INPUTS, UNITS, CLASSES = 150, 16, 7
FACTORS = (1.0, 2.0, 4.0)


def run(directory: Path, weights: Path, experiment: Experiment = EXPERIMENT, **options: Any) -> Any:
    return decompose_stage(experiment, directory, weights, quiet=True, **options)


def dense_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights of an LSTM with a decaying spectrum, as trained ones have, and a classifier."""
    generator = np.random.default_rng(seed)
    shapes = {"kernel": (INPUTS, 4 * UNITS), "recurrent_kernel": (UNITS, 4 * UNITS)}
    arrays = {}
    for name, (rows, columns) in shapes.items():
        left, right = generator.normal(size=(rows, 8)), generator.normal(size=(8, columns))
        arrays[name] = (left * 0.5 ** np.arange(8)) @ right
    arrays["bias"] = generator.normal(size=4 * UNITS)
    arrays["head_kernel"] = generator.normal(size=(UNITS, CLASSES))
    arrays["head_bias"] = generator.normal(size=CLASSES)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def dense_model() -> Any:
    """A classifier like `float_classifier`, with a dense LSTM of `dense_arrays`."""
    arrays = dense_arrays()
    layer = keras.layers.LSTM(UNITS, name="memory")
    head = keras.layers.Dense(CLASSES, activation="softmax", name="classes")
    model = keras.Sequential([keras.Input((4, INPUTS)), layer, head])
    layer.set_weights([arrays[name] for name in ("kernel", "recurrent_kernel", "bias")])
    head.set_weights([arrays["head_kernel"], arrays["head_bias"]])
    return model


def npz(path: Path, **changes: Any) -> Path:
    arrays = {**dense_arrays(), **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .npz file of dense weights."""
    return npz(tmp_path_factory.mktemp("dense") / "dense.npz")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Path]:
    """build/small after the stage; tests must not write to it."""
    directory = tmp_path_factory.mktemp("build") / "small"
    run(directory, weights, factors=FACTORS)
    yield directory


def test_it_reports_every_rank_and_writes_the_experiments(done: Path) -> None:
    result = read_json(done / "decomposed" / "errors.json")
    assert [row["factor"] for row in result["rows"]] == [1, 2, 4]
    assert [row["kind"] for row in result["rows"]] == ["measured"] * 3
    errors = [row["error"] for row in result["rows"]]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1.2 * errors[2]
    assert [row["ranks"]["leaf_rank"] for row in result["rows"]] == [4, 8, 16]
    first = result["rows"][0]
    shape = EXPERIMENT.shape
    assert first["parameters_matrix"] == shape.matrix_parameter_count
    assert first["ratio_matrix"] == pytest.approx(64 * 166 / shape.matrix_parameter_count)
    assert (result["layer"], result["classifier"], result["notes"]) == ("dense.npz", "trained", [])
    files = {"weights.npz", "errors.json", "experiment.json", "manifest.json"}
    assert set(tree(done / "decomposed")) == files
    assert not list(done.glob(".*"))


def test_the_written_weights_have_the_errors_reported(done: Path) -> None:
    kept, _ = decomposed_weights(EXPERIMENT, done)
    arrays = {name: kept[f"lstm/{name}"] for name in EXPERIMENT.shape.network.core_names}
    ours = matrices(EXPERIMENT.shape, arrays)
    dense = dense_arrays()
    row = read_json(done / "decomposed" / "errors.json")["rows"][0]
    for found, name, key in zip(
        ours, ("kernel", "recurrent_kernel"), ("error_input", "error_hidden"), strict=True
    ):
        i, f, c, o = np.split(dense[name].T, 4)
        wanted = np.concatenate([f, i, c, o])
        error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
        assert error == pytest.approx(row[key], abs=1e-6)  # the weights are float32
    i, f, c, o = np.split(dense["bias"], 4)
    np.testing.assert_array_equal(kept["lstm/bias"], np.concatenate([f, i, c, o]))
    np.testing.assert_array_equal(kept["head/kernel"], dense["head_kernel"])


def test_a_classifier_begins_with_them(done: Path) -> None:
    model = float_classifier(EXPERIMENT)
    kept, digest = decomposed_weights(EXPERIMENT, done)
    assert len(digest) == 64
    set_weights(model, kept, "decomposed")
    for name, array in weights_of(model).items():
        np.testing.assert_array_equal(array, kept[name])
    longer = small_experiment(training={"float_epochs": 99})
    decomposed_weights(longer, done)  # another recipe for the same model
    other = small_experiment(model={"inner_rank": 2})
    with pytest.raises(ConfigError, match=r"decomposed for other settings .*; run fdht decompose"):
        decomposed_weights(other, done)


def test_without_the_stage_there_is_nothing_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="run fdht decompose with the weights of a dense layer"):
        decomposed_weights(EXPERIMENT, tmp_path)


def test_what_is_up_to_date_is_not_done_again(
    done: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("decomposed once more")

    monkeypatch.setattr(decompose, "decompose_cell", refuse)
    result = run(done, weights, factors=(4, 2))
    assert result == read_json(done / "decomposed" / "errors.json")
    with pytest.raises(AssertionError, match="once more"):
        run(done, weights, factors=(4,))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with dense.keras and dense.h5."""
    directory, model = tmp_path_factory.mktemp("saved"), dense_model()
    for suffix in ("keras", "h5"):
        model.save(directory / f"dense.{suffix}")
    return directory


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_keras_model_gives_the_same_as_its_arrays(
    done: Path, saved: Path, tmp_path: Path, suffix: str
) -> None:
    path = saved / f"dense.{suffix}"
    result = run(tmp_path / "small", path)
    assert (result["layer"], result["classifier"]) == ("memory", "trained")
    assert result["rows"][0] == read_json(done / "decomposed" / "errors.json")["rows"][0]
    found, _ = decomposed_weights(EXPERIMENT, tmp_path / "small")
    for name, array in decomposed_weights(EXPERIMENT, done)[0].items():
        np.testing.assert_array_equal(found[name], array)


def test_the_same_command_gives_the_same_bytes(tmp_path: Path) -> None:
    """A fresh classifier too."""
    path = npz(tmp_path / "dense.npz", head_kernel=None, head_bias=None)
    for name in ("one", "two"):
        result = run(tmp_path / name, path)
        keras.utils.set_random_seed(7)
    assert result["classifier"] == "fresh"
    assert "it begins with random weights" in result["notes"][0]
    one, two = (tree(tmp_path / name / "decomposed") for name in ("one", "two"))
    one.pop("weights.npz"), two.pop("weights.npz")  # a zip file, with the time in it
    one.pop("manifest.json"), two.pop("manifest.json")
    assert one == two
    found = [decomposed_weights(EXPERIMENT, tmp_path / name)[0] for name in ("one", "two")]
    for name, array in found[0].items():
        np.testing.assert_array_equal(found[1][name], array)
    assert found[0]["head/kernel"].any()


def test_w_h_stays_dense_where_it_is_not_integrated(tmp_path: Path, weights: Path) -> None:
    model = {
        "format": "tt", "ranks": 4, "hidden_box": None, "leaf_rank": None, "inner_rank": None,
    }  # fmt: skip
    experiment = small_experiment(model=model)
    result = run(tmp_path / "small", weights, experiment, factors=(0.5,))
    assert [row["factor"] for row in result["rows"]] == [0.5, 1]
    assert [row["ranks"] for row in result["rows"]] == [{"ranks": 2}, {"ranks": 4}]
    assert result["rows"][0]["error_hidden"] == 0
    kept, _ = decomposed_weights(experiment, tmp_path / "small")
    assert kept["lstm/H"].size == 4 * UNITS * UNITS


def test_an_experiment_with_other_gates_is_noted(saved: Path, tmp_path: Path) -> None:
    experiment = small_experiment(model={"recurrent_activation": "hard_sigmoid"})
    (note,) = run(tmp_path / "small", saved / "dense.h5", experiment)["notes"]
    assert "gates are ('sigmoid', 'tanh'), those of the experiment ('hard_sigmoid', 'tanh')" in note


def test_a_layer_is_chosen_by_name(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.layers.LSTM(UNITS, name="second")], name="inner")
    first = keras.layers.LSTM(8, return_sequences=True, name="first")
    model = keras.Sequential([keras.Input((4, INPUTS)), first, inner])
    path = tmp_path / "two.keras"
    model.save(path)
    with pytest.raises(ConfigError, match="LSTM and GRU layers are first, inner/second; name one"):
        load_dense(path, None, CLASSES)
    with pytest.raises(ConfigError, match=r"layer = 'secnd': .*; did you mean 'inner/second'"):
        load_dense(path, "secnd", CLASSES)
    for name in ("second", "inner/second"):
        found = load_dense(path, name, CLASSES)
        assert (found.name, found.cell.input.shape) == ("inner/second", (4 * UNITS, 8))
        assert found.head is None
    assert "first (LSTM) before inner/second is left out" in found.notes[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("dense.npz", None, "cannot be read .No such file or directory.; check the path"),
        ("dense.npz", b"nonsense", "cannot be read .*; np.savez"),
        ("dense.h5", b"nonsense", "cannot be read .*; save the model again, or save its arrays"),
        ("dense.pt", b"nonsense", "is neither a Keras model .*; see docs/decompose.md"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: Any, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FdhtError, match=message) as caught:
        run(tmp_path / "small", path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"recurrent_kernel": None}, {}, "there is no array 'recurrent_kernel'; np.savez"),
        ({"head_kernel": np.zeros((UNITS, 3))}, {}, "head_kernel = .* must have shape .16, 7."),
        ({"kernel": np.zeros((140, 64))}, {}, "model.input_modes = .5, 5, 6.: .* but 140 values"),
        ({}, {"layer": "lstm"}, "layer = 'lstm': a .npz file holds one layer only"),
        (
            {"kernel": np.zeros((INPUTS, 48)), "recurrent_kernel": np.zeros((UNITS, 48)),
             "bias": None}, {}, "model.cell = 'lstm': the dense layer is of kind 'gru'",
        ),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit(
    tmp_path: Path, changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    path = npz(tmp_path / "dense.npz", **changes)
    with pytest.raises(FdhtError, match=message):
        run(tmp_path / "small", path, **options)
    assert not (tmp_path / "small").exists()


def test_a_full_disk_leaves_the_former_result(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "small", weights)
    former = tree(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fdht_models.artifacts.os.fsync", full)
    with pytest.raises(ArtifactError, match="No space left on device"):
        run(tmp_path / "small", weights, factors=(2,))
    assert tree(tmp_path) == former


def test_the_table_has_every_figure(done: Path) -> None:
    result = read_json(done / "decomposed" / "errors.json")
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(table(result))
    console.file.close()
    text = console.export_text()
    assert "dense.npz as fdht lstm: relative errors, measured" in text
    for row in result["rows"]:
        line = next(line for line in text.splitlines() if line.startswith(f"x {row['factor']:g}:"))
        assert f"leaf_rank {row['ranks']['leaf_rank']}" in line
        for key in ("error", "error_input", "error_hidden"):
            assert f"{row[key]:.2%}" in line
        assert f"{row['parameters_matrix']:,}" in line
    json.dumps(result, allow_nan=False)


def test_factors_are_read_from_text() -> None:
    assert parse_factors("1,2, 0.5") == (1, 2, 0.5)
    for wrong in ("", "1,,2", "x", "0", "-1", "nan", "inf", "1025"):
        with pytest.raises(ConfigError, match=r"ranks = .*must be multiples .*for example 1,2,4,8"):
            parse_factors(wrong)


def test_the_manifest_names_what_made_it(done: Path) -> None:
    manifest = read_manifest(done / "decomposed", "decomposed")
    assert manifest["inputs"]["factors"] == list(FACTORS)
    assert {"tensorflow", "tf_keras", "numpy"} <= set(manifest["tools"])
    assert (LSTM, HEAD) == ("lstm", "head")  # names in weights.npz
    assert tensorize.InputBiasOnly.__name__ in keras.utils.get_registered_name(
        tensorize.InputBiasOnly
    )


# Models with more than a layer and a classifier ---------------------------------------------------

#: The layer's matrix as it is, so that nothing but rounding comes between the models.
WHOLE = small_experiment(
    model={"format": "dense", "hidden_box": None, "leaf_rank": None, "inner_rank": None}
)


def test_a_trained_model_is_as_accurate_as_before(tmp_path: Path) -> None:
    """Trained on `watch`, with the usual normalisation on both sides; none of it is lost.

    A logit differs by rounding to float32 alone. It is a sum of at most 17 products behind 4 steps
    of sums of at most 170, each of numbers below 2^6: 4 x 187 x 2^-24 x 2^6 < 2^-8.
    """
    train, test = (WHOLE.source.load(split, tmp_path / "cache") for split in ("train", "test"))
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4, INPUTS)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.BatchNormalization(),
            keras.layers.LSTM(UNITS),
            keras.layers.Dropout(0.25),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(CLASSES),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.legacy.Adam(1e-2), loss)
    model.fit(train.frames.astype(np.float32), train.labels, epochs=25, batch_size=20, verbose=0)
    wanted = model.predict(test.frames.astype(np.float32), verbose=0)
    model.save(tmp_path / "dense.keras")
    result = run(tmp_path / "small", tmp_path / "dense.keras", WHOLE)
    assert result["classifier"] == "trained"
    assert sum(note.startswith("folded into") for note in result["notes"]) == 2
    again = float_classifier(WHOLE)
    set_weights(again, decomposed_weights(WHOLE, tmp_path / "small")[0], "decomposed")
    found = again.predict(test.frames, verbose=0)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2.0**-8)
    accuracy = [(logits.argmax(-1) == test.labels).mean() for logits in (found, wanted)]
    assert accuracy[0] == accuracy[1]
    assert accuracy[0] > 0.4  # chance is 1/7


def test_a_classifier_behind_another_layer_is_not_taken(tmp_path: Path) -> None:
    """The stage says so, and begins with the fresh one."""
    layers = [keras.layers.LSTM(UNITS, name="memory"), keras.layers.ReLU(name="relu"),
              keras.layers.Dense(CLASSES, name="classes")]  # fmt: skip
    model = keras.Sequential([keras.Input((4, INPUTS)), *layers])
    model.save(tmp_path / "dense.h5")
    result = run(tmp_path / "small", tmp_path / "dense.h5", WHOLE)
    assert result["classifier"] == "fresh"
    assert result["notes"][0].startswith("classifier: not taken, for relu (ReLU) stands in the way")
    assert result["notes"][1] == "left out: relu (ReLU), classes (Dense)"
    kept, _ = decomposed_weights(WHOLE, tmp_path / "small")
    assert (kept["head/kernel"] != model.get_layer("classes").get_weights()[0]).any()


def test_a_directory_and_pickles_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "saved.keras").mkdir()
    with pytest.raises(ArtifactError, match="is a directory, not a file of Keras"):
        run(tmp_path / "small", tmp_path / "saved.keras")
    np.savez(tmp_path / "dense.npz", kernel=np.array([{}], object), recurrent_kernel=np.ones(1))
    with pytest.raises(ArtifactError, match=r"cannot be read .*allow_pickle=False\); np.savez"):
        run(tmp_path / "small", tmp_path / "dense.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head_kernel": None}, "head_bias: is there without head_kernel"),
        ({"kernel": np.full((INPUTS, 64), "1")}, "kernel = '<U1': must be real numbers"),
        ({"head_bias": np.full(CLASSES, np.nan)}, "head_kernel or head_bias: is not finite"),
    ],
)
def test_arrays_that_cannot_be_meant(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FdhtError, match=message):
        run(tmp_path / "small", npz(tmp_path / "dense.npz", **changes))


def test_arrays_that_are_not_known_are_named(tmp_path: Path) -> None:
    path = npz(tmp_path / "dense.npz", gamma=np.ones(3))
    assert load_dense(path, None, CLASSES).notes == ("arrays left out: gamma",)
