"""The packets of one stream, up to the first that is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdht_models.media.ffv1 import SliceChecksums
from fdht_models.media.library import Failure, attempt
from fdht_models.media.structure import Ending, ending_of


class PacketReader:
    """Iterates over the packets of one stream.

    Args:
        path: the file.
        container: PyAV's, open.
        stream: of that container.

    Attributes:
        count: packets read so far, empty ones included: an empty one repeats the picture before.
        seconds: from the first packet's time to the last one's end; 0 without time stamps.
        failure: what ended the packets before their end; "" if nothing did.
        ending: how the file ends; known when the packets are.
    """

    def __init__(self, path: Path, container: Any, stream: Any) -> None:
        self._path, self._container, self._stream = path, container, stream
        self.ending = Ending.WHOLE
        self._first: int | None = None
        self.count, self.seconds, self.failure = 0, 0.0, ""

    def __iter__(self) -> Iterator[Any]:
        """Yields packets that hold data and are not damaged."""
        last = None
        for packet in self._read():
            if last is not None:
                yield last
            last = packet
        ending = attempt(lambda: ending_of(self._path))
        if isinstance(ending, Failure):  # the disk went away, for instance
            self.failure = self.failure or ending.why
        else:
            self.ending = ending
        # Some containers do not say how long a packet is. Then it is the last that was cut.
        guessed = self.ending is Ending.CUT and not self.failure
        if last is not None and not guessed:
            yield last

    def _read(self) -> Iterator[Any]:
        checksums = SliceChecksums() if _has_checksums(self._stream) else None
        packets = self._container.demux(self._stream)
        while True:
            packet = attempt(lambda: next(packets, None))
            if isinstance(packet, Failure):
                self.failure = packet.why
                return
            # PyAV's last packet has neither data nor time and only means the end.
            if packet is None or (packet.size == 0 and packet.dts is None):
                return
            if packet.is_corrupt:
                self.failure = "its data are incomplete"
                return
            if checksums is not None and not checksums.is_right(bytes(packet)):
                self.failure = "its checksum is wrong"
                return
            self._count(packet)
            # An empty packet would tell the decoder that the stream has ended.
            if packet.size:
                yield packet

    def _count(self, packet: Any) -> None:
        self.count += 1
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or packet.time_base is None:
            return
        self._first = time if self._first is None else min(self._first, time)
        end = time + (packet.duration or 0)
        self.seconds = max(self.seconds, float((end - self._first) * packet.time_base))


def _has_checksums(stream: Any) -> bool:
    codec = stream.codec_context
    # FFV1 has slices with a footer from version 2 on, which is told outside the packets.
    return bool(codec.name == "ffv1" and codec.extradata)
