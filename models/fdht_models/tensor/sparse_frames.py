"""Frames as they lie in memory for a core that skips zeros: a header, bitmaps, and words.

A word is what the port for frames moves in a clock: 8, 16 or 32 bytes. A frame is

    header                  a word: how many words follow it (bytes 0..3, the lowest first), and how
                            they are to be read (bytes 4..7, see `FrameKind`); the rest is zero
    for each block of words: of a sparse frame
        bitmap              a word: bit i % 8 of byte i // 8 says that word i of the block follows
        words               those words, in their order

A block is as many words as a word has bits. Words that do not follow are zero. A dense frame is a
header and all of its words. Frames lie one behind the other.

A bitmap stands before its own words and not before all of them, so that a reader needs to keep no
more than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ShapeError
from fdht_models.tensor.quantized import WORD_BYTES


class FrameKind(IntEnum):
    """How the words behind a header are to be read. 0 is no kind, so that no frame is of zeros."""

    SPARSE = 1
    DENSE = 2


class FrameFault(IntFlag):
    """What a core found wrong with the frames of a call: bits of its register `frame_faults`."""

    #: A header is of no kind, or its count is none that a frame can have.
    HEADER = 1
    #: A frame's bitmaps promise other words than its header does.
    COUNT = 2
    #: A bitmap has a bit behind the frame's last word.
    BEHIND = 4
    #: The call's words ended before its frames did.
    SHORT = 8
    #: The call's frames ended before its words did.
    LONG = 16


@dataclass(frozen=True)
class SparseFormat:
    """The format of a network's frames.

    Args:
        frame_bytes: of a frame with all its zeros; a multiple of `word_bytes`.
        word_bytes: of a word; a multiple of 8.

    Raises:
        ShapeError: frames are no whole number of words.
    """

    frame_bytes: int
    word_bytes: int = WORD_BYTES

    def __post_init__(self) -> None:
        if self.frame_bytes % self.word_bytes or self.word_bytes % WORD_BYTES:
            raise ShapeError(
                f"must be whole words of {self.word_bytes} bytes",
                field="frame_bytes",
                value=self.frame_bytes,
                remedy="use a narrower port",
            )

    @property
    def frame_words(self) -> int:
        """Words of a frame with all its zeros."""
        return self.frame_bytes // self.word_bytes

    @property
    def block_words(self) -> int:
        """Words that a bitmap tells of."""
        return 8 * self.word_bytes

    @property
    def blocks(self) -> int:
        """Bitmaps of a sparse frame."""
        return -(-self.frame_words // self.block_words)

    @property
    def most_words(self) -> int:
        """Words of the longest frame, its header among them: that of a dense one."""
        return 1 + self.frame_words

    def room(self, frames: int) -> int:
        """Bytes that so many frames take at most."""
        return frames * self.most_words * self.word_bytes


def pack_sparse(
    form: SparseFormat, frames: npt.NDArray[Any], target: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64]:
    """Writes frames in the format, each in the way that takes fewer words.

    Args:
        form: the format.
        frames: bytes [n, frame_bytes], in rows without gaps.
        target: bytes [at least `form.room(n)`], where to write; aligned to 8 bytes.

    Returns:
        int64[n]: words from the start to each frame's end.
    """
    count, lanes = len(frames), form.word_bytes // WORD_BYTES
    words = frames.view("<u8").reshape(count, form.frame_words, lanes)
    out = target.view("<u8")[: form.room(count) // WORD_BYTES].reshape(-1, lanes)
    used = words[:, :, 0] != 0 if lanes == 1 else words.any(axis=2)
    frame, place = np.divmod(np.flatnonzero(used), form.frame_words)
    taken = np.bincount(frame, minlength=count)
    dense = form.blocks + taken >= form.frame_words
    lengths = np.where(dense, form.frame_words, form.blocks + taken)
    ends: npt.NDArray[np.int64] = np.cumsum(1 + lengths)
    starts = ends - lengths
    kinds = np.where(dense, int(FrameKind.DENSE), int(FrameKind.SPARSE))
    out[starts - 1] = 0
    out[starts - 1, 0] = lengths | kinds << 32
    for number in np.flatnonzero(dense):
        out[starts[number] : ends[number]] = words[number]
    if not dense.all():
        kept = ~dense[frame]
        _pack_blocks(form, words, used, ~dense, (frame[kept], place[kept]), starts, out)
    return ends


def _pack_blocks(
    form: SparseFormat,
    words: npt.NDArray[Any],
    used: npt.NDArray[np.bool_],
    chosen: npt.NDArray[np.bool_],
    where: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    starts: npt.NDArray[np.int64],
    out: npt.NDArray[Any],
) -> None:
    """Writes bitmaps and words of the chosen frames.

    Args:
        form: the format.
        words: [n, frame words, lanes].
        used: [n, frame words]: words that are not zero.
        chosen: [n]: frames to write.
        where: frame and place of all their words that are not zero, in this order.
        starts: [n]: where each frame's first bitmap goes.
        out: [words, lanes].
    """
    frame, place = where
    row = np.cumsum(chosen) - 1  # of a frame among those that are chosen
    count, block = int(chosen.sum()), place // form.block_words
    held = np.bincount(row[frame] * form.blocks + block, minlength=count * form.blocks)
    # Words and bitmaps before each bitmap, from its frame's first on.
    held = held.reshape(count, form.blocks)
    before = np.cumsum(held, axis=1) - held + np.arange(form.blocks)
    bits = np.zeros((count, form.blocks * form.block_words), np.bool_)
    bits[:, : form.frame_words] = used[chosen]
    bitmaps = np.packbits(bits, axis=1, bitorder="little").view("<u8")
    out[starts[chosen][:, None] + before] = bitmaps.reshape(count, form.blocks, -1)
    # The rank of a word among those of its frame.
    first = np.cumsum(held.sum(axis=1)) - held.sum(axis=1)
    rank = np.arange(len(place)) - first[row[frame]]
    out[starts[frame] + block + 1 + rank] = words[frame, place]
