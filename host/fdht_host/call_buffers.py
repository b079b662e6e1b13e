"""Buffers of calls: two pairs that alternate, and those of weights beside them.

Ctrl-C may come at any line. So a buffer is noted as soon as it is there, and forgotten only once it
is freed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_host import pynq_calls
from fdht_host.loaded import DeviceUse
from fdht_models.tensor.quantized import LOGIT_BYTES
from fdht_overlays.manifest import OverlayManifest


@dataclass(frozen=True, eq=False)
class Pair:
    """A buffer for frames, uint8 as `FramePacking` has it; one for results, int32[batch, words]."""

    frames: Any
    results: Any


class CallBuffers:
    """Buffers in a device's memory.

    Args:
        device: a pynq device.

    Attributes:
        pairs: for calls in turns; none before `allocate_pairs` and after `free`.
    """

    def __init__(self, device: Any) -> None:
        self.pairs: tuple[Pair, ...] = ()
        self._device = device
        self._buffers: list[Any] = []

    def allocate_pairs(
        self, manifest: OverlayManifest, frames: tuple[int, ...], batch: int
    ) -> None:
        """Allocates both pairs.

        Args:
            manifest: of the overlay.
            frames: shape of the buffer for frames.
            batch: results of a call at most.

        Raises:
            DeviceError: there is too little memory.
        """
        results = (batch, manifest.results.result_bytes // LOGIT_BYTES)
        self.pairs = tuple(
            Pair(self.allocate(frames, np.uint8), self.allocate(results, np.int32))
            for _ in range(2)
        )

    def allocate(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """A buffer beside the pairs, until `free_beside_pairs`.

        Raises:
            DeviceError: there is too little memory.
        """
        self._buffers.append(pynq_calls.allocate(shape, dtype, self._device))
        return self._buffers[-1]

    def free_beside_pairs(self) -> None:
        """Frees what is in no pair."""
        while len(self._buffers) > 2 * len(self.pairs):
            with pynq_calls.FREED:
                self._buffers[-1].freebuffer()
            self._buffers.pop()

    def free(self, use: DeviceUse, kept: tuple[Any, ...]) -> None:
        """Frees all but some, which stay with the device.

        Args:
            use: of the device.
            kept: buffers that the core might still write to.
        """
        while self._buffers:
            if any(self._buffers[-1] is buffer for buffer in kept):
                use.orphans.append(self._buffers[-1])
            else:
                with pynq_calls.FREED:
                    self._buffers[-1].freebuffer()
            self._buffers.pop()
        self.pairs = ()
