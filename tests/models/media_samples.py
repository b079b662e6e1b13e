"""Small video files as cameras, recorders and editors leave them."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH = 48, 64
QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 0x40000000)


def moving(count: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A bright square that moves over a gradient: no two frames and no two corners are alike."""
    rows, columns = np.mgrid[0:height, 0:width]
    frames = np.empty((count, height, width, 3), np.uint8)
    for number, frame in enumerate(frames):
        frame[:] = np.stack(
            [columns * 255 // width, rows * 255 // height, 0 * rows + number * 8 % 256], 2
        )
        left = number * 3 % (width - 12)
        frame[4:14, left : left + 12] = 255
    return frames


def write(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    *,
    first: int = 0,
    container: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Encodes frames at 25 a second, the first one at time `first` / 25 s."""
    with av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.codec_context.time_base = Fraction(1, 25)
        for number, pixel_values in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixel_values, format="rgb24")
            frame.pts, frame.time_base = first + number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def turn(path: Path, matrix: tuple[int, ...]) -> Path:
    """Writes a display matrix into the first track header of an MP4 (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    box = data.index(b"tkhd") + 4
    start = box + 4 + (20 if data[box] == 0 else 32) + 16
    data[start : start + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    """Leaves that share of a file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
