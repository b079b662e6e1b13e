"""The side file of a labelled video: where its clips begin and what they show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fdht_models.artifacts import digest_file, write_json
from fdht_models.errors import DataError
from fdht_models.media.messages import unreadable

_SCHEMA = 1


@dataclass(frozen=True)
class Clip:
    """`frames` frames from frame `start` on, that show class number `label` (None: unknown)."""

    start: int
    frames: int
    label: int | None


@dataclass(frozen=True)
class VideoLabels:
    """The labels of a video of `frames` frames."""

    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    frames: int

    @property
    def stretches(self) -> tuple[Clip, ...]:
        """The clips and, with label None, what lies before, between and behind them."""
        found, end = [], 0
        for clip in self.clips:
            if clip.start > end:
                found.append(Clip(end, clip.start - end, None))
            found.append(clip)
            end = clip.start + clip.frames
        if end < self.frames:
            found.append(Clip(end, self.frames - end, None))
        return tuple(found)


def labels_path(video: Path) -> Path:
    """`clips.mkv` -> `clips.mkv.labels.json`."""
    return video.with_name(video.name + ".labels.json")


def check_clips(path: Path, clips: Sequence[Clip], classes: Sequence[str], frames: int) -> None:
    """Raises `DataError` unless clips follow one another within the frames, with known labels."""
    position = 0
    for number, clip in enumerate(clips):
        fits = position <= clip.start and clip.frames > 0 and clip.start + clip.frames <= frames
        if not fits or clip.label is None or not 0 <= clip.label < len(classes):
            raise DataError(
                f"does not fit {frames} frames and {len(classes)} classes",
                field=f"{path}: clip {number}",
                value=(clip.start, clip.frames, clip.label),
                remedy="clips follow one another and labels count from 0",
            )
        position = clip.start + clip.frames


def write_labels(
    video: Path, clips: Sequence[Clip], classes: Sequence[str], frames: int, digest: str
) -> None:
    """Writes the side file of a video with that SHA-256, atomically."""
    value = {
        "schema": _SCHEMA,
        "video_sha256": digest,
        "frames": frames,
        "classes": list(classes),
        "clips": [[clip.start, clip.frames, clip.label] for clip in clips],
    }
    write_json(labels_path(video), value)


def read_labels(path: Path) -> VideoLabels | None:
    """Returns the labels of the video at `path`, or None where it has no side file.

    Raises:
        DataError: the side file is damaged or belongs to another video.
    """
    side = labels_path(path)
    if not side.exists():
        return None
    try:
        value = json.loads(side.read_text())
        if value["schema"] != _SCHEMA:
            raise ValueError(f"schema {value['schema']!r}, expected {_SCHEMA}")
        digest, frames = str(value["video_sha256"]), int(value["frames"])
        classes = tuple(str(name) for name in value["classes"])
        clips = tuple(Clip(*(int(number) for number in row)) for row in value["clips"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"cannot be used as labels ({error!r})", field=str(side), remedy="delete it"
        ) from error
    check_clips(side, clips, classes, frames)
    try:
        found = digest_file(path)
    except OSError as error:
        raise unreadable(path, error) from error
    if found != digest:
        raise DataError(
            "belongs to another version of this video", field=str(side), remedy="delete it"
        )
    return VideoLabels(classes, clips, frames)
