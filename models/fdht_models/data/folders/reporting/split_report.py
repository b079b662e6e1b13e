"""The report of a folder: what is missing, what could not be used, and when that is too much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.clip_sets import SPLITS
from fdht_models.data.folders.decoding.split_plan import SplitPlan
from fdht_models.data.folders.listing import (
    BY_TABLE,
    GROUP_DISJOINT,
    LEAKY,
    SPIKES,
    Clip,
    FolderReport,
    Kept,
    Listing,
    Problem,
    Span,
)
from fdht_models.data.folders.own.clip_files import TABLE
from fdht_models.data.folders.reporting.file_facts import short_note
from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.folders.sentences import class_notes, clip_name, counted_notes, name_some
from fdht_models.data.folders.sets import OWN
from fdht_models.data.folders.splits import class_warnings, groups_of, labels_of
from fdht_models.errors import DataError

_SHOWN = 3  # problems named in a message; the rest is counted


def write_report(plan: SplitPlan, labels: NDArray[np.int64], kept: Kept) -> FolderReport:
    """Returns the report of one split.

    Args:
        plan: the split.
        labels: of its clips that are used, [clips].
        kept: what became of its clips.
    """
    request, listing = plan.request, plan.listing
    skipped, damaged = (*listing.skipped, *kept.undecodable), kept.damaged
    there = {listing.classes[label] for clip in listing.clips for label in clip.labels}
    used = {split: labels_of(listing, plan.splits, split) for split in SPLITS}
    used[plan.split] = {int(label) for label in np.unique(labels)}
    notes = [
        *listing_notes(request, listing),
        *class_notes(there, listing.classes),
        *class_warnings(listing, used),
        *test_notes(request, listing, plan.splits, plan.split),
        *short_note(request, kept.padded, len(labels), decoded=True),
        *(_twin_notes(plan) if request.name == OWN else ()),
    ]
    if request.fold_rule == LEAKY:
        notes.append(
            "clips of one source are in both splits (leaky-per-clip): accuracies come out higher "
            "than on new sources"
        )
    for problems, text in ((skipped, "cannot be used"), (damaged, "are damaged, used in part")):
        told = _in_words(named_problems(request, listing, problems))
        notes += counted_notes(f"clips that {text}", told, _SHOWN)
    listed = len(listing.clips) + len(listing.skipped)
    return FolderReport(listed, len(labels), skipped, tuple(damaged), tuple(notes))


def test_notes(
    request: FolderRequest, listing: Listing, splits: Sequence[str], split: str = "test"
) -> list[str]:
    """A sentence on which groups test, where the fold has chosen them."""
    found = groups_of(listing, splits, "test")
    if split != "test" or request.fold_rule != GROUP_DISJOINT or request.test_groups is not None:
        return []
    count = "one group" if len(found) == 1 else f"{len(found)} groups"
    return [f"tested on {count}: {name_some(found)}"] if found else []


def check_share(request: FolderRequest, listing: Listing, undecodable: Sequence[Problem]) -> None:
    """Refuses a folder of which too much cannot be used.

    Raises:
        DataError: more than the request's share is unreadable.
    """
    skipped = (*listing.skipped, *undecodable)
    total = len(listing.clips) + len(listing.skipped)
    if len(skipped) > request.unreadable_share * total:
        share = f"{request.unreadable_share:.0%}"
        told = named_problems(request, listing, skipped)
        raise refusal(request, f"{len(skipped)} of {total} clips cannot be used, {share} may", told)


def refusal(request: FolderRequest, what: str, problems: Sequence[Problem]) -> DataError:
    """The error of a folder that cannot be used, with the first of its problems."""
    return DataError(
        f"{what}: {name_some(_in_words(problems), _SHOWN)}" if problems else what,
        field=str(request.root),
        remedy="copy these clips again, or take them out of the folder"
        if request.name == OWN
        else "unpack the set again, or raise unreadable_share",
    )


def named_problems(
    request: FolderRequest, listing: Listing, problems: Sequence[Problem]
) -> list[Problem]:
    """The same, with own clips called as people call them, not by their keys."""
    if request.name != OWN:
        return list(problems)
    names = {clip.key: clip_name(clip) for clip in listing.clips}
    return [replace(problem, path=names.get(problem.path, problem.path)) for problem in problems]


def _twin_notes(plan: SplitPlan) -> list[str]:
    """Sentences on clips of one content that are in both splits, or in two classes."""
    alike: dict[tuple[str, Span | None], list[tuple[Clip, str]]] = defaultdict(list)
    for clip, split in zip(plan.listing.clips, plan.splits, strict=True):
        alike[plan.digests[clip.path], clip.span].append((clip, split))
    divided, contrary = [], []
    for clips in alike.values():
        paths = " = ".join(clip_name(clip) for clip, _ in clips)
        if len({split for _, split in clips if split}) > 1:
            divided.append(paths)
        if len({clip.labels for clip, _ in clips}) > 1:
            contrary.append(paths)
    return [
        note
        for found, where in ((divided, "in both splits"), (contrary, "in several classes"))
        for note in counted_notes(
            f"clips of one content {where}", found, 3, "; take all but one out"
        )
    ]


def _in_words(problems: Sequence[Problem]) -> list[str]:
    return [f"{problem.path} {problem.reason}" for problem in problems]


def listing_notes(request: FolderRequest, listing: Listing) -> list[str]:
    """Sentences on what is there, how much of a published set is not, and splits not used."""
    known = request.folder_set
    unit = "clips" if known.kind == SPIKES else "files"
    notes = [*listing.notes]
    for split, expected in known.expected.items():
        clips = [
            clip
            for clip in listing.clips
            if split == "all" or (clip.published and clip.published[0] == split)
        ]
        found = len(clips) if known.kind == SPIKES else len({clip.path for clip in clips})
        if found < expected:
            which = unit if split == "all" else f"{split} {unit}"
            notes.append(
                f"the folder is incomplete: {found:,} of {expected:,} {which} of {known.title}"
            )
    # Own clips may have splits that another rule of division leaves unused.
    if request.name == OWN and request.fold_rule != BY_TABLE and not listing.unpublished:
        notes.append(
            f"the splits that {TABLE} or the pattern tell are not used; set data.fold_rule = "
            f"'{BY_TABLE}' to use them"
        )
    return notes
