"""The stage `model` end to end on a small experiment with real motion."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_models import directories
from fdht_models.artifacts import read_json, read_manifest, write_json
from fdht_models.data import load_clips
from fdht_models.errors import ArtifactError, ConfigError, DataError
from fdht_models.experiment import Experiment, load_experiment
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.training import (
    checkpoint,
    evaluate,
    load_checkpoint,
    model_stage,
    recipe,
    restore,
    train_stage,
    write_checkpoint,
)
from fdht_models.training.evaluate import accuracy, confusion
from fdht_models.training.model_stage import is_trained
from fdht_models.training.models import formats_of
from tests.models.training_samples import chance_alone, small_experiment

EXPERIMENT = small_experiment()


def train(directory: Path, experiment: Experiment = EXPERIMENT, **options: Any) -> dict[str, Any]:
    return train_stage(
        experiment, directory, cache=directory.parent / "data", quiet=True, **options
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """build/small of an uninterrupted training; tests must not write to it."""
    directory = tmp_path_factory.mktemp("build") / "small"
    train(directory)
    return directory


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    shutil.copytree(trained, tmp_path / "small")
    return tmp_path / "small"


@pytest.fixture
def no_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares tests of other things the fitting of classifiers, most of their time."""
    monkeypatch.setattr(evaluate, "baseline_table", chance_alone)


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained once more")

    monkeypatch.setattr(recipe, "fit", refuse)


