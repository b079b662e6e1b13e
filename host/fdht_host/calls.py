"""Calls of the core in sequence, while frames are packed and logits unpacked beside them."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_host._pynq import allocate
from fdht_host.driver import FdhtLstm, clock_of
from fdht_models.errors import DeviceError, ShapeError
from fdht_overlays.manifest import OverlayManifest

Frames = npt.NDArray[Any]
Logits = npt.NDArray[np.int64]

#: Logits are int32 in memory.
_LOGIT_BYTES = 4


@dataclass
class PhaseTimes:
    """Where the host's time went, in seconds of the machine's clock.

    Phases overlap the core's work where they can, so their sum may exceed the time that passed.

    Args:
        pack: copying frames into buffers.
        transfer: flushing and invalidating caches.
        compute: waiting for the core.
        unpack: copying logits out of buffers.
        frames: frames processed.
        calls: calls of the core.
    """

    pack: float = 0.0
    transfer: float = 0.0
    compute: float = 0.0
    unpack: float = 0.0
    frames: int = 0
    calls: int = 0

    @property
    def total(self) -> float:
        """Sum of the phases."""
        return self.pack + self.transfer + self.compute + self.unpack


@dataclass(frozen=True, eq=False)
class _Pair:
    """A buffer for frames, uint8[batch, frame_bytes], one for results, int32[batch, words]."""

    frames: Any
    results: Any


@dataclass(frozen=True)
class _Running:
    """A call on its way."""

    pair: _Pair
    count: int
    #: When it should end, by the device's clock.
    due: float


class CallPipeline:
    """Buffers and calls of a core whose identity has been checked.

    Two pairs of buffers alternate, so that frames are packed and logits unpacked while the core
    runs.

    Args:
        manifest: of the overlay.
        device: the pynq device that holds the buffers.
        driver: of the core.
        batch: frames a call.
        timeout: seconds that one call may take.

    Attributes:
        times: where the host's time went.

    Raises:
        ShapeError: a batch has no frame.
        DeviceError: the core does not tell its identity.
    """

    def __init__(
        self, manifest: OverlayManifest, device: Any, driver: FdhtLstm, batch: int, timeout: float
    ) -> None:
        if batch < 1:
            raise ShapeError("must be at least 1", field="batch", value=batch)
        self.times = PhaseTimes()
        self._manifest, self._driver, self._timeout = manifest, driver, timeout
        self._clock = clock_of(device)
        self._frames_done = driver.identity(timeout).frames_done
        self._reset_pending = False
        self._running = False
        shapes = (
            ((batch, manifest.input.frame_bytes), np.uint8),
            ((batch, manifest.results.result_bytes // _LOGIT_BYTES), np.int32),
        )
        self._pairs = tuple(
            _Pair(*(allocate(shape, dtype, target=device) for shape, dtype in shapes))
            for _ in range(2)
        )
        for pair in self._pairs:
            # The padding behind a frame's values stays zero for good.
            pair.frames[:] = 0

    @property
    def closed(self) -> bool:
        """Are the buffers freed?"""
        return not self._pairs

    @property
    def batch(self) -> int:
        """Frames a call.

        Raises:
            DeviceError: it is closed.
        """
        if self.closed:
            raise DeviceError("is closed", field="accelerator", remedy="open the overlay again")
        return int(self._pairs[0].frames.shape[0])

    def close(self) -> None:
        """Frees the buffers; a second call does nothing."""
        for pair in self._pairs:
            pair.frames.freebuffer()
            pair.results.freebuffer()
        self._pairs = ()

    def run(self, batches: Iterable[Frames], reset: bool) -> Generator[Logits, None, None]:
        """Runs batches; each is packed, and the logits before it unpacked, while the core runs.

        Args:
            batches: codes [n, size] that the core takes, n up to `batch`.
            reset: start from a zero state.

        Yields:
            Logit codes of each batch, int64[n, classes].

        Raises:
            DeviceError: it is closed or running, or the core fails; DeviceTimeoutError: it does not
                end.
        """
        running: _Running | None = None
        with self.exclusive():
            # Kept for the next call if there is no frame to carry it.
            self._reset_pending = self._reset_pending or reset
            try:
                for turn, batch in enumerate(batches):
                    pair = self._pairs[turn % 2]
                    self._pack(pair, batch)
                    finished, running = running, None
                    if finished is not None:
                        self._finish(finished)
                    running = self._start(pair, len(batch))
                    if finished is not None:
                        yield self._unpack(finished)
                if running is not None:
                    finished, running = running, None
                    self._finish(finished)
                    yield self._unpack(finished)
            finally:
                if running is not None:
                    # Given up early: let the core end before anyone touches its buffers.
                    self._finish(running)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keeps others from calling the core meanwhile.

        Raises:
            DeviceError: it is closed, or somebody does already.
        """
        if self.closed or self._running:
            raise DeviceError(
                "is closed" if self.closed else "has a stream that is not finished",
                field="accelerator",
                remedy="open the overlay again" if self.closed else "exhaust or close it first",
            )
        self._running = True
        try:
            yield
        finally:
            self._running = False

    def _pack(self, pair: _Pair, batch: Frames) -> None:
        started = time.perf_counter()
        pair.frames[: len(batch), : self._manifest.input.size] = batch.view(np.uint8)
        self.times.pack += time.perf_counter() - started

    def _start(self, pair: _Pair, count: int) -> _Running:
        started = time.perf_counter()
        pair.frames[:count].flush()
        self.times.transfer += time.perf_counter() - started
        self._driver.start(
            pair.frames.device_address,
            pair.results.device_address,
            count,
            self._reset_pending,
        )
        self._reset_pending = False
        due = self._clock.monotonic() + count * self._manifest.seconds_per_frame
        return _Running(pair, count, due)

    def _finish(self, call: _Running) -> None:
        started = time.perf_counter()
        self._driver.wait(self._timeout, max(0.0, call.due - self._clock.monotonic()))
        self._frames_done = self._driver.check_progress(self._frames_done, call.count)
        waited = time.perf_counter()
        call.pair.results[: call.count].invalidate()
        self.times.compute += waited - started
        self.times.transfer += time.perf_counter() - waited
        self.times.frames += call.count
        self.times.calls += 1

    def _unpack(self, call: _Running) -> Logits:
        started = time.perf_counter()
        words = np.asarray(call.pair.results)[: call.count, : len(self._manifest.results.classes)]
        logits = words.astype(np.int64)
        self.times.unpack += time.perf_counter() - started
        return logits
