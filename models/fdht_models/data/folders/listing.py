"""What a set in a user's folder is, and what is found there: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: How clips are divided into training and test; see `splits.py`.
PUBLISHED, GROUP_DISJOINT, LEAKY = "published", "group-disjoint", "leaky-per-clip"
#: Of a user's own clips: as a table of theirs, or the names, say.
BY_TABLE = "table"

VIDEO, SPIKES, SPEECH, VECTORS = "video", "spikes", "speech", "features"
#: What a user's own clips may be besides video.
SOUND, ARRAYS = "sound", "arrays"

Span = tuple[int, int]


@dataclass(frozen=True)
class Clip:
    """One clip in a user's folder, before it is decoded.

    Attributes:
        key: names the clip wherever the folder lies ("biking/v_biking_01_02").
        path: its file, relative to the folder, with "/".
        labels: indices into the listing's classes; more than one where a clip has several.
        group: what must not be in both splits: the video or the speaker it comes from; "" if the
            set does not say.
        published: its split ("train", "test", or "" for neither) in each published fold.
        span: [first, last) of its part of the file, in the file's own unit (of a user's own clips:
            microseconds); None for all of it.
        extent: up to where the set's labels say that the file goes, in the same unit; None where
            they do not say. What is missing before it was lost, and is no silence.
    """

    key: str
    path: str
    labels: tuple[int, ...]
    group: str = ""
    published: tuple[str, ...] = ()
    span: Span | None = None
    extent: int | None = None


@dataclass(frozen=True)
class Problem:
    """A file or clip that is not, or not wholly, used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """What a folder holds, by the names of its files alone.

    Attributes:
        root: the folder.
        classes: the name of each class.
        clips: sorted by key; no two of one key.
        skipped: files that look like clips and cannot be used.
        notes: what the user should know, a sentence each.
        unpublished: why there are no published splits, if there are none though there could be.
        remedy: what to do where a published split has no clip; "" where its clips are missing.
    """

    root: Path
    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    skipped: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    unpublished: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class FolderSet:
    """A published data set that a user brings in its published layout, or a user's own clips.

    Attributes:
        name: what experiments call it.
        title: what people call it.
        kind: "video", "spikes", "speech" or "features"; of a user's own clips "video", "sound" or
            "arrays".
        layout: what is looked for in the folder, for people.
        class_count: classes as published; None where the folder, or the user, tells.
        classes: their names, or () where the names are in the files' names only.
        expected: published number of files (of clips if `kind` is "spikes"), by split or in "all".
        rules: rules of division that the set's names allow; the first is the default.
        folds: folds by default, for `group-disjoint` and `leaky-per-clip`.
        published_folds: published divisions into training and test.
        steps: frames a clip by default, for each protocol that can be made of a clip's frames; the
            first is the default.
        stride: of the protocol `tt_rnn`, which takes every `stride`-th frame.
    """

    name: str
    title: str
    kind: str
    layout: str
    steps: Mapping[str, int]
    class_count: int | None = None
    classes: tuple[str, ...] = ()
    expected: Mapping[str, int] = field(default_factory=dict)
    rules: tuple[str, ...] = (PUBLISHED, GROUP_DISJOINT, LEAKY)
    folds: int = 5
    published_folds: int = 1
    stride: int = 1

    @property
    def protocols(self) -> tuple[str, ...]:
        """What can be made of a clip's frames; the first is the default."""
        return tuple(self.steps)


@dataclass(frozen=True)
class Kept:
    """What is kept of a split beside its arrays.

    Attributes:
        undecodable: clips that were not used.
        damaged: clips of which only the frames before some damage were.
        time_step: seconds from one network input to the next, the median of the clips.
        padded: clips with fewer frames than the protocol takes, zeros in front of them.
    """

    undecodable: tuple[Problem, ...]
    damaged: tuple[Problem, ...]
    time_step: float | None
    padded: int


@dataclass(frozen=True)
class FolderReport:
    """How a folder was read.

    Attributes:
        listed: clips that the folder's names promise, those of no split included.
        used: clips of this split, a clip of several labels counted once for each.
        skipped: files and clips that could not be used, of all splits.
        damaged: clips of which only the frames before some damage could be used.
        notes: what the user should know, a sentence each.
    """

    listed: int
    used: int
    skipped: tuple[Problem, ...] = ()
    damaged: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = field(default=())
