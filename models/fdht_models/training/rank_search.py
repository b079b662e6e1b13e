"""Search for ranks and widths: many short trainings, and those worth a long one.

    space = load_space("space.toml")
    result = search(load_experiment("motion"), Path("build/motion"), space, trials=40)

Several machines share one study when they are given the same database, experiment and space.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from fdht_models.artifacts import digest_of, write_json
from fdht_models.errors import (
    ArtifactError,
    ConfigError,
    FdhtError,
    ToolError,
    first_line,
    require_least,
)
from fdht_models.experiment import Experiment, with_seeds_moved
from fdht_models.training.display import Display
from fdht_models.training.model_stage import train_stage
from fdht_models.training.space import DIRECTIONS, Space
from fdht_models.versions import required_module

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

#: Below build/<name>: the study, its result, and the trials' directories by digest.
DATABASE, RESULT, TRIALS = "search.db", "search.json", "search"
#: Generated clips that candidates are compared on have seeds so far from those of the final test.
_SCORING_SEED = 1_000_000
#: Seconds after which a trial whose process is gone counts as failed, and of its signs of life.
_GRACE_SECONDS, _HEARTBEAT_SECONDS = 180, 60


@dataclass(frozen=True)
class _Search:
    """What all trials have in common."""

    experiment: Experiment
    directory: Path
    space: Space
    cache: Path
    display: Display


def search(
    experiment: Experiment,
    directory: Path,
    space: Space,
    trials: int,
    *,
    storage: str | None = None,
    seed: int | None = None,
    cache: Path | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Trains candidates until the study has `trials` of them; goes on where it was interrupted.

    A candidate whose shape is impossible or beyond a bound is pruned before it is trained; one
    whose training fails is recorded as failed. Both keep the reason.

    Args:
        experiment: all that the space does not vary.
        directory: build/<name>; search.json, search.db and search/ are written there.
        space: what to vary, for which objectives, within which bounds and budget.
        trials: trained or pruned candidates in the study, those of other machines included.
        storage: URL of the study's database; by default SQLite in `directory`.
        seed: of the sampler, to repeat a search on one machine; None: not repeatable.
        cache: directory of clips; by default `directory`/../data.
        quiet: show no progress.

    Returns:
        What search.json holds: {"kind": "measured", "experiment", "study", "objectives": {name:
        direction}, "trials": [{"number", "state", "settings", "objectives", "reason",
        "directory"}], "best": [numbers]}; `best` are the trials that no other one beats in every
        objective. Parameters and MACs of a trial are exact counts.

    Raises:
        ConfigError: a key of the space that does not exist, or a bad number or URL.
        ToolError: Optuna is not installed, or the database cannot be used.
        ArtifactError: results cannot be written.
    """
    optuna = _optuna()
    require_least(trials, 1, "trials")
    space.check(experiment)
    cache = directory.parent / "data" if cache is None else cache
    common = _Search(experiment, directory, space, cache, Display(quiet))
    with _database(optuna, directory, storage) as backend:
        study = _study(optuna, common, backend, seed)
        counted = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        missing = trials - len(study.get_trials(deepcopy=False, states=counted))
        if missing > 0:
            study.optimize(
                lambda trial: _evaluate(optuna, common, trial),
                n_trials=missing,
                catch=(FdhtError,),
                # Others may add to the study at the same time.
                callbacks=[optuna.study.MaxTrialsCallback(trials, states=counted)],
            )
        result = _result(common, study)
    write_json(directory / RESULT, result)
    return result


def table(result: Mapping[str, Any]) -> Table:
    """A table of what `search` returns; the best trials have a star."""
    goals = result["objectives"]
    shown = Table(title=f"{result['experiment']}: {len(result['trials'])} trials")
    shown.add_column("trial", justify="right")
    shown.add_column("")
    for name in goals:
        shown.add_column(
            f"{name} ({result['kind']})" if name == "accuracy" else name, justify="right"
        )
    shown.add_column("settings")
    shown.add_column("state")
    for trial in result["trials"]:
        values = trial["objectives"] or {}
        figures = [_figure(name, values.get(name)) for name in goals]
        settings = ", ".join(f"{key} {value}" for key, value in trial["settings"].items())
        state = trial["state"] + (f": {trial['reason']}" if trial["reason"] else "")
        star = "*" if trial["number"] in result["best"] else ""
        shown.add_row(str(trial["number"]), star, *figures, settings, state)
    return shown


def scoring_experiment(
    experiment: Experiment, space: Space, settings: Mapping[str, Any]
) -> Experiment:
    """The short training of a candidate, scored on clips that the final test does not use.

    Of a set in a folder these are the test split of the experiment's `fold`: keep another fold
    for the final figure.

    Raises:
        FdhtError: the settings make no network.
    """
    value = space.apply(experiment, settings)
    value["data"] = with_seeds_moved(value["data"], ("test_seed",), _SCORING_SEED)
    return Experiment.from_json(value)


