"""The simulated board's DDR memory as the core's AXI ports see it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Physical address of the first byte that buffers are taken from.
BASE = 0x1000_0000
#: Contiguous memory comes in pages.
PAGE = 4096
#: Fresh memory holds this, not zero: who reads what nobody wrote should notice.
_POISON = 0xA5


class Memory:
    """Memory with the buffers allocated in it.

    Args:
        size: bytes, at most 2**30.
    """

    def __init__(self, size: int) -> None:
        self._bytes = np.zeros(size, np.uint8)
        self._buffers: dict[int, int] = {}

    def allocate(self, size: int) -> int:
        """Takes `size` bytes; returns their physical address, a multiple of the page size.

        Raises:
            MemoryError: no gap is large enough.
        """
        pages = max(PAGE, -(-size // PAGE) * PAGE)
        start = BASE
        for taken, length in sorted(self._buffers.items()):
            if taken - start >= pages:
                break
            start = taken + length
        if start + pages > BASE + len(self._bytes):
            raise MemoryError(
                f"no {pages} bytes are left of the simulated board's {len(self._bytes)}"
            )
        self._buffers[start] = pages
        self.view(start, pages)[:] = _POISON
        return start

    def free(self, address: int) -> None:
        """Gives a buffer back; one that is not allocated is ignored."""
        self._buffers.pop(address, None)

    def contains(self, address: int, size: int) -> bool:
        """True if the range lies within one allocated buffer."""
        return any(
            start <= address and address + size <= start + length
            for start, length in self._buffers.items()
        )

    def view(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        """The bytes of a range, shared with the memory; the range has been checked."""
        return self._bytes[address - BASE : address - BASE + size]
