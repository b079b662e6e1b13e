"""ClipSource: where an experiment's clips come from, generated or in a user's folder.

source = source_of({"set": "motion", "train_clips": 100, "test_clips": 20, ...})
train = source.load("train", Path("build/data"))
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fdht_models.artifacts import digest_of
from fdht_models.data.blocks import Request
from fdht_models.data.cache import cache_inputs
from fdht_models.data.catalogue import DATASETS, get_dataset
from fdht_models.data.folders import FOLDER_SETS, FolderRequest, folder_digest, load_folder_clips
from fdht_models.data.loading import load_clips
from fdht_models.data.types import ClipSet, DataSet
from fdht_models.errors import ConfigError, DataError, near_matches

#: Settings of a set in a user's folder, which generated sets do not have.
FOLDER_KEYS = (
    "root",
    "protocol",
    "feature",
    "fold_rule",
    "folds",
    "fold",
    "height",
    "width",
    "frame_ms",
    "bands",
    "stack",
)


@dataclass(frozen=True)
class ClipSource:
    """Clips of an experiment; subclasses know where they come from.

    Attributes:
        name: of the data set.
        frame_shape: (H, W, 3) for video, otherwise (inputs,).
        feature: of video, a key of `fdht_models.features.FEATURES`.
        steps: network inputs a clip.
        classes: names of the classes; () where only a folder's files tell.
        class_count: how many classes there are.
    """

    name: str
    frame_shape: tuple[int, ...]
    feature: str | None
    steps: int
    classes: tuple[str, ...]
    class_count: int

    @property
    def inputs(self) -> int:
        """Values in a frame as the network sees it."""
        return math.prod(self.frame_shape)

    def load(self, split: str, cache: Path | None, progress: bool = True) -> ClipSet:
        """The clips of a split, "train" or "test".

        Args:
            split: which.
            cache: directory in which clips are kept; None (generated sets only): memory.
            progress: show bars on standard error.

        Raises:
            DataError: they cannot be made or read.
            ArtifactError: the cache cannot be written.
        """
        raise NotImplementedError

    def digest(self, split: str, cache: Path | None) -> str:
        """Digest of all that the clips of a split depend on; makes no clips."""
        raise NotImplementedError

    def streams(self, count: int, frames: int, seed: int, cache: Path | None) -> ClipSet:
        """Long test clips for proofs: as many, at least that long where clips are cut to measure.

        Args:
            count: clips.
            frames: network inputs a clip; shorter clips are put one behind the other, and have
                the label of the last of them.
            seed: of generated clips.
            cache: see `load`.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class GeneratedSource(ClipSource):
    """Clips generated from a seed; clips and seeds by split."""

    data_set: DataSet
    clips: Mapping[str, int]
    seeds: Mapping[str, int]

    def load(self, split: str, cache: Path | None, progress: bool = True) -> ClipSet:
        """See `ClipSource.load`."""
        return load_clips(
            self.name,
            split,
            self.clips[split],
            self.seeds[split],
            cache,
            progress=progress,
            steps=self.steps,
        )

    def digest(self, split: str, cache: Path | None) -> str:
        """See `ClipSource.digest`."""
        request = Request(self.data_set, split, self.clips[split], self.seeds[split], self.steps)
        return digest_of(cache_inputs(request))

    def streams(self, count: int, frames: int, seed: int, cache: Path | None) -> ClipSet:
        """See `ClipSource.streams`; none of these clips is trained on or scored."""
        try:
            return load_clips(self.name, "test", count, seed, steps=frames)
        except ConfigError:  # this data set has no clips of that length
            steps = self.data_set.steps
            joined = -(-frames // steps)
            return _join(load_clips(self.name, "test", count * joined, seed, steps=steps), joined)


@dataclass(frozen=True)
class FolderSource(ClipSource):
    """Clips in a user's folder; at most `clips` of each split (None: all)."""

    request: FolderRequest
    clips: Mapping[str, int | None]

    def load(self, split: str, cache: Path | None, progress: bool = True) -> ClipSet:
        """See `ClipSource.load`."""
        found = load_folder_clips(self._located(), split, _needed(cache), progress)
        if len(found.classes) != self.class_count:
            raise DataError(
                f"{self.name} has {self.class_count} classes",
                field=str(self.request.root),
                value=f"{len(found.classes)} found",
                remedy="unpack the whole set",
            )
        count = self.clips[split]
        return replace(found, frames=found.frames[:count], labels=found.labels[:count])

    def digest(self, split: str, cache: Path | None) -> str:
        """See `ClipSource.digest`."""
        key = folder_digest(self._located(), split, _needed(cache))
        return digest_of({"folder": key, "clips": self.clips[split]})

    def streams(self, count: int, frames: int, seed: int, cache: Path | None) -> ClipSet:
        """See `ClipSource.streams`; the seed has no effect on clips that are given."""
        found = self.load("test", cache, progress=False)
        joined = -(-frames // self.steps)
        order = np.resize(np.arange(len(found)), count * joined)
        return _join(replace(found, frames=found.frames[order], labels=found.labels[order]), joined)

    def _located(self) -> FolderRequest:
        if str(self.request.root) == UNKNOWN_ROOT:
            raise ConfigError(
                f"is missing: where {self.request.folder_set.title} was unpacked to",
                field="data.root",
                remedy="add it to the experiment, or give --data-root",
            )
        return self.request


def _needed(cache: Path | None) -> Path:
    if cache is None:
        raise ConfigError("decoded clips are kept there", field="cache", remedy="name a directory")
    return cache


#: Stands for a folder that is not known yet: shapes and counts do not depend on it.
UNKNOWN_ROOT = "?"


def _join(clips: ClipSet, joined: int) -> ClipSet:
    frames = clips.frames.reshape(len(clips) // joined, -1, clips.frames.shape[2])
    return replace(clips, frames=frames, labels=clips.labels[joined - 1 :: joined])


def source_of(settings: Mapping[str, Any]) -> ClipSource:
    """The source of a section `[data]`: the fields of `DataSettings`, None for what is not set.

    Raises:
        ConfigError: no such data set, or a setting that it does not have, needs or take.
    """
    name = settings["set"]
    if name in FOLDER_SETS:
        return _folder(name, settings)
    if name not in DATASETS:
        raise ConfigError(
            "there is no such data set",
            field="data.set",
            value=name,
            remedy=near_matches(name, (*DATASETS, *FOLDER_SETS)),
        )
    for key in FOLDER_KEYS:
        if settings.get(key) is not None:
            raise ConfigError(
                f"has no effect on '{name}', which is generated",
                field=f"data.{key}",
                value=settings[key],
                remedy="leave it out",
            )
    data_set = get_dataset(name)
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
        data_set.frame_shape,
        data_set.feature,
        steps,
        data_set.classes,
        len(data_set.classes),
        data_set,
        counts,
        {"train": settings["seed"], "test": settings["test_seed"]},
    )


def _count(settings: Mapping[str, Any], split: str) -> int:
    count = settings.get(f"{split}_clips")
    if count is None:
        raise ConfigError(
            "is missing: how many clips to generate", field=f"data.{split}_clips", remedy="add it"
        )
    return int(count)


def _folder(name: str, settings: Mapping[str, Any]) -> FolderSource:
    given = {key: settings[key] for key in FOLDER_KEYS if settings.get(key) is not None}
    given |= {"steps": settings.get("steps"), "seed": settings.get("seed") or 0}
    root = Path(given.pop("root", UNKNOWN_ROOT))
    try:
        request = FolderRequest(name, root, **given).complete()
    except ConfigError as error:
        raise ConfigError(
            error.problem, field=f"data.{error.field}", value=error.value, remedy=error.remedy
        ) from None
    known = request.folder_set
    return FolderSource(
        name,
        request.frame_shape,
        request.feature,
        request.steps or 0,
        known.classes,
        known.class_count,
        request,
        {split: settings.get(f"{split}_clips") for split in ("train", "test")},
    )
