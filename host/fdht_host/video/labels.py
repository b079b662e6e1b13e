"""The side file of a labelled video: where its clips begin and what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fdht_models.artifacts import digest_file, write_json
from fdht_models.errors import DataError
from fdht_models.media.library import reason
from fdht_models.media.messages import unreadable
from fdht_models.records import load_record

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


@dataclass(frozen=True)
class _SideFile:
    """What the side file holds."""

    schema: int
    video_sha256: str
    frames: int
    classes: tuple[str, ...]
    clips: tuple[tuple[int, int, int | None], ...]

    def __post_init__(self) -> None:
        if self.schema != _SCHEMA:
            raise DataError(f"expected {_SCHEMA}", field="schema", value=self.schema)


def labels_path(video: Path) -> Path:
    """`clips.mkv` -> `clips.mkv.labels.json`."""
    return Path(f"{video}.labels.json")  # also of a path without a name, such as "."


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
    rows = tuple((clip.start, clip.frames, clip.label) for clip in clips)
    side = _SideFile(_SCHEMA, digest, frames, tuple(classes), rows)
    write_json(labels_path(video), asdict(side))


def read_labels(path: Path) -> VideoLabels | None:
    """Returns the labels of the video at `path`, or None where it has no side file.

    Raises:
        DataError: the side file is damaged or belongs to another video.
    """
    side = labels_path(path)
    if not side.exists():
        return None
    kept = load_record(_SideFile, side, error=DataError, remedy="delete it")
    clips = tuple(Clip(*row) for row in kept.clips)
    check_clips(side, clips, kept.classes, kept.frames)
    try:
        found = digest_file(path)
    except OSError as error:
        raise unreadable(path, reason(error)) from error
    if found != kept.video_sha256:
        raise DataError(
            "belongs to another version of this video", field=str(side), remedy="delete it"
        )
    return VideoLabels(kept.classes, clips, kept.frames)
