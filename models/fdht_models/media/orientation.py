"""How a picture is turned before it is shown, from the display matrix beside its frame.

Source: libavutil/display.h. The matrix's first two rows are (a, b, u) and (c, d, v) in 16.16; a
pixel in column x and row y is shown in column a x + c y and row b x + d y.
"""

from __future__ import annotations

import struct
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
