"""`overview_of`: all that a folder shows before anything is decoded, and what speaks against it.

`check_clips` decodes every clip from its first to its last frame, to find all damage.
"""

from __future__ import annotations

import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fdht_models.data.folders.decoding.shards import clip_reader, span_in_seconds
from fdht_models.data.folders.folder_clips import list_classes
from fdht_models.data.folders.listing import SPIKES, VIDEO, Clip, Listing, Problem
from fdht_models.data.folders.own.clip_files import Bar, no_bar
from fdht_models.data.folders.reporting.file_facts import (
    Facts,
    Length,
    count_short,
    describe_files,
    length_of,
    needed_frames,
    short_note,
    unusable,
)
from fdht_models.data.folders.reporting.split_report import (
    check_share,
    listing_notes,
    test_notes,
)
from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.folders.sentences import counted_notes
from fdht_models.data.folders.splits import assign_splits, class_warnings, groups_of, labels_of
from fdht_models.errors import DataError, FdhtError
from fdht_models.preprocessing import ClipInputs
from fdht_models.preprocessing.video_clips import read_video
from fdht_models.threads import map_in_threads

_NAMED = 3


@dataclass(frozen=True)
class Spread:
    """The smallest, the middle and the largest of some numbers."""

    least: float
    median: float
    most: float


@dataclass(frozen=True)
class ClassRow:
    """One class: its clips, their groups and splits, and how long they are.

    Attributes:
        name: the class.
        clips: all of them that can be used.
        groups: how many sources they come from.
        train: clips that train.
        test: clips that test.
        frames: of a clip (of sound, of 10 ms); None where files do not tell.
        seconds: of a clip; None where files do not tell.
    """

    name: str
    clips: int
    groups: int
    train: int
    test: int
    frames: Spread | None
    seconds: Spread | None


@dataclass(frozen=True)
class Overview:
    """What a folder holds and what will be made of it.

    Attributes:
        request: completed.
        listing: the clips.
        splits: of each clip; "" for neither, and for all where they cannot be divided.
        facts: of each file.
        rows: a row a class.
        total: all classes.
        formats: files by what they state: codec, size and rate, with their counts.
        needed: frames that the protocol takes of a clip.
        short: clips that have fewer.
        skipped: what will not be used, and why.
        notes: what the user should know, a sentence each.
        error: why the folder cannot be trained on as it stands; None if it can.
    """

    request: FolderRequest
    listing: Listing
    splits: tuple[str, ...]
    facts: Mapping[str, Facts]
    rows: tuple[ClassRow, ...]
    total: ClassRow
    formats: tuple[tuple[str, int], ...]
    needed: int
    short: int
    skipped: tuple[Problem, ...]
    notes: tuple[str, ...]
    error: FdhtError | None

    def to_json(self) -> dict[str, Any]:
        """A JSON object, without the clips."""
        request = self.request
        return {
            "root": str(request.root),
            "set": request.name,
            "kind": request.folder_set.kind,
            "preprocessing": request.preprocessing("test").to_json(),
            "fold_rule": request.fold_rule,
            "test_groups": groups_of(self.listing, self.splits, "test"),
            "classes": [asdict(row) for row in self.rows],
            "total": asdict(self.total),
            "formats": dict(self.formats),
            "needed_frames": self.needed,
            "short_clips": self.short,
            "skipped": [asdict(problem) for problem in self.skipped],
            "notes": list(self.notes),
            "error": None if self.error is None else str(self.error),
        }

    def clips_of(self, split: str | None) -> list[Clip]:
        """The clips of a split, or all, that nothing speaks against."""
        lost = {problem.path for problem in self.skipped}
        pairs = zip(self.listing.clips, self.splits, strict=True)
        return [clip for clip, found in pairs if split in (None, found) and clip.key not in lost]


