"""Decoded clips of one split put together into one file that can be mapped into memory."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import AGAIN, digest_of, new_stage, write_json
from fdht_models.data.cache import keep_clips, kept_clips
from fdht_models.data.clip_sets import ClipSet
from fdht_models.data.folders.decoding.file_digests import FileIndex
from fdht_models.data.folders.decoding.shard_workers import decode_shards
from fdht_models.data.folders.decoding.shards import (
    Shard,
    clip_bytes,
    read_rows,
    read_states,
)
from fdht_models.data.folders.decoding.split_plan import Places, SplitPlan
from fdht_models.data.folders.listing import Clip, Kept, Problem
from fdht_models.data.folders.own.clip_files import Bar
from fdht_models.data.folders.reporting.split_report import check_share, refusal
from fdht_models.data.folders.request import FolderRequest
from fdht_models.errors import ArtifactError
from fdht_models.files import existing_parent
from fdht_models.records import load_record

_STAGE = "folder-clips"
_GROUPS, _KEPT = "groups.npy", "kept.json"
_BATCH = 64 << 20  # bytes of clips copied at once


def make_split(
    plan: SplitPlan,
    index: FileIndex,
    bar: Bar,
    workers: int | None,
    foresee: Callable[[Sequence[Clip]], None] = lambda _: None,
) -> Path:
    """Returns the directory of a split, after decoding what is missing of it.

    Args:
        plan: the split.
        index: of digests.
        bar: makes a bar of progress.
        workers: see `load_folder`.
        foresee: called with the clips that will be decoded, if there are any.

    Raises:
        DataError: too many clips cannot be read, or none of the split.
        ArtifactError: the cache cannot be written.
    """
    name, inputs = plan.request.name, plan.inputs
    directory = plan.cache / f"{name}-{plan.split}-{digest_of(inputs)[:20]}"
    if index.is_current(directory, _STAGE, inputs):
        return directory
    shards = plan.shards
    missing = [shard for shard in shards if not shard.is_done(index)]
    _check_space(plan, missing)
    if missing:
        foresee([clip for shard in missing for clip in shard.clips])
    tick = bar(f"{name}: decoding", sum(len(shard.clips) for shard in missing))
    decode_shards(plan.request, missing, workers, tick)
    places, steps, short, undecodable, damaged = _outcome(shards)
    check_share(plan.request, plan.listing, undecodable)
    samples = plan.samples(places)
    if not samples:
        raise refusal(
            plan.request, f"no clip of the {plan.split} split can be decoded", undecodable
        )
    tick = bar(f"{name}: {plan.split} clips", len(samples))
    with new_stage(directory, _STAGE, inputs) as (temporary, _):
        labels = np.array([label for _, label in samples], np.int64)
        keep_clips(temporary, _blocks(plan.request, samples, places, tick), labels)
        # A clip without a group is one of its own: its several labels are one source.
        sources = [clip.group or f"clip {clip.key}" for clip, _ in samples]
        np.save(temporary / _GROUPS, np.unique(sources, return_inverse=True)[1].astype(np.int64))
        known = [steps[clip.key] for clip, _ in samples if clip.key in steps]
        padded = len(short & {clip.key for clip, _ in samples})
        step = float(np.median(known)) if known else None
        kept = Kept(tuple(undecodable), tuple(damaged), step, padded)
        write_json(temporary / _KEPT, asdict(kept))
    return directory


def read_split(directory: Path, plan: SplitPlan) -> tuple[ClipSet, Kept]:
    """Returns the clips of a split, and what else there is to tell of them."""
    found = plan.request.preprocessing()
    kept = load_record(Kept, directory / _KEPT, remedy=AGAIN)
    clips = kept_clips(directory, found.sampling.steps, plan.listing.classes, found.frame_shape)
    groups = np.load(directory / _GROUPS, allow_pickle=False)
    return replace(clips, groups=groups, time_step=kept.time_step), kept


def _outcome(
    shards: Sequence[Shard],
) -> tuple[Places, dict[str, float], set[str], list[Problem], list[Problem]]:
    """Where each clip is, its time step, which are short, not decodable, and damaged."""
    places: Places = {}
    steps: dict[str, float] = {}
    undecodable: list[Problem] = []
    damaged: list[Problem] = []
    short: set[str] = set()
    for shard in shards:
        for clip, state in zip(shard.clips, read_states(shard), strict=True):
            if state.row is not None:
                places[clip.key] = (shard, state.row)
            if state.short:
                short.add(clip.key)
            if state.time_step is not None:
                steps[clip.key] = state.time_step
            if state.note:
                (undecodable if state.row is None else damaged).append(
                    Problem(clip.path, state.note)
                )
    return places, steps, short, undecodable, damaged


def _blocks(
    request: FolderRequest,
    samples: Sequence[tuple[Clip, int]],
    places: Places,
    tick: Callable[[int], None],
) -> Iterator[NDArray[np.uint8]]:
    length, found = max(1, _BATCH // clip_bytes(request)), request.preprocessing()
    for first in range(0, len(samples), length):
        part = [places[clip.key] for clip, _ in samples[first : first + length]]
        block = np.empty((len(part), found.sampling.steps, found.inputs), np.uint8)
        of_shard: dict[Path, list[int]] = defaultdict(list)
        for place, (shard, _) in enumerate(part):
            of_shard[shard.directory].append(place)
        for wanted in of_shard.values():
            shard = part[wanted[0]][0]
            block[wanted] = read_rows(shard, request, [part[place][1] for place in wanted])
        yield block
        tick(len(block))


def _check_space(plan: SplitPlan, missing: Sequence[Shard]) -> None:
    one = clip_bytes(plan.request)
    samples = sum(len(clip.labels) for clip in plan.clips())
    need = one * (samples + sum(len(shard.clips) for shard in missing))
    free = shutil.disk_usage(existing_parent(plan.cache)).free
    if need > free:
        raise ArtifactError(
            f"needs {need / 1e9:,.1f} GB for {samples:,} clips of {one / 1e6:,.1f} MB, and "
            f"{free / 1e9:,.1f} GB are free",
            field=str(plan.cache),
            remedy="choose fewer steps, another protocol or a smaller frame, or another disk",
        )
