"""What a data set is, and what it gives: plain frozen data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import ConfigError
from fdht_models.features import features_of, get_feature
from fdht_models.preprocessing import Picture, Preprocessing, Sampling, plain
from fdht_models.preprocessing.protocols import GENERATED
from fdht_models.settings import whole

SPLITS = ("train", "test")

# (split, class index, steps, generator) -> uint8; see `DataSet.render`.
Renderer = Callable[[str, int, int, np.random.Generator], NDArray[np.uint8]]


@dataclass(frozen=True)
class ClipSet:
    """Labelled clips, ready to train or to stream.

    Attributes:
        frames: uint8 [clips, steps, inputs]; read-only and memory-mapped if it came from a cache.
        labels: int64 [clips], indices into `classes`.
        classes: the name of each class.
        frame_shape: (H, W, 3) if the inputs are a video's pixels, otherwise (inputs,). Kept here
            so that a classifier of single frames knows what can be averaged with what.
        groups: numbers of the sources that clips come from, int64 [clips]; clips of one number show
            one video, person or voice. None where that is not known.
        time_step: seconds from one network input to the next, the median of the clips; None where
            that is not known.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    frame_shape: tuple[int, ...] = ()
    groups: NDArray[np.int64] | None = None
    time_step: float | None = None

    def of(self, places: slice | NDArray[np.int64]) -> ClipSet:
        """The clips in these places; a slice copies nothing."""
        groups = None if self.groups is None else self.groups[places]
        return replace(self, frames=self.frames[places], labels=self.labels[places], groups=groups)

    def __len__(self) -> int:
        return len(self.labels)


def mean_frames(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean over all frames of clips, [clips, steps, inputs]: float32 [clips, inputs]."""
    means = np.empty((len(frames), frames.shape[2]), np.float32)
    for index, clip in enumerate(frames):  # one at a time: a set may be larger than the memory
        means[index] = clip.mean(axis=0, dtype=np.float32)
    return means


@dataclass(frozen=True)
class DataSet:
    """A source of labelled clips, generated from a seed.

    Attributes:
        name: what experiments call it.
        classes: the name of each class; a label is an index into it.
        frame_shape: (H, W, 3) for video, otherwise (inputs,).
        feature: the feature (a key of `fdht_models.features.FEATURES`) that is computed from the
            pixels, or None if the clips are inputs as they are.
        steps: network inputs a clip, unless the caller asks for another number.
        minimum_steps: the fewest for which every class is still what its name says.
        version: counts changes of the generator; part of every clip's seed and cache key.
        render: draws one clip of a class: (split, class index, steps, generator) to
            uint8 [steps + 1, H, W, 3] for video, otherwise uint8 [steps, inputs].
        sources: digests of all that a split is made from, for the cache key.
        check: raises a `ConfigError` where a split cannot give clips of so many steps.
        dead_zone: the largest difference that the feature counts as none; see `with_dead_zone`.
    """

    name: str
    classes: tuple[str, ...]
    frame_shape: tuple[int, ...]
    feature: str | None
    steps: int
    minimum_steps: int
    version: int
    render: Renderer
    sources: Callable[[str], Mapping[str, str]]
    check: Callable[[str, int], None] | None = None
    dead_zone: int = 0

    def with_dead_zone(self, dead_zone: int) -> DataSet:
        """The same pixels, differences up to `dead_zone` (0 to 254) counted as none.

        Raises:
            ConfigError: it is no such number, or the set has no feature that compares frames.
        """
        dead_zone = whole(0, 254)(dead_zone, "dead_zone")
        if dead_zone and self.feature is None:
            raise ConfigError(
                f"'{self.name}' is no video, so that no difference of frames can be left out",
                field="dead_zone",
                value=dead_zone,
                remedy="leave it out",
            )
        if self.feature is not None:
            get_feature(self.feature, dead_zone)  # raises where the feature has none
        return replace(self, dead_zone=dead_zone)

    @property
    def inputs(self) -> int:
        """Values in a frame as the network sees it."""
        return math.prod(self.frame_shape)

    def preprocessing(self, steps: int) -> Preprocessing:
        """What is made of a clip of so many steps."""
        if self.feature is None:
            return plain(self.inputs, steps)
        height, width, _ = self.frame_shape
        return Preprocessing(
            Sampling(GENERATED, steps),
            picture=Picture(height, width, self.feature, self.dead_zone),
        )

    @property
    def is_video(self) -> bool:
        """True if the clips are made of pixels, and `render_clips` can show them."""
        return self.feature is not None

    def generate(
        self, split: str, seed: int, index: int, steps: int | None = None
    ) -> tuple[NDArray[np.uint8], int]:
        """Returns clip number `index`: (uint8 [steps, inputs], label).

        A clip depends on (split, seed, index, steps) alone, so that it is the same in a set of
        any size and from any number of worker processes.

        Raises:
            DataError: a package that holds the material is missing.
        """
        raw, label = self.generate_raw(split, seed, index, steps)
        if self.feature is None:
            return raw, label
        return features_of(self.feature, raw, self.dead_zone), label

    def generate_raw(
        self, split: str, seed: int, index: int, steps: int | None = None
    ) -> tuple[NDArray[np.uint8], int]:
        """Returns what `generate` derives its features from: (`render`'s array, label)."""
        label = self.label(split, seed, index)
        generator = self._generator(split, seed, "clip", index)
        return self.render(split, label, steps or self.steps, generator), label

    def label(self, split: str, seed: int, index: int) -> int:
        """Returns the label of clip `index`: each run of `len(classes)` clips has each class."""
        turn, place = divmod(index, len(self.classes))
        order = self._generator(split, seed, "labels", turn).permutation(len(self.classes))
        return int(order[place])

    def _generator(self, split: str, seed: int, use: str, index: int) -> np.random.Generator:
        # Integers of the names, so that no two data sets, splits or uses share a stream.
        names = int.from_bytes(f"{self.name}/{split}/{use}".encode(), "big")
        return np.random.default_rng([names, self.version, seed, index])
