"""What a search varies: the file that `fdht search --space` takes.

[search]                            # keys of [model]; others with their section
leaf_rank = [2, 8]                  # two whole numbers: from, to
format = ["tt", "ht"]               # texts: choices
quantization.cores = [4, 10]
training.rate = { low = 1e-3, high = 1e-1, log = true }
input_modes = { choices = [[5, 5, 6], [15, 10]] }

[goals]
objectives = ["accuracy", "parameters", "macs"]   # one, two or all of them
parameters_at_most = 4000
macs_at_most = 2000000

[budget]                            # of a trial; what is left out is the experiment's own
float_epochs = 5
quantized_epochs = 1
train_clips = 280
test_clips = 140
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdht_models.artifacts import canonical_json
from fdht_models.augmentation import AugmentationSettings
from fdht_models.documents import parse_json, read_toml_file
from fdht_models.errors import ConfigError, require_known
from fdht_models.experiment import Experiment
from fdht_models.records import JsonRecord
from fdht_models.sections import ModelSettings, QuantizationSettings, TrainingSettings
from fdht_models.settings import option, read_section, whole

if TYPE_CHECKING:
    from optuna.trial import Trial

#: Objectives and what is wanted of them.
DIRECTIONS = {"accuracy": "maximize", "parameters": "minimize", "macs": "minimize"}
_SECTIONS: dict[str, type] = {
    "model": ModelSettings,
    "quantization": QuantizationSettings,
    "training": TrainingSettings,
    "augmentation": AugmentationSettings,
}
_TABLES = ("search", "goals", "budget")


def _objectives(value: object, path: str) -> tuple[str, ...]:
    texts = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    if not isinstance(value, list | tuple) or not texts or not 0 < len(set(value)) == len(value):
        raise ConfigError(
            "must be a list of different objectives", field=path, value=value,
            remedy=f"choose from {', '.join(DIRECTIONS)}",
        )  # fmt: skip
    for name in value:
        require_known(name, DIRECTIONS, path, "is no objective")
    return tuple(value)


@dataclass(frozen=True)
class Goals:
    """Section `[goals]`: objectives, and bounds beyond which nothing is trained."""

    objectives: tuple[str, ...] = field(
        default=("accuracy", "parameters", "macs"), metadata={"check": _objectives}
    )
    parameters_at_most: int | None = option(whole(1, 2**62))
    macs_at_most: int | None = option(whole(1, 2**62))


@dataclass(frozen=True)
class SearchBudget:
    """Section `[budget]`: of one trial; None keeps the experiment's value."""

    float_epochs: int | None = option(whole(1, 10_000))
    quantized_epochs: int | None = option(whole(1, 10_000))
    train_clips: int | None = option(whole(1, 1_000_000))
    test_clips: int | None = option(whole(1, 1_000_000))


