"""MixedSource: clips of several data sets in one training, their classes joined by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import digest_of, is_current, new_stage
from fdht_models.data.cache import keep_clips, kept_clips
from fdht_models.data.clip_sets import ClipSet
from fdht_models.data.clip_sources import ClipSource, MeanPictures
from fdht_models.data.folders.sets import OWN
from fdht_models.errors import ConfigError

_STAGE = "mixed-clips"

Labels = NDArray[np.int64]
Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class MixedSource(ClipSource):
    """Clips of several sources, spread evenly: any stretch has the sources in proportion.

    Build it with `mixed`.
    """

    parts: tuple[ClipSource, ...]
    names: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """See `ClipSource.classes`."""
        return self.names

    def load(self, split: str, cache: Path | None, progress: bool = True) -> ClipSet:
        """See `ClipSource.load`; with a cache the mixture is kept there, too."""
        if cache is None:
            return self._mix([part.load(split, None, progress) for part in self.parts])
        key = {"mixture": self.digest(split, cache)}
        directory = cache / f"mixed-{split}-{key['mixture'][:16]}"
        if not is_current(directory, _STAGE, key):
            clips = [part.load(split, cache, progress) for part in self.parts]
            with new_stage(directory, _STAGE, key) as (temporary, _):
                keep_clips(temporary, _in_order(clips), self._labels(clips))
        return kept_clips(directory, self.steps, self.classes, self.frame_shape)

    def digest(self, split: str, cache: Path | None) -> str:
        """See `ClipSource.digest`."""
        parts = [part.digest(split, cache) for part in self.parts]
        return digest_of({"parts": parts, "classes": list(self.classes)})

    def streams(self, count: int, frames: int, seed: int, cache: Path | None) -> ClipSet:
        """See `ClipSource.streams`; each part gives its share of the clips."""
        share = -(-count // len(self.parts))
        clips = [part.streams(share, frames, seed, cache) for part in self.parts]
        least = min(part.frames.shape[1] for part in clips)
        cut = [replace(part, frames=part.frames[:, :least]) for part in clips]
        return self._mix(cut).of(slice(count))

    def raw_streams(self, count: int, frames: int, seed: int, cache: Path | None) -> Frames:
        """See `ClipSource.raw_streams`; each part gives its share of the clips."""
        share = -(-count // len(self.parts))
        clips = [part.raw_streams(share, frames, seed, cache) for part in self.parts]
        least = min(part.shape[1] for part in clips)
        return np.concatenate([part[:, :least] for part in clips])[:count]

    def _mean_pictures(
        self, split: str, clips: ClipSet, count: int, cache: Path | None
    ) -> MeanPictures:
        own = [part.load(split, cache, progress=False) for part in self.parts]
        order = _order([len(part) for part in own])[:count]
        found = []
        for number, part in enumerate(self.parts):
            share = sum(place == number for place, _ in order)
            pictures = part.mean_pictures(split, own[number], share, cache)
            if pictures is None or isinstance(pictures, str):
                return pictures
            found.append(pictures)
        return np.stack([found[part][clip] for part, clip in order])

    def _mix(self, clips: Sequence[ClipSet]) -> ClipSet:
        frames = np.concatenate(list(_in_order(clips)))
        return ClipSet(frames, self._labels(clips), self.classes, self.frame_shape)

    def _labels(self, clips: Sequence[ClipSet]) -> Labels:
        """Labels in the order of the mixture, as indices into its classes."""
        places = [
            np.array([self.classes.index(name) for name in part.classes], np.int64)
            for part in clips
        ]
        order = _order([len(part) for part in clips])
        return np.array([places[part][clips[part].labels[clip]] for part, clip in order], np.int64)


def mixed(parts: Sequence[ClipSource]) -> MixedSource:
    """A source of the clips of several; classes of one name are one class.

    Raises:
        ConfigError: frames, features or lengths of clips differ, or classes are not known before
            a folder is read.
    """
    first = parts[0]
    for number, part in enumerate(parts):
        path = f"data.mix[{number - 1}]" if number else "data"
        if not part.stated_classes:
            names = part.name == OWN
            raise ConfigError(
                f"the classes of '{part.name}' are known from its files alone",
                field=f"{path}.set",
                remedy=f"name them in {path}.classes" if names else "train on it alone",
            )
        for what, own, other in (
            ("frame", part.frame_shape, first.frame_shape),
            ("feature", part.feature, first.feature),
            ("number of steps", part.steps, first.steps),
            ("way to choose frames", _protocol(part), _protocol(first)),
            ("way to make inputs", part.preprocessing, first.preprocessing),
        ):
            if own != other:
                raise ConfigError(
                    f"'{part.name}' has another {what} than '{first.name}', which has {other}",
                    field=f"{path}.set",
                    value=own,
                    remedy="mix sets with equal frames, features and steps",
                )
    classes = tuple(dict.fromkeys(name for part in parts for name in part.stated_classes))
    return MixedSource(
        "+".join(part.name for part in parts),
        first.preprocessing,
        tuple(parts),
        classes,
    )


def _protocol(source: ClipSource) -> str:
    return source.preprocessing.sampling.protocol


def _order(counts: Sequence[int]) -> list[tuple[int, int]]:
    """(part, clip) of each place: clip i of n belongs at (i + 1/2) / n of the whole."""
    places = [
        ((clip + 0.5) / count, part, clip)
        for part, count in enumerate(counts)
        for clip in range(count)
    ]
    return [(part, clip) for _, part, clip in sorted(places)]


def _in_order(clips: Sequence[ClipSet]) -> Iterator[NDArray[np.uint8]]:
    """Blocks of one clip, uint8 [1, steps, inputs], in the order of the mixture."""
    for part, clip in _order([len(part) for part in clips]):
        yield np.ascontiguousarray(clips[part].frames[clip : clip + 1])