@pytest.fixture
def shipped(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The small experiment's checkpoint, as if it shipped."""
    path = write_checkpoint(trained / "model", tmp_path / "small.npz")
    monkeypatch.setattr(checkpoint, "checkpoint_path", lambda _: path)
    monkeypatch.setattr(model_stage, "checkpoint_path", lambda _: path)
    monkeypatch.setattr(recipe, "checkpoint_path", lambda _: path)
    yield path


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as kept:
        return {name: kept[name] for name in kept.files}


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_it_learns_beyond_chance_and_says_how_far(trained: Path) -> None:
    metrics = read_json(trained / "model" / "metrics.json")
    figures = metrics["accuracy"]
    # 70 clips, 7 classes: chance is 0.143 +- 0.042; five deviations above it is 0.35.
    assert figures["quantized"] > 0.35
    assert figures["float"] > 0.35
    assert figures["chance"] == pytest.approx(1 / 7)
    rows = {row["name"]: row for row in figures["baselines"]}
    assert list(rows) == ["largest class", "mean frame", "best single frame", "all frames"]
    best = rows[figures["best_baseline"]]["accuracy"]
    for kind, name in (("single_frame", "best single frame"), ("mean_frame", "mean frame")):
        assert figures[kind] == rows[name]["accuracy"]
        assert 0 < figures[kind] <= best <= 1
        assert figures[f"{kind}_name"] == rows[name]["classifier"]
    assert rows["all frames"]["clips"] == EXPERIMENT.data.train_clips
    assert figures["left_out"] == {}
    comparison = figures["comparison"]
    assert comparison["baseline"] == figures["best_baseline"]
    # Of the same 70 clips.
    assert comparison["difference"] == pytest.approx(figures["quantized"] - best)
    assert comparison["clips"] == 70
    assert figures["kind"] == "measured"
    # Fitted to all that the network saw; with fewer clips the comparison would flatter us.
    assert metrics["clips"]["single_frame_train"] == EXPERIMENT.data.train_clips
    assert metrics["clips"]["logistic_train"] == EXPERIMENT.data.train_clips
    matrix = np.array(metrics["confusion"]["matrix"])
    assert matrix.sum() == 70
    assert np.trace(matrix) / 70 == figures["quantized"]
    shape = EXPERIMENT.shape
    assert metrics["parameters"]["lstm"] == shape.parameter_count
    assert metrics["parameters"]["dense_lstm"] == 4 * 16 * (150 + 16 + 1)
    assert metrics["parameters"]["on_chip"] == shape.constant_count
    assert metrics["parameters"]["head"] == 17 * 7


def test_everything_is_written_and_the_working_files_are_gone(trained: Path) -> None:
    manifest = read_manifest(trained / "model", "model")
    assert set(manifest["files"]) == {
        "network.json",
        "weights.npz",
        "experiment.json",
        "metrics.json",
        "history.json",
    }
    assert [path.name for path in trained.iterdir()] == ["model"]
    history = read_json(trained / "model" / "history.json")
    assert [row["phase"] for row in history] == ["float"] * 14 + ["quantized"] * 3
    assert Experiment.from_json(read_json(trained / "model" / "experiment.json")) == EXPERIMENT


def test_restored_keras_equals_the_reference_in_every_integer(trained: Path) -> None:
    network = QuantizedNetwork.load(trained / "model" / "network.json")
    assert read_manifest(trained / "model", "model")["design_id"] == f"{network.design_id:016x}"
    frames = load_clips("watch", "test", 8, 5, steps=9).frames
    logits = restore(trained / "model")(frames, training=False).numpy()
    found = network.logit_format.exact(logits)
    reference = ReferenceModel(network)
    for clip, expected in zip(frames, found, strict=True):
        reference.reset()
        np.testing.assert_array_equal(reference.run(clip), expected)
    assert len(np.unique(found)) > 100  # not equal because all alike


def test_a_stateful_model_goes_on_where_the_last_call_ended(trained: Path) -> None:
    frames = load_clips("watch", "test", 2, 5, steps=9).frames
    whole = restore(trained / "model")(frames, training=False).numpy()
    stateful = restore(trained / "model", stateful=True, batch=2)
    parts = [stateful(frames[:, a:b], training=False).numpy() for a, b in ((0, 2), (2, 9))]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "gru" else ())
        for name in KINDS
        if name != EXPERIMENT.shape.cell
    ],
)
def test_every_other_kind_of_cell_is_trained_too(
    tmp_path: Path, no_baseline: None, kind: str
) -> None:
    first, *others = EXPERIMENT.shape.output_modes
    modes = [first // len(EXPERIMENT.shape.gates) * len(KINDS[kind].gates), *others]
    experiment = small_experiment(model={"cell": kind, "output_modes": modes})
    metrics = train(tmp_path / "small", experiment)
    # As above: chance is 0.143, and five deviations above it is 0.35.
    assert metrics["accuracy"]["quantized"] > 0.35
    frames = load_clips("watch", "test", 4, 77, steps=6).frames
    model = restore(tmp_path / "small" / "model")
    network = QuantizedNetwork.load(tmp_path / "small" / "model" / "network.json")
    reference = ReferenceModel(network)
    for logits, clip in zip(model(frames, training=False).numpy(), frames, strict=True):
        reference.reset()
        np.testing.assert_array_equal(
            network.logit_format.exact(logits, "logits"), reference.run(clip)
        )


def test_formats_survive_the_export(trained: Path) -> None:
    network = QuantizedNetwork.load(trained / "model" / "network.json")
    layer = restore(trained / "model").get_layer("lstm")
    formats = formats_of(network)
    for name in layer.quantizers:
        assert formats[name] == layer.quantizer_format(name), name


def test_a_second_call_does_nothing(trained: Path, no_training: None) -> None:
    before = tree(trained)
    metrics = train(trained)
    assert metrics == read_json(trained / "model" / "metrics.json")
    assert tree(trained) == before


@pytest.mark.parametrize(
    "options", [{"test_seed": 9}, {"test_clips": 50}], ids=["other seed", "other number"]
)
def test_other_test_clips_are_evaluated_anew(
    copied: Path, no_training: None, options: dict[str, int]
) -> None:
    with pytest.raises(AssertionError, match="trained once more"):
        train(copied, **options)


def test_a_damaged_result_is_made_anew(copied: Path, no_training: None) -> None:
    (copied / "model" / "network.json").write_text("{}")
    with pytest.raises(AssertionError, match="trained once more"):
        train(copied)


def test_a_full_disk_leaves_the_former_model(
    copied: Path, shipped: Path, no_baseline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(copied)

    def full(self: QuantizedNetwork, path: Path) -> None:
        path.write_text("half of it")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(QuantizedNetwork, "save", full)
    with pytest.raises(ArtifactError, match=r"cannot be written \(No space left on device\)"):
        train(copied, start="checkpoint", steps=1)
    assert tree(copied) == before


# Kills itself, as the out-of-memory killer would, right after the second epoch of a phase was kept.
_KILLED = """
import json, os, signal, sys
from pathlib import Path
from fdht_models.experiment import Experiment, load_experiment
from fdht_models.training import loop, train_stage

save = loop._save
def save_and_die(path, key, variables, course):
    save(path, key, variables, course)
    if path.stem == sys.argv[2] and len(course.history) == 2:
        os.kill(os.getpid(), getattr(signal, sys.argv[3]))
loop._save = save_and_die
build = Path(sys.argv[1])
experiment = Experiment.from_json(json.loads(sys.argv[4]))
train_stage(experiment, build / "small", cache=build / "data", quiet=True)
"""


@pytest.mark.parametrize(
    ("phase", "sent"),
    [
        ("float", "SIGKILL"),
        pytest.param("quantized", "SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_a_killed_training_resumes_to_the_same_weights(
    trained: Path, tmp_path: Path, no_baseline: None, phase: str, sent: str
) -> None:
    experiment = json.dumps(EXPERIMENT.to_json())
    command = [sys.executable, "-c", _KILLED, str(tmp_path), phase, sent, experiment]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    died = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    if sent == "SIGKILL":
        assert died.returncode == -signal.SIGKILL, died.stderr
    else:
        assert "KeyboardInterrupt" in died.stderr
    directory = tmp_path / "small"
    assert not (directory / "model").exists()
    kept = {path.stem for path in (directory / ".training").iterdir()}
    assert kept == ({"float"} if phase == "float" else {"float", "quantized"})
    train(directory)
    found, wanted = (arrays(where / "model" / "weights.npz") for where in (directory, trained))
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert [path.name for path in directory.iterdir()] == ["model"]


def test_events_and_held_out_clips_go_through_the_whole_stage(
    tmp_path: Path, no_baseline: None
) -> None:
    settings = {
        "float_epochs": 3,
        "quantized_epochs": 1,
        "rate": 0.9,  # so large that nothing gets better for long
        "validation_share": 0.2,
        "patience": 1,
    }
    experiment = small_experiment(data={"train_clips": 70}, training=settings)
    train(tmp_path / "small", experiment, tensorboard=True)
    history = read_json(tmp_path / "small" / "model" / "history.json")
    assert {row["phase"] for row in history} == {"float", "quantized"}
    assert all(row["validation_loss"] > 0 for row in history)
    for phase in ("float", "quantized"):
        (events,) = (tmp_path / "small" / "logs" / phase).iterdir()
        assert events.stat().st_size > 0
    kept = Experiment.from_json(read_json(tmp_path / "small" / "model" / "experiment.json"))
    assert kept == experiment


def test_a_checkpoint_holds_both_models_and_is_small(trained: Path, shipped: Path) -> None:
    assert shipped.stat().st_size < 200_000
    kept = load_checkpoint(EXPERIMENT)
    for name, array in arrays(trained / "model" / "weights.npz").items():
        label, _, rest = name.partition("/")
        weights = kept.float_weights if label == "float" else kept.quantized_weights
        np.testing.assert_array_equal(weights[rest], array)
    network = QuantizedNetwork.load(trained / "model" / "network.json")
    assert kept.formats == formats_of(network)


def test_training_from_a_checkpoint_trains_and_evaluates_afresh(
    trained: Path, shipped: Path, tmp_path: Path, no_baseline: None
) -> None:
    metrics = train(tmp_path / "demo", start="checkpoint", steps=3, test_clips=84, test_seed=77)
    assert metrics["start"] == {"from": "checkpoint", "steps": 3}
    assert metrics["clips"]["test"] == 84
    assert metrics["clips"]["single_frame_train"] == EXPERIMENT.data.train_clips
    assert metrics["clips"]["test_seed"] == 77
    assert sum(map(sum, metrics["confusion"]["matrix"])) == 84
    kept = read_json(tmp_path / "demo" / "model" / "experiment.json")["data"]
    assert (kept["test_clips"], kept["test_seed"]) == (84, 77)
    history = read_json(tmp_path / "demo" / "model" / "history.json")
    assert [row["phase"] for row in history] == ["checkpoint"]
    new, old = (arrays(where / "model" / "weights.npz") for where in (tmp_path / "demo", trained))
    for name, array in old.items():
        same = np.array_equal(new[name], array)
        assert same == name.startswith("float/"), name
    assert metrics["accuracy"]["quantized"] > 0.3


def test_a_model_from_a_checkpoint_does_not_become_one(
    shipped: Path, tmp_path: Path, no_baseline: None
) -> None:
    train(tmp_path / "demo", start="checkpoint", steps=1)
    with pytest.raises(ArtifactError, match="was not trained from scratch"):
        write_checkpoint(tmp_path / "demo" / "model", tmp_path / "second.npz")
    assert not (tmp_path / "second.npz").exists()


def test_a_checkpoint_of_another_recipe_is_refused(shipped: Path, tmp_path: Path) -> None:
    other = small_experiment(training={"seed": 8})
    with pytest.raises(ConfigError, match="its checkpoint was trained with other settings"):
        train(tmp_path / "small", other, start="checkpoint")
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize("steps", [0, 15])
def test_steps_are_at_most_one_pass(shipped: Path, tmp_path: Path, steps: int) -> None:
    message = rf"^steps = {steps}: must be from 1 to 14, one pass over the training clips"
    with pytest.raises(ConfigError, match=message):
        train(tmp_path / "demo", start="checkpoint", steps=steps)
    assert not (tmp_path / "demo").exists()


def test_other_test_clips_are_no_other_recipe(shipped: Path) -> None:
    load_checkpoint(small_experiment(data={"test_seed": 4, "test_clips": 10}))


def test_a_damaged_checkpoint_is_refused(shipped: Path) -> None:
    shipped.write_bytes(shipped.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"small\.npz: cannot be read"):
        load_checkpoint(EXPERIMENT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "checkpoint"}, "no checkpoint ships for this experiment; start from scratch"),
        ({"start": "checkpint"}, "start = 'checkpint': is not a start"),
        ({"steps": 5}, "steps = 5: has no effect with start"),
        ({"test_clips": 0}, "data.test_clips = 0: must be a whole number from 1"),
        ({"test_seed": -1}, "data.test_seed = -1: must be a whole number from 0"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(tmp_path / "small", **options)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_restoring_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"run fdht train .* first"):
        restore(tmp_path / "model")


def test_accuracy_and_confusion_of_known_logits() -> None:
    logits = np.array([[3.0, 1.0], [0.0, 1.0], [5.0, 2.0], [1.0, 2.0]])
    labels = np.array([0, 1, 1, 1])
    assert accuracy(logits, labels) == 0.75
    assert confusion(logits, labels, ("a", "b")) == {
        "classes": ["a", "b"],
        "matrix": [[1, 0], [1, 2]],
    }


def test_baselines_that_fail_cost_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise MemoryError("no room for a forest")

    monkeypatch.setattr(evaluate, "baseline_table", fails)
    scores = train(tmp_path / "small")["accuracy"]
    assert scores["single_frame_failure"] == "MemoryError: no room for a forest"
    assert "single_frame" not in scores
    assert 0 < scores["chance"] < 1
    assert QuantizedNetwork.load(tmp_path / "small" / "model" / "network.json").classes


def test_test_clips_that_cannot_be_read_are_told_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = type(EXPERIMENT.source)
    load = source.load

    def fails(self: Any, split: str, *given: Any, **named: Any) -> Any:
        if split == "test":
            raise DataError("is damaged", field="test")
        return load(self, split, *given, **named)

    def unwanted(*_: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(source, "load", fails)
    monkeypatch.setattr(model_stage, "from_scratch", unwanted)
    with pytest.raises(DataError, match="test: is damaged"):
        train(tmp_path / "small")


def test_a_recipe_that_later_stages_refuse_is_trained_again(tmp_path):
    """They say that training mends it: it must not be called up to date."""
    target, inputs, recipe = (
        directories.ModelDirectory(tmp_path),
        {"of": "both"},
        load_experiment("motion"),
    )
    older = recipe.to_json()
    del older["data"]["kind"]
    for value, trained in ((recipe.to_json(), True), (older, False)):
        with target.write(inputs) as (temporary, _):
            write_json(temporary / directories.EXPERIMENT, value)
        assert target.is_current(inputs)
        assert is_trained(target, inputs) is trained
    assert not is_trained(target, {"of": "another"})
