"""Cross-validation: folds differ as they should, are not repeated, and the figures are right."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fdht_models.artifacts import read_json
from fdht_models.data.clip_sources import FolderSource
from fdht_models.errors import ConfigError
from fdht_models.experiment import Experiment, load_experiment
from fdht_models.training import recipe
from fdht_models.training.folds import cross_validate, fold_experiments, summary, table
from tests.models.training_samples import small_experiment

EXPERIMENT = small_experiment(
    data={"train_clips": 56, "test_clips": 35, "seed": 1, "test_seed": 5},
    training={"float_epochs": 2, "quantized_epochs": 1},
)


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("build") / "small"
    cross_validate(EXPERIMENT, directory, 2, quiet=True)
    return directory


def test_each_fold_is_a_training_of_its_own(validated: Path) -> None:
    result = read_json(validated / "folds" / "folds.json")
    assert result["kind"] == "measured"
    assert [row["data"] for row in result["folds"]] == [
        {"seed": 1, "test_seed": 5},
        {"seed": 2, "test_seed": 6},
    ]
    for row in result["folds"]:
        model = validated / "folds" / str(row["fold"]) / "model"
        metrics = read_json(model / "metrics.json")
        assert row["quantized"] == metrics["accuracy"]["quantized"]
        assert row["float"] == metrics["accuracy"]["float"]
        assert row["test_clips"] == 35
        kept = Experiment.from_json(read_json(model / "experiment.json"))
        assert (kept.data.seed, kept.data.test_seed) == (1 + row["fold"], 5 + row["fold"])
    first, second = (
        (validated / "folds" / fold / "model" / "network.json").read_bytes() for fold in "01"
    )
    assert first != second


def test_folds_that_are_up_to_date_are_not_repeated(
    validated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(validated, tmp_path / "small")
    shutil.rmtree(tmp_path / "small" / "folds" / "1")
    trained: list[int] = []
    original = recipe.fit

    def count(*arguments: object, **options: object) -> object:
        trained.append(1)
        return original(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(recipe, "fit", count)
    cache = validated.parent / "data"
    result = cross_validate(EXPERIMENT, tmp_path / "small", 2, cache=cache, quiet=True)
    assert len(trained) == 2  # both phases of the fold that was missing
    assert result == read_json(validated / "folds" / "folds.json")


def test_mean_and_deviation_are_those_of_a_sample() -> None:
    accuracies = [0.5, 0.7, 0.9, 0.6]
    rows = [
        {"fold": fold, "quantized": value, "float": 1.0, "test_clips": 10}
        for fold, value in enumerate(accuracies)
    ]
    result = summary("name", rows)
    assert result["mean"]["quantized"] == pytest.approx(np.mean(accuracies), rel=1e-12)
    assert result["deviation"]["quantized"] == pytest.approx(np.std(accuracies, ddof=1), rel=1e-12)
    assert result["deviation"]["float"] == 0
    stream = io.StringIO()
    Console(file=stream, width=80).print(table(result))
    for text in ("67.5%", "17.1%", "4 folds", "measured"):
        assert text in stream.getvalue()


def test_folds_of_a_folder_are_its_divisions() -> None:
    recipes = fold_experiments(load_experiment("ucf11-fdht-lstm"), 3)
    for fold, one in enumerate(recipes):
        source = one.source
        assert isinstance(source, FolderSource)
        assert (source.request.folds, source.request.fold) == (3, fold)
        assert source.request.fold_rule == "group-disjoint"
        assert source.request.seed == 0  # one division into folds, of which each is used once


@pytest.mark.parametrize("folds", [0, 1, 10**9])
def test_one_fold_is_refused(tmp_path: Path, folds: int) -> None:
    with pytest.raises(ConfigError, match=rf"^folds = {folds}: a deviation needs at least 2"):
        cross_validate(EXPERIMENT, tmp_path / "small", folds)
    assert list(tmp_path.iterdir()) == []


def test_other_than_the_published_divisions_are_refused() -> None:
    experiment = load_experiment("shd-kcp-lstm")
    with pytest.raises(ConfigError, match=r"^data\.folds = 5: "):
        fold_experiments(experiment, 5)
