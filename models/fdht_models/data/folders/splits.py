"""Which clips train and which test.

Clips of one source show one scene, person or voice. A division that puts some into each half lets
a network recognise the source instead of the class; so groups stay whole, unless somebody asks by
name for the leaky division of the older papers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fdht_models.data.folders.listing import (
    BY_TABLE,
    GROUP_DISJOINT,
    LEAKY,
    PUBLISHED,
    Clip,
    Listing,
)
from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.folders.sentences import name_some
from fdht_models.errors import ConfigError, DataError, require_known

#: What groups of files begin with whose source is not known.
LONE_FILE = "file "
_CHOICES = 1000  # groups that a name is compared with
_NOTES = 3  # notes of the listing in a message; those on what is left over come first


def assign_splits(listing: Listing, request: FolderRequest) -> tuple[str, ...]:
    """Returns the split of each clip: "train", "test", or "" for a clip that is in neither.

    Args:
        listing: the clips.
        request: a completed request.

    Raises:
        ConfigError: more folds than groups or clips.
        DataError: a split is empty, or the published splits are not there.
    """
    clips = listing.clips
    assert request.folds is not None
    if request.test_groups is not None:
        splits = _named_groups(clips, request.test_groups)
    elif request.fold_rule in (PUBLISHED, BY_TABLE):
        splits = _published(listing, request)
    elif request.fold_rule == LEAKY:
        folds = leaky_folds(len(clips), request.folds, request.seed)
        splits = _split(folds, request.fold)
    else:
        folds = group_folds(clips, request.folds, request.seed)
        splits = _split(folds, request.fold)
    for split in ("train", "test"):
        if split not in splits:
            noted = "".join(f"; {note}" for note in listing.notes[:_NOTES])
            raise DataError(
                f"leaves no clip to {split} ({request.fold_rule}, fold {request.fold}){noted}",
                field=str(request.root),
                remedy=listing.remedy
                or f"put clips to {split} there, as {request.folder_set.layout}",
            )
    return splits


def group_folds(clips: Sequence[Clip], folds: int, seed: int) -> list[int]:
    """Returns the fold of each clip; all clips of a group are in one fold.

    Larger groups come first, equal ones in an order drawn from the seed; each goes to the fold
    that so far has the fewest clips of the group's classes, then the fewest clips.

    Raises:
        ConfigError: there are fewer groups than folds.
        DataError: there is one group only.
    """
    members: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        members[clip.group].append(clip)
    if len(members) == 1:
        raise DataError(
            "all clips are of one group, which cannot both train and test",
            field="group",
            value=next(iter(members)),
            remedy="tell their sources apart, or set fold_rule to leaky-per-clip",
        )
    _refuse_more_folds(folds, len(members), "groups")
    names = sorted(members)
    order = np.random.default_rng([seed, folds]).permutation(len(names))
    names = sorted((names[place] for place in order), key=lambda name: -len(members[name]))
    of_class = [Counter[int]() for _ in range(folds)]
    totals = [0] * folds
    fold_of: dict[str, int] = {}
    for name in names:
        classes = Counter(label for clip in members[name] for label in clip.labels)
        costs = [
            (sum(of_class[fold][label] * count for label, count in classes.items()), totals[fold])
            for fold in range(folds)
        ]
        fold = costs.index(min(costs))
        fold_of[name] = fold
        of_class[fold] += classes
        totals[fold] += len(members[name])
    return [fold_of[clip.group] for clip in clips]


def leaky_folds(clips: int, folds: int, seed: int) -> list[int]:
    """Returns the fold of each clip, drawn clip by clip: clips of one source are in all folds.

    Raises:
        ConfigError: there are fewer clips than folds.
    """
    _refuse_more_folds(folds, clips, "clips")
    order = np.random.default_rng([seed, folds]).permutation(clips)
    found = [0] * clips
    for fold, places in enumerate(np.array_split(order, folds)):
        for place in places:
            found[place] = fold
    return found


def class_warnings(listing: Listing, labels: Mapping[str, Collection[int]]) -> list[str]:
    """Sentences on classes of which some clip is there, but none to train or none to test.

    Args:
        listing: the clips.
        labels: of the clips of each split.
    """
    there = {label for clip in listing.clips for label in clip.labels}
    notes = []
    for split in ("train", "test"):
        missing = sorted(there - set(labels[split]))
        if missing:
            names = name_some([listing.classes[label] for label in missing], 100)
            notes.append(f"classes without a clip to {split}: {names}")
    return notes


def groups_of(listing: Listing, splits: Sequence[str], split: str) -> list[str]:
    """Names of the sources that a split's clips come from, sorted; files are none."""
    pairs = zip(listing.clips, splits, strict=True)
    found = {clip.group for clip, own in pairs if own == split}
    return sorted(name for name in found if name and not name.startswith(LONE_FILE))


def labels_of(listing: Listing, splits: Sequence[str], split: str) -> set[int]:
    """The labels that the clips of a split have."""
    pairs = zip(listing.clips, splits, strict=True)
    return {label for clip, found in pairs if found == split for label in clip.labels}


def _refuse_more_folds(folds: int, most: int, what: str) -> None:
    if most < folds:
        raise ConfigError(
            f"the folder holds only {most} {what}",
            field="folds",
            value=folds,
            remedy=f"choose {most} or fewer",
        )


def _split(folds: Sequence[int], test: int) -> tuple[str, ...]:
    return tuple("test" if fold == test else "train" for fold in folds)


def _named_groups(clips: Sequence[Clip], test: Sequence[str]) -> tuple[str, ...]:
    groups = sorted({clip.group for clip in clips})
    for name in test:
        if name not in groups:
            missing = "there is no such group in the folder"
            require_known(name, groups[:_CHOICES], "test_groups", missing)
    return tuple("test" if clip.group in test else "train" for clip in clips)


def _published(listing: Listing, request: FolderRequest) -> tuple[str, ...]:
    if listing.unpublished:
        rules = [rule for rule in request.folder_set.rules if rule == GROUP_DISJOINT]
        own = request.fold_rule == BY_TABLE
        lists = "add the column" if own else "put the lists there"
        raise DataError(
            f"has no {'division by table' if own else 'published division'}: {listing.unpublished}",
            field=str(request.root),
            remedy=lists + (f", or set fold_rule to {rules[0]}" if rules else ""),
        )
    return tuple(clip.published[request.fold] for clip in listing.clips)
