"""Frames as a core takes them: put into a buffer that it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.tensor.sparse_frames import pack_sparse
from fdht_overlays.manifest import InputLayout


@dataclass(frozen=True, eq=False)
class Packed:
    """Frames of a call in their buffer.

    Args:
        part: of the buffer that holds them: what is to be flushed.
        count: results that they give.
        words: that they take, of sparse frames; of dense ones 0, since nobody asks.
    """

    part: Any
    count: int
    words: int


class FramePacking:
    """How frames are put into buffers.

    Args:
        layout: of a frame.
        batch: results of a call at most.
    """

    def __init__(self, layout: InputLayout, batch: int) -> None:
        self._layout, self._format = layout, layout.sparse_format
        self.shape: tuple[int, ...] = (layout.frames_for(batch, reset=True), layout.frame_bytes)
        #: Frames with the zeros that make them whole words.
        self._padded: npt.NDArray[np.uint8] | None = None
        if self._format is not None:
            self.shape = (self._format.room(batch),)
            if layout.size != layout.frame_bytes:
                self._padded = np.zeros((batch, layout.frame_bytes), np.uint8)

    def pack(self, buffer: Any, frames: npt.NDArray[Any], reset: bool) -> Packed:
        """Puts the frames of a call into a buffer.

        Args:
            buffer: bytes of `shape`.
            frames: codes [n, size], of up to a batch of results.
            reset: a sequence begins with them.
        """
        count, codes, size = len(frames), frames.view(np.uint8), self._layout.size
        if self._format is None:
            buffer[:count, :size] = codes
            return Packed(buffer[:count], self._layout.results_of(count, reset), 0)
        if self._padded is not None:
            self._padded[:count, :size] = codes
            codes = self._padded[:count]
        ends = pack_sparse(self._format, np.ascontiguousarray(codes), np.asarray(buffer))
        words = int(ends[-1])
        return Packed(buffer[: words * self._format.word_bytes], count, words)
