"""Experiments: one TOML file is a model, a data set, its quantisation and its recipe.

    experiment = load_experiment("motion")            # one that ships in zoo/
    experiment = load_experiment("my/experiment.toml")

A file is refused as a whole, with the dotted path of the first key that cannot be used. Needs no
TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fdht_models.artifacts import digest_of, read_json
from fdht_models.augmentation import AugmentationSettings, check_augmentation
from fdht_models.data import ClipSource, source_of
from fdht_models.data.clip_sources import FolderSource
from fdht_models.documents import read_toml_file
from fdht_models.errors import ArtifactError, ConfigError, FdhtError, ShapeError, require_known
from fdht_models.records import JsonRecord, first_difference, read_record
from fdht_models.sections import (
    CoreSettings,
    DataSettings,
    ModelSettings,
    PublishedFigure,
    QuantizationSettings,
    TrainingSettings,
)
from fdht_models.settings import text
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.formats.modes import check_product, check_ranks
from fdht_models.tensor.recurrent import RecurrentShape

#: Where the experiments that ship are kept.
ZOO = Path(__file__).parent / "zoo"
#: Frames are streamed as bytes, and a byte's code is the value times 256: x lies in [0, 1).
INPUT_FORMAT = FixedPoint(8, 8, signed=False)

#: Sections that a model depends on.
_SECTIONS = ("data", "model", "quantization", "training", "augmentation")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


def _name(value: object, path: str) -> str:
    name = text()(value, path)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "must be a short name of lower-case letters, digits, - and _, and start with a letter",
            field=path,
            value=name,
            remedy="rename the experiment",
        )
    return name


@dataclass(frozen=True)
class Experiment(JsonRecord):
    """All that a training run depends on.

    Attributes:
        name: names the directories that the stages write.
        description: one line for people.
        data: which clips.
        model: which network.
        quantization: which widths.
        training: which recipe.
        augmentation: how training clips are changed at random.
        published: a figure to compare with, or None.
        core: what is built of the network.
    """

    name: str = field(metadata={"check": _name})
    description: str = field(metadata={"check": text()})
    data: DataSettings
    model: ModelSettings
    quantization: QuantizationSettings
    training: TrainingSettings
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    published: PublishedFigure | None = None
    core: CoreSettings = field(default_factory=CoreSettings)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; without a section `core`, or its key `contexts`, where it says nothing.

        Files of trained models that were written before there was such stay as they are.
        """
        value = super().to_json()
        if self.core == CoreSettings():
            del value["core"]
        elif self.core.contexts == 1:
            del value["core"]["contexts"]
        return value

    @cached_property
    def shape(self) -> RecurrentShape:
        """The layer's cell, format, modes and ranks."""
        return self.model.shape

    def with_data_root(self, root: Path) -> Experiment:
        """The same experiment, its clips read from that folder.

        Raises:
            ConfigError: its data set is generated.
        """
        table = self.to_json()
        data = {**table["data"], "root": str(root.resolve())}
        return Experiment.from_json({**table, "data": data})

    @cached_property
    def source(self) -> ClipSource:
        """Where the clips come from."""
        return source_of(asdict(self.data))

    @property
    def steps(self) -> int:
        """Frames a clip."""
        return self.source.steps

    @property
    def digest(self) -> str:
        """SHA-256 of everything that a model depends on: all but texts, published figures, what is
        built of it, and the place of a folder, whose contents have a digest of their own.
        """
        value = self.to_json()
        value["data"] = without_roots(value["data"])
        return digest_of({key: value[key] for key in value if key in (*_SECTIONS, "name")})

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Experiment:
        """An experiment from what a TOML file holds plus its `name`, or from `to_json`.

        Raises:
            ConfigError: a key that does not exist, is missing, or has a value that cannot be used.
        """
        if not isinstance(value, Mapping):
            raise ConfigError("must be a table", field="experiment", value=value)
        defaults: dict[str, Any] = {key: {} for key in _SECTIONS}
        defaults["description"] = value.get("name")
        experiment = read_record(Experiment, {**defaults, **value})
        _check(experiment)
        return experiment


