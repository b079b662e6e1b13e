"""The errors of video and sound files, worded in one place."""

from __future__ import annotations

import re
from pathlib import Path

from fdht_models.errors import ArtifactError, DataError
from fdht_models.media.library import reason

_OTHER_FILE = "give the path of a {} file that FFmpeg can read"
_ADDRESS = "addresses are not opened: copy the file to this machine and give its path"
_LIKE_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def other_file(path: Path, kind: str) -> str:
    """The remedy for a path that cannot be opened; `kind` is video or sound."""
    return _ADDRESS if _LIKE_ADDRESS.match(str(path)) else _OTHER_FILE.format(kind)


def unreadable(path: Path, why: str, kind: str = "video") -> DataError:
    """The file cannot be read; `kind` is video or sound."""
    return DataError(f"cannot be read ({why})", field=str(path), remedy=_OTHER_FILE.format(kind))


class MissingStreamError(DataError):
    """A file without a stream of the kind that is asked for."""


def without_stream(path: Path, kind: str, pictures: bool = False) -> MissingStreamError:
    """There is no stream of that kind; `pictures`: but a cover or thumbnails."""
    found = f"holds no {kind} stream" + (", only a picture that goes with it" if pictures else "")
    return MissingStreamError(found, field=str(path), remedy=_OTHER_FILE.format(kind))


def undecodable(path: Path, codec: str, kind: str) -> DataError:
    """FFmpeg knows the container and has no decoder for what is in it."""
    return DataError(
        f"codec {codec} cannot be decoded: the installed FFmpeg has no decoder for it",
        field=str(path),
        remedy=f"convert the {kind} to a codec that it decodes",
    )


def empty(path: Path, kind: str = "video frame", why: str = "") -> DataError:
    """A stream of zero frames."""
    found = f"holds no {kind}" + (f" ({why})" if why else "")
    return DataError(found, field=str(path), remedy=_OTHER_FILE.format(kind.split()[0]))


def damaged(path: Path, frame: int, why: str) -> DataError:
    """A frame cannot be had."""
    return DataError(
        f"cannot be decoded ({why})",
        field=f"{path}: frame {frame}",
        remedy="copy or encode the video again",
    )


def unconvertible(path: Path, frame: int, why: str) -> DataError:
    """A frame is decoded and cannot be turned into the pixels that are shown."""
    return DataError(
        f"cannot be shown ({why})",
        field=f"{path}: frame {frame}",
        remedy="encode the video again, upright and in a usual pixel format",
    )


def other_size(
    path: Path, frame: int, found: tuple[int, int], wanted: tuple[int, int]
) -> DataError:
    """A frame would have to be resized, and must not be; sizes are (height, width) as shown."""
    return DataError(
        f"the model wants {wanted[1]}x{wanted[0]}",
        field=f"{path}: frame size" + (f" from frame {frame} on" if frame else ""),
        value=f"{found[1]}x{found[0]}",
        remedy="give a video of that size, or allow resizing",
    )


def unwritable(path: Path, error: BaseException) -> ArtifactError:
    """The file cannot be written."""
    return ArtifactError(
        f"cannot be written ({reason(error)})",
        field=str(path),
        remedy="free space or choose another directory; what was there before is unchanged",
    )
