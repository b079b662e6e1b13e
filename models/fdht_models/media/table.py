"""The packets of a video without their pictures: what can be known before anything is decoded.

One pass of the demuxer tells how many pictures there are, when each is shown, and how the file
ends. Numbers of frames that containers declare are often wrong; packets are there or are not.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from fdht_models.media.coding import CodedPicture, Inspector, Unproven, inspector_for


@dataclass(frozen=True)
class PacketTable:
    """What the packets of one stream say; lists are in the order of the file.

    Attributes:
        times: when a picture is shown, in units of `time_base`; None where nothing is said.
        durations: for how long; 0 where nothing is said.
        keys: whether it is marked as decodable on its own.
        sizes: bytes.
        hidden: whether it is decoded and not shown (before the start that an edit list states).
        time_base: seconds.
        rate: pictures a second that the container states.
        pictures: what coded pictures say of themselves, checked against the times; None where not
            enough is known.
        packets: PyAV's, in the same order; () where the file is too large to keep them.
    """

    times: tuple[int | None, ...]
    durations: tuple[int, ...]
    keys: tuple[bool, ...]
    sizes: tuple[int, ...]
    hidden: tuple[bool, ...]
    time_base: Fraction | None
    rate: Fraction | None
    pictures: tuple[CodedPicture, ...] | None = None
    packets: tuple[Any, ...] = ()

    def row(self, place: int) -> tuple[int | None, int]:
        """Time and size of a packet, by which it is found again."""
        return self.times[place], self.sizes[place]

    @functools.cached_property
    def shown(self) -> tuple[int, ...]:
        """Numbers of the packets whose pictures are shown, in the order in which they are.

        Where times are missing, the order of the file.
        """
        found = [place for place, hidden in enumerate(self.hidden) if not hidden]
        if self.timed:
            found.sort(key=lambda place: self.times[place] or 0)
        return tuple(found)

    @functools.cached_property
    def timed(self) -> bool:
        """True if each picture has a time of its own."""
        times = [time for time, hidden in zip(self.times, self.hidden, strict=True) if not hidden]
        return self.time_base is not None and None not in times and len(set(times)) == len(times)

    @functools.cached_property
    def clock(self) -> FrameClock:
        """When pictures are shown, as far as packets tell."""
        shown = self.shown
        if not shown or not self.timed:
            return FrameClock(None, self.rate, len(shown))
        assert self.time_base is not None
        times = [(self.times[place] or 0) * self.time_base for place in shown]
        return clock_of(times, self.durations[shown[-1]] * self.time_base, self.rate)


@dataclass(frozen=True)
class FrameClock:
    """When the frames of a video are shown, in seconds from the first one.

    Attributes:
        times: of each frame, ascending; None where the file has no time stamps that can be used.
        rate: frames a second that count then; None if nothing is known.
        count: frames.
        last: seconds that the last frame is shown for.
        complete: False if frames follow that are not known, those behind a damage.
    """

    times: tuple[Fraction, ...] | None
    rate: Fraction | None
    count: int
    last: Fraction = Fraction(0)
    complete: bool = True

    @property
    def seconds(self) -> Fraction | None:
        """From the first frame to the end of the last one; None if that is not known."""
        if self.times:
            return self.times[-1] + self.last
        return self.count / self.rate if self.rate else None

    @property
    def step(self) -> Fraction:
        """Seconds that the last frame is shown for; 0 if that is not known."""
        if self.times:
            return self.last
        return 1 / self.rate if self.rate else Fraction(0)

    def time(self, frame: int) -> Fraction | None:
        """When a frame is shown; None if that is not known."""
        if self.times:
            return self.times[frame]
        return frame / self.rate if self.rate else None

    def within(self, first: Fraction, last: Fraction) -> range:
        """The frames shown at `first` <= time < `last`; none where times are not known."""
        if self.times:
            return range(
                bisect.bisect_left(self.times, first), bisect.bisect_left(self.times, last)
            )
        if not self.rate:
            return range(0)
        # ceil(time * rate), exactly.
        start, stop = (-((-time * self.rate) // 1) for time in (first, last))
        return range(min(self.count, max(0, int(start))), min(self.count, max(0, int(stop))))


def clock_of(times: list[Fraction], length: Fraction, rate: Fraction | None) -> FrameClock:
    """A clock of ascending time stamps.

    Args:
        times: when frames are shown, from any start.
        length: of the last frame, or 0 where nothing is said: then it is as long as the one before.
        rate: that the container states; counts for a single frame only.
    """
    start = times[0]
    if not length and len(times) > 1:
        length = times[-1] - times[-2]
    elif not length and rate:
        length = 1 / rate
    return FrameClock(tuple(time - start for time in times), rate, len(times), length)


def read_table(packets: Iterable[Any], keep: bool, stream: Any) -> PacketTable:
    """Reads all packets of a stream and decodes none.

    Args:
        packets: a `PacketReader` from which nothing was read. What it leaves out is left out here.
        keep: whether to keep them in memory.
        stream: PyAV's.
    """
    kept, rows = [], []
    found: list[CodedPicture] = []
    inspector: Inspector | None = None
    codec = stream.codec_context
    # An index beyond the data is as much a header that is damaged as one that says so.
    with contextlib.suppress(Unproven, IndexError):
        inspector = inspector_for(codec.codec.canonical_name, codec.extradata or b"")
    for packet in packets:
        rows.append(
            (
                packet.pts,
                packet.duration or 0,
                bool(packet.is_keyframe),
                packet.size,
                bool(packet.is_discard),
            )
        )
        if inspector is not None:
            try:
                found.append(inspector.add(memoryview(packet), bool(packet.is_keyframe)))
            except (Unproven, IndexError):
                inspector = None
        if keep:
            kept.append(packet)
    times, durations, keys, sizes, hidden = zip(*rows, strict=True) if rows else ((),) * 5
    if any(hidden):  # an edit list: what is left out of the stream's start is decoded
        inspector = None
    pictures = None if inspector is None else tuple(found)
    if pictures is not None:
        hidden = tuple(not picture.shown for picture in pictures)
    base = None if stream.time_base is None else Fraction(stream.time_base)
    rate = stream.average_rate or None
    table = PacketTable(times, durations, keys, sizes, hidden, base, rate, pictures, tuple(kept))
    reorder = 0 if inspector is None else inspector.reorder()
    return table if _agree(table, reorder) else replace(table, pictures=None)


def _agree(table: PacketTable, reorder: int | None) -> bool:
    """True if what pictures say of their order is what their times say, and what the stream states.

    FFmpeg gives out pictures in an order of its own where more of them wait than a stream states,
    and loses some.
    """
    pictures, shown = table.pictures, table.shown
    if pictures is None or not table.timed or not shown:
        return False
    if not pictures[0].entry or shown[0] != 0:
        return False
    said = sorted(shown_in_file := sorted(shown), key=lambda place: pictures[place].order)
    if list(shown) != said:
        return False
    rank = {place: number for number, place in enumerate(shown)}
    seen: list[int] = []
    for place in shown_in_file:
        waiting = len(seen) - bisect.bisect(seen, rank[place])
        if reorder is not None and waiting > reorder:
            return False
        bisect.insort(seen, rank[place])
    return True
