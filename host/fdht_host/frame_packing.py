"""Frames as a core takes them: put into a buffer that it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ShapeError
from fdht_models.tensor.sparse_frames import SparseFormat, pack_sparse
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
        #: Where sparse frames wait: single ones, and those that zeros make whole words.
        self._waiting: npt.NDArray[np.uint8] | None = None
        if self._format is not None:
            self.shape = (self._format.room(batch),)
            self._waiting = np.zeros((batch, layout.frame_bytes), np.uint8)

    def pack(self, buffer: Any, frames: npt.NDArray[Any], reset: bool) -> Packed:
        """Puts the frames of a call into a buffer, with a single copy.

        Args:
            buffer: bytes of `shape`.
            frames: codes [n, size], of up to a batch of results.
            reset: a sequence begins with them.
        """
        layout, count, codes = self._layout, len(frames), frames.view(np.uint8)
        if self._format is not None and layout.size == layout.frame_bytes:
            return self._sparse(self._format, buffer, np.ascontiguousarray(codes))
        self._rows(buffer)[:count, : layout.size] = codes
        return self.pack_placed(buffer, count, reset)

    def place(self, buffer: Any, number: int, frame: npt.NDArray[Any]) -> None:
        """Puts one frame of a call where `pack_placed` looks for it; of dense and raw frames into
        the buffer itself, so that this is the only copy.

        Args:
            buffer: bytes of `shape`.
            number: of the frame in its call.
            frame: codes [size].
        """
        self._rows(buffer)[number, : self._layout.size] = frame.view(np.uint8)

    def pack_placed(self, buffer: Any, count: int, reset: bool) -> Packed:
        """Completes a call whose frames were placed one by one.

        Args:
            buffer: bytes of `shape`.
            count: frames.
            reset: a sequence begins with them.
        """
        if self._format is None:
            return Packed(buffer[:count], self._layout.results_of(count, reset), 0)
        return self._sparse(self._format, buffer, self._rows(buffer)[:count])

    def _rows(self, buffer: Any) -> Any:
        return buffer if self._waiting is None else self._waiting

    def _sparse(self, form: SparseFormat, buffer: Any, codes: npt.NDArray[np.uint8]) -> Packed:
        words = int(pack_sparse(form, codes, np.asarray(buffer))[-1])
        return Packed(buffer[: words * form.word_bytes], len(codes), words)


def check_beginning(layout: InputLayout, frames: int, reset: bool) -> None:
    """Refuses a beginning that gives no result: the core would not keep its frame.

    Args:
        layout: of a frame.
        frames: of a call, at least 1.
        reset: a sequence begins with them.

    Raises:
        ShapeError: there are too few.
    """
    if not layout.results_of(frames, reset):
        raise ShapeError(
            f"a sequence begins with {layout.frames_before + 1} raw frames or more, since the "
            "core compares each with the one before",
            field="frames",
            value=frames,
            remedy="pass more at once",
        )
