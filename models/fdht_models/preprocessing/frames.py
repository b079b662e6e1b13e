"""The frames of a video that a protocol takes, as pictures of one size.

A protocol needs to know how many frames there are before it can choose, and what containers declare
is often wrong. So a video was decoded twice, once to count and once for the pixels. The packets
tell as well, as a rule, and reading them costs next to nothing. There are three ways, and each but
the last is left for the next where anything is not as expected; all give the same integers:

1. `read_sparsely`: decodes what the chosen frames depend on and nothing else.
2. `_read_once`: decodes everything, converts the frames that the packets say will be chosen.
3. `read_twice`: decodes everything, counts, and decodes up to the last chosen frame again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import DataError
from fdht_models.media import (
    Damage,
    FrameClock,
    PixelConverter,
    VideoFile,
    clock_of,
    decode_frames,
    list_pictures,
    read_picture,
)

#: Chooses frames by their numbers, ascending.
Choice = Callable[[FrameClock], list[int]]


@dataclass(frozen=True, eq=False)
class Frames:
    """The chosen frames of a video.

    Attributes:
        pictures: uint8 [height, width, 3] each.
        chosen: their numbers.
        clock: of all frames, up to the first damage.
        damage: in words; "" if there is none.
    """

    pictures: list[NDArray[np.uint8]]
    chosen: list[int]
    clock: FrameClock
    damage: str = ""


def read_frames(
    path: Path,
    choose: Choice,
    height: int,
    width: int,
    *,
    threads: int = 1,
    check_all: bool = False,
) -> Frames:
    """Reads the frames that are chosen.

    Args:
        path: the video.
        choose: called with the clock of all frames; may raise a `DataError`.
        height: rows of the pictures.
        width: columns.
        threads: of the decoder; 0 takes one a processor.
        check_all: decode all frames, so that all damage is seen.

    Raises:
        DataError: the file cannot be read, or the choice refuses it.
    """
    with VideoFile(path, threads) as video:
        found = None if check_all else read_sparsely(video, choose, height, width)
        if found is None:
            video.rewind()
            found = _read_once(video, choose, PixelConverter(path, height, width))
    return found or read_twice(path, choose, height, width, threads)


def read_sparsely(video: VideoFile, choose: Choice, height: int, width: int) -> Frames | None:
    """Decodes only what the chosen frames depend on; see `fdht_models.media.sparse`.

    Args:
        video: open, of which nothing was read.
        choose: as in `read_frames`.
        height: rows of the pictures.
        width: columns.

    Returns:
        None if that cannot be known, or came out otherwise.

    Raises:
        DataError: the choice refuses the video, or a frame cannot be converted.
    """
    table = video.packet_table()
    if table.pictures is None or video.damage is not None:
        return None
    chosen = choose(table.clock)
    due = {table.times[table.shown[frame]]: frame for frame in chosen}
    found: dict[int, NDArray[np.uint8]] = {}

    def converter() -> Callable[[Any], None]:
        pixels = PixelConverter(video.path, height, width)

        def convert(frame: Any) -> None:
            number = due.get(frame.pts)
            if number is not None:
                found[number] = pixels.convert(frame, number)

        return convert

    if not decode_frames(video, chosen, converter):
        return None
    return Frames([found[frame] for frame in chosen], chosen, table.clock)


def read_twice(path: Path, choose: Choice, height: int, width: int, threads: int = 1) -> Frames:
    """Reads the chosen frames by decoding all twice: slow, and what the faster ways must equal.

    Args and errors as those of `read_frames`.
    """
    with VideoFile(path, threads) as video:
        timer = _Timer(video)
        for frame in video.frames():
            timer.add(frame)
        clock, damage = timer.clock(), video.damage
    chosen = choose(clock)
    pictures: list[NDArray[np.uint8]] = []
    converter, last = PixelConverter(path, height, width), max(chosen, default=-1)
    with VideoFile(path, threads) as video:
        for number, frame in enumerate(video.frames() if chosen else ()):
            if number in chosen:
                pictures.append(converter.convert(frame, number))
            if number >= last:
                break
        damage = damage or video.damage
    return Frames(pictures, chosen, clock, _note(damage))


def read_pictures(folder: Path, choose: Choice, height: int, width: int) -> Frames:
    """Reads the chosen pictures of a folder.

    Args:
        folder: holds the pictures.
        choose: called with their clock, which tells no seconds.
        height: rows of the pictures that are returned.
        width: columns.

    Raises:
        DataError: `list_pictures` or the choice refuses the folder, or a chosen picture cannot be
            read.
    """
    paths = list_pictures(folder).paths
    clock = FrameClock(None, None, len(paths))
    chosen = choose(clock)
    pictures = [read_picture(paths[number], height, width) for number in chosen]
    return Frames(pictures, chosen, clock)


def _read_once(video: VideoFile, choose: Choice, converter: PixelConverter) -> Frames | None:
    """Decodes all frames once; None if the packets said something else than the frames."""
    guessed = _guess(choose, video.packet_table().clock)
    wanted, pictures = frozenset(guessed), []
    timer = _Timer(video)
    for number, frame in enumerate(video.frames()):
        timer.add(frame)
        if number in wanted:
            pictures.append(converter.convert(frame, number))
    clock = timer.clock()
    if choose(clock) != guessed or len(pictures) != len(guessed):
        return None
    return Frames(pictures, guessed, clock, _note(video.damage))


def _guess(choose: Choice, clock: FrameClock) -> list[int]:
    try:
        return choose(clock)
    except DataError:
        return []  # by the packets; what the frames say will be told


class _Timer:
    """Collects the times of frames as they are decoded."""

    def __init__(self, video: VideoFile) -> None:
        self._video = video
        self._times: list[Fraction | None] = []
        self._length = Fraction(0)

    def add(self, frame: Any) -> None:
        # PyAV leaves out the unit of the frames that a decoder gives out at the end.
        unit = self._video.stream.time_base
        known = frame.pts is not None and unit is not None
        self._times.append(frame.pts * unit if known else None)
        self._length = (frame.duration or 0) * (unit or Fraction(0))

    def clock(self) -> FrameClock:
        """The clock of the frames that were added."""
        rate, complete = self._video.info.rate or None, self._video.damage is None
        times = [time for time in self._times if time is not None]
        if not times or len(times) < len(self._times) or times != sorted(set(times)):
            return FrameClock(None, rate, len(self._times), complete=complete)
        return replace(clock_of(times, self._length, rate), complete=complete)


def _note(damage: Damage | None) -> str:
    if damage is None:
        return ""
    return (
        damage.why
        if damage.cut
        else f"cannot be decoded after {damage.frames} frames: {damage.why}"
    )
