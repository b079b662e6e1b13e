"""Whether a file ends before the end that its own structure states.

Numbers of frames and seconds that a file declares are often wrong in whole files: it begins at
another time than 0, its last pictures are repetitions that hold no data, a length was never filled
in. Bytes that a container announces and that are not there are another matter. So this looks at
the outermost boxes, chunks or elements only, and a length that a writer left open is none.

Sources: ISO/IEC 14496-12, RIFF (Microsoft), RFC 8794 (EBML) and RFC 9559 (Matroska), ASF 01.20.03,
ISO/IEC 13818-1, GIF89a.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

_ISO_BOXES = {b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"sidx"}
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


def ends_early(path: Path) -> bool:
    """True if bytes are missing at the end of a file, as far as its structure tells.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(400)
        return any(check(stream, size) for knows, check in _KINDS if knows(start))


def _box_is_cut(stream: IO[bytes], size: int) -> bool:
    """ISO media (MP4, MOV): boxes one after the other; 0 reaches to the end of the file."""
    offset = 0
    while offset + 8 <= size:
        header = _read(stream, offset, 16)
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        if length < 8:
            return False
        offset += length
    return offset > size


def _chunk_is_cut(stream: IO[bytes], size: int) -> bool:
    """RIFF (AVI, WAV): one chunk, in long AVIs several."""
    offset = 0
    while offset + 8 <= size:
        header = _read(stream, offset, 8)
        length = int.from_bytes(header[4:], "little")
        # Writers that cannot go back leave 0, or about the largest signed or unsigned number.
        left_open = length == 0 or 0x7FFF_F000 <= length <= 0x8000_0100 or length >= 0xFFFF_FF00
        if header[:4] != b"RIFF" or left_open:
            return False
        offset += 8 + length + length % 2
    return offset - 1 > size  # the last byte may be padding


def _element_is_cut(stream: IO[bytes], size: int) -> bool:
    """EBML (Matroska, WebM): the segment, or where its length is open the elements in it."""
    offset = 0
    while offset < size:
        header = _read(stream, offset, 12)
        name, used = _ebml_number(header, keep_marker=True)
        length, more = _ebml_number(header[used:], keep_marker=False)
        if not used or not more:
            return offset + 12 > size  # the file ends within the header, or this is no EBML
        offset += used + more
        if length != (1 << (7 * more)) - 1:
            offset += length
            if name == _SEGMENT:
                return offset > size
    return offset > size


def _ebml_number(data: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """A number of variable length and its bytes; (0, 0) if there is none."""
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return 0, 0
    value = int.from_bytes(data[:length], "big")
    return (value if keep_marker else value & ((1 << (7 * length)) - 1)), length


def _object_is_cut(stream: IO[bytes], size: int) -> bool:
    """ASF (WMV, WMA): the data object; its length is 0 in a broadcast."""
    offset = 0
    while offset + 24 <= size:
        header = _read(stream, offset, 24)
        length = int.from_bytes(header[16:], "little")
        if length < 24:
            return False
        offset += length
        if header[:16] == _ASF_DATA:
            return offset > size
    return False


def _packet_is_cut(stream: IO[bytes], size: int) -> bool:
    """MPEG transport stream: packets of 188 bytes, after 4 bytes of time on Blu-ray discs."""
    start = _read(stream, 0, 400)
    return size % (188 if start[0] == 0x47 else 192) != 0


def _trailer_is_missing(stream: IO[bytes], size: int) -> bool:
    """GIF ends with a semicolon."""
    return not _read(stream, max(0, size - 64), 64).rstrip(b"\0").endswith(b";")


def _is_transport_stream(start: bytes) -> bool:
    return any(
        len(start) > first + 2 * step
        and all(start[first + k * step] == 0x47 for k in range(3))
        and (first == 0 or start[0] != 0x47)
        for first, step in ((0, 188), (4, 192))
    )


def _read(stream: IO[bytes], offset: int, count: int) -> bytes:
    stream.seek(offset)
    return stream.read(count)


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[IO[bytes], int], bool]], ...] = (
    (lambda start: start[4:8] in _ISO_BOXES, _box_is_cut),
    (lambda start: start[:4] == b"RIFF", _chunk_is_cut),
    (lambda start: int.from_bytes(start[:4], "big") == _EBML, _element_is_cut),
    (lambda start: start[:16] == _ASF, _object_is_cut),
    (_is_transport_stream, _packet_is_cut),
    (lambda start: start[:4] == b"GIF8", _trailer_is_missing),
)
