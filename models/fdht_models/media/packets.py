"""The packets of one stream, up to the first that is damaged.

FFmpeg logs a wrong checksum of FFV1, fills the slice from the frame before and tells its caller
nothing: no error, no mark on the frame, whatever `err_detect` says. The videos that this project
writes are FFV1 with a checksum a slice, so a changed byte would become other pixels in silence.

Source: RFC 9043, 4.9 (slice footer) and 4.9.3 (slice_crc_parity).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
        codec = self._stream.codec_context
        # FFV1 has slices with a footer from version 2 on, which is told outside the packets.
        checksums = SliceChecksums() if codec.name == "ffv1" and codec.extradata else None
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


_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_FOOTER_WITH_CHECKSUM = 8  # 3 bytes of size, one of status, 4 of checksum


class SliceChecksums:
    """Checks the packets of one stream; those of a stream without checksums all pass."""

    def __init__(self) -> None:
        self._present: bool | None = None

    def is_right(self, packet: bytes) -> bool:
        """True if the slices fill the packet and each has its checksum, or the stream has none."""
        slices = _slices(packet)
        if self._present is None:  # told by the first packet: its slices fill it only if it is so
            self._present = slices is not None
        if not self._present:
            return True
        return slices is not None and all(_remainder(part) == 0 for part in slices)


def _slices(packet: bytes) -> list[bytes] | None:
    """The slices with their footers, from the last to the first; None if they do not fill it."""
    parts, end = [], len(packet)
    while end > 0:
        footer = end - _FOOTER_WITH_CHECKSUM
        if footer < 0:
            return None
        start = footer - int.from_bytes(packet[footer : footer + 3], "big")
        if start < 0:
            return None
        parts.append(packet[start:end])
        end = start
    return parts or None


def _remainder(data: bytes) -> int:
    """CRC-32 with the most significant bit first and without inversions: 0 over data and checksum.

    zlib's takes the least significant bit first and inverts before and after.
    """
    return zlib.crc32(data.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
