"""Bits of headers, and the NAL units in the packets of H.264 and H.265.

Source: ITU-T H.264, 7.3.1, 8.2.1.1, 9.1 and annex B; ISO/IEC 14496-15 (lengths for start codes).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from fdht_models.media.coding.coded_picture import Inspector, Unproven

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


def listed(data: memoryview, place: int, count: int) -> tuple[list[memoryview], int]:
    """`count` sets of parameters behind two bytes of length each, and the place behind them."""
    found = []
    for _ in range(count):
        size = int.from_bytes(data[place : place + 2], "big")
        unit = data[place + 2 : place + 2 + size]
        if len(unit) < size or not size:
            raise Unproven("the parameters end early")
        found.append(unit)
        place += 2 + size
    return found, place


def trimmed(unit: memoryview) -> bytes:
    """A set of parameters without the zeros that may follow it."""
    return bytes(unit).rstrip(b"\0")


class NalInspector(Inspector):
    """What H.264 and H.265 have in common: slices, sets of parameters, the order of pictures.

    Args:
        extradata: of the stream: `avcC` or `hvcC`, or NAL units between start codes, or nothing.
    """

    #: Kinds of units: slices of pictures, parameters, and those that change nothing.
    slices: Collection[int]
    parameters: Collection[int]
    harmless: Collection[int]
    _sequence: object | None = None

    def __init__(self, extradata: bytes) -> None:
        self._length = 0
        self._sets: dict[tuple[int, int], bytes] = {}
        self._first: bytes | None = None
        self._high, self._low = 0, 0
        if extradata[:1] == b"\1":
            self._length, found = self._outside(memoryview(extradata))
        else:
            found = list(units(memoryview(extradata), 0)) if extradata else []
        for unit in found:
            self._keep(unit)

    def _kind(self, unit: memoryview) -> int:
        raise NotImplementedError

    def _outside(self, extradata: memoryview) -> tuple[int, list[memoryview]]:
        """Bytes of a unit's length, and the sets of parameters that a container keeps."""
        raise NotImplementedError

    def _keep(self, unit: memoryview) -> None:
        """Keeps a set of parameters."""
        raise NotImplementedError

    def _once(self, kind: int, number: int, content: bytes) -> None:
        """A second set of the same number must be the same."""
        if self._sets.setdefault((kind, number), content) != content:
            raise Unproven("parameters change, or there are several sequences")

    def _slices(self, data: memoryview) -> tuple[list[memoryview], bool]:
        """Slices of a packet, and whether its parameters are those of the first packet.

        Where parameters come with pictures, an entry must bring them along.
        """
        found, inside = [], []
        for unit in units(data, self._length):
            kind = self._kind(unit)
            if kind in self.slices:
                found.append(unit)
            elif kind in self.parameters:
                inside.append(trimmed(unit))
                self._keep(unit)
            elif kind not in self.harmless:
                raise Unproven(f"there is a unit of kind {kind}")
        if not found or self._sequence is None:
            raise Unproven("there is no picture, or no parameters")
        kept = b"".join(inside)
        self._first = kept if self._first is None else self._first
        return found, kept == self._first

    def _place(self, bits: Bits, count: int, *, reference: bool, fresh: bool = False) -> int:
        """Where a picture belongs, of whose place the lowest `count` bits come next.

        Args:
            bits: of the slice.
            count: bits.
            reference: the places of later pictures are counted from this one.
            fresh: this one is counted from 0.
        """
        low, half = bits.number(count), 1 << (count - 1)
        high = 0 if fresh else self._high
        if not fresh and low < self._low and self._low - low >= half:
            high += 2 * half
        elif not fresh and low > self._low and low - self._low > half:
            high -= 2 * half
        if reference:
            self._high, self._low = high, low
        return high + low
