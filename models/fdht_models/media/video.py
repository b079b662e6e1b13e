"""The frames of a video file: those of its best stream, up to the first damage."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from fdht_models.media.library import Failure, attempt
from fdht_models.media.messages import unreadable
from fdht_models.media.opening import best_stream, open_media
from fdht_models.media.packets import PacketReader
from fdht_models.media.structure import Ending
from fdht_models.media.table import PacketTable, read_table

#: AV_CODEC_FLAG_BITEXACT: the inverse transforms that give the same integers on every processor.
#: On ARM, MPEG-4 and its relatives are decoded otherwise without it.
_BIT_EXACT = 1 << 23
#: Bytes of a file whose packets are kept, so that they need not be read twice.
_MOST_KEPT = 256 << 20
#: What the packets of the last longer file said: many clips may be parts of one recording.
_LONG: dict[tuple[str, int, int, int], tuple[PacketTable | None, Damage | None]] = {}
#: Containers that state how long each packet is, so that one that is cut short is seen as such.
_STATE_LENGTHS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "asf", "flv", "ivf"}
_SLACK_FRAMES = 1.5  # declared lengths are rounded


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    `frames` and `seconds` are what the container declares, and None where it does not; both are
    often wrong, and nothing depends on them. `rate` is in frames per second. Height and width are
    those of the coded picture, before it is turned.
    """

    path: Path
    height: int
    width: int
    rate: Fraction | None
    frames: int | None
    seconds: float | None
    codec: str
    pixel_format: str

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON-able description that the report shows."""
        return {
            "file": self.path.name,
            "height": self.height,
            "width": self.width,
            "rate": None if self.rate is None else float(self.rate),
            "frames_declared": self.frames,
            "seconds_declared": self.seconds,
            "codec": self.codec,
            "pixel_format": self.pixel_format,
        }


@dataclass(frozen=True)
class Damage:
    """Where a video stops being usable.

    Attributes:
        frames: undamaged ones before it.
        why: in words; where the file is cut, as a clause about it.
        cut: the file ends there, too early.
    """

    frames: int
    why: str
    cut: bool = False


class VideoFile:
    """One open video file.

    Damage is what FFmpeg cannot demux or decode, what it marks as corrupt (it then shows a guess),
    a wrong checksum of FFV1, and a file that ends before the end that its own structure states.

    Args:
        path: the file.
        threads: of the decoder; 0 takes one a processor. The frames are the same.

    Attributes:
        path: the file.
        info: what it says of itself.
        damage: what ended the last `frames()`, or None where the video is whole.

    Raises:
        DataError: PyAV is missing; the file is missing, no file, unreadable, without a video
            stream, or its codec has no decoder here.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path, self._threads = path, threads
        self.damage: Damage | None = None
        self._table: PacketTable | None = None
        self._open()

    def _open(self) -> None:
        path = self.path
        self._container = open_media(path, "video")
        try:
            self._stream = best_stream(path, self._container, "video")
            info = attempt(lambda: _describe(self._container, self._stream, path))
            if isinstance(info, Failure):
                raise unreadable(path, info.why) from info.error
            self.info: VideoInfo = info
            self._packets = PacketReader(path, self._container, self._stream)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    @property
    def stream(self) -> Any:
        """PyAV's stream."""
        return self._stream

    @property
    def threads(self) -> int:
        """Threads that may decode it."""
        return self._threads or os.cpu_count() or 1

    def again(self) -> VideoFile:
        """The same file, open once more for a decoder of one thread; packets are shared."""
        other = VideoFile(self.path)
        other._table, other.damage = self.packet_table(), self.damage
        return other

    @property
    def states_lengths(self) -> bool:
        """True if a packet that is cut short is known without being decoded."""
        return self._container.format.name in _STATE_LENGTHS

    def packet_table(self) -> PacketTable:
        """What the packets say, read once and without decoding; call it before `frames()`.

        `damage` then tells what is wrong with the packets: one that is damaged, or bytes that are
        missing at the end. Whether they can be decoded is not known.
        """
        if self._table is None:
            state = attempt(lambda: self.path.stat())
            keep = not isinstance(state, Failure) and state.st_size <= _MOST_KEPT
            if keep or isinstance(state, Failure):
                self._read_table(keep=keep)
            else:
                key = (str(self.path), state.st_size, state.st_mtime_ns, state.st_ino)
                if key not in _LONG:
                    self._read_table(keep=False)
                    _LONG.clear()
                    _LONG[key] = (self._table, self.damage)
                self._table, self.damage = _LONG[key]
        assert self._table is not None
        return self._table

    def _read_table(self, *, keep: bool) -> None:
        self._table = read_table(self._packets, keep, self._stream)
        self._set_damage(len(self._table.shown))

    def first_frame(self) -> Any:
        """The first frame, for which only one picture is decoded; None if there is none.

        It ends the use of the file: call neither `frames()` nor `decoder()` afterwards.
        """
        frame = next(self.decoded(self.packets((0,))), None)
        if frame is not None and not isinstance(frame, Failure) and not frame.is_corrupt:
            return frame
        self.rewind()
        return next(self.frames(), None)

    def rewind(self) -> None:
        """Opens the file again, as if nothing had been decoded."""
        self.close()
        self._table, self.damage = None, None
        self._open()

    def packets(self, places: Sequence[int]) -> Iterator[Any]:
        """Some packets, by their numbers in the table, ascending.

        Of a file whose packets are not kept, fewer come where they are not found again.
        """
        table = self.packet_table()
        if table.packets:
            yield from (table.packets[place] for place in places)
            return
        if not table.times:
            return
        wanted, place = frozenset(places), -1
        for packet in self._from(table.times[places[0]] or 0):
            said = (packet.pts, packet.size)
            if place < 0:  # where the seek led to: a key packet at or before the first
                found = (k for k in range(places[0] + 1) if table.row(k) == said)
                place = next(found, -1)
            if place < 0 or place > places[-1] or table.row(place) != said:
                return
            if place in wanted:
                yield packet
            place += 1

    def _from(self, time: int) -> Iterator[Any]:
        """Packets that hold data, from the last key packet at or before a time on."""
        if isinstance(attempt(lambda: self._container.seek(time, stream=self._stream)), Failure):
            return
        packets = self._container.demux(self._stream)
        while True:
            packet = attempt(lambda: next(packets, None))
            if packet is None or isinstance(packet, Failure) or packet.is_corrupt:
                return
            if packet.size:
                yield packet

    def _source(self) -> Iterable[Any]:
        """The packets: kept, or read from the file."""
        if self._table is None:
            return self._packets
        if self._table.packets:
            return self._table.packets
        self.close()
        self._open()
        return self._packets

    def frames(self) -> Iterator[Any]:
        """Yields PyAV's frames in the order in which they are shown; call it once.

        Ends after the last frame before the first damage, which `damage` then tells.
        """
        packets = self._source()
        self.damage = None
        count = 0
        for frame in self.decoded(packets):
            if isinstance(frame, Failure):
                self.damage = Damage(count, frame.why)
                return
            if frame.is_corrupt:
                self.damage = Damage(count, "the decoder could not restore it")
                return
            yield frame
            count += 1
        self._set_damage(count)

    def decoded(self, packets: Iterable[Any]) -> Iterator[Any]:
        """The decoder's frames of some packets; a `Failure` is the last."""
        codec = self.decoder()
        # After the last packet, None brings out the frames that the decoder holds back.
        for packet in itertools.chain(packets, (None,)):
            frames = attempt(functools.partial(codec.decode, packet))
            if isinstance(frames, Failure):
                yield frames
                return
            yield from frames

    def decoder(self) -> Any:
        """The stream's decoder, set up; it decodes the packets in order, once."""
        codec = self._stream.codec_context
        if not codec.is_open:
            codec.thread_count = self._threads
            # Several frames at once would be faster, but then FFmpeg does not mark corrupt ones.
            codec.thread_type = "SLICE"
            codec.flags |= _BIT_EXACT
        return codec

    def _set_damage(self, count: int) -> None:
        """What is wrong with the packets, all of which were read; `count` frames came of them."""
        packets = self._packets
        doubtful = packets.failure or not self._reached_end(packets)
        if packets.ending is Ending.CUT or (packets.ending is Ending.SHORT and doubtful):
            self.damage = Damage(count, self._end_in_words(count), cut=True)
        elif packets.failure:
            self.damage = Damage(count, packets.failure)

    def _reached_end(self, packets: PacketReader) -> bool:
        """True if all was there that the container declares; False also if it declares nothing."""
        info = self.info
        if info.frames is not None and packets.count >= info.frames:
            return True
        slack = _SLACK_FRAMES / float(info.rate) if info.rate else 0.1
        return info.seconds is not None and packets.seconds + slack >= info.seconds

    def _end_in_words(self, count: int) -> str:
        declared = self.info.frames
        if declared is None or declared <= count:
            return f"ends early, after {count} frames"
        return f"ends after {count} of {declared} frames"


def _describe(container: Any, stream: Any, path: Path) -> VideoInfo:
    codec = stream.codec_context
    seconds = None
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    elif "DURATION" in stream.metadata:  # how Matroska states it
        seconds = _clock_seconds(stream.metadata["DURATION"])
    if seconds is None and container.duration is not None:
        seconds = container.duration / 1e6  # AV_TIME_BASE
    return VideoInfo(
        path=path,
        height=codec.height,
        width=codec.width,
        rate=stream.average_rate,
        frames=stream.frames or None,
        seconds=seconds,
        codec=codec.name,
        pixel_format=str(codec.pix_fmt),
    )


def _clock_seconds(text: str) -> float | None:
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