def overview_of(request: FolderRequest, bar: Bar = no_bar) -> Overview:
    """Looks at a folder; decodes nothing but the first picture of each video.

    Args:
        request: which folder, and what to make of it.
        bar: see `Bar`.

    Raises:
        ConfigError: a setting that cannot be used.
        DataError: the folder holds no clips of two classes, or says what cannot be.
    """
    request = request.complete()
    listing = list_classes(request, bar)
    paths = {clip.path for clip in listing.clips}
    facts = describe_files(request, paths, bar("looking at files", len(paths)))
    problems = (*listing.skipped, *unusable(request, listing.clips, facts))
    lost = {problem.path for problem in problems}
    splits, error = _divided(request, listing, problems)
    used = [clip for clip in listing.clips if clip.key not in lost]
    lengths = {clip.key: length_of(request, clip, facts.get(clip.path, Facts())) for clip in used}
    short = count_short(request, used, facts)
    divided = {split: labels_of(listing, splits, split) for split in ("train", "test")}
    notes = (
        *listing_notes(request, listing),
        *(class_warnings(listing, divided) if error is None else ()),
        *(test_notes(request, listing, splits) if error is None else ()),
        *short_note(request, short, len(used)),
        *_file_notes(facts),
    )
    split_of = dict(zip((clip.key for clip in listing.clips), splits, strict=True))
    of_class: dict[int, list[Clip]] = defaultdict(list)
    for clip in used:
        for label in clip.labels:
            of_class[label].append(clip)
    rows = tuple(
        _row(name, of_class[label], split_of, lengths) for label, name in enumerate(listing.classes)
    )
    return Overview(
        request=request,
        listing=listing,
        splits=splits,
        facts=facts,
        rows=rows,
        total=_row("all", used, split_of, lengths),
        formats=_formats(used, facts),
        needed=needed_frames(request),
        short=short,
        skipped=problems,
        notes=notes,
        error=error,
    )


def _divided(
    request: FolderRequest, listing: Listing, problems: Sequence[Problem]
) -> tuple[tuple[str, ...], FdhtError | None]:
    """The splits, and why the folder is refused; it is shown all the same."""
    splits: tuple[str, ...] = ("",) * len(listing.clips)
    try:
        splits = assign_splits(listing, request)
        check_share(request, listing, problems[len(listing.skipped) :])
    except FdhtError as error:
        return splits, error
    return splits, None


def _row(
    name: str, clips: Sequence[Clip], split_of: Mapping[str, str], lengths: Mapping[str, Length]
) -> ClassRow:
    splits = Counter(split_of[clip.key] for clip in clips)
    return ClassRow(
        name,
        len(clips),
        len({clip.group or clip.key for clip in clips}),
        splits["train"],
        splits["test"],
        _spread([lengths[clip.key].frames for clip in clips]),
        _spread([lengths[clip.key].seconds for clip in clips]),
    )


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread(min(known), statistics.median(known), max(known)) if known else None


def _formats(clips: Sequence[Clip], facts: Mapping[str, Facts]) -> tuple[tuple[str, int], ...]:
    found: Counter[str] = Counter()
    for path in sorted({clip.path for clip in clips} & facts.keys()):
        fact = facts[path]
        rate = "" if fact.rate is None else f"{fact.rate:.5g} a second"
        found[", ".join(part for part in (fact.codec, fact.size, rate) if part)] += 1
    return tuple(found.most_common())


def _file_notes(facts: Mapping[str, Facts]) -> list[str]:
    odd = [f"{path} {fact.note}" for path, fact in sorted(facts.items()) if fact.note]
    return counted_notes("files with something odd in them", odd, _NAMED)


def check_clips(
    request: FolderRequest, clips: Sequence[Clip], tick: Callable[[int], None]
) -> tuple[Problem, ...]:
    """Returns the clips that cannot be decoded, or not to their ends, and why.

    Args:
        request: completed.
        clips: which.
        tick: called with 1 for each clip done.

    Raises:
        DataError: a package is missing, or the folder's files cannot be opened.
    """
    made = request.preprocessing("test")
    with clip_reader(request, "test") as read:

        def one(clip: Clip) -> str:
            try:
                if request.folder_set.kind == VIDEO:
                    assert made.picture is not None
                    decoded: ClipInputs = read_video(
                        request.root / clip.path,
                        clip.key,
                        made.sampling,
                        made.picture,
                        span_in_seconds(clip),
                        check_all=True,
                    )
                else:
                    decoded = read(clip)
            except DataError as error:
                return error.problem
            return decoded.damage

        # A file of spikes is one, and its library is not for several threads.
        threads = 1 if request.folder_set.kind == SPIKES else os.cpu_count() or 1
        found = []
        for clip, why in zip(clips, map_in_threads(one, clips, threads), strict=True):
            tick(1)
            if why:
                found.append(Problem(clip.key, why))
        return tuple(found)
