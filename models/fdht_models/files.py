"""Files that a user names: opened only if they are regular files, read only up to a size.

A pipe, a socket or a device in the place of a file makes `open` wait for ever, or never ends. Every
path that comes from a user or from a file of his is opened here, or checked here before a library
opens it. One rule for texts: they are UTF-8, and a byte-order mark before them is skipped.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from fdht_models.errors import DataError, FdhtError

#: The largest text that is read at once, in bytes; our largest files have some tens of millions.
MOST_TEXT = 1 << 30
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
#: Size, times of the last changes of contents and of the entry, and the entry's number.
Stamp = tuple[int, int, int, int]
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")


def require_regular_file(
    path: Path | str, *, error: type[FdhtError] = DataError, remedy: str | None = None
) -> None:
    """Refuses a path that is no regular file (a link to one is one), without opening it.

    For files that a library opens by name; `open_regular_file` is the better choice otherwise.

    Raises:
        FdhtError: of the type `error`: there is no such file, it cannot be looked at, or it is a
            directory, pipe, socket or device.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as problem:
        raise _unreadable(path, problem, error, remedy) from problem
    _require_regular(path, mode, error)


def existing_parent(path: Path) -> Path:
    """The nearest place above a path, or the path itself, that is there."""
    place = path.absolute()
    return next((one for one in (place, *place.parents) if one.exists()), Path(place.anchor))


def stamp_of(path: Path) -> Stamp:
    """What changes when a file does.

    Raises:
        OSError: there is no such file, or it cannot be looked at.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def open_regular_file(
    path: Path | str, *, error: type[FdhtError] = DataError, remedy: str | None = None
) -> BinaryIO:
    """Opens a regular file for reading; what stands at `path` cannot change between check and use.

    Raises:
        FdhtError: of the type `error`, as `require_regular_file` says.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer. Regular files ignore it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as problem:
        require_regular_file(path, error=error, remedy=remedy)  # a socket cannot even be opened
        raise _unreadable(path, problem, error, remedy) from problem
    try:
        _require_regular(path, os.fstat(handle).st_mode, error)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_file(
    path: Path | str,
    *,
    error: type[FdhtError] = DataError,
    remedy: str | None = None,
    most: int = MOST_TEXT,
) -> bytes:
    """The bytes of a regular file.

    Raises:
        FdhtError: of the type `error`: it is no regular file, cannot be read, or has more than
            `most` bytes.
    """
    with open_regular_file(path, error=error, remedy=remedy) as stream:
        try:
            data = stream.read(most + 1)
        except OSError as problem:
            raise _unreadable(path, problem, error, remedy) from problem
    if len(data) > most:
        raise error(f"has more than {most} bytes", field=str(path), remedy="name another file")
    return data


def read_text_file(
    path: Path | str,
    *,
    error: type[FdhtError] = DataError,
    remedy: str | None = None,
    most: int = MOST_TEXT,
) -> str:
    """The text of a regular file in UTF-8, without the byte-order mark that may stand before it.

    Raises:
        FdhtError: of the type `error`: as `read_file` says, or it is not UTF-8.
    """
    return decode_text(read_file(path, error=error, remedy=remedy, most=most), path, error=error)


def decode_text(data: bytes, path: Path | str, *, error: type[FdhtError] = DataError) -> str:
    """The text of a file's bytes; see `read_text_file`."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        found = f"byte {problem.start} is 0x{data[problem.start]:02x}"
        if data.startswith(_OTHER_MARKS):
            found = "it starts with the mark of UTF-16"
        raise error(
            f"is not UTF-8 text ({found})", field=str(path), remedy="save it as UTF-8"
        ) from problem


def _require_regular(path: Path | str, mode: int, error: type[FdhtError]) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "of an unknown kind")
        raise error(f"is {kind}, not a file", field=str(path), remedy="name a file on disk")


def _unreadable(
    path: Path | str, problem: Exception, error: type[FdhtError], remedy: str | None
) -> FdhtError:
    why = problem.strerror if isinstance(problem, OSError) else problem
    return error(f"cannot be read ({why})", field=str(path), remedy=remedy or "check the path")
