"""How a picture is turned before it is shown: by the display matrix beside its frame, or by EXIF.

PyAV shows the turn of a picture that FFmpeg found in EXIF as an angle only, without the mirror, and
does not know the kind of data that comes with it. So the tag is read here.

Sources: libavutil/display.h: the matrix's first two rows are (a, b, u) and (c, d, v) in 16.16; a
pixel in column x and row y is shown in column a x + c y and row b x + d y. TIFF 6.0 (IFD, tag 274),
EXIF 2.3 (4.5.4 APP1), PNG third edition (eXIf), WebP container.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_NEARLY = 0.01  # 0.6 degrees: a matrix that was computed with sines is not quite a quarter turn


class OrientationError(ValueError):
    """A turn by which a picture of rows and columns cannot be shown."""


@dataclass(frozen=True)
class Orientation:
    """A turn by a multiple of 90 degrees, with or without a mirror.

    Attributes:
        transposed: rows become columns first.
        mirrored: then columns are shown from right to left.
        flipped: then rows are shown from bottom to top.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    def apply(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Turns a picture [H, W, 3]."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        if self.mirrored:
            picture = picture[:, ::-1]
        if self.flipped:
            picture = picture[::-1]
        return picture

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of a picture once it is turned, or before it was."""
        return (width, height) if self.transposed else (height, width)


UPRIGHT = Orientation()


def orientation_of(frame: Any) -> Orientation:
    """The orientation that belongs to one of PyAV's frames.

    Raises:
        OrientationError: a turn by another angle.
    """
    try:
        side_data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV does not know the kind of some other side data, and then shows none at all.
        if frame.rotation:
            raise OrientationError(
                "it is turned, and the installed PyAV cannot read how; install a newer one"
            ) from None
        return UPRIGHT
    return UPRIGHT if side_data is None else read_matrix(bytes(side_data))


def read_matrix(data: bytes) -> Orientation:
    """The orientation that a display matrix of 9 numbers (native int32) describes.

    Raises:
        OrientationError: a turn by another angle.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", data[:36])
    largest = max(abs(value) for value in (a, b, c, d))
    if largest == 0:
        return UPRIGHT  # written by programs that meant nothing by it
    if max(abs(b), abs(c)) <= _NEARLY * min(abs(a), abs(d)):
        return Orientation(False, mirrored=a < 0, flipped=d < 0)
    if max(abs(a), abs(d)) <= _NEARLY * min(abs(b), abs(c)):
        return Orientation(True, mirrored=c < 0, flipped=b < 0)
    raise OrientationError("it is turned by another angle than a multiple of 90 degrees")


_ORIENTATION, _SHORT = 0x0112, 3
#: By the tag's value; 1 is upright. Turns as in `Orientation.apply`.
_TURNS = {
    2: Orientation(False, True, False),
    3: Orientation(False, True, True),
    4: Orientation(False, False, True),
    5: Orientation(True, False, False),
    6: Orientation(True, True, False),
    7: Orientation(True, True, True),
    8: Orientation(True, False, True),
}
_TIFF = (b"II*\0", b"MM\0*")


def turn_of_picture(data: bytes) -> Orientation:
    """How the picture in a file's bytes is turned before it is shown; upright by default."""
    for block in _blocks(data):
        for tag, kind, value in _directory(block)[0]:
            if tag == _ORIENTATION and kind == _SHORT:
                return _TURNS.get(value, UPRIGHT)
    return UPRIGHT


def pages_of_picture(data: bytes) -> int:
    """1, or 2 if a TIFF holds more than one picture; FFmpeg shows its first and says nothing."""
    return 2 if _directory(data)[1] else 1


def _blocks(data: bytes) -> Iterator[bytes]:
    """The blocks that may hold the tag: each begins as a TIFF file does."""
    if data[:4] in _TIFF:
        yield data
    elif data[:2] == b"\xff\xd8":
        yield from (part[6:] for part in _segments(data) if part[:6] == b"Exif\0\0")
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        yield from (part for name, part in _chunks(data, 8, ">I4s", 4) if name == b"eXIf")
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        for name, part in _chunks(data, 12, "<4sI", 0):
            if name == b"EXIF":
                yield part.removeprefix(b"Exif\0\0")


def _segments(data: bytes) -> Iterator[bytes]:
    """The APP1 segments of a JPEG, before its pixels."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place + 1] == 0xE1:
            yield data[place + 4 : place + 2 + length]
        place += 2 + max(length, 2)


def _chunks(data: bytes, place: int, header: str, after: int) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents; `after` bytes follow each content, and RIFF fills up to even lengths."""
    while place + 8 <= len(data):
        fields = struct.unpack_from(header, data, place)
        name, length = fields if header.endswith("I") else fields[::-1]
        yield name, data[place + 8 : place + 8 + length]
        place += 8 + length + after + (0 if after else length % 2)


def _directory(block: bytes) -> tuple[list[tuple[int, int, int]], int]:
    """(tag, type, value) of the first directory's entries, and where the next directory is or 0."""
    found: list[tuple[int, int, int]] = []
    following = 0
    if block[:4] in _TIFF:
        order = "<" if block[:2] == b"II" else ">"
        with suppress(struct.error):
            (first,) = struct.unpack_from(order + "I", block, 4)
            (entries,) = struct.unpack_from(order + "H", block, first)
            for entry in range(entries):
                fields = struct.unpack_from(order + "HHIH", block, first + 2 + 12 * entry)
                found.append((fields[0], fields[1], fields[3]))
            (following,) = struct.unpack_from(order + "I", block, first + 2 + 12 * entries)
    return found, following
