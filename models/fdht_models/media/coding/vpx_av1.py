"""VP8, VP9, AV1: decoding starts at key pictures; pictures may be decoded for others only.

Sources: RFC 6386, 9.1 (frame tag); VP9 bitstream specification 0.6, 6.2 (uncompressed header) and
annex B (superframes); AV1 bitstream specification (2019-01-08), 5.3.2 (OBU header), 5.9.2 (frame
header), 7.20. A key picture of AV1 that is shown refreshes all references (5.9.2).
"""

from __future__ import annotations

from fdht_models.media.coding.coded_picture import CodedPicture, Inspector, Unproven

_MARKER = 0b110


class Vp8(Inspector):
    """See the module."""

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        if len(data) < 3:
            raise Unproven("a picture is repeated without data")
        shown = bool(data[0] >> 4 & 1)
        return CodedPicture(entry=shown and not data[0] & 1, shown=shown)


class Vp9(Inspector):
    """See the module."""

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        found = [_header(part) for part in _parts(data)]
        shown = sum(show for _, show in found)
        if shown > 1:
            raise Unproven("a packet shows several pictures")
        return CodedPicture(entry=found[0] == (True, True), shown=bool(shown))


def _parts(data: memoryview) -> list[memoryview]:
    """The pictures of a packet: of a superframe by its index, at the end."""
    if not data:
        raise Unproven("a packet is empty")
    last = data[-1]
    count, length = (last & 7) + 1, (last >> 3 & 3) + 1
    size = 2 + count * length
    if last >> 5 != _MARKER or len(data) < size or data[-size] != last:
        return [data]
    parts, place = [], 0
    for index in range(count):
        start = len(data) - size + 1 + index * length
        taken = int.from_bytes(data[start : start + length], "little")
        if not taken or place + taken > len(data) - size:
            raise Unproven("an index is damaged")
        parts.append(data[place : place + taken])
        place += taken
    return parts


def _header(part: memoryview) -> tuple[bool, bool]:
    """Whether a picture is a key picture, and whether it is shown."""
    bits = f"{part[0]:08b}"
    if bits[:2] != "10":
        raise Unproven("a header is damaged")
    place = 5 if bits[2:4] == "11" else 4
    if bits[place] == "1":  # shows a picture that is there
        return False, True
    return bits[place + 1] == "0", bits[place + 2] == "1"


_SEQUENCE, _DELIMITER, _HEADER, _FRAME, _REDUNDANT = 1, 2, 3, 6, 7
_HARMLESS = {_DELIMITER, 4, 5, 8, 15}


class Av1(Inspector):
    """See the module."""

    def __init__(self) -> None:
        self._sequence = b""

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        shown, entry, sequence, pictures = 0, False, b"", 0
        for kind, content in _units(data):
            if kind == _SEQUENCE:
                sequence = bytes(content)
                if len(content) < 1 or content[0] >> 3 & 1:
                    raise Unproven("it is a still picture")
            elif kind in (_HEADER, _FRAME):
                repeated, frame, show = _av1_header(content)
                shown += repeated or show
                entry = entry or (not pictures and not repeated and frame == 0 and show)
                pictures += 1
            elif kind not in _HARMLESS:
                raise Unproven(f"there is a unit of kind {kind}")
        self._sequence = self._sequence or sequence
        if shown > 1 or (sequence and sequence != self._sequence):
            raise Unproven("a packet shows several pictures, or the sequence changes")
        return CodedPicture(entry=entry and bool(sequence), shown=bool(shown))


def _units(data: memoryview) -> list[tuple[int, memoryview]]:
    found, place = [], 0
    while place < len(data):
        kind, extended, sized = data[place] >> 3 & 15, data[place] >> 2 & 1, data[place] >> 1 & 1
        if extended or not sized:
            raise Unproven("there are layers, or sizes are missing")
        size, place = _size(data, place + 1)
        if place + size > len(data):
            raise Unproven("units do not fill the packet")
        found.append((kind, data[place : place + size]))
        place += size
    return found


def _size(data: memoryview, place: int) -> tuple[int, int]:
    """leb128 (4.10.5), and what follows it."""
    value = 0
    for index in range(8):
        if place + index >= len(data):
            break
        value |= (data[place + index] & 127) << (7 * index)
        if not data[place + index] & 128:
            return value, place + index + 1
    raise Unproven("a size is damaged")


def _av1_header(content: memoryview) -> tuple[bool, int, bool]:
    """Whether it shows a picture that is there; its kind, 0 for key; whether it is shown."""
    if not content:
        raise Unproven("a header ends early")
    first = content[0]
    return bool(first >> 7), first >> 5 & 3, bool(first >> 4 & 1)
