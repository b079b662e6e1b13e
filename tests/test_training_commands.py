"""Commands around training, through the front door: decompose and go on, folds, search."""

import json

import numpy as np
import pytest

import fdht

RECIPE = """
[data]
set = "watch"
train_clips = 56
test_clips = 28
steps = 4

[model]
format = "tt"
input_modes = [5, 5, 6]
output_modes = [16, 2, 2]
hidden_box = [4, 4]
ranks = 4

[quantization]
calibration_clips = 8

[training]
float_epochs = 1
quantized_epochs = 1
batch = 14
"""
SPACE = """
[search]
ranks = [2, 4]

[goals]
objectives = ["accuracy", "parameters"]

[budget]
float_epochs = 1
quantized_epochs = 1
train_clips = 28
test_clips = 28
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return str(path)


def run(capsys, *arguments):
    code = fdht.main(list(arguments))
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def test_a_dense_layer_is_decomposed_and_trained_on(capsys, tmp_path, recipe):
    generator = np.random.default_rng(0)
    arrays = {
        "kernel": generator.normal(size=(150, 64), scale=0.1),
        "recurrent_kernel": generator.normal(size=(16, 64), scale=0.1),
        "bias": np.zeros(64),
    }
    np.savez(tmp_path / "dense.npz", **arrays)
    options = ["--build", str(tmp_path), "--json"]
    found = run(
        capsys, "decompose", recipe, "--weights", str(tmp_path / "dense.npz"),
        "--ranks", "1,2,4", *options,
    )  # fmt: skip
    errors = [row["error"] for row in found["rows"]]
    assert len(errors) == 3
    assert errors == sorted(errors, reverse=True), "larger ranks are nearer"
    assert 0 < errors[-1] < errors[0] < 1
    metrics = run(capsys, "train", recipe, "--start", "decomposed", *options)
    assert metrics["start"] == {"from": "decomposed", "steps": None}
    assert metrics["equality"]["keras_reference"]["mismatches"] == 0


def test_folds_have_mean_and_deviation(capsys, tmp_path, recipe):
    options = ["--build", str(tmp_path), "--json"]
    result = run(capsys, "train", recipe, "--folds", "2", *options)
    kept = json.loads((tmp_path / "small" / "folds" / "folds.json").read_text())
    assert kept == result
    assert fdht.main(["train", recipe, "--folds", "2", "--start", "checkpoint"]) == 2
    assert "start = 'checkpoint': has no effect on folds" in capsys.readouterr().err


def test_a_search_tries_ranks(capsys, tmp_path, recipe):
    space = tmp_path / "space.toml"
    space.write_text(SPACE)
    options = ["--space", str(space), "--trials", "2", "--build", str(tmp_path), "--json"]
    result = run(capsys, "search", recipe, *options)
    assert len(result["trials"]) == 2
    assert (tmp_path / "small" / "search.db").is_file()
