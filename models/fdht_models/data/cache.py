"""Generated clips on disk: written whole or not at all, checked when read, memory-mapped.

A cached set is a stage directory (`fdht_models.artifacts`) called by its content: two sets that
could differ in one byte have different names, so nothing here ever grows stale.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import digest_of, is_current, new_stage
from fdht_models.data.clip_blocks import GeneratedRequest
from fdht_models.data.clip_sets import ClipSet
from fdht_models.errors import ArtifactError
from fdht_models.versions import package_versions

_STAGE = "clips"
#: Files of clips that are kept: frames, uint8 [clips, steps, inputs], and labels.
FRAMES, LABELS = "frames.bin", "labels.npy"


def cache_inputs(request: GeneratedRequest) -> dict[str, Any]:
    """Returns all that the clips of a request depend on, as JSON-serialisable data.

    Raises:
        DataError: a package that holds the material is missing.
    """
    data_set = request.data_set
    # numpy may change its random streams, and Pillow its interpolation, with a new version.
    tools = ("numpy", "pillow") if data_set.is_video else ("numpy",)
    return {
        "data_set": data_set.name,
        "version": data_set.version,
        "feature": data_set.feature,
        # Only where there is one: clips that were made before there was any stay what they are.
        **({"dead_zone": data_set.dead_zone} if data_set.dead_zone else {}),
        "split": request.split,
        "clips": request.clips,
        "seed": request.seed,
        "steps": request.steps,
        "sources": dict(data_set.sources(request.split)),
        "packages": package_versions(*tools),
    }


def cache_directory(cache: Path, request: GeneratedRequest) -> Path:
    """Returns where the clips of a request are, or would be, kept in `cache`."""
    key = digest_of(cache_inputs(request))[:16]
    return cache / f"{request.data_set.name}-{request.split}-{request.clips}-{key}"


def read_clips(directory: Path, request: GeneratedRequest) -> ClipSet | None:
    """Returns the clips kept in `directory`, or None if they are missing or damaged.

    Every byte is compared with the manifest's digests: a network that is proven equal to the last
    integer should not be trained on a file that a crash cut short.
    """
    if not is_current(directory, _STAGE, cache_inputs(request)):
        return None
    data_set = request.data_set
    return kept_clips(directory, request.steps, data_set.classes, data_set.frame_shape)


def write_clips(
    directory: Path, request: GeneratedRequest, blocks: Iterable[NDArray[np.uint8]]
) -> None:
    """Writes the clips of a request, given in blocks, to `directory`.

    Raises:
        ArtifactError: it cannot be written; nothing is left behind, and what was there before
            is unchanged.
    """
    with new_stage(directory, _STAGE, cache_inputs(request)) as (temporary, _):
        keep_clips(temporary, blocks, request.labels())


def kept_clips(
    directory: Path, steps: int, classes: tuple[str, ...], frame_shape: tuple[int, ...]
) -> ClipSet:
    """What `keep_clips` wrote: frames memory-mapped.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        labels = np.load(directory / LABELS, allow_pickle=False)
        shape = (len(labels), steps, math.prod(frame_shape))
        frames = np.memmap(directory / FRAMES, np.uint8, mode="r", shape=shape)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            "cannot be read back",
            field=str(directory),
            remedy="check the disk, or choose another cache directory",
        ) from error
    return ClipSet(frames, labels, classes, frame_shape)


def keep_clips(
    directory: Path, blocks: Iterable[NDArray[np.uint8]], labels: NDArray[np.int64]
) -> None:
    """Writes clips, given in blocks, and their labels into a directory that is there.

    Returns when the clips are on the disk.
    """
    # By write(), not through a memory map: on a full disk write() fails with an error that can be
    # reported, where touching a page of a map kills the process.
    with (directory / FRAMES).open("wb") as stream:
        for block in blocks:
            stream.write(block.data)
        stream.flush()
        os.fsync(stream.fileno())
    np.save(directory / LABELS, labels)