def without_roots(data: Mapping[str, Any]) -> dict[str, Any]:
    """A section `[data]` without the places of folders."""
    mix = [without_roots(part) for part in data.get("mix") or ()]
    return {**data, "root": None, "mix": mix or None}


def with_seeds_moved(data: Mapping[str, Any], keys: Sequence[str], by: int) -> dict[str, Any]:
    """A section `[data]` whose generated sets, all that are mixed, take other seeds."""
    moved = {key: data[key] + by for key in keys if data.get("root") is None}
    mix = [with_seeds_moved(part, keys, by) for part in data.get("mix") or ()]
    return {**data, **moved, "mix": mix or None}


def experiment_names() -> tuple[str, ...]:
    """Names of the experiments that ship."""
    return tuple(sorted(path.stem for path in ZOO.glob("*.toml")))


def checkpoint_path(name: str) -> Path:
    """Where the trained checkpoint of an experiment that ships is, or would be, kept."""
    return ZOO / f"{name}.npz"


def load_experiment(name_or_path: str | Path) -> Experiment:
    """Reads an experiment that ships, by name, or any TOML file, by path.

    Raises:
        ConfigError: there is no such experiment or file, or it cannot be used.
    """
    given = str(name_or_path)
    if given.endswith(".toml") or "/" in given:
        path = Path(given)
    else:
        missing, hint = "there is no such experiment", " (or give the path of a .toml file)"
        require_known(given, experiment_names(), "experiment", missing, hint=hint)
        path = ZOO / f"{given}.toml"
    table = read_toml_file(path, field="experiment")
    return Experiment.from_json({"name": path.stem, **table})


def read_experiment(path: Path, remedy: str = "run fdht train again") -> Experiment:
    """Reads the `experiment.json` of a trained model: what `Experiment.to_json` gave.

    Args:
        path: the file.
        remedy: what the user can do about one that cannot be used.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    value = read_json(path, remedy)
    try:
        found = Experiment.from_json(value)
        # A key that is missing would take its default, which may not be what was trained with.
        differs = first_difference(value, found.to_json())
        if differs is not None:
            raise ConfigError("is missing, or not as it was written", field=differs)
    except FdhtError as error:
        field = f"{path}: {error.field}"
        raise error.moved(ArtifactError, field=field, remedy=remedy) from error
    return found


def _check(experiment: Experiment) -> None:
    """Checks what concerns more than one key."""
    source = experiment.source
    check_augmentation(experiment.augmentation, source.preprocessing)
    if experiment.training.validation == "groups" and not isinstance(source, FolderSource):
        raise ConfigError(
            "the set's groups are not known",
            field="training.validation",
            value="groups",
            remedy="use clips, or a folder that says who or what is seen",
        )
    try:
        shape = experiment.shape
    except FdhtError as error:
        remedy = error.remedy or "see the section on modes and ranks in the guide for authors"
        raise error.moved(ConfigError, field=f"model.{error.field}", remedy=remedy) from None
    _check_fit(experiment, source.inputs)
    cores = experiment.quantization.cores
    if not isinstance(cores, int):
        names = ["default", *shape.stored_names]
        for name in cores:
            field = f"quantization.cores.{name}"
            require_known(name, names, field, "there is no such core", shown=False)


def _check_fit(experiment: Experiment, inputs: int) -> None:
    """Do the modes hold a frame, and do ranks make sense?"""
    try:
        check_product("input_modes", experiment.model.input_modes, inputs)
        check_ranks(experiment.shape.network)
    except ShapeError as error:
        problem = error.problem
        if error.field == "input_modes":
            problem = f"a frame of '{experiment.data.set}' has {inputs} values; {problem}"
        field = f"model.{error.field}"
        raise error.moved(ConfigError, problem=problem, field=field) from None
