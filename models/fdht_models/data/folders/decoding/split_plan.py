"""One split of one folder: which clips, from which shards, in which order."""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdht_models.artifacts import digest_of
from fdht_models.data.folders.decoding.shards import Shard, plan_shards
from fdht_models.data.folders.listing import Clip, Listing
from fdht_models.data.folders.request import FolderRequest

_VERSION = 4  # counts changes of this package that change what is made of decoded clips

#: Shard and row of each clip that could be decoded, by its key.
Places = dict[str, tuple[Shard, int]]


@dataclass(frozen=True)
class SplitPlan:
    """One split of one folder.

    Attributes:
        request: completed.
        listing: clips whose files can be read.
        splits: the split of each of them.
        split: the one that is wanted.
        digests: of the clips' files, by path.
        cache: directory of shards and splits.
    """

    request: FolderRequest
    listing: Listing
    splits: Sequence[str]
    split: str
    digests: Mapping[str, str]
    cache: Path

    @functools.cached_property
    def inputs(self) -> dict[str, Any]:
        """Digests of all that the split's clips depend on."""
        chosen = [
            [clip.key, clip.labels, clip.group, clip.span, self.digests[clip.path]]
            for clip in self.clips()
        ]
        return {
            "version": _VERSION,
            "set": self.request.name,
            "split": self.split,
            "classes": list(self.listing.classes),
            "clips": digest_of(chosen),
            # The shards know the settings and the versions of the tools.
            "shards": digest_of([shard.inputs for shard in self.shards]),
        }

    @functools.cached_property
    def shards(self) -> list[Shard]:
        """The shards that hold clips of the split."""
        wanted = {clip.key for clip in self.clips()}
        shards = plan_shards(self.request, self.split, self.listing.clips, self.digests, self.cache)
        return [shard for shard in shards if any(clip.key in wanted for clip in shard.clips)]

    def samples(self, places: Places) -> list[tuple[Clip, int]]:
        """(clip, label) pairs, the classes taking turns in proportion to their sizes."""
        of_class: dict[int, list[Clip]] = defaultdict(list)
        for clip in self.clips():
            for label in clip.labels if clip.key in places else ():
                of_class[label].append(clip)
        turns: list[tuple[float, int, Clip]] = []
        for label, members in of_class.items():
            # By digest, so that clips of one source do not follow each other.
            members.sort(key=lambda clip: hashlib.sha256(clip.key.encode()).digest())
            turns += [
                ((place + 0.5) / len(members), label, clip) for place, clip in enumerate(members)
            ]
        return [(clip, label) for _, label, clip in sorted(turns, key=lambda turn: turn[:2])]

    def clips(self) -> Iterator[Clip]:
        """The clips of the split."""
        for clip, split in zip(self.listing.clips, self.splits, strict=True):
            if split == self.split:
                yield clip
