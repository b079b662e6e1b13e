"""`describe_media`: what a video or sound file says of itself, and what its packets tell.

Cheap enough for thousands of files: packets are read and not decoded, but for the first picture,
which shows its size once it is turned and that there is a decoder for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fdht_models.files import read_file
from fdht_models.media.messages import MissingStreamError, empty, unreadable
from fdht_models.media.opening import best_stream, open_media
from fdht_models.media.orientation import turn_of_picture
from fdht_models.media.packets import PacketReader
from fdht_models.media.pixels import shown_size
from fdht_models.media.stills import list_pictures
from fdht_models.media.structure import Ending
from fdht_models.media.table import FrameClock
from fdht_models.media.video import VideoFile


@dataclass(frozen=True)
class MediaInfo:
    """What a file, or a folder of pictures, holds.

    Attributes:
        path: the file or folder.
        kind: "video", which a folder of pictures is too, or "sound".
        codec: FFmpeg's name.
        frames: pictures that are shown, by the packets (pictures in a folder); None of sound.
        seconds: from the first frame or sample to the end of the last one; None where nothing is
            said, as of pictures.
        height: rows of the first picture as it is shown, turned; None of sound.
        width: its columns; None of sound.
        rate: frames a second, or samples a second; None where nothing is said.
        pixel_format: FFmpeg's name; None of sound.
        channels: of sound; None of video.
        note: what is odd and no reason for a refusal; "" if nothing is.
    """

    path: Path
    kind: Literal["video", "sound"]
    codec: str
    frames: int | None = None
    seconds: float | None = None
    height: int | None = None
    width: int | None = None
    rate: float | None = None
    pixel_format: str | None = None
    channels: int | None = None
    note: str = ""


def describe_media(path: Path) -> MediaInfo:
    """Describes a file that holds video or sound, or a folder of pictures.

    A file with both is video. One picture is decoded; damage behind it goes unseen, but for packets
    that are missing or damaged and bytes that are missing at the end, which `note` then tells.

    Args:
        path: the file or folder.

    Raises:
        DataError: it cannot be opened, holds neither video nor sound or not one frame of it, or has
            no decoder here; one line.
    """
    if path.is_dir():
        return _of_pictures(path)
    try:
        video = VideoFile(path)
    except MissingStreamError:
        return _of_sound(path)
    with video:
        return _of_video(video)


def _of_pictures(folder: Path) -> MediaInfo:
    pictures = list_pictures(folder)
    first = pictures.paths[0]
    with VideoFile(first) as video:
        frame = video.first_frame()
        codec = video.stream.codec_context.codec.canonical_name
    if frame is None:
        raise empty(first)
    height, width = turn_of_picture(read_file(first)).size(frame.height, frame.width)
    return MediaInfo(
        path=folder,
        kind="video",
        frames=len(pictures.paths),
        height=height,
        width=width,
        codec=codec,
        pixel_format=frame.format.name,
        note=pictures.note,
    )


def _of_video(video: VideoFile) -> MediaInfo:
    path, table = video.path, video.packet_table()
    damage = video.damage
    first = video.first_frame()
    if first is None:
        raise empty(path, why="" if video.damage is None else video.damage.why)
    height, width = shown_size(path, first, 0)
    clock = table.clock
    return MediaInfo(
        path=path,
        kind="video",
        frames=clock.count,
        seconds=None if clock.seconds is None else float(clock.seconds),
        height=height,
        width=width,
        rate=_rate(clock),
        codec=video.stream.codec_context.codec.canonical_name,
        pixel_format=first.format.name,
        note="" if damage is None else damage.why,
    )


def _rate(clock: FrameClock) -> float | None:
    """Frames a second on average: of time stamps where there are any."""
    if clock.times and clock.count > 1 and clock.times[-1]:
        return float((clock.count - 1) / clock.times[-1])
    return None if clock.rate is None else float(clock.rate)


def _of_sound(path: Path) -> MediaInfo:
    with open_media(path, "sound") as container:
        try:
            stream = best_stream(path, container, "sound")
        except MissingStreamError as error:
            raise unreadable(path, "it holds neither video nor sound") from error
        reader = PacketReader(path, container, stream)
        packets = sum(1 for _ in reader)
        if not packets:
            raise empty(path, "sound", reader.failure)
        codec = stream.codec_context
        return MediaInfo(
            path=path,
            kind="sound",
            seconds=reader.seconds or None,
            rate=float(codec.sample_rate),
            codec=codec.codec.canonical_name,
            channels=codec.channels,
            note="its data are incomplete" if reader.ending is Ending.CUT else reader.failure,
        )
