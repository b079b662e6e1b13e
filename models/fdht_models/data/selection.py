"""`source_of`: from the section `[data]` of an experiment to where its clips come from.

source = source_of({"set": "motion", "train_clips": 100, "test_clips": 20, ...})
train = source.load("train", Path("build/data"))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from fdht_models.data.clip_sets import DataSet
from fdht_models.data.clip_sources import UNKNOWN_ROOT, ClipSource, FolderSource, GeneratedSource
from fdht_models.data.folders import FOLDER_SETS, FolderRequest
from fdht_models.data.folders.own.own_settings import KINDS, refuse_of_other_kinds
from fdht_models.data.folders.request import FolderOptions
from fdht_models.data.folders.sets import OWN
from fdht_models.data.generated import DATASETS, get_dataset
from fdht_models.data.mixed import mixed
from fdht_models.errors import ConfigError, require_known

#: Settings of a set in a user's folder. Of these, generated sets have the dead zone alone.
FOLDER_KEYS = ("root", *(entry.name for entry in fields(FolderOptions)))


def source_of(settings: Mapping[str, Any]) -> ClipSource:
    """The source of a section `[data]`: the fields of `DataSettings`, None for what is not set.

    Raises:
        ConfigError: no such data set, a setting that it does not have, needs or take, or sets
            that cannot be mixed.
    """
    first = _single(settings)
    others = settings.get("mix")
    return mixed([first, *map(_single, others)]) if others else first


def _single(settings: Mapping[str, Any]) -> ClipSource:
    name = settings["set"]
    if name in FOLDER_SETS:
        return _folder(name, settings)
    if name not in DATASETS:
        known = (*DATASETS, *FOLDER_SETS)
        require_known(name, known, "data.set", "there is no such data set")
    data_set = get_dataset(name)
    for key in FOLDER_KEYS:
        if key == "dead_zone" and data_set.is_video:
            continue
        if settings.get(key) is not None:
            raise ConfigError(
                f"has no effect on '{name}', which is generated",
                field=f"data.{key}",
                value=settings[key],
                remedy="leave it out",
            )
    data_set = _with_dead_zone(data_set, settings.get("dead_zone") or 0)
    counts = {split: _count(settings, split) for split in ("train", "test")}
    steps = settings.get("steps") or data_set.steps
    if steps < data_set.minimum_steps:
        raise ConfigError(
            f"clips of '{name}' need at least {data_set.minimum_steps} steps",
            field="data.steps",
            value=steps,
            remedy="choose more",
        )
    return GeneratedSource(
        name,
        data_set.preprocessing(steps),
        data_set,
        counts,
        {"train": settings["seed"], "test": settings["test_seed"]},
    )


def _with_dead_zone(data_set: DataSet, dead_zone: int) -> DataSet:
    try:
        return data_set.with_dead_zone(dead_zone)
    except ConfigError as error:
        raise error.moved(field=f"data.{error.field}") from None


def _count(settings: Mapping[str, Any], split: str) -> int:
    count = settings.get(f"{split}_clips")
    if count is None:
        raise ConfigError(
            "is missing: how many clips to generate", field=f"data.{split}_clips", remedy="add it"
        )
    return int(count)


def _folder(name: str, settings: Mapping[str, Any]) -> FolderSource:
    given = {key: settings[key] for key in FOLDER_KEYS if settings.get(key) is not None}
    set_ = list(given)
    given |= {"steps": settings.get("steps"), "seed": settings.get("seed") or 0}
    root = Path(given.pop("root", UNKNOWN_ROOT))
    try:
        if name == OWN:
            refuse_of_other_kinds(given.get("kind") or KINDS[0], set_)
        request = FolderRequest(name, root, **given).complete()
    except ConfigError as error:
        raise error.moved(field=f"data.{error.field}") from None
    return FolderSource(
        name,
        request.preprocessing(),
        request,
        {split: settings.get(f"{split}_clips") for split in ("train", "test")},
    )
