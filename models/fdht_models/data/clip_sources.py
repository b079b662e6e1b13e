"""ClipSource: where an experiment's clips come from, generated or in a user's folder."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import digest_of
from fdht_models.data.cache import cache_inputs
from fdht_models.data.clip_blocks import GeneratedRequest
from fdht_models.data.clip_sets import ClipSet, DataSet, mean_frames
from fdht_models.data.folders import FolderRequest, folder_digest, load_folder_clips
from fdht_models.data.folders.folder_clips import list_classes
from fdht_models.data.folders.sets import OWN
from fdht_models.data.generated import load_clips, render_clips
from fdht_models.errors import ConfigError, DataError
from fdht_models.preprocessing import Preprocessing

#: See `ClipSource.mean_pictures`.
MeanPictures = NDArray[np.float32] | str | None
_PIXELS = "pixels"
#: Bytes of raw frames that are kept beside a split's clips for the sake of their mean.
_MOST_PICTURES = 3 * 10**9


@dataclass(frozen=True)
class ClipSource:
    """Clips of an experiment; subclasses know where they come from.

    Attributes:
        name: of the data set.
        preprocessing: what is made of a clip.
    """

    name: str
    preprocessing: Preprocessing

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; () where only a folder that is not given tells.

        Raises:
            DataError: the folder that is given cannot be used.
        """
        raise NotImplementedError

    @property
    def class_count(self) -> int:
        """How many classes there are.

        Raises:
            ConfigError: of own clips, neither the folder nor the names are given.
            DataError: the folder that is given is not there, or cannot be used.
        """
        return len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class; numbers where only a folder that is not given tells names."""
        return self.classes or tuple(map(str, range(self.class_count)))

    @property
    def stated_classes(self) -> tuple[str, ...]:
        """The names that are known without looking into a folder, or ()."""
        return self.classes

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(H, W, 3) for video, otherwise (inputs,)."""
        return self.preprocessing.frame_shape

    @property
    def feature(self) -> str | None:
        """Of video, a key of `fdht_models.features.FEATURES`."""
        return self.preprocessing.feature

    @property
    def steps(self) -> int:
        """Network inputs a clip."""
        return self.preprocessing.sampling.steps

    @property
    def inputs(self) -> int:
        """Values in a frame as the network sees it."""
        return self.preprocessing.inputs

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

    def mean_pictures(
        self, split: str, clips: ClipSet, count: int, cache: Path | None
    ) -> MeanPictures:
        """The mean over the raw frames of each of the first `count` clips, in [0, 255].

        Args:
            split: of the clips.
            clips: what `load` gave.
            count: of them.
            cache: see `load`.

        Returns:
            float32 [count, H * W * 3]; None where the inputs are such pictures themselves or the
            clips were never pictures; or why they are not to be had.

        Raises:
            DataError: they cannot be made or read.
            ArtifactError: the cache cannot be written.
        """
        if self.feature in (None, _PIXELS):
            return None
        return self._mean_pictures(split, clips, count, cache)

    def _mean_pictures(
        self, split: str, clips: ClipSet, count: int, cache: Path | None
    ) -> MeanPictures:
        """`mean_pictures` where there are some."""
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

    def raw_streams(
        self, count: int, frames: int, seed: int, cache: Path | None
    ) -> NDArray[np.uint8]:
        """Long test clips of raw frames, for proofs of cores that compute the feature; of video.

        Args:
            count: clips.
            frames: network inputs a clip.
            seed: of generated clips.
            cache: see `load`.

        Returns:
            uint8 [count, at least frames + 1, inputs].
        """
        raise NotImplementedError

    def load_raw(self, split: str) -> ClipSet:
        """The clips of `load` as raw frames, `picture.frames_before` more of each than inputs.

        Raises:
            ConfigError: of these clips only features are kept.
        """
        raise ConfigError(
            "are kept as features, and the core computes these from raw frames",
            field="test clips",
            value=self.name,
            remedy="name the folder of the test clips as --source, or build with --feature host",
        )


