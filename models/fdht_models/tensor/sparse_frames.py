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

from fdht_models.errors import ConfigError, ShapeError
from fdht_models.tensor.quantized import WORD_BYTES

#: What a core reads of frames that the host computes: every word, or those that are not zero.
FRAMES = ("dense", "sparse")
#: These, and raw frames of video, of which a core computes the feature itself.
CORE_FRAMES = (*FRAMES, "raw")
#: Who computes the feature of video.
FEATURE_MAKERS = ("host", "chip")


class ReadsFrames:
    """What follows from the kind of frames that something reads; for whatever has `frames`."""

    #: One of `CORE_FRAMES`.
    frames: str

    @property
    def sparse(self) -> bool:
        """Do frames come in the format of sparse ones?"""
        return self.frames == "sparse"

    @property
    def raw(self) -> bool:
        """Are they raw frames of video, of which the core computes the feature?"""
        return self.frames == "raw"

    @property
    def skips(self) -> bool:
        """Do stages work only for words that are not zero?"""
        return self.frames != "dense"

    @property
    def frames_before(self) -> int:
        """Frames that a sequence begins with before the first that gives a result."""
        return int(self.raw)


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


def core_frames(frames: str | None, feature: str | None) -> str | None:
    """The kind of frames that a core reads, one of `CORE_FRAMES`; None: nobody says.

    Args:
        frames: one of `FRAMES`; None: not said.
        feature: who computes the feature, one of `FEATURE_MAKERS`; None: not said.

    Raises:
        ConfigError: they contradict each other.
    """
    if feature != "chip":
        return frames
    if frames is not None:
        raise ConfigError(
            "is of frames that the host computes, and the chip is to compute them",
            field="frames",
            value=frames,
            remedy='leave it out, or take feature = "host"',
        )
    return "raw"


#: Bits that are set in each byte.
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.int64)
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
    every, row = bitmaps.reshape(-1), bitmaps.shape[1]
    # Of the bitmaps' bytes few have a bit, and the others are not looked into.
    byte = np.flatnonzero(every != 0)
    ones = _ONES.take(every.take(byte))
    held = np.bincount(byte // form.word_bytes, ones, count * form.blocks).astype(np.int64)
    held = held.reshape(count, form.blocks)
    lengths = form.blocks + held.sum(axis=1)
    dense = lengths >= form.frame_words
    whole = np.flatnonzero(dense)
    if len(whole):
        lengths[whole], held[whole] = form.frame_words, 0
        byte = byte[~dense[byte // row]]
        ones = _ONES.take(every.take(byte))
    ends: npt.NDArray[np.int64] = np.cumsum(1 + lengths)
    starts = ends - lengths
    headers = target.view("<u8")[: form.room(count) // WORD_BYTES].reshape(-1, lanes)
    headers[starts - 1, 1:] = 0
    headers[starts - 1, 0] = lengths | np.where(dense, _DENSE, _SPARSE)
    # As single values, words of any width are moved one by one, and not byte by byte.
    word = np.dtype("<u8") if lanes == 1 else np.dtype((np.void, form.word_bytes))
    out, words = headers.view(word).reshape(-1), frames.view(word).reshape(count, form.frame_words)
    # Words of all sparse frames before each block; its bitmap goes so much further on.
    before = np.cumsum(held).reshape(held.shape) - held
    apart = np.arange(form.blocks) + (starts - before[:, :1].reshape(-1))[:, None]
    # Where a frame is dense, these are overwritten.
    out[before + apart] = bitmaps.view(word).reshape(held.shape)
    place = _places(every.take(byte), 8 * byte - byte // row * (8 * row - form.frame_words), ones)
    target_place = np.repeat(1 + apart, held.reshape(-1))
    target_place += np.arange(len(place))
    out[target_place] = words.take(place)
    for number in whole:
        out[starts[number] : ends[number]] = words[number]
    return ends


def _bitmaps(form: SparseFormat, words: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Bitmaps, uint8[n, bytes of all of a frame's], of words uint64[n, frame words, lanes]."""
    used = words[:, :, 0] != 0
    for lane in range(1, words.shape[2]):  # so few that a reduction takes longer
        used |= words[:, :, lane] != 0
    bits = np.packbits(used, axis=1, bitorder="little")
    found = np.zeros((len(words), form.blocks * form.word_bytes), np.uint8)
    found[:, : bits.shape[1]] = bits
    return found


def _places(
    values: npt.NDArray[np.uint8], first: npt.NDArray[np.int64], ones: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Of each word that has a bit, its place among the words of all frames.

    Args:
        values: bytes of bitmaps.
        first: place of the word that the lowest bit of each stands for.
        ones: bits that are set in each.
    """
    place = np.repeat(first, ones)
    place += np.flatnonzero(np.unpackbits(values, bitorder="little").view(np.bool_)) & 7
    return place
