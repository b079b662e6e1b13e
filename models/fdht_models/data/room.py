"""Is there room for data? Asked before the first byte is made, not found out by the last."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.files import existing_parent

_REMEDY = "choose fewer clips"


def check_memory(field: str, clips: int, steps: int, inputs: int) -> None:
    """Refuses clips that the free memory cannot hold.

    Args:
        field: the option that says how many.
        clips: how many.
        steps: frames of a clip.
        inputs: bytes of a frame.

    Raises:
        ConfigError: they need more than is free.
    """
    _check(field, clips, steps, inputs, _free_memory(), "of memory", ConfigError)


def check_disk(field: str, clips: int, steps: int, inputs: int, place: Path) -> None:
    """The same of a directory's disk.

    Raises:
        ArtifactError: they need more than is free.
    """
    place = existing_parent(place)
    free = shutil.disk_usage(place).free
    _check(field, clips, steps, inputs, free, f"on the disk of {place}", ArtifactError)


def _free_memory() -> int:
    """Bytes that can be had without swapping; all of the memory where the system does not say."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return (
            int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) << 10
        )
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _check(
    field: str,
    clips: int,
    steps: int,
    inputs: int,
    free: int,
    where: str,
    error: type[ConfigError] | type[ArtifactError],
) -> None:
    need = clips * steps * inputs
    if need > free:
        raise error(
            f"need {need:,} bytes ({steps} frames of {inputs:,} bytes each), and {free:,} are free "
            + where,
            field=field,
            value=clips,
            remedy=_REMEDY,
        )
