"""Keeps a second run out of a directory while the first one works there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fdht_models.errors import ArtifactError

_LOCK = ".lock"


@contextmanager
def only_run(directory: Path) -> Iterator[int]:
    """Keeps a second run out of a directory while the first one works there.

    Of a run that is refused before it wrote anything, no directory stays that was not there before.

    Yields:
        The lock's file descriptor, for `run_logged`: a program that has it keeps the lock even if
        this process is killed and the program goes on.

    Raises:
        ArtifactError: there is another run, or the directory cannot be written.
    """
    path = directory / _LOCK
    new = [one for one in (directory, *directory.parents) if not one.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise unwritable(directory, error) from error
    with lock:
        try:
            # Ends with the last process that has it, however that ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(lock.fileno()).st_nlink:
                raise BlockingIOError  # a run that was refused removed it just now
        except OSError as error:
            raise ArtifactError(
                "is in use by another run",
                field=str(directory),
                remedy=f"wait for it, or end it (fuser {path} names its processes)",
            ) from error
        try:
            yield lock.fileno()
        except BaseException:
            if new and [one.name for one in directory.iterdir()] == [_LOCK]:
                path.unlink()
                with suppress(OSError):  # others write there, too
                    for one in new:
                        one.rmdir()
            raise


def unwritable(path: Path, error: OSError) -> ArtifactError:
    """An error about a directory that the tool or we cannot write."""
    return ArtifactError(
        f"cannot be written ({error.strerror or error})",
        field=str(path),
        remedy="free space or choose another directory with --build",
    )
