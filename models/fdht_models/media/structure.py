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
import re
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import IO

_ISO_BOXES = {b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"sidx"}
_SYSTEM_START_CODE = re.compile(rb"\x00\x00\x01[\xbc-\xff]")
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


class Ending(Enum):
    """How a file ends.

    WHOLE: no byte is missing, or nothing tells. SHORT: bytes are missing, perhaps of an index
    behind the frames only. CUT: bytes of the frames are missing.
    """

    WHOLE = auto()
    SHORT = auto()
    CUT = auto()


def ending_of(path: Path) -> Ending:
    """How a file ends, as far as its structure tells.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(400)
        for knows, find in _KINDS:
            if knows(start):
                return find(stream, size)
    return Ending.WHOLE


def _boxes(stream: IO[bytes], size: int) -> Ending:
    """ISO media (MP4, MOV): boxes one after the other; 0 reaches to the end of the file."""
    offset, fragments = 0, False
    while offset + 8 <= size:
        header = _read(stream, offset, 16)
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        if length < 8:
            return Ending.WHOLE
        fragments = fragments or header[4:8] == b"moof"
        offset += length
    # Without fragments, an index in front says which frames there are.
    return _short(offset, size, Ending.CUT if fragments else Ending.SHORT)


def _chunks(stream: IO[bytes], size: int) -> Ending:
    """RIFF (AVI, WAV): one chunk, in long AVIs several."""
    if _read(stream, 8, 4) == b"WAVE":
        return _samples(stream, size)
    offset = 0
    while offset + 8 <= size:
        header = _read(stream, offset, 8)
        length = int.from_bytes(header[4:], "little")
        if header[:4] != b"RIFF" or _left_open(length):
            return Ending.WHOLE
        offset += 8 + length + length % 2
    return _short(offset - 1, size)  # the last byte may be padding


def _samples(stream: IO[bytes], size: int) -> Ending:
    """WAV: the samples are one chunk; what may follow them, or be missing, is text about them."""
    whole = int.from_bytes(_read(stream, 4, 4), "little")
    if _left_open(whole):
        return Ending.WHOLE
    offset = 12
    while offset + 8 <= size:
        header = _read(stream, offset, 8)
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"data":
            # A length beyond the file that holds it all was never filled in.
            believed = not _left_open(length) and offset + 8 + length <= 8 + whole + whole % 2
            return _short(offset + 8 + length, size, Ending.CUT) if believed else Ending.WHOLE
        offset += 8 + length + length % 2
    return _short(8 + whole, size)


def _left_open(length: int) -> bool:
    """Writers that cannot go back leave 0, or about the largest signed or unsigned number."""
    return length == 0 or 0x7FFF_F000 <= length <= 0x8000_0100 or length >= 0xFFFF_FF00


def _elements(stream: IO[bytes], size: int) -> Ending:
    """EBML (Matroska, WebM): the segment, or where its length is open the elements in it."""
    offset = 0
    while offset < size:
        header = _read(stream, offset, 12)
        name, used = _ebml_number(header, keep_marker=True)
        length, more = _ebml_number(header[used:], keep_marker=False)
        if not used or not more:
            # The file ends within the header, or this is no EBML.
            return _short(offset + 12, size)
        offset += used + more
        if length != (1 << (7 * more)) - 1:
            offset += length
            if name == _SEGMENT:
                return _short(offset, size)
    return _short(offset, size)


def _ebml_number(data: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """A number of variable length and its bytes; (0, 0) if there is none."""
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return 0, 0
    value = int.from_bytes(data[:length], "big")
    return (value if keep_marker else value & ((1 << (7 * length)) - 1)), length


def _objects(stream: IO[bytes], size: int) -> Ending:
    """ASF (WMV, WMA): the data object; its length is 0 in a broadcast."""
    offset = 0
    while offset + 24 <= size:
        header = _read(stream, offset, 24)
        length = int.from_bytes(header[16:], "little")
        if length < 24:
            return Ending.WHOLE
        offset += length
        if header[:16] == _ASF_DATA:
            return _short(offset, size)
    return Ending.WHOLE


def _packets(stream: IO[bytes], size: int) -> Ending:
    """MPEG transport stream: packets of 188 bytes, after 4 bytes of time on Blu-ray discs."""
    start = _read(stream, 0, 400)
    return Ending.CUT if size % (188 if start[0] == 0x47 else 192) else Ending.WHOLE


def _program(stream: IO[bytes], size: int) -> Ending:
    """MPEG program stream (MPG, VOB): packets that state their length, the last one at least.

    Start codes from 0xbc on are the container's; those of the pictures end at 0xb8.
    """
    first = max(0, size - (1 << 17))
    tail = _read(stream, first, size - first)
    found = [match.start() for match in _SYSTEM_START_CODE.finditer(tail)]
    if not found or found[-1] + 6 > len(tail):
        return Ending.WHOLE
    start = found[-1] + 6
    end = start + int.from_bytes(tail[start - 2 : start], "big")
    return _short(end, len(tail), Ending.CUT)


def _trailer(stream: IO[bytes], size: int) -> Ending:
    """GIF ends with a semicolon."""
    last = _read(stream, max(0, size - 64), 64).rstrip(b"\0")
    return Ending.WHOLE if last.endswith(b";") else Ending.CUT


def _short(end: int, size: int, ending: Ending = Ending.SHORT) -> Ending:
    return ending if end > size else Ending.WHOLE


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


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[IO[bytes], int], Ending]], ...] = (
    (lambda start: start[4:8] in _ISO_BOXES, _boxes),
    (lambda start: start[:4] == b"RIFF", _chunks),
    (lambda start: int.from_bytes(start[:4], "big") == _EBML, _elements),
    (lambda start: start[:16] == _ASF, _objects),
    (_is_transport_stream, _packets),
    (lambda start: start[:4] == b"\0\0\1\xba", _program),
    (lambda start: start[:4] == b"GIF8", _trailer),
)
