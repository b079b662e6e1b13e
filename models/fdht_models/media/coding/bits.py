"""Bits of headers, and the NAL units in the packets of H.264 and H.265.

Source: ITU-T H.264, 7.3.1, 9.1 and annex B; ISO/IEC 14496-15 (lengths in place of start codes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fdht_models.media.coding.coded_picture import Unproven

_START = re.compile(rb"\x00\x00\x01")


class Bits:
    """Reads bits from the first on.

    Args:
        data: without bytes that only keep start codes apart; see `header`.
    """

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def number(self, count: int) -> int:
        """The next bits as a number; the first is the most significant.

        Raises:
            Unproven: there are not as many.
        """
        self._left -= count
        if self._left < 0:
            raise Unproven("a header ends early")
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        """The next bit."""
        return bool(self.number(1))

    def golomb(self) -> int:
        """ue(v): Exp-Golomb."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:
                raise Unproven("a header is damaged")
        return (1 << zeros) - 1 + self.number(zeros)

    def skip_golomb(self, count: int) -> None:
        """Skips as many numbers of Exp-Golomb, signed ones too."""
        for _ in range(count):
            self.golomb()


def header(unit: memoryview | bytes, first: int, count: int = 48) -> Bits:
    """The bits of a NAL unit from byte `first` on, of its first `count` bytes."""
    return Bits(bytes(unit[:count]).replace(b"\0\0\3", b"\0\0")[first:])


def units(data: memoryview, length: int) -> Iterator[memoryview]:
    """The NAL units of a packet.

    Args:
        data: of the packet.
        length: bytes of a unit's length; 0: start codes lie between units.

    Raises:
        Unproven: units do not fill the packet.
    """
    if not length:
        starts = [match.end() for match in _START.finditer(data)]
        # A zero before a start code belongs to that; units of pictures end with a bit that is set.
        ends = [start - 3 for start in starts[1:]] + [len(data)]
        if not starts:
            raise Unproven("there is no start code")
        yield from (data[start:end] for start, end in zip(starts, ends, strict=True) if start < end)
        return
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + length], "big")
        place += length
        if not size or place + size > len(data):
            raise Unproven("units do not fill the packet")
        yield data[place : place + size]
        place += size


def trimmed(unit: memoryview) -> bytes:
    """A set of parameters without the zeros that may follow it."""
    return bytes(unit).rstrip(b"\0")
