"""Experiments: what is refused, in which words, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fdht_models.artifacts import canonical_json, write_json
from fdht_models.errors import ConfigError
from fdht_models.experiment import (
    Experiment,
    experiment_names,
    load_experiment,
    read_experiment,
)
from fdht_models.training.checkpoint import recipe_digest

TOML = """
description = "for tests"
[data]
set = "watch"
train_clips = 30
test_clips = 20
[model]
input_modes = [5, 5, 6]
output_modes = [4, 4, 4]
hidden_box = [4, 4]
leaf_rank = 3
inner_rank = 3
[quantization]
cores = { default = 8, C1 = 10 }
[training]
float_epochs = 1
quantized_epochs = 1
"""


def write(directory: Path, text: str = TOML, name: str = "small.toml") -> Path:
    path = directory / name
    path.write_text(text)
    return path


def changed(section: str, **values: Any) -> dict[str, Any]:
    """The experiment `motion` as a table with some values of a section replaced."""
    table = load_experiment("motion").to_json()
    return {**table, section: {**table.get(section, {}), **values}}


def test_a_file_is_read_with_its_stem_as_name_and_defaults_filled_in(tmp_path: Path) -> None:
    experiment = load_experiment(write(tmp_path))
    assert experiment.name == "small"
    assert experiment.data.seed == 0
    assert experiment.steps == experiment.source.steps == 12
    assert experiment.model.input_modes == (5, 5, 6)
    assert experiment.quantization.core_width("C1") == 10
    assert experiment.quantization.core_width("C1_hidden") == 8
    assert experiment.shape.units == 16


@pytest.mark.parametrize("name", experiment_names())
def test_what_ships_survives_json(name: str) -> None:
    experiment = load_experiment(name)
    table = experiment.to_json()
    assert Experiment.from_json(table) == experiment
    assert "null" not in canonical_json(table["training"])


def test_the_default_experiment_keeps_its_budget() -> None:
    shape = load_experiment("motion").shape
    assert shape.input_size == 57_600
    assert shape.units >= 128
    assert shape.parameter_count <= 9_000
    assert shape.constant_count <= 9_000


def test_three_experiments_ship() -> None:
    assert set(experiment_names()) >= {"motion", "watch"}


def test_the_digest_covers_what_changes_a_model_and_nothing_else() -> None:
    experiment = load_experiment("motion")
    assert replace(experiment, description="other").digest == experiment.digest
    assert replace(experiment, published=None).digest == experiment.digest
    for section, values in (
        ("data", {"test_seed": 5}),
        ("model", {"inner_rank": 5}),
        ("quantization", {"hidden": 9}),
        ("training", {"seed": 5}),
    ):
        other = Experiment.from_json(changed(section, **values))
        assert other.digest != experiment.digest, section


def test_another_core_is_another_experiment_of_the_same_model(tmp_path: Path) -> None:
    experiment = load_experiment("motion")
    assert experiment.core.reads == "dense"
    sparse = Experiment.from_json(changed("core", frames="sparse"))
    assert sparse.core.reads == "sparse" and sparse != experiment
    assert sparse.digest == experiment.digest
    assert recipe_digest(sparse) == recipe_digest(experiment)
    path = tmp_path / "experiment.json"
    write_json(path, sparse.to_json())
    assert read_experiment(path) == sparse
    # As trained models that were written before there was such a section.
    assert "core" not in experiment.to_json()
    write_json(path, experiment.to_json())
    assert read_experiment(path) == experiment


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        (
            "data",
            "trian_clips",
            "data.trian_clips: there is no such key; did you mean 'train_clips'",
        ),
        (
            "model",
            "inner_rnak",
            "model.inner_rnak: there is no such key; did you mean 'inner_rank'",
        ),
        (
            "quantization",
            "hiden",
            "quantization.hiden: there is no such key; did you mean 'hidden'",
        ),
        ("training", "epochs", "training.epochs: there is no such key; did you mean"),
        ("published", "page", "published.page: there is no such key"),
        ("core", "frame", "core.frame: there is no such key; did you mean 'frames'"),
    ],
)
def test_unknown_keys_are_refused_with_their_path(section: str, key: str, message: str) -> None:
    table = load_experiment("motion").to_json()
    table[section] = {**(table.get(section) or {}), key: 1}
    with pytest.raises(ConfigError) as caught:
        Experiment.from_json(table)
    assert str(caught.value).startswith(message)


def test_an_unknown_section_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^trainign: there is no such key; .* 'training'"):
        Experiment.from_json({**load_experiment("motion").to_json(), "trainign": {}})


@pytest.mark.parametrize(
    ("section", "key", "value", "problem"),
    [
        ("data", "set", "moton", "did you mean 'motion'"),
        ("data", "set", 3, "must be a text"),
        ("data", "steps", 0, "whole number from 1"),
        ("data", "steps", 2, "need at least 4 steps"),
        ("data", "train_clips", 0, "whole number from 1"),
        ("data", "test_clips", 1.5, "whole number from 1"),
        ("data", "seed", -1, "whole number from 0"),
        ("data", "test_seed", True, "whole number from 0"),
        ("model", "format", "fdth", "is not known; did you mean 'fdht'"),
        ("model", "input_modes", [10, 12, 20, 25], "their product is 60000"),
        ("model", "input_modes", [], "list of whole numbers"),
        ("model", "input_modes", "10x12", "list of whole numbers"),
        ("model", "output_modes", [6, 4, 4, 2], "must be a multiple of 4"),
        ("model", "hidden_box", [4, 4, 4], "must be the 128 hidden units"),
        ("model", "hidden_box", [16, 1, 8], "side 16 is longer"),
        ("model", "leaf_rank", [6, 6], "need one rank for each of 4 leaves"),
        ("model", "leaf_rank", 0, "whole number from 1"),
        ("model", "rank", 3, "is not a setting of format 'ht'"),
        ("model", "cell", "grru", "did you mean 'gru'"),
        ("model", "objective", "mac", "did you mean 'macs'"),
        ("model", "input_modes", [10, 12, 20, 23], "for example 12 x 12 x 20 x 20 = 57600"),
        ("data", "root", "/somewhere", "has no effect on 'motion'"),
        ("data", "protocol", "six", "has no effect on 'motion'"),
        ("model", "inner_rank", 2.0, "whole number from 1"),
        ("model", "tree", [[1, 2], [4, 3]], "leaves must be 1..4"),
        ("model", "tree", [1, 2, 3, 4], "pair of subtrees"),
        ("model", "activation", 1, "must be a text"),
        ("model", "input_gain", 0, "must be a number above 0"),
        ("model", "input_gain", float("nan"), "must be a number above 0"),
        ("quantization", "cores", 1, "whole number from 2"),
        ("quantization", "bias", 99, "whole number from 2"),
        ("quantization", "cell", 20, "whole number from 2 to 16"),
        ("quantization", "preactivation", 17, "whole number from 2 to 16"),
        ("quantization", "preactivation_percentile", 101, "at most 100"),
        ("training", "float_epochs", 0, "whole number from 1"),
        ("training", "rate", "fast", "must be a number"),
        ("training", "quantized_rate", -1e-3, "must be a number above 0"),
        ("training", "batch", 0, "whole number from 1"),
        ("training", "clip_norm", 0.0, "must be a number above 0"),
        ("core", "frames", "sparce", "is not known; did you mean 'sparse'"),
        ("core", "frames", 1, "must be a text"),
    ],
)
def test_impossible_values_are_refused(section: str, key: str, value: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Experiment.from_json(changed(section, **{key: value}))
    message = str(caught.value)
    assert problem in message
    assert "\n" not in message
    # The root's leaves are checked by the tree as a whole; everything else names its own key.
    assert message.startswith(f"{section}.{key}"), message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("cores", "message"),
    [
        ({"C1": 8}, "quantization.cores.default: is missing"),
        ({"default": 8, "C9": 8}, "quantization.cores.C9: there is no such core; did you mean"),
        ({"default": 8, "C1": "wide"}, "quantization.cores.C1 = 'wide': must be a whole number"),
    ],
)
def test_widths_of_cores_are_checked(cores: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Experiment.from_json(changed("quantization", cores=cores))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("key", ["set", "train_clips", "test_clips"])
def test_a_missing_key_is_named(key: str) -> None:
    table = load_experiment("motion").to_json()
    del table["data"][key]
    with pytest.raises(ConfigError, match=rf"^data\.{key}: is missing"):
        Experiment.from_json(table)


def test_an_incomplete_published_figure_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^published\.source: is missing"):
        Experiment.from_json(
            {**load_experiment("motion").to_json(), "published": {"parameters": 1}}
        )


def test_a_section_must_be_a_table() -> None:
    with pytest.raises(ConfigError, match=r"^training = 3: must be a table"):
        Experiment.from_json({**load_experiment("motion").to_json(), "training": 3})


def test_an_unknown_experiment_gets_near_matches() -> None:
    with pytest.raises(ConfigError, match=r"^experiment = 'moton': .* did you mean 'motion'"):
        load_experiment("moton")


def test_a_missing_file_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file or directory\)"):
        load_experiment(tmp_path / "none.toml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_experiment(path)


def test_broken_toml_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not TOML .*line 2") as caught:
        load_experiment(write(tmp_path, "[data]\nset = motion\n"))
    assert "\n" not in str(caught.value)


def test_a_name_that_is_no_directory_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^name = 'My model': must be a short name"):
        load_experiment(write(tmp_path, name="My model.toml"))


def tensor_train(**model: Any) -> dict[str, Any]:
    """The experiment `ucf11-tt-lstm` as a table with some values of the model replaced."""
    table = load_experiment("ucf11-tt-lstm").to_json()
    return {**table, "model": {**table["model"], **model}}


def test_a_format_has_its_own_ranks() -> None:
    with pytest.raises(ConfigError, match=r"model\.ranks: is missing; format 'tt' needs it"):
        Experiment.from_json(tensor_train(ranks=None))
    with pytest.raises(ConfigError, match=r"model\.terms = 2: is not a setting of format 'tt'; it"):
        Experiment.from_json(tensor_train(terms=2))
    with pytest.raises(ConfigError, match="carries the 3 gates"):
        Experiment.from_json(tensor_train(cell="gru"))
    with pytest.raises(ConfigError, match=r"ranks = 289: bond r1 .*choose at most 288"):
        Experiment.from_json(tensor_train(input_modes=[18, 20, 20, 8], ranks=[289, 4, 4]))
    with pytest.raises(ConfigError, match="fdht integrates the hidden state"):
        Experiment.from_json(tensor_train(format="fdht"))


def test_a_set_in_a_folder_needs_its_folder_only_when_it_is_read(tmp_path: Path) -> None:
    experiment = load_experiment("ucf11-tt-lstm")
    assert (experiment.source.inputs, experiment.steps) == (57_600, 1492)
    with pytest.raises(ConfigError, match=r"data\.root: is missing: where UCF11.*--data-root"):
        experiment.source.load("train", tmp_path)
    table = experiment.to_json()
    here = Experiment.from_json({**table, "data": {**table["data"], "root": "here"}})
    assert here.digest == experiment.digest, "where a folder lies changes no model"
    with pytest.raises(ConfigError, match=r"data\.protocol = 'sixx': .*'six'"):
        Experiment.from_json({**table, "data": {**table["data"], "protocol": "sixx"}})
