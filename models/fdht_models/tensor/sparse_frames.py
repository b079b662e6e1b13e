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

#: What a core reads: every word of a frame, or those that are not zero.
FRAMES = ("dense", "sparse")


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


_U64 = np.uint64
#: The kinds where a header has them.
_SPARSE, _DENSE = FrameKind.SPARSE << 32, FrameKind.DENSE << 32


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
    bitmaps = _bitmaps(form, frames.view("<u8").reshape(count, form.frame_words, lanes))
    held = _over_lanes(np.add, _ones(bitmaps.view("<u8")).reshape(count, form.blocks, lanes))
    taken = held.sum(axis=1)
    dense = form.blocks + taken >= form.frame_words
    lengths = np.where(dense, form.frame_words, form.blocks + taken)
    ends: npt.NDArray[np.int64] = np.cumsum(1 + lengths)
    starts = ends - lengths
    whole = np.flatnonzero(dense)
    if len(whole):
        bitmaps[whole], held[whole] = 0, 0
    # Words of other frames before each block; where its bitmap goes is so much further on.
    before = np.cumsum(held).reshape(held.shape) - held
    apart = np.arange(form.blocks) + (starts - before[:, 0])[:, None]
    headers = target.view("<u8")[: form.room(count) // WORD_BYTES].reshape(-1, lanes)
    headers[starts - 1, 1:] = 0
    headers[starts - 1, 0] = lengths | np.where(dense, _DENSE, _SPARSE)
    # As single values, words of any width are moved one by one, and not byte by byte.
    word = np.dtype("<u8") if lanes == 1 else np.dtype((np.void, form.word_bytes))
    out, words = headers.view(word).reshape(-1), frames.view(word).reshape(count, form.frame_words)
    # Where a frame is dense, these are overwritten.
    out[before + apart] = bitmaps.view(word).reshape(held.shape)
    place, block = _places(form, bitmaps)
    out[(apart.reshape(-1) + 1).take(block) + np.arange(len(block))] = words.take(place)
    for number in whole:
        out[starts[number] : ends[number]] = words[number]
    return ends


def _bitmaps(form: SparseFormat, words: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Bitmaps, uint8[n, bytes of all of a frame's], of words uint64[n, frame words, lanes]."""
    bits = np.packbits(_over_lanes(np.logical_or, words != 0), axis=1, bitorder="little")
    found = np.zeros((len(words), form.blocks * form.word_bytes), np.uint8)
    found[:, : bits.shape[1]] = bits
    return found


def _over_lanes(join: np.ufunc, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What an operation makes of the last axis. It is short, for which NumPy's own is slow."""
    first = values[:, :, 0]
    for lane in range(1, values.shape[2]):
        first = join(first, values[:, :, lane])
    return first


def _ones(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Bits that are set in each of some uint64: sums of ever more of them, side by side."""
    pairs = values - ((values >> _U64(1)) & _U64(0x5555_5555_5555_5555))
    low = _U64(0x3333_3333_3333_3333)
    fours = (pairs & low) + ((pairs >> _U64(2)) & low)
    eights = (fours + (fours >> _U64(4))) & _U64(0x0F0F_0F0F_0F0F_0F0F)
    return ((eights * _U64(0x0101_0101_0101_0101)) >> _U64(56)).view(np.int64)


def _places(
    form: SparseFormat, bitmaps: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each word that has a bit: its place among all frames' words, and its block among all.

    Only bytes that have a bit are looked into: they are few.
    """
    row, every = bitmaps.shape[1], bitmaps.reshape(-1)
    used = np.flatnonzero(every != 0)
    bit = np.flatnonzero(np.unpackbits(every[used], bitorder="little").view(np.bool_))
    byte = bit >> 3
    # A frame's last bitmap has bits that stand for no word.
    first = 8 * used - used // row * (8 * row - form.frame_words)
    return first.take(byte) + (bit & 7), (used // form.word_bytes).take(byte)
