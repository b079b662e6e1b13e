"""What sparse frames ask of a core: the words of each, and the blocks of it that hold something.

A word that arrives at a stage of W_x x comes from values that lie one behind the other, because
the last mode is summed first: a fibre, a row of fibres, and so on. How often a stage works in a
frame is the number of such blocks that are not zero throughout. It differs from frame to frame,
and so a profile keeps the number for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.arguments import count
from fdht_models.errors import ConfigError, ShapeError
from fdht_models.records import JsonRecord, load_record
from fdht_models.tensor.sparse_frames import CORE_FRAMES, ReadsFrames, SparseFormat

Counts = npt.NDArray[np.int64]
#: Frames that are looked at at once: some 60 MB of those of `motion`.
_AT_ONCE = 1024
_REMEDY = "measure it: fdht tune EXPERIMENT --clips"


@dataclass(frozen=True)
class Spread:
    """How a figure is spread over frames.

    Args:
        mean: over all of them.
        median: of them.
        p95: the 95th percentile.
        worst: the largest.
    """

    mean: float
    median: float
    p95: float
    worst: int

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Spread:
        """The spread of values, one a frame."""
        median, p95 = np.percentile(values, (50, 95))
        return cls(float(np.mean(values)), float(median), float(p95), int(np.max(values)))


@dataclass(frozen=True)
class BlockCounts:
    """Blocks of consecutive values that hold something.

    Args:
        values: of a block.
        held: of each frame, how many of its blocks are not zero throughout; 1 of an empty frame,
            which reaches the stages as one fibre of zeros.
        first: of each frame, the number of its words that have been read, header and bitmaps among
            them, when it is known that the first of these blocks is complete: with the first word
            behind it that is not zero, or else the frame's last.
    """

    values: int = field(metadata={"check": count})
    held: tuple[int, ...]
    first: tuple[int, ...]


@dataclass(frozen=True)
class FrameProfile(JsonRecord, ReadsFrames):
    """What a number of frames ask of a core.

    Args:
        word_bytes: bytes that the port moves in a clock.
        frame_words: of a frame with all its zeros.
        words: that the port reads of each frame: of sparse ones those of their format, the header
            among them; of raw ones all.
        blocks: by ascending number of values.
        frames: that the core reads, "sparse" or "raw".
        clips: training clips that all these frames are of; None: they are of others.

    Raises:
        ConfigError: there are no frames, not as many everywhere, a number is not positive, or
            frames are dense, of which no profile is needed.
    """

    word_bytes: int = field(metadata={"check": count})
    frame_words: int = field(metadata={"check": count})
    words: tuple[int, ...]
    blocks: tuple[BlockCounts, ...]
    frames: str
    clips: int | None

    def __post_init__(self) -> None:
        if self.frames not in CORE_FRAMES or not self.skips:
            raise ConfigError(
                "is no kind of frames of which words are skipped",
                field="profile.frames",
                value=self.frames,
                remedy=_REMEDY,
            )
        if not self.words:
            raise ConfigError("has no frames", field="profile.words", remedy=_REMEDY)
        for block in self.blocks:
            if not len(block.held) == len(block.first) == len(self.words):
                raise ConfigError(
                    f"is not of {len(self.words)} frames",
                    field=f"profile.blocks of {block.values} values",
                    remedy=_REMEDY,
                )
            least = min(*self.words, *block.held, *block.first)
            if least < 1:
                raise ConfigError(
                    "must be at least 1: even an empty frame has a header and is worked on",
                    field="profile",
                    value=least,
                    remedy=_REMEDY,
                )

    @cached_property
    def port(self) -> Counts:
        """Clocks of the memory port for each frame: int64[frames]."""
        return np.array(self.words, np.int64)

    def held(self, values: int) -> Counts:
        """See `BlockCounts`: int64[frames].

        Raises:
            ConfigError: blocks of so many values were not counted.
        """
        return np.array(self._block(values).held, np.int64)

    def first(self, values: int) -> Counts:
        """See `BlockCounts`: int64[frames].

        Raises:
            ConfigError: blocks of so many values were not counted.
        """
        return np.array(self._block(values).first, np.int64)

    def _block(self, values: int) -> BlockCounts:
        for block in self.blocks:
            if block.values == values:
                return block
        raise ConfigError(
            "has no counts of blocks of so many values: it is of another network or port",
            field="profile.blocks",
            value=values,
            remedy=_REMEDY,
        )


def load_profile(path: Path) -> FrameProfile:
    """Reads a profile that `fdht tune` wrote.

    Raises:
        ConfigError: it cannot be read, or is no profile.
    """
    return load_record(FrameProfile, path, error=ConfigError, remedy=_REMEDY)


def measure_profile(
    form: SparseFormat, frames: npt.NDArray[Any], blocks: Iterable[int], kind: str = "sparse"
) -> FrameProfile:
    """Counts what frames hold.

    Args:
        form: the format in which they are sent, or would be.
        frames: what the network reads [n, inputs], one byte a value.
        blocks: numbers of values; each divides `inputs`.
        kind: "sparse"; or "raw": the core computes these frames, and the port reads all words.

    Raises:
        ShapeError: a block divides no frame, or frames are longer than the format's.
    """
    sizes = sorted({*blocks})
    inputs = int(frames.shape[1])
    for size in sizes:
        if inputs % size:
            raise ShapeError(f"must divide {inputs}", field="blocks", value=size)
    if inputs > form.frame_bytes:
        raise ShapeError(f"is more than {form.frame_bytes}", field="inputs", value=inputs)
    parts = [
        _counted(form, frames[at : at + _AT_ONCE], sizes, raw=kind == "raw")
        for at in range(0, len(frames), _AT_ONCE)
    ]
    none = np.zeros(0, np.int64), *(np.zeros((len(sizes), 0), np.int64) for _ in range(2))
    words, held, first = (
        np.concatenate(found, axis=-1) for found in zip(none, *parts, strict=True)
    )
    counts = tuple(
        BlockCounts(size, tuple(own.tolist()), tuple(complete.tolist()))
        for size, own, complete in zip(sizes, held, first, strict=True)
    )
    return FrameProfile(
        form.word_bytes, form.frame_words, tuple(words.tolist()), counts, kind, None
    )


def _counted(
    form: SparseFormat, frames: npt.NDArray[Any], sizes: list[int], *, raw: bool
) -> tuple[Counts, Counts, Counts]:
    """(words [n], blocks held [sizes, n], words read when the first is complete [sizes, n])."""
    number, inputs = frames.shape
    nonzero = np.zeros((number, form.frame_bytes), np.bool_)
    np.not_equal(frames, 0, out=nonzero[:, :inputs])
    used = nonzero.reshape(number, form.frame_words, form.word_bytes).any(axis=2)
    places = np.arange(form.frame_words)
    taken = used.sum(axis=1)
    # Raw frames have no header, and all of their words are read.
    dense = (form.blocks + taken >= form.frame_words) | raw
    header = int(not raw)
    words = header + np.where(dense, form.frame_words, form.blocks + taken)
    # Words that have been read when a word has: of a sparse frame bitmaps and those that are used.
    read = header + np.where(
        dense[:, None],
        places + 1,
        np.cumsum(used, axis=1) + places // form.block_words + 1,
    )
    held, first = zip(*_blocks(form, nonzero[:, :inputs], used, read, words, sizes), strict=True)
    return words, np.array(held), np.array(first)


def _blocks(
    form: SparseFormat,
    nonzero: npt.NDArray[np.bool_],
    used: npt.NDArray[np.bool_],
    read: Counts,
    words: Counts,
    sizes: list[int],
) -> Iterator[tuple[Counts, Counts]]:
    number, inputs = nonzero.shape
    places, rows = np.arange(form.frame_words), np.arange(number)
    for size in sizes:
        holds = nonzero.reshape(number, inputs // size, size).any(axis=2)
        behind = -(-(holds.argmax(axis=1) + 1) * size // form.word_bytes)
        later = used & (places >= behind[:, None])
        first = np.where(later.any(axis=1), read[rows, later.argmax(axis=1)], words)
        yield np.maximum(1, holds.sum(axis=1)), first
