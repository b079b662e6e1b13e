"""Generated clips on disk: written whole or not at all, checked when read, memory-mapped.

A cached set is a stage directory (`fdht_models.artifacts`) called by its content: two sets that
could differ in one byte have different names, so nothing here ever grows stale.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import digest_of, is_current, new_stage
from fdht_models.data.blocks import Request
from fdht_models.data.clip_sets import ClipSet
from fdht_models.versions import package_versions

_STAGE = "clips"
_FRAMES, _LABELS = "frames.bin", "labels.npy"


def cache_inputs(request: Request) -> dict[str, Any]:
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
        "split": request.split,
        "clips": request.clips,
        "seed": request.seed,
        "steps": request.steps,
        "sources": dict(data_set.sources(request.split)),
        "packages": package_versions(*tools),
    }


def cache_directory(cache: Path, request: Request) -> Path:
    """Returns where the clips of a request are, or would be, kept in `cache`."""
    key = digest_of(cache_inputs(request))[:16]
    return cache / f"{request.data_set.name}-{request.split}-{request.clips}-{key}"


def read_clips(directory: Path, request: Request) -> ClipSet | None:
    """Returns the clips kept in `directory`, or None if they are missing or damaged.

    Every byte is compared with the manifest's digests: a network that is proven equal to the last
    integer should not be trained on a file that a crash cut short.
    """
    if not is_current(directory, _STAGE, cache_inputs(request)):
        return None
    shape = (request.clips, request.steps, request.data_set.inputs)
    return ClipSet(
        frames=np.memmap(directory / _FRAMES, np.uint8, mode="r", shape=shape),
        labels=np.load(directory / _LABELS, allow_pickle=False),
        classes=request.data_set.classes,
        frame_shape=request.data_set.frame_shape,
    )


def write_clips(directory: Path, request: Request, blocks: Iterable[NDArray[np.uint8]]) -> None:
    """Writes the clips of a request, given in blocks, to `directory`.

    Raises:
        ArtifactError: it cannot be written; nothing is left behind, and what was there before
            is unchanged.
    """
    with new_stage(directory, _STAGE, cache_inputs(request)) as (temporary, _):
        write_frames(temporary / _FRAMES, blocks)
        np.save(temporary / _LABELS, request.labels())


def write_frames(path: Path, blocks: Iterable[NDArray[np.uint8]]) -> None:
    """Writes clips, given in blocks, one behind the other; returns when they are on the disk."""
    # By write(), not through a memory map: on a full disk write() fails with an error that can be
    # reported, where touching a page of a map kills the process.
    with path.open("wb") as stream:
        for block in blocks:
            stream.write(block.data)
        stream.flush()
        os.fsync(stream.fileno())
