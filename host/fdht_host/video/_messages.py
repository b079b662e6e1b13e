"""The errors of video files, worded in one place."""

from __future__ import annotations

from pathlib import Path

from fdht_models.errors import ArtifactError, DataError

_OTHER_FILE = "give the path of a video file that FFmpeg can read"


def reason(error: BaseException) -> str:
    """The operating system's or FFmpeg's own words, without numbers and paths."""
    return str(getattr(error, "strerror", None) or error)


def unreadable(path: Path, error: BaseException) -> DataError:
    """The file cannot be opened."""
    return DataError(f"cannot be read ({reason(error)})", field=str(path), remedy=_OTHER_FILE)


def without_stream(path: Path) -> DataError:
    """A sound file, for instance."""
    return DataError("holds no video stream", field=str(path), remedy=_OTHER_FILE)


def empty(path: Path) -> DataError:
    """A video of zero frames."""
    return DataError("holds no video frame", field=str(path), remedy=_OTHER_FILE)


def damaged(path: Path, frame: int, why: str) -> DataError:
    """A frame cannot be had."""
    return DataError(
        f"cannot be decoded ({why})",
        field=f"{path}: frame {frame}",
        remedy="copy or encode the video again",
    )


def unwritable(path: Path, error: BaseException) -> ArtifactError:
    """The file cannot be written."""
    return ArtifactError(
        f"cannot be written ({reason(error)})",
        field=str(path),
        remedy="free space or choose another directory; what was there before is unchanged",
    )