def _evaluate(optuna: Any, common: _Search, trial: Trial) -> tuple[float, ...]:
    """Objectives of a new candidate; raises TrialPruned or an FdhtError, the reason kept."""
    settings = common.space.suggest(trial)
    try:
        try:
            recipe = scoring_experiment(common.experiment, common.space, settings)
        except FdhtError as error:
            raise optuna.TrialPruned(str(error)) from error
        counts = {"parameters": recipe.shape.parameter_count, "macs": recipe.shape.macs}
        for name, most in common.space.most.items():
            if counts[name] > most:
                raise optuna.TrialPruned(f"{counts[name]:,} {name}; at most {most:,}")
        place = common.directory / TRIALS / recipe.digest[:16]
        trial.set_user_attr("directory", str(place.relative_to(common.directory)))
        metrics = train_stage(recipe, place, cache=common.cache, quiet=True, baselines=False)
    except (FdhtError, optuna.TrialPruned) as error:
        trial.set_user_attr("reason", str(error))
        common.display.say(f"trial {trial.number}: {error}")
        raise
    values = {"accuracy": metrics["accuracy"]["quantized"], **counts}
    trial.set_user_attr("values", values)
    line = ", ".join(f"{name} {_figure(name, value)}" for name, value in values.items())
    common.display.say(f"trial {trial.number}: {line}")
    return tuple(float(values[name]) for name in common.space.objectives)


def _study(optuna: Any, common: _Search, backend: Any, seed: int | None) -> Study:
    space, experiment = common.space, common.experiment
    # Another space or recipe is another study; a database holds as many as one likes.
    study_name = f"{experiment.name}-{digest_of([experiment.digest, space.to_json()])[:12]}"
    study = optuna.create_study(
        storage=backend,
        study_name=study_name,
        directions=[DIRECTIONS[name] for name in space.objectives],
        load_if_exists=True,
    )
    # A resumed search must not draw the same candidates once more.
    seed = None if seed is None else seed + len(study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    return study


def _result(common: _Search, study: Study) -> dict[str, Any]:
    rows = [_row(trial, common.space) for trial in study.get_trials(deepcopy=False)]
    complete = any(row["state"] == "complete" for row in rows)
    return {
        "kind": "measured",
        "experiment": common.experiment.name,
        "study": study.study_name,
        "objectives": {name: DIRECTIONS[name] for name in common.space.objectives},
        "bounds": dict(common.space.most),
        "trials": rows,
        "best": [trial.number for trial in study.best_trials] if complete else [],
    }


def _row(trial: FrozenTrial, space: Space) -> dict[str, Any]:
    reason = trial.user_attrs.get("reason")
    if reason is None and trial.state.name == "FAIL":
        reason = "was interrupted"
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "settings": space.decode(trial.params),
        "objectives": trial.user_attrs.get("values"),
        "reason": reason,
        "directory": trial.user_attrs.get("directory"),
    }


def _figure(name: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if name == "accuracy" else f"{value:,}"


@contextmanager
def _database(optuna: Any, directory: Path, storage: str | None) -> Iterator[Any]:
    """The database of a URL; whatever fails there ends in one line without its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    shown, backend = (storage or "").rpartition("@")[2], None
    try:
        if storage is None:
            directory.mkdir(parents=True, exist_ok=True)
            storage = f"sqlite:///{directory / DATABASE}"
        shown = make_url(storage).render_as_string(hide_password=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            backend = optuna.storages.RDBStorage(
                storage, heartbeat_interval=_HEARTBEAT_SECONDS, grace_period=_GRACE_SECONDS
            )
        yield backend
    except ArgumentError as error:
        raise ConfigError(
            "is no URL of a known kind of database",
            field="storage",
            value=shown,
            remedy="write sqlite:///file.db or, for example, postgresql://user@host/name",
        ) from error
    except OSError as error:
        raise ArtifactError(
            f"cannot be written ({error.strerror})", field=str(directory), remedy="choose another"
        ) from error
    except (SQLAlchemyError, ImportError, optuna.exceptions.StorageInternalError) as error:
        raise ToolError(
            f"cannot be used ({first_line(error)})",
            field="storage",
            value=shown,
            remedy="check the URL, and that the database's driver for Python is installed",
        ) from error
    finally:
        if backend is not None:
            backend.remove_session()
            backend.engine.dispose()


def _optuna() -> Any:
    optuna = required_module("optuna", "install the search: pip install fdht[search]")
    optuna.logging.set_verbosity(logging.WARNING)  # ours says what a trial gave
    return optuna
