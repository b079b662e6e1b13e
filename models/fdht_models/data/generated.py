"""All generated data sets by name, and their clips: `load_clips` and `render_clips`."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.console import counters
from fdht_models.data.cache import cache_directory, read_clips, write_clips
from fdht_models.data.clip_blocks import GeneratedRequest, generate_blocks
from fdht_models.data.clip_sets import SPLITS, ClipSet, DataSet
from fdht_models.data.folders.sets import FOLDER_SETS
from fdht_models.data.motion import MOTION
from fdht_models.data.watch import WATCH
from fdht_models.errors import ArtifactError, ConfigError, require_known
from fdht_models.files import existing_parent

DATASETS: dict[str, DataSet] = {data_set.name: data_set for data_set in (MOTION, WATCH)}


def get_dataset(name: str) -> DataSet:
    """Returns the data set called `name`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name in FOLDER_SETS:
        raise ConfigError(
            f"{FOLDER_SETS[name].title} is read from a folder of yours",
            field="data",
            value=name,
            remedy="say in which one it lies (root), as docs/datasets.md shows",
        )
    require_known(name, (*DATASETS, *FOLDER_SETS), "data", "there is no such data set")
    return DATASETS[name]


_PROGRESS_FROM = 300


def load_clips(
    name: str,
    split: str,
    clips: int,
    seed: int,
    cache: Path | None = None,
    progress: bool = False,
    *,
    steps: int | None = None,
    dead_zone: int = 0,
    workers: int | None = None,
) -> ClipSet:
    """Returns labelled clips as the network sees them.

    The same arguments give the same bytes on any number of workers, and clip i does not depend on
    `clips`: the first 100 of 1,000 clips are the 100 clips of a smaller set. The classes are
    balanced to within one clip.

    Args:
        name: a key of `DATASETS`.
        split: "train" or "test"; they share no photograph, digit image or person.
        clips: how many, at least 1.
        seed: 0 or greater.
        cache: directory in which generated clips are kept for the next call, or None to keep them
            in memory only.
        progress: show a progress bar on standard error while hundreds of clips are generated.
        steps: network inputs a clip; None takes the data set's own number.
        dead_zone: of a data set of video, the largest difference that counts as none.
        workers: processes that generate; None chooses two where that saves time.

    Returns:
        uint8 [clips, steps, inputs] and labels; memory-mapped and read-only with a cache.

    Raises:
        ConfigError: an argument that cannot be used.
        DataError: a package that holds the material is missing.
        ArtifactError: the cache cannot be written; nothing half-written is left.
    """
    request = _request(name, split, clips, seed, steps, workers, dead_zone)
    if cache is None:
        check_room(clips, request.steps, request.data_set.inputs, None)
        return _load_in_memory(request, workers, progress)
    directory = cache_directory(cache, request)
    found = read_clips(directory, request)
    if found is None:
        check_room(clips, request.steps, request.data_set.inputs, cache)
        write_clips(directory, request, _blocks(request, workers, progress))
        found = read_clips(directory, request)
    if found is None:
        raise ArtifactError(
            "differs from what was written to it",
            field=str(directory),
            remedy="check the disk, or choose another cache directory",
        )
    return found


def render_clips(
    name: str, split: str, clips: int, seed: int, *, steps: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns the raw pixels that `load_clips` derives its features from.

    Args:
        name: a data set of video.
        split: as in `load_clips`.
        clips: as in `load_clips`.
        seed: as in `load_clips`.
        steps: as in `load_clips`.

    Returns:
        uint8 [clips, steps + 1, H, W, 3] and int64 [clips] labels.

    Raises:
        ConfigError: an argument that cannot be used, or a data set that is not video.
        DataError: a package that holds the material is missing.
    """
    request = _request(name, split, clips, seed, steps, None)
    data_set = request.data_set
    if not data_set.is_video:
        raise ConfigError(
            "is not a video and has no pixels to render",
            field="data",
            value=name,
            remedy="use load_clips",
        )
    check_room(clips, request.steps + 1, math.prod(data_set.frame_shape), None)
    frames = np.empty((clips, request.steps + 1, *data_set.frame_shape), np.uint8)
    for index in range(clips):
        frames[index], _ = data_set.generate_raw(split, seed, index, request.steps)
    return frames, request.labels()


def _request(
    name: str,
    split: str,
    clips: int,
    seed: int,
    steps: int | None,
    workers: int | None,
    dead_zone: int = 0,
) -> GeneratedRequest:
    data_set = get_dataset(name).with_dead_zone(dead_zone)
    require_known(split, SPLITS, "split", "there is no such split")
    steps = data_set.steps if steps is None else steps
    for field, value, least in (
        ("clips", clips, 1),
        ("seed", seed, 0),
        ("steps", steps, data_set.minimum_steps),
        ("workers", 1 if workers is None else workers, 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ConfigError(
                f"must be a whole number of at least {least}",
                field=field,
                value=value,
                remedy=f"choose {least} or more",
            )
    if data_set.check is not None:
        data_set.check(split, steps)
    return GeneratedRequest(data_set, split, int(clips), int(seed), int(steps))


def _load_in_memory(request: GeneratedRequest, workers: int | None, progress: bool) -> ClipSet:
    data_set = request.data_set
    frames = np.empty((request.clips, request.steps, data_set.inputs), np.uint8)
    done = 0
    for block in _blocks(request, workers, progress):
        frames[done : done + len(block)] = block
        done += len(block)
    return ClipSet(frames, request.labels(), data_set.classes, data_set.frame_shape)


def _blocks(
    request: GeneratedRequest, workers: int | None, progress: bool
) -> Iterator[NDArray[np.uint8]]:
    blocks = generate_blocks(request, workers)
    with counters(progress and request.clips >= _PROGRESS_FROM) as counter:
        advance = counter(f"{request.data_set.name}: {request.split} clips", request.clips)
        for block in blocks:
            yield block
            advance(len(block))


def check_room(clips: int, steps: int, inputs: int, place: Path | None) -> None:
    """Refuses clips for which there is no room, before the first byte of them is made.

    Args:
        clips: how many.
        steps: frames of a clip.
        inputs: bytes of a frame.
        place: a directory, on whose disk they must fit; None: in the memory.

    Raises:
        ConfigError: they need more than the memory that is free.
        ArtifactError: they need more than is free on the disk.
    """
    need, free, where = clips * steps * inputs, 0, "of memory"
    if place is None:
        free = _free_memory()
    else:
        place = existing_parent(place)
        free, where = shutil.disk_usage(place).free, f"on the disk of {place}"
    if need > free:
        raise (ConfigError if place is None else ArtifactError)(
            f"need {need:,} bytes ({steps} frames of {inputs:,} bytes each), and {free:,} are free "
            + where,
            field="clips",
            value=clips,
            remedy="choose fewer clips",
        )


def _free_memory() -> int:
    """Bytes that can be had without swapping; all of the memory where the system does not say."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return (
            int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) << 10
        )
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
