"""`load_folder_clips`: from a user's folder to clips that train and test."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fdht_models.artifacts import digest_of
from fdht_models.console import counters
from fdht_models.data.clip_sets import SPLITS, ClipSet
from fdht_models.data.folders.decoding.file_digests import FileIndex
from fdht_models.data.folders.decoding.split_files import make_split, read_split
from fdht_models.data.folders.decoding.split_plan import SplitPlan
from fdht_models.data.folders.listing import Clip, FolderReport, Listing, Problem
from fdht_models.data.folders.own.clip_files import Bar, files_of_clip, no_bar
from fdht_models.data.folders.own.own_listing import list_own
from fdht_models.data.folders.reporting.file_facts import (
    count_short,
    describe_files,
    short_note,
    unusable,
)
from fdht_models.data.folders.reporting.split_report import check_share, refusal, write_report
from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.folders.sentences import class_notes
from fdht_models.data.folders.sets import LISTERS, OWN
from fdht_models.data.folders.splits import assign_splits
from fdht_models.errors import require_known

_log = logging.getLogger("fdht_models.data.folders")


def load_folder_clips(
    request: FolderRequest, split: str, cache: Path, progress: bool = False
) -> ClipSet:
    """Returns the clips of one split of a set in a user's folder; see `load_folder`."""
    return load_folder(request, split, cache, progress)[0]


def load_folder(
    request: FolderRequest,
    split: str,
    cache: Path,
    progress: bool = False,
    *,
    workers: int | None = None,
) -> tuple[ClipSet, FolderReport]:
    """Returns the clips of one split of a set in a user's folder, and how they were read.

    Files are decoded once, whatever the fold; an interrupted decoding goes on where it was. The
    classes alternate in the order of clips, so that any first part of them holds all classes.

    Args:
        request: which set, where, and what to make of it.
        split: "train" or "test".
        cache: directory for decoded clips, by the digests of the files they come from.
        progress: show bars on standard error.
        workers: processes that decode; None chooses one a processor where that saves time.

    Returns:
        uint8 [clips, steps, inputs] and labels, memory-mapped and read-only, and the report. The
        report's notes are logged as well (logger `fdht_models.data.folders`, level WARNING).

    Raises:
        ConfigError: a setting that cannot be used.
        DataError: the folder holds no clips, or too many that cannot be read.
        ArtifactError: the cache cannot be written, or the disk is too small for it.
    """
    with counters(progress) as bar:
        index = FileIndex(Path(cache) / "files.json")
        plan = _split_plan(request, split, Path(cache), index, bar)
        told: list[str] = []

        def foresee(clips: Sequence[Clip]) -> None:
            told.extend(_foresee(plan, clips, bar))

        directory = make_split(plan, index, bar, workers, foresee)
    clips, kept = read_split(directory, plan)
    check_share(plan.request, plan.listing, kept.undecodable)
    report = write_report(plan, clips.labels, kept)
    for note in report.notes:
        if note not in told:
            _log.warning("%s: %s", plan.request.root, note)
    return clips, report


def _foresee(plan: SplitPlan, clips: Sequence[Clip], bar: Bar) -> list[str]:
    """Tells what own clips will come to before they are decoded, which may take long.

    Raises:
        DataError: too many cannot be used.
    """
    request = plan.request
    if request.name != OWN:
        return []
    tick = bar("looking at files", len({clip.path for clip in clips}))
    facts = describe_files(request, [clip.path for clip in clips], tick)
    problems = unusable(request, clips, facts)
    check_share(request, plan.listing, problems)
    lost = {problem.path for problem in problems}
    used = {clip.key for clip in plan.clips()} - lost
    short = count_short(request, [clip for clip in clips if clip.key in used], facts)
    notes = short_note(request, short, len(used))
    for note in notes:
        _log.warning("%s: %s", request.root, note)
    return notes