@dataclass(frozen=True)
class Dimension:
    """One setting that varies: `choices`, or a range from `low` to `high`, both included."""

    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    step: int = 1
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> Any:
        """A value for a trial."""
        if self.choices:
            # As text: databases keep no lists.
            texts = {canonical_json(choice): choice for choice in self.choices}
            return texts[trial.suggest_categorical(name, list(texts))]
        if isinstance(self.low, int) and isinstance(self.high, int):
            step = {} if self.log else {"step": self.step}
            return trial.suggest_int(name, self.low, self.high, log=self.log, **step)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Space(JsonRecord):
    """What a search varies, wants, and spends on a trial."""

    dimensions: Mapping[str, Dimension]
    goals: Goals = Goals()
    budget: SearchBudget = SearchBudget()

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the objectives."""
        return self.goals.objectives

    @property
    def most(self) -> dict[str, int]:
        """Bounds by the name of what they bound."""
        bounds = {"parameters": self.goals.parameters_at_most, "macs": self.goals.macs_at_most}
        return {name: bound for name, bound in bounds.items() if bound is not None}

    def check(self, experiment: Experiment) -> None:
        """Raises a ConfigError where trial and experiment cannot be brought together."""
        epochs = ("float_epochs", "quantized_epochs")
        for key in epochs:
            if f"training.{key}" in self.dimensions and getattr(self.budget, key) is not None:
                raise ConfigError(
                    "is given by [search] and by [budget]", field=key, remedy="leave one out"
                )
        self.apply(experiment, {})

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Values of all dimensions, by dotted path."""
        return {name: one.suggest(trial, name) for name, one in self.dimensions.items()}

    def decode(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What `suggest` gave, from what the database keeps of it."""
        return {name: self._decoded(name, value) for name, value in parameters.items()}

    def _decoded(self, name: str, value: Any) -> Any:
        remedy = "name another --storage, or go on with the space that it was begun with"
        if name not in self.dimensions:
            raise ConfigError("is no dimension of this space", field=name, remedy=remedy)
        if not self.dimensions[name].choices:
            return value
        found = parse_json(str(value), f"study: {name}", error=ConfigError, remedy=remedy)
        if all(found != choice for choice in self.dimensions[name].choices):
            raise ConfigError("is none of its choices", field=name, value=found, remedy=remedy)
        return found

    def apply(self, experiment: Experiment, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The experiment as JSON, with the budget and the settings of a trial."""
        value = experiment.to_json()
        for key, limit in asdict(self.budget).items():
            if limit is not None:
                value["data" if key.endswith("clips") else "training"][key] = limit
        for name, setting in settings.items():
            section, _, key = name.partition(".")
            value[section][key] = setting
        return value


def load_space(path: str | Path) -> Space:
    """Reads a file with the tables `[search]`, and if wanted `[goals]` and `[budget]`.

    Raises:
        ConfigError: it cannot be read, or a key or value cannot be used.
    """
    return space_from(read_toml_file(Path(path), field="space"))


def space_from(tables: Mapping[str, Any]) -> Space:
    """A space from the tables of a file.

    Raises:
        ConfigError: a key or value cannot be used.
    """
    if not isinstance(tables, Mapping):
        raise ConfigError("must be tables", field="space", value=tables)
    for key in tables:
        require_known(key, _TABLES, key, "there is no such table", shown=False)
    varied = tables.get("search")
    if not isinstance(varied, Mapping) or not varied:
        raise ConfigError(
            "says what to vary, and is missing", field="[search]",
            remedy="add it, for example leaf_rank = [2, 8]",
        )  # fmt: skip
    return Space(
        {name: _dimension(value, f"search.{key}") for key, name, value in _flat(varied)},
        read_section(Goals, tables.get("goals", {}), "goals"),
        read_section(SearchBudget, tables.get("budget", {}), "budget"),
    )


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(key as written, dotted path, value) of each setting."""
    for key, value in table.items():
        section, dot, rest = str(key).partition(".")
        if section in _SECTIONS and dot:
            yield key, _known(section, rest, key), value
        elif key in _SECTIONS and isinstance(value, Mapping):
            for inner, setting in value.items():
                written = f"{key}.{inner}"
                yield written, _known(key, inner, written), setting
        else:
            yield key, _known("model", key, key), value


def _known(section: str, key: str, written: str) -> str:
    known = [entry.name for entry in fields(_SECTIONS[section])]
    missing = f"there is no such key in [{section}]"
    require_known(key, known, f"search.{written}", missing, shown=False)
    return f"{section}.{key}"


def _dimension(value: object, path: str) -> Dimension:
    if isinstance(value, Mapping):
        return _from_table(value, path)
    if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
        return _range({"low": value[0], "high": value[1]}, path)
    if isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) for one in value):
        return Dimension(choices=tuple(value))
    raise ConfigError(
        "is neither a range nor choices",
        field=path,
        value=value,
        remedy="write [from, to], a list of texts, or { choices = [...] }",
    )


def _from_table(table: Mapping[str, Any], path: str) -> Dimension:
    known = ("choices",) if "choices" in table else ("low", "high", "step", "log")
    for key in table:
        require_known(key, known, f"{path}.{key}", "there is no such key", shown=False)
    if "choices" not in table:
        return _range(table, path)
    choices = table["choices"]
    if not isinstance(choices, list) or len(choices) < 2:
        raise ConfigError(
            "must be a list of two or more", field=f"{path}.choices", value=choices,
            remedy="add choices, or set the value in the experiment",
        )  # fmt: skip
    return Dimension(choices=tuple(choices))


def _range(table: Mapping[str, Any], path: str) -> Dimension:
    low, high = table.get("low"), table.get("high")
    step, log = table.get("step", 1), table.get("log", False)
    if not _is_number(low) or not _is_number(high) or not low < high:  # type: ignore[operator]
        raise ConfigError(
            "must go from a number to a larger one",
            field=path,
            value=[low, high],
            remedy="write [from, to]",
        )
    if not isinstance(log, bool) or (log and (low <= 0 or step != 1)):  # type: ignore[operator]
        raise ConfigError(
            "needs a range above 0 and no step", field=f"{path}.log", value=log,
            remedy="leave it out",
        )  # fmt: skip
    whole(1, 2**31 - 1)(step, f"{path}.step")
    return Dimension(low=low, high=high, step=step, log=log)  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
