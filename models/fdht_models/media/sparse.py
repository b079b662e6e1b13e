"""Decodes the frames that are wanted and those that they depend on, and no others.

What depends on what is told by the coded pictures (`fdht_models.media.coding`), which pictures come
out of the decoder is checked by their times; where that is not as expected, nothing is returned,
and the caller decodes everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fdht_models.media.library import Failure
from fdht_models.media.table import PacketTable
from fdht_models.media.video import VideoFile

#: Makes what is called with each frame.
Converter = Callable[[], Callable[[Any], None]]


@dataclass(frozen=True)
class Stretch:
    """Packets that are decoded one after the other.

    Attributes:
        packets: their numbers, ascending, from an entry on.
        shown: times of the pictures that come of them, in the order in which they are shown.
    """

    packets: tuple[int, ...]
    shown: tuple[int, ...]


def plan_stretches(
    table: PacketTable, frames: Sequence[int], *, last: bool = False
) -> list[Stretch] | None:
    """Which packets are decoded for some frames; None if only all will do.

    Args:
        table: of the video.
        frames: numbers of the wanted frames, in the order in which frames are shown.
        last: the last packet of the file is decoded, too.
    """
    if table.pictures is None:
        return None
    shown = table.shown
    wanted = sorted({*(shown[frame] for frame in frames), *([max(shown)] if last else [])})
    bounds: list[list[int]] = []
    for place in wanted:
        entry = _entry(table, place)
        if bounds and entry <= bounds[-1][1]:
            bounds[-1] = [min(entry, bounds[-1][0]), place]
        else:
            bounds.append([entry, place])
    needed = frozenset(wanted)
    return [_stretch(table, needed, first, last) for first, last in bounds]


def decode_frames(video: VideoFile, frames: Sequence[int], converter: Converter) -> bool:
    """Decodes some frames and those that they depend on.

    Args:
        video: open, undamaged as far as packets tell, of which nothing was decoded. Where it has
            several threads, each decodes stretches of its own.
        frames: numbers of the wanted ones, in the order in which frames are shown.
        converter: called once by each thread; what it returns is called with each of PyAV's frames
            that come out there, wanted or not.

    Returns:
        False if only all of the video will do, or the decoder gave out something else than was
        expected. Frames may have been converted by then.
    """
    table = video.packet_table()
    # Where a packet does not say how long it is, decoding tells whether the last one is whole.
    stretches = plan_stretches(table, frames, last=not video.states_lengths)
    if stretches is None:
        return False
    shares = _shares(stretches, video.threads)
    if len(shares) < 2:
        return _decode_share(video, stretches, converter())
    with ThreadPoolExecutor(len(shares)) as pool:
        decoded = pool.map(lambda share: _decode_beside(video, share, converter()), shares)
        return all([*decoded])


def _shares(stretches: Sequence[Stretch], threads: int) -> list[list[Stretch]]:
    """Stretches that follow each other, for each thread about as many packets."""
    if threads < 2 or len(stretches) < 2:
        return [list(stretches)]
    total = sum(len(stretch.packets) for stretch in stretches)
    shares: dict[int, list[Stretch]] = {}
    before = 0
    for stretch in stretches:
        middle = before + len(stretch.packets) / 2
        shares.setdefault(int(middle * threads / total), []).append(stretch)
        before += len(stretch.packets)
    return list(shares.values())


def _decode_beside(
    video: VideoFile, stretches: Sequence[Stretch], convert: Callable[[Any], None]
) -> bool:
    with video.again() as other:
        return _decode_share(other, stretches, convert)


def _decode_share(
    video: VideoFile, stretches: Sequence[Stretch], convert: Callable[[Any], None]
) -> bool:
    if stretches and stretches[0].packets[0] and not _warm_up(video):
        return False
    return all(_decode_stretch(video, stretch, convert) for stretch in stretches)


def _decode_stretch(video: VideoFile, stretch: Stretch, convert: Callable[[Any], None]) -> bool:
    due = iter(stretch.shown)
    for frame in video.decoded(video.packets(stretch.packets)):
        if isinstance(frame, Failure) or frame.is_corrupt:
            return False
        if frame.pts is None or frame.pts != next(due, None):
            return False
        convert(frame)
    video.decoder().flush_buffers()
    return next(due, None) is None


def _warm_up(video: VideoFile) -> bool:
    """Decodes the first packet and forgets its picture; False if that fails.

    Encoders name themselves there, once, and FFmpeg decodes what some of them made in another way.
    """
    if any(isinstance(frame, Failure) for frame in video.decoded(video.packets((0,)))):
        return False
    video.decoder().flush_buffers()
    return True


def _entry(table: PacketTable, place: int) -> int:
    """The last packet at which decoding can start for the sake of that one."""
    assert table.pictures is not None
    return next(
        entry
        for entry in range(place, -1, -1)
        if table.pictures[entry].entry and _time(table, entry) <= _time(table, place)
    )


def _stretch(table: PacketTable, wanted: frozenset[int], first: int, last: int) -> Stretch:
    packets = tuple(_needed(table, wanted, first, last))
    assert table.pictures is not None
    shown = sorted(_time(table, place) for place in packets if table.pictures[place].shown)
    return Stretch(packets, tuple(shown))


def _needed(table: PacketTable, wanted: frozenset[int], first: int, last: int) -> Iterator[int]:
    assert table.pictures is not None
    start = _time(table, first)
    for place in range(first, last + 1):
        picture = table.pictures[place]
        # What is shown before the entry may depend on what is not decoded.
        if picture.shown and _time(table, place) < start:
            continue
        if place in wanted or not picture.disposable:
            yield place


def _time(table: PacketTable, place: int) -> int:
    return table.times[place] or 0