@dataclass(frozen=True)
class GeneratedSource(ClipSource):
    """Clips generated from a seed; clips and seeds by split."""

    data_set: DataSet
    clips: Mapping[str, int]
    seeds: Mapping[str, int]

    @property
    def classes(self) -> tuple[str, ...]:
        """See `ClipSource.classes`."""
        return self.data_set.classes

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
            dead_zone=self.data_set.dead_zone,
        )

    def digest(self, split: str, cache: Path | None) -> str:
        """See `ClipSource.digest`."""
        request = GeneratedRequest(
            self.data_set, split, self.clips[split], self.seeds[split], self.steps
        )
        return digest_of(cache_inputs(request))

    def _mean_pictures(
        self, split: str, clips: ClipSet, count: int, cache: Path | None
    ) -> MeanPictures:
        means = np.empty((count, self.inputs), np.float32)
        for index in range(count):
            raw, _ = self.data_set.generate_raw(split, self.seeds[split], index, self.steps)
            means[index] = raw.reshape(len(raw), -1).mean(axis=0, dtype=np.float32)
        return means

    def streams(self, count: int, frames: int, seed: int, cache: Path | None) -> ClipSet:
        """See `ClipSource.streams`; none of these clips is trained on or scored."""

        def load(clips: int, steps: int) -> ClipSet:
            zone = self.data_set.dead_zone
            return load_clips(self.name, "test", clips, seed, steps=steps, dead_zone=zone)

        try:
            return load(count, frames)
        except ConfigError:  # this data set has no clips of that length
            steps = self.data_set.steps
            joined = -(-frames // steps)
            return _join(load(count * joined, steps), joined)

    def raw_streams(
        self, count: int, frames: int, seed: int, cache: Path | None
    ) -> NDArray[np.uint8]:
        """See `ClipSource.raw_streams`."""
        found, _ = render_clips(self.name, "test", count, seed, steps=frames)
        return found.reshape(*found.shape[:2], -1)

    def load_raw(self, split: str) -> ClipSet:
        """See `ClipSource.load_raw`; drawn anew, and kept in memory."""
        count, seed = self.clips[split], self.seeds[split]
        frames, labels = render_clips(self.name, split, count, seed, steps=self.steps)
        flat = frames.reshape(*frames.shape[:2], -1)
        return ClipSet(flat, labels, self.classes, self.frame_shape)


@dataclass(frozen=True)
class FolderSource(ClipSource):
    """Clips in a user's folder; at most `clips` of each split (None: all)."""

    request: FolderRequest
    clips: Mapping[str, int | None]

    @property
    def classes(self) -> tuple[str, ...]:
        """See `ClipSource.classes`: those of the folder; where it is not there, as published."""
        return self._listed or self.stated_classes

    @property
    def class_count(self) -> int:
        """See `ClipSource.class_count`."""
        known = self.request.folder_set
        if not self._listed and not known.classes:
            if known.class_count is None:
                self._located()
                raise DataError(
                    "there is no such folder, and it alone tells the classes",
                    field="data.root",
                    value=str(self.request.root),
                    remedy="correct it, or name them in data.classes",
                )
            return known.class_count
        return len(self.classes)

    @property
    def stated_classes(self) -> tuple[str, ...]:
        """See `ClipSource.stated_classes`."""
        return self.request.folder_set.classes

    @functools.cached_property
    def _listed(self) -> tuple[str, ...]:
        """The classes of the folder; () where it is not there, or where they are stated."""
        request = self.request
        if request.classes is not None or not request.root.is_dir():
            return ()
        return list_classes(request).classes

    def load(self, split: str, cache: Path | None, progress: bool = True) -> ClipSet:
        """See `ClipSource.load`."""
        found = load_folder_clips(self._located(), split, _needed(cache), progress)
        if found.classes != self.classes:
            raise DataError(
                "the folder had other classes when it was first read",
                field=str(self.request.root),
                value=", ".join(found.classes),
                remedy="leave the folder as it is, and start again",
            )
        return found.of(slice(self.clips[split]))

    def digest(self, split: str, cache: Path | None) -> str:
        """See `ClipSource.digest`."""
        key = folder_digest(self._located(), split, _needed(cache))
        return digest_of({"folder": key, "clips": self.clips[split]})

    def _mean_pictures(
        self, split: str, clips: ClipSet, count: int, cache: Path | None
    ) -> MeanPictures:
        """Decodes the same frames once more, and keeps them in the cache like the clips."""
        picture = self.preprocessing.picture
        steps = self.steps + (0 if picture is None else picture.frames_before)
        size = len(clips) * steps * self.inputs
        if size > _MOST_PICTURES:
            return f"the raw frames of {len(clips):,} clips would take {size / 1e9:.1f} GB"
        request = replace(self._located(), feature=_PIXELS, dead_zone=0, steps=steps)
        found = load_folder_clips(request, split, _needed(cache)).of(slice(self.clips[split]))
        # A file of one frame is a picture, but has no motion: it would be a clip too many.
        if not np.array_equal(found.labels, clips.labels):
            return "some clips have pictures and no feature"
        return mean_frames(found.frames[:count])

    def streams(self, count: int, frames: int, seed: int, cache: Path | None) -> ClipSet:
        """See `ClipSource.streams`; the seed has no effect on clips that are given."""
        found = self.load("test", cache, progress=False)
        joined = -(-frames // self.steps)
        order = np.resize(np.arange(len(found)), count * joined)
        return _join(found.of(order), joined)

    def raw_streams(
        self, count: int, frames: int, seed: int, cache: Path | None
    ) -> NDArray[np.uint8]:
        """See `ClipSource.raw_streams`: clips of pictures, one behind the other."""
        picture = self.preprocessing.picture
        assert picture is not None
        sampling = replace(self.preprocessing.sampling, steps=self.steps + picture.frames_before)
        pictures = replace(picture, feature=_PIXELS, dead_zone=0)
        request = replace(self._located(), feature=_PIXELS, dead_zone=0, steps=sampling.steps)
        source = FolderSource(
            self.name, Preprocessing(sampling, picture=pictures), request, self.clips
        )
        return source.streams(count, frames + picture.frames_before, seed, cache).frames

    def _located(self) -> FolderRequest:
        if str(self.request.root) == UNKNOWN_ROOT:
            raise ConfigError(
                f"is missing: the folder of {self.request.folder_set.title}"
                if self.request.name == OWN
                else f"is missing: where {self.request.folder_set.title} was unpacked to",
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
    return replace(clips.of(slice(joined - 1, None, joined)), frames=frames)
