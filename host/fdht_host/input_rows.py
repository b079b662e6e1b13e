"""Rows of the next block: features are computed into them, and not copied together afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fdht_host.readers import UNRESET, Frames


class Rows(Iterator[Frames]):
    """Rows for one block after the other.

    A block may be asked for that is longer than the file, so that memory is taken as it is needed.
    Each block has memory of its own: the one before may still be under way.

    Args:
        size: bytes of a row.
    """

    def __init__(self, size: int) -> None:
        self._size, self._most, self._used = size, 0, 0
        self._parts: list[Frames] = []

    def begin(self, most: int) -> None:
        """Begins a block of so many rows at most."""
        self._most, self._used, self._parts = most, 0, []

    def __next__(self) -> Frames:
        """The next row, uint8[size]: its values are anything."""
        if self._used >= self._most:
            raise StopIteration
        place = self._used % UNRESET
        if not place:
            rows = min(UNRESET, self._most - self._used)
            self._parts.append(np.empty((rows, self._size), np.uint8))
        self._used += 1
        return self._parts[-1][place]

    def written(self, count: int) -> Frames:
        """The first rows of the block, uint8[count, size]; of more than one part a copy."""
        if len(self._parts) == 1:
            return self._parts[0][:count]
        return np.concatenate(self._parts)[:count]