def folder_digest(request: FolderRequest, split: str, cache: Path) -> str:
    """Returns a digest of all that the clips of `load_folder` depend on; decodes nothing.

    It stays the same when the folder moves, and changes with any file's contents.

    Raises:
        ConfigError: a setting that cannot be used.
        DataError: the folder holds no clips, or none that can be read.
        ArtifactError: the cache cannot be written.
    """
    index = FileIndex(Path(cache) / "files.json")
    return digest_of(_split_plan(request, split, Path(cache), index, no_bar).inputs)


def list_folder(request: FolderRequest, bar: Bar = no_bar) -> Listing:
    """Returns what a folder holds, by its files' names, and what own files are; decodes nothing.

    Args:
        request: which folder.
        bar: see `Bar`.

    Raises:
        ConfigError: a setting that cannot be used.
        DataError: the folder holds no clips, or its lists are damaged.
    """
    request = request.complete()
    if request.name == OWN:
        return list_own(request, bar)
    return LISTERS[request.name](request.root, request.folder_set)


def list_classes(request: FolderRequest, bar: Bar = no_bar) -> Listing:
    """As `list_folder`; classes of which no clip is there are left out, with a note."""
    listing = list_folder(request, bar)
    there = sorted({label for clip in listing.clips for label in clip.labels})
    if len(there) == len(listing.classes):
        return listing
    place = {label: number for number, label in enumerate(there)}
    clips = tuple(
        replace(clip, labels=tuple(place[label] for label in clip.labels)) for clip in listing.clips
    )
    classes = tuple(listing.classes[label] for label in there)
    notes = (*listing.notes, *class_notes(classes, listing.classes))
    return replace(listing, classes=classes, clips=clips, notes=notes)


def _split_plan(
    request: FolderRequest, split: str, cache: Path, index: FileIndex, bar: Bar
) -> SplitPlan:
    request = request.complete()
    require_known(split, SPLITS, "split", "there is no such split")
    listing = list_classes(request, bar)
    check_share(request, listing, ())
    splits = assign_splits(listing, request)
    listing, splits, digests = _read_files(request, listing, splits, index, bar)
    return SplitPlan(request, listing, splits, split, digests, cache)


def _files(root: Path, path: str) -> list[Path] | OSError:
    try:
        return files_of_clip(root, path)
    except OSError as error:
        return error


def _digest(files: list[Path] | OSError, digests: Mapping[Path, str | OSError]) -> str | OSError:
    """Of a file that of its contents, of a folder of pictures that of all names and contents."""
    if isinstance(files, OSError):
        return files
    parts: list[tuple[str, str]] = []
    for file in files:
        digest = digests[file]
        if isinstance(digest, OSError):
            return digest
        parts.append((file.name, digest))
    return parts[0][1] if len(parts) == 1 else digest_of(parts)


def _read_files(
    request: FolderRequest, listing: Listing, splits: Sequence[str], index: FileIndex, bar: Bar
) -> tuple[Listing, tuple[str, ...], dict[str, str]]:
    """Digests all files; clips whose file cannot be read leave the listing."""
    paths = sorted({clip.path for clip in listing.clips})
    files = {path: _files(listing.root, path) for path in paths}
    every = [file for found in files.values() if not isinstance(found, OSError) for file in found]
    found = index.digests(every, bar("reading files", len(every)))
    digests: dict[str, str] = {}
    skipped = list(listing.skipped)
    for path in paths:
        result = _digest(files[path], found)
        if isinstance(result, str):
            digests[path] = result
        else:
            skipped.append(Problem(path, f"cannot be read ({result.strerror})"))
    kept = [place for place, clip in enumerate(listing.clips) if clip.path in digests]
    if not kept:
        raise refusal(request, "none of the clips can be read", skipped)
    clips = tuple(listing.clips[place] for place in kept)
    listing = replace(listing, clips=clips, skipped=tuple(skipped))
    return listing, tuple(splits[place] for place in kept), digests
