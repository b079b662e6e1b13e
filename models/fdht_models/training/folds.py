"""k-fold cross-validation: accuracy as a mean and a deviation, not as one number.

    result = cross_validate(load_experiment("motion"), Path("build/motion"), 5)

Of a set in a user's folder fold i is the test split, by the set's rule of division (groups that
belong together stay together by default). A generated set has as many clips as one asks for, so
that fold i is made from seeds of its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from fdht_models.artifacts import write_json
from fdht_models.data.clip_sources import FolderSource
from fdht_models.errors import ConfigError
from fdht_models.experiment import Experiment, with_seeds_moved
from fdht_models.training.distribution import devices_for
from fdht_models.training.model_stage import train_stage

#: Directory and file below build/<name>.
FOLDS, RESULT = "folds", "folds.json"
#: More trainings than anybody waits for.
MOST_FOLDS = 1000
#: Models whose accuracies are compared.
_MODELS = ("quantized", "float")
_SEEDS = ("seed", "test_seed")


def cross_validate(
    experiment: Experiment,
    directory: Path,
    folds: int,
    *,
    cache: Path | None = None,
    quiet: bool = False,
    tensorboard: bool = False,
    distribute: str | None = None,
) -> dict[str, Any]:
    """Trains and tests every fold in `directory`/folds/<i>, and writes folds.json beside them.

    Folds that are up to date are not trained again, and an interrupted one goes on. Arguments but
    `folds`, of which there must be 2 or more, are those of `train_stage`; TensorBoard's events are
    in each fold's directory.

    Returns:
        What folds.json holds: {"kind": "measured", "experiment", "folds": [{"fold", "data",
        "quantized", "float", "test_clips"}], "mean": {"quantized", "float"}, "deviation": {...}}.
        `deviation` is the sample standard deviation (folds - 1 in the denominator).

    Raises:
        ConfigError: fewer than 2 folds, or a set that cannot be divided into so many.
        FdhtError: what `train_stage` raises.
    """
    recipes = fold_experiments(experiment, folds)
    devices = devices_for(distribute)
    cache = directory.parent / "data" if cache is None else cache
    rows = []
    for fold, recipe in enumerate(recipes):
        metrics = train_stage(
            recipe,
            directory / FOLDS / str(fold),
            cache=cache,
            quiet=quiet,
            tensorboard=tensorboard,
            distribute=distribute,
            baselines=False,
        )
        rows.append(_row(fold, recipe, metrics))
    result = summary(experiment.name, rows)
    if devices.is_chief:
        write_json(directory / FOLDS / RESULT, result)
    return result


def fold_experiments(experiment: Experiment, folds: int) -> list[Experiment]:
    """The experiment of each fold.

    Raises:
        ConfigError: fewer than 2 folds, or a set that cannot be divided into so many.
    """
    if not 2 <= folds <= MOST_FOLDS:
        raise ConfigError(
            f"a deviation needs at least 2, and {MOST_FOLDS:,} trainings are the most",
            field="folds",
            value=folds,
            remedy="choose more" if folds < 2 else "choose fewer",
        )
    given = experiment.to_json()
    data = given["data"]
    if isinstance(experiment.source, FolderSource):
        # Every group tests once; groups that are named to test are for one division.
        divided = {**data, "folds": folds, "test_groups": None}
        sections = [{**divided, "fold": fold} for fold in range(folds)]
    else:
        sections = [with_seeds_moved(data, _SEEDS, fold) for fold in range(folds)]
    return [Experiment.from_json({**given, "data": section}) for section in sections]


def summary(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The result of the folds in `rows`; see `cross_validate`."""
    columns = {model: [row[model] for row in rows] for model in _MODELS}
    return {
        "kind": "measured",
        "experiment": name,
        "folds": list(rows),
        "mean": {model: statistics.fmean(column) for model, column in columns.items()},
        "deviation": {model: statistics.stdev(column) for model, column in columns.items()},
    }


def table(result: dict[str, Any]) -> Table:
    """A table of what `cross_validate` returns."""
    shown = Table(
        title=f"{result['experiment']}: accuracy of {len(result['folds'])} folds ({result['kind']})"
    )
    shown.add_column("fold")
    for name in (*_MODELS, "test clips"):
        shown.add_column(name, justify="right")
    for row in result["folds"]:
        figures = [f"{row[model]:.1%}" for model in _MODELS]
        shown.add_row(str(row["fold"]), *figures, f"{row['test_clips']:,}")
    shown.add_section()
    for name in ("mean", "deviation"):
        shown.add_row(name, *(f"{result[name][model]:.1%}" for model in _MODELS), "")
    return shown


def _row(fold: int, recipe: Experiment, metrics: dict[str, Any]) -> dict[str, Any]:
    folder = isinstance(recipe.source, FolderSource)
    keys = ("folds", "fold", "fold_rule") if folder else _SEEDS
    return {
        "fold": fold,
        "data": {key: getattr(recipe.data, key) for key in keys},
        **{model: metrics["accuracy"][model] for model in _MODELS},
        "test_clips": metrics["clips"]["test"],
    }
