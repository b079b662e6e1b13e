"""VP8, VP9: decoding starts at key pictures; pictures may be decoded for others only.

Sources: RFC 6386, 9.1 (frame tag); VP9 bitstream specification 0.6, 6.2 (uncompressed header) and
annex B (superframes).
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
