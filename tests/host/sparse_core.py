"""The toy core as one that takes sparse frames, in Python, and overlays of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from fdht_hls.boards import get_board
from fdht_hls.csimulation import Identity
from fdht_hls.registers import ABI_VERSION
from fdht_host.accelerator import Accelerator
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.directories import OverlayDirectory
from fdht_models.tensor.sparse_frames import CORE_FRAMES, SparseFormat
from fdht_overlays.simulated_overlay import write_simulated_overlay
from fdht_overlays.sparse_pace import SparsePace
from tests.host import toy_core
from tests.models.sparse_reader import read_frames

FORM = SparseFormat(toy_core.FRAME_BYTES)
PACE = SparsePace(100.0, 150, 0.2)


class SparseToy:
    """Reads each call word by word, and refuses one whose words do not end with its frames.

    Attributes:
        faults: that it is to show.
        calls: bytes of the calls with frames.
    """

    weight_words = 0
    sparse = True
    frames_before = 0

    def __init__(self) -> None:
        self.faults = 0
        self.core_frames = CORE_FRAMES.index("sparse")
        self.calls: list[bytes] = []
        self._sums = np.zeros(toy_core.CLASSES, np.int64)
        self._done = 0

    def run(
        self, frames: np.ndarray, results: np.ndarray, count: int, reset: bool, words: int = 0
    ) -> Identity:
        """See `CoreComputation.run`."""
        if reset:
            self._sums[:] = 0
        if count:
            assert frames.size == 8 * words
            self.calls.append(frames.tobytes())
            found, sizes = read_frames(FORM, frames.tobytes(), count)
            assert sum(sizes) == words
            codes = np.frombuffer(b"".join(found), np.uint8).reshape(count, -1)
            assert not codes[:, toy_core.INPUTS :].any()  # what makes whole words is zero
            rows = results.view(np.int32).reshape(count, -1)
            for row, frame in zip(rows, codes, strict=True):
                row[: toy_core.CLASSES] = self._next(frame[: toy_core.INPUTS])
            self._done += count
        low, high = toy_core.DESIGN_ID & 0xFFFF_FFFF, toy_core.DESIGN_ID >> 32
        sizes_of = (toy_core.FRAME_BYTES, toy_core.RESULT_BYTES)
        faults = self.faults if count else 0
        said = {"frame_faults": faults, "core_frames": self.core_frames}
        return Identity(ABI_VERSION, low, high, *sizes_of, self._done, **said)

    def _next(self, frame: np.ndarray) -> np.ndarray:
        i, k = np.arange(toy_core.INPUTS)[:, None], np.arange(toy_core.CLASSES)[None]
        half = np.sign(self._sums) * (np.abs(self._sums) // 2)
        self._sums = half + frame.astype(np.int64) @ ((7 * i + 3 * k) % 11 - 4)
        return self._sums

    def close(self) -> None:
        """Nothing to release."""


def write_overlay(directory: Path) -> Path:
    """Writes the overlay of the core."""
    toy = toy_core.toy_design(sparse_pace=PACE)
    design = dataclasses.replace(toy, input=dataclasses.replace(toy.input, frames="sparse"))
    write_simulated_overlay(design, OverlayDirectory(directory), get_board("sim"), {})
    return directory


def open_core(directory: Path, **options: Any) -> tuple[Accelerator, SparseToy]:
    """The core on a board of its own."""
    core = SparseToy()
    device = SimulatedDevice(computation=lambda *_: core)
    return Accelerator.open(write_overlay(directory), device=device, **options), core
