"""AV1: decoding starts at key pictures that are shown; pictures may be decoded for others only.

Source: AV1 bitstream specification (2019-01-08), 5.3.2 (OBU header), 5.9.2 (frame header), 7.20.
A key picture that is shown refreshes all references (5.9.2).
"""

from __future__ import annotations

from fdht_models.media.coding.coded_picture import CodedPicture, Inspector, Unproven

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
                repeated, frame, show = _header(content)
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


def _header(content: memoryview) -> tuple[bool, int, bool]:
    """Whether it shows a picture that is there; its kind, 0 for key; whether it is shown."""
    if not content:
        raise Unproven("a header ends early")
    first = content[0]
    return bool(first >> 7), first >> 5 & 3, bool(first >> 4 & 1)
