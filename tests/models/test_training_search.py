"""The search: spaces are read as written, bounds prune, a study is resumed, reasons are kept."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import optuna
import pytest
from rich.console import Console

from fdht_models.artifacts import read_json
from fdht_models.errors import ConfigError, NumericError, ToolError
from fdht_models.experiment import Experiment
from fdht_models.training import evaluate
from fdht_models.training import rank_search as search_module
from fdht_models.training.rank_search import scoring_experiment, search, table
from fdht_models.training.space import Dimension, Space, load_space, space_from
from tests.models.training_samples import chance_alone, small_experiment

EXPERIMENT = small_experiment(data={"test_seed": 3})
TABLES: dict[str, dict[str, Any]] = {
    "search": {"leaf_rank": [2, 6], "quantization": {"cores": [4, 10]}},
    "goals": {"objectives": ["accuracy", "parameters"], "parameters_at_most": 480},
}


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """Spares the training: accuracy grows with rank and width; returns what was trained."""
    trained: list[Experiment] = []

    def train(experiment: Experiment, directory: Path, **_: object) -> dict[str, Any]:
        trained.append(experiment)
        rank, width = experiment.model.leaf_rank, experiment.quantization.cores
        assert isinstance(rank, int) and isinstance(width, int)
        if width == 4:
            raise NumericError("is no longer finite", field="loss")
        return {"accuracy": {"quantized": (rank + width) / 20}}

    monkeypatch.setattr(search_module, "train_stage", train)
    return trained


def run(directory: Path, trials: int, tables: Any = TABLES, **options: Any) -> dict[str, Any]:
    options = {"seed": 1, "quiet": True, **options}
    return search(EXPERIMENT, directory, space_from(tables), trials, **options)


def parameters(rank: int) -> int:
    return small_experiment(model={"leaf_rank": rank}).shape.parameter_count


def test_candidates_beyond_a_bound_are_pruned_and_the_best_are_not_beaten(
    tmp_path: Path, instant: list[Experiment]
) -> None:
    result = run(tmp_path / "small", 20)
    assert result == read_json(tmp_path / "small" / "search.json")
    assert result["objectives"] == {"accuracy": "maximize", "parameters": "minimize"}
    states = {trial["state"] for trial in result["trials"]}
    assert states == {"complete", "pruned", "fail"}
    for trial in result["trials"]:
        rank, width = trial["settings"]["model.leaf_rank"], trial["settings"]["quantization.cores"]
        assert 2 <= rank <= 6 and 4 <= width <= 10
        if parameters(rank) > 480:
            assert trial["state"] == "pruned"
            assert trial["reason"] == f"{parameters(rank):,} parameters; at most 480"
            assert trial["objectives"] is None
        elif width == 4:
            assert (trial["state"], trial["reason"]) == ("fail", "loss: is no longer finite")
        else:
            assert trial["state"] == "complete" and trial["reason"] is None
            assert trial["objectives"]["parameters"] == parameters(rank)
            assert trial["objectives"]["accuracy"] == (rank + width) / 20
    assert all(one.shape.parameter_count <= 480 for one in instant)
    complete = [trial for trial in result["trials"] if trial["state"] == "complete"]
    points = {
        t["number"]: (-t["objectives"]["accuracy"], t["objectives"]["parameters"]) for t in complete
    }
    for number, point in points.items():
        beaten = any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True))
            for other in points.values()
        )
        assert (number in result["best"]) == (not beaten), number


def test_a_study_goes_on_where_it_was_interrupted(
    tmp_path: Path, instant: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    simple = {"search": {"quantization.cores": [5, 10]}, "goals": {"objectives": ["accuracy"]}}
    first = run(tmp_path, 3, simple)
    assert len(first["trials"]) == 3

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(search_module, "train_stage", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, 6, simple)
    result = run(tmp_path, 6, simple)
    assert [trial["state"] for trial in result["trials"]] == [
        *["complete"] * 3,
        "fail",
        *["complete"] * 3,
    ]
    assert result["trials"][:3] == first["trials"]
    assert result["trials"][3]["reason"] == "was interrupted"
    trained = len(instant)
    assert run(tmp_path, 6, simple) == result  # nothing left to do
    assert len(instant) == trained
    # Another space is another study in the same database.
    simple["search"] = {"quantization.cores": [6, 10]}
    assert len(run(tmp_path, 2, simple)["trials"]) == 2


def test_machines_share_a_study_through_its_database(
    tmp_path: Path, instant: list[Experiment]
) -> None:
    simple = {"search": {"quantization.cores": [5, 10]}, "goals": {"objectives": ["accuracy"]}}
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    run(tmp_path / "one", 2, simple, storage=storage)
    result = run(tmp_path / "other", 5, simple, storage=storage)
    assert len(result["trials"]) == 5
    assert len(instant) == 5
    assert not (tmp_path / "one" / "search.db").exists()


def test_trials_are_short_trainings_of_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "baseline_table", chance_alone)
    tables = {
        "search": {"leaf_rank": {"choices": [2, 3]}},
        "budget": {
            "float_epochs": 1, "quantized_epochs": 1, "train_clips": 40, "test_clips": 14,
        },
    }  # fmt: skip
    result = run(tmp_path / "small", 1, tables)
    (trial,) = result["trials"]
    place = tmp_path / "small" / trial["directory"] / "model"
    metrics = read_json(place / "metrics.json")
    assert trial["objectives"]["accuracy"] == metrics["accuracy"]["quantized"]
    assert trial["objectives"]["parameters"] == metrics["parameters"]["lstm"]
    kept = Experiment.from_json(read_json(place / "experiment.json"))
    assert (kept.training.float_epochs, kept.data.train_clips) == (1, 40)
    assert trial["objectives"]["macs"] == kept.shape.macs
    # Candidates are not chosen by the clips that judge the one that is chosen.
    assert kept.data.test_seed != EXPERIMENT.data.test_seed


def test_impossible_shapes_are_pruned_with_the_reason(
    tmp_path: Path, instant: list[Experiment]
) -> None:
    tables = {"search": {"hidden_box": {"choices": [[4, 3], [5, 5]]}}}
    result = run(tmp_path, 2, tables)
    assert {trial["state"] for trial in result["trials"]} == {"pruned"}
    assert all("model.hidden_box" in trial["reason"] for trial in result["trials"])
    assert (result["best"], instant) == ([], [])


def test_the_table_shows_figures_settings_and_reasons(
    tmp_path: Path, instant: list[Experiment]
) -> None:
    result = run(tmp_path, 20)
    stream = io.StringIO()
    Console(file=stream, width=200).print(table(result))
    shown = stream.getvalue()
    assert "accuracy (measured)" in shown
    for trial in result["trials"]:
        assert f"model.leaf_rank {trial['settings']['model.leaf_rank']}" in shown
        assert trial["reason"] is None or trial["reason"] in shown
    assert shown.count("*") == len(result["best"])


def test_a_space_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(
        """
        [search]
        leaf_rank = [4, 12]
        format = ["tt", "ht"]
        quantization.cores = [4, 10]
        training.rate = { low = 1e-3, high = 1e-1, log = true }
        input_modes = { choices = [[5, 5, 6], [15, 10]] }
        inner_rank = { low = 2, high = 8, step = 2 }
        [goals]
        macs_at_most = 1000
        [budget]
        train_clips = 50
        """
    )
    space = load_space(path)
    assert space.dimensions == {
        "model.leaf_rank": Dimension(low=4, high=12),
        "model.format": Dimension(choices=("tt", "ht")),
        "quantization.cores": Dimension(low=4, high=10),
        "training.rate": Dimension(low=1e-3, high=1e-1, log=True),
        "model.input_modes": Dimension(choices=([5, 5, 6], [15, 10])),
        "model.inner_rank": Dimension(low=2, high=8, step=2),
    }
    assert space.objectives == ("accuracy", "parameters", "macs")
    assert space.most == {"macs": 1000}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    settings = space.suggest(trial)
    assert settings["model.input_modes"] in ([5, 5, 6], [15, 10])
    assert settings["model.inner_rank"] in (2, 4, 6, 8)
    assert 1e-3 <= settings["training.rate"] <= 1e-1
    assert space.decode(trial.params) == settings


def test_settings_and_budget_make_the_candidate() -> None:
    space = space_from({"search": {"leaf_rank": [2, 6]}, "budget": {"train_clips": 50}})
    found = scoring_experiment(EXPERIMENT, space, {"model.leaf_rank": 5, "training.batch": 7})
    assert (found.model.leaf_rank, found.training.batch, found.data.train_clips) == (5, 7, 50)
    assert found.data.test_clips == EXPERIMENT.data.test_clips
    assert found.model.inner_rank == EXPERIMENT.model.inner_rank


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, r"^\[search\]: says what to vary"),
        ({"serach": {}}, r"^serach: there is no such table; did you mean 'search'"),
        ({"search": {"leaf_rnk": [1, 2]}}, r"^search\.leaf_rnk: .* did you mean 'leaf_rank'"),
        ({"search": {"quantization.core": [1, 2]}}, r"^search\.quantization\.core: .*'cores'"),
        ({"search": {"leaf_rank": [4, 2]}}, r"^search\.leaf_rank = \[4, 2\]: must go from"),
        ({"search": {"leaf_rank": 4}}, r"^search\.leaf_rank = 4: is neither a range nor"),
        ({"search": {"rank": {"low": 1}}}, r"^search\.rank = \[1, None\]: must go from"),
        ({"search": {"rank": {"lo": 1}}}, r"^search\.rank\.lo: there is no such key; .*'low'"),
        ({"search": {"rank": {"choices": [1]}}}, r"^search\.rank\.choices = \[1\]: must be a list"),
        ({"search": {"rank": {"low": 0, "high": 2, "log": True}}}, r"^search\.rank\.log = True"),
        (
            {"search": {"rank": [1, 2]}, "goals": {"objectives": ["size"]}},
            r"^goals\.objectives = 'size': is no objective",
        ),
        (
            {"search": {"rank": [1, 2]}, "budget": {"train_clips": 0}},
            r"^budget\.train_clips = 0: must be a whole number",
        ),
    ],
)
def test_a_space_that_cannot_be_used_is_refused(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        space_from(tables)


def test_options_of_a_recipe_and_of_augmentation_can_be_varied() -> None:
    tables = {
        "search": {
            "augmentation": {"shift": [0, 2]},
            "training.dropout": [0.0, 0.3],
            "training": {"class_weights": ["none", "balanced"]},
        }
    }
    space = space_from(tables)
    names = ("augmentation.shift", "training.dropout", "training.class_weights")
    assert tuple(space.dimensions) == names
    settings = dict(zip(names, (2, 0.1, "balanced"), strict=True))
    candidate = Experiment.from_json(space.apply(EXPERIMENT, settings))
    assert candidate.augmentation.shift == 2
    assert (candidate.training.dropout, candidate.training.class_weights) == (0.1, "balanced")
    with pytest.raises(ConfigError, match=r"^search\.augmentation\.shifts: there is no such key"):
        space_from({"search": {"augmentation.shifts": [0, 2]}})


def test_what_is_varied_has_no_budget(tmp_path: Path) -> None:
    tables = {"search": {"training.float_epochs": [1, 2]}, "budget": {"float_epochs": 3}}
    with pytest.raises(
        ConfigError, match=r"^float_epochs: is given by \[search\] and by \[budget\]"
    ):
        run(tmp_path, 1, tables)


@pytest.mark.parametrize(
    ("storage", "error"),
    [
        ("nonsense", ConfigError),
        ("sqlite:////nowhere/at/all.db", ToolError),
        ("nosuchdatabase://user:secret@host/name", ConfigError),
        ("user:secret@host", ConfigError),
    ],
)
def test_a_database_that_cannot_be_used_ends_in_one_line(
    tmp_path: Path, storage: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"^storage = ") as caught:
        run(tmp_path, 1, storage=storage)
    assert "secret" not in str(caught.value)


def test_no_trials_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("trials = 0: must be at least 1")):
        run(tmp_path, 0)


def test_an_unreadable_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^space = .*missing\.toml': cannot be read"):
        load_space(tmp_path / "missing.toml")


def test_equal_spaces_have_equal_json() -> None:
    assert isinstance(space_from(TABLES), Space)
    assert space_from(TABLES).to_json() == space_from(TABLES).to_json()
