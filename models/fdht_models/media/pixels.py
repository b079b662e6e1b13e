"""A decoded frame as RGB pixels, as they are shown: the same integers on every processor.

The conversion is FFmpeg's filter `scale` with the flags that make swscale's vector code equal to
its plain code; colour matrix and range are the frame's own. Without the flags, 40 % of the values
of a frame that keeps its size differ between processors with vector code of their own and others;
and PyAV's `reformat` up to version 16 ignores matrix and range.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.media.library import Failure, attempt, av
from fdht_models.media.messages import unconvertible
from fdht_models.media.orientation import UPRIGHT, Orientation, orientation_of

Picture = npt.NDArray[np.uint8]

_FLAGS = "bilinear+accurate_rnd+bitexact+full_chroma_int"
#: AVColorSpace -> the filter's name. 2 is unspecified: BT.601, as FFmpeg and most players take it.
_MATRICES = {
    1: "bt709",
    2: "bt601",
    4: "fcc",
    5: "bt470",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
}
#: Pixels as pictures have them: of such a frame nothing is to be converted.
_RGB = "rgb24"
_UNSPECIFIED, _FULL = 2, 2  # AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_JPEG


class PixelConverter:
    """Turns the frames of one video into pictures of one size.

    Args:
        path: the video, for messages.
        height: rows of a picture.
        width: columns of a picture.
    """

    def __init__(self, path: Path, height: int, width: int) -> None:
        self._path, self._height, self._width = path, height, width
        self._settings: tuple[object, ...] = ()
        self._graph: Any = None

    def convert(self, frame: Any, number: int, *, turn: bool = True) -> Picture:
        """Returns uint8[height, width, 3], RGB, row-major, C-contiguous.

        The picture is stretched to that size (bilinear), whatever the shape of its pixels. An RGB
        frame of that size comes through unchanged.

        Args:
            frame: PyAV's.
            number: its place in the video, for messages.
            turn: as the frame says; False leaves it as it is stored.

        Raises:
            DataError: the frame is turned by an odd angle, or has colours that FFmpeg does not
                convert.
        """
        picture = attempt(lambda: self._convert(frame, orientation_of(frame) if turn else UPRIGHT))
        if isinstance(picture, Failure):
            raise unconvertible(self._path, number, picture.why) from picture.error
        return picture

    def _convert(self, frame: Any, orientation: Orientation) -> Picture:
        height, width = orientation.size(self._height, self._width)
        if (frame.format.name, frame.height, frame.width) == (_RGB, height, width):
            return np.ascontiguousarray(orientation.apply(frame.to_ndarray()))
        settings = (frame.format.name, frame.height, frame.width, height, width, *_colours(frame))
        if settings != self._settings:
            self._graph, self._settings = _scaler(*settings), settings
        frame.pts = None
        self._graph.push(frame)
        return np.ascontiguousarray(orientation.apply(self._graph.pull().to_ndarray()))


def shown_size(path: Path, frame: Any, number: int) -> tuple[int, int]:
    """(height, width) of a frame once it is turned.

    Raises:
        DataError: the frame is turned by an odd angle.
    """
    size = attempt(lambda: orientation_of(frame).size(frame.height, frame.width))
    if isinstance(size, Failure):
        raise unconvertible(path, number, size.why) from size.error
    return size


def _colours(frame: Any) -> tuple[int, str, str]:
    """The colour space as FFmpeg numbers it, and the filter's names of matrix and range."""
    name, space = frame.format.name, int(frame.colorspace)
    if frame.format.is_rgb or frame.format.has_palette:
        return _UNSPECIFIED, "bt601", "full"
    full = int(frame.color_range) == _FULL or name.startswith("yuvj")
    if name.startswith(("gray", "ya", "mono")):
        # No matrix; where nothing is said, all codes are used.
        full = int(frame.color_range) != 1
        space = _UNSPECIFIED
    if space not in _MATRICES:
        raise ValueError(f"its colours are of FFmpeg's kind {space}, which is not converted")
    return space, _MATRICES[space], "full" if full else "limited"


def _scaler(
    name: str,
    height: int,
    width: int,
    new_height: int,
    new_width: int,
    space: int,
    matrix: str,
    colour_range: str,
) -> Any:
    """A graph of filters: a frame in, the RGB frame of another size out."""
    graph = av().filter.Graph()
    source = f"video_size={width}x{height}:pix_fmt={name}:time_base=1/25:pixel_aspect=1/1"
    scale = (
        f"w={new_width}:h={new_height}:flags={_FLAGS}:in_color_matrix={matrix}"
        f":in_range={colour_range}:out_range=full"
    )
    graph.link_nodes(
        graph.add("buffer", source),
        graph.add("scale", scale),
        graph.add("format", f"pix_fmts={_RGB}"),
        graph.add("buffersink"),
    )
    graph.configure()
    return graph
