"""Calls of the core in sequence, while frames are packed and logits unpacked beside them.

Ctrl-C, or a failure of pynq, may come at any line. So nothing that a later call relies on is left
to be put right on the way out: what could be wrong is noted *before* it becomes so - a call before
it is started, the state as unknown before the first frame of a sequence - and the next call looks
at the notes and at the core before it touches a buffer.

Each context of the core has a note of its own: a call that was interrupted leaves the state of its
context unknown, and no other. Who else used the core may have done so in any context.
"""

from __future__ import annotations

import inspect
import time
import weakref
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.weights import Words
from fdht_host import pynq_calls
from fdht_host.call_buffers import CallBuffers, Pair
from fdht_host.clocks import clock_of
from fdht_host.driver import FdhtLstm
from fdht_host.frame_packing import FramePacking, Packed, check_beginning
from fdht_host.loaded import Call, Loaded, check_shown
from fdht_host.phase_times import PhaseTimes
from fdht_models.errors import DeviceError, DeviceTimeoutError
from fdht_overlays.manifest import OverlayManifest

Frames = npt.NDArray[Any]
Logits = npt.NDArray[np.int64]
#: Frames of a call: codes [n, size]; or one by one, each [size], of whatever makes them meanwhile.
Batch = Frames | Iterator[Frames]

#: A generator; weak, since its frame refers to what refers to it.
Work = weakref.ref[Generator[Any, None, None]]

#: The core counts frames modulo this.
_COUNTS = 1 << 32


@dataclass(frozen=True)
class _Running:
    """A call on its way."""

    pair: Pair
    count: int
    words: int
    #: When it should end, by the device's clock.
    due: float


class _State(Enum):
    """What the next frame continues."""

    #: The last frame of the last sequence; of the first one, zero.
    KEPT = "kept"
    #: A zero state, as soon as there is a frame to carry the reset.
    ZERO = "zero"
    #: A sequence that did not end: nobody knows how many of its frames the core has seen.
    UNKNOWN = "unknown"


class CallPipeline:
    """Buffers and calls of a core whose identity has been checked.

    Two pairs of buffers alternate, so that frames are packed and logits unpacked while the core
    runs.

    Args:
        manifest: of the overlay.
        driver: of the core.
        loaded: the overlay.
        batch: frames a call, at least 1.
        timeout: seconds that one call may take.

    Attributes:
        times: where the host's time went.

    Raises:
        DeviceError: the core does not tell its identity, or there is no memory for the buffers.
    """

    def __init__(
        self,
        manifest: OverlayManifest,
        driver: FdhtLstm,
        loaded: Loaded,
        batch: int,
        timeout: float,
    ) -> None:
        self.batch = batch
        self.times = PhaseTimes()
        self._manifest, self._driver, self._loaded = manifest, driver, loaded
        self._packing = FramePacking(manifest.input, batch)
        self._timeout = timeout
        self._clock = clock_of(driver.device)
        identity = driver.identity(timeout)
        self._frames_done, self._weights_id = identity.frames_done, identity.weights_id
        # Before the first frames of video the core has none to compare them with.
        first = _State.ZERO if manifest.input.frames_before else _State.KEPT
        #: Of each context.
        self._states = [first] * manifest.contexts
        #: Frames of a call that the core may have processed and nobody counted; None: work ended.
        self._uncounted: int | None = None
        #: What runs, or waits for its consumer.
        self._work: Work | None = None
        self._claims = 0
        self._closed = False
        self._buffers = CallBuffers(driver.device)
        try:
            self._buffers.allocate_pairs(manifest, self._packing.shape, batch)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Frees the buffers, once the core has ended its call; a second call does nothing.

        Those of a call that does not end in its time stay with the device until it loads another
        overlay: the core might write to them.
        """
        self._closed = True
        kept: tuple[Any, ...] = ()
        if self._loaded.held:
            with suppress(DeviceError):
                self._settle()
            call = self._loaded.use.call
            kept = call.buffers if call else ()
        self._buffers.free(self._loaded.use, kept)

    def restart_state(self, context: int = 0) -> None:
        """Lets a context's next frame start from a zero state, whatever its call says."""
        self._states[context] = _State.ZERO

    def run(
        self,
        batches: Iterable[Batch],
        reset: bool,
        consumer: Work | None = None,
        context: int = 0,
    ) -> Generator[Logits, None, None]:
        """Runs batches; each is packed, and the logits before it unpacked, while the core runs.

        Args:
            batches: codes that the core takes, of up to `batch` results each. Of a core of raw
                frames the first has one frame more where a sequence begins with it. One without
                frames is behind the last.
            reset: start from a zero state.
            consumer: the generator that asks for the logits and ends with them; None: whoever
                does asks for all at once.
            context: whose state they go on from, from 0 to those that the core keeps less 1.

        Yields:
            Logit codes of each batch, int64[n, classes].

        Raises:
            ShapeError: a sequence begins with too few raw frames.
            DeviceError: it is closed or running, the device holds something else by now, the state
                to continue is not known, or the core fails; DeviceTimeoutError: it does not end.
        """
        work = self._run(batches, reset, context)
        self._claim(consumer or weakref.ref(work))
        return work

    def load_weights(self, words: Words) -> None:
        """Puts packed weights into a buffer and lets the core load them.

        Raises:
            DeviceError: as `run`, or the core did not load them; DeviceTimeoutError: it does not
                end.
        """
        work = self._load(words)
        self._claim(weakref.ref(work))
        for _ in work:
            pass

    def _claim(self, work: Work) -> None:
        """Lets nothing run beside a generator.

        Asked is what the generator before it is at, and no note of ours: one that was interrupted,
        wherever, has ended.
        """
        self._refuse_closed()
        former = self._work() if self._work else None
        under_way = (inspect.GEN_RUNNING, inspect.GEN_SUSPENDED)
        if (
            former is not None
            and self._work != work
            and inspect.getgeneratorstate(former) in under_way
        ):
            raise DeviceError(
                "has a stream that is not finished",
                field="accelerator",
                remedy="exhaust or close it first, or close the accelerator and open it again",
            )
        self._work = work
        self._claims += 1

    def _run(
        self, batches: Iterable[Batch], reset: bool, context: int
    ) -> Generator[Logits, None, None]:
        claim = self._claims
        self._refuse_without_beginning(reset)
        former = self._prepare(reset, self._weights_id, context)
        reset = reset or former is _State.ZERO
        running: _Running | None = None
        try:
            for turn, batch in enumerate(batches):
                self._refuse_closed()
                pair = self._buffers.pairs[turn % 2]
                begins = reset and turn == 0
                packed = self._pack(pair, batch, begins)
                if packed is None:
                    break
                finished, running = running, None
                if finished is not None:
                    self._finish(finished)
                running = self._start(pair, packed, begins, context)
                if finished is not None:
                    yield self._unpack(finished)
            if running is not None:
                self._refuse_closed()
                self._finish(running)
                yield self._unpack(running)
        except BaseException:
            # Given up early: let the core end, so that others who drive it find it idle. One that
            # a traceback kept, and that is collected at last, has no call any more.
            if claim == self._claims:
                self._leave()
            raise
        started = running is not None
        self._uncounted = None
        self._states[context] = _State.KEPT if started else _State.ZERO if reset else former

    def _load(self, words: Words) -> Generator[Logits, None, None]:
        self._prepare(reset=True, weights_id=0)
        self._states = [_State.UNKNOWN] * len(self._states)
        buffer = self._buffers.allocate(words.shape, np.uint64)
        try:
            buffer[:] = words
            self._note_call(buffer)
            self._driver.load_weights(buffer, self._timeout)
            self._loaded.use.call = None
        except BaseException:
            self._leave()
            raise
        self._weights_id = int(words[0])
        self._uncounted = None
        self._states = [_State.ZERO] * len(self._states)
        self._buffers.free_beside_pairs()
        yield from ()

    def _prepare(self, reset: bool, weights_id: int, context: int = 0) -> _State:
        """Brings the core and the notes about it in order; returns what the next frame continues.

        From here on until the work has ended that is unknown.

        Args:
            reset: the next frame starts from a zero state.
            weights_id: weights that the core should hold; 0: any, others are to be loaded.
            context: whose frame that is.
        """
        self._loaded.check()
        former = self._states[context]
        if former is _State.UNKNOWN and not reset:
            raise DeviceError(
                "the call before did not end, so the state to continue is not known",
                field="reset",
                value=reset,
                remedy="pass reset=True",
            )
        try:
            self._settle()
        except DeviceTimeoutError as error:
            raise DeviceError(
                "its core is still running a call that was given up",
                field="accelerator",
                remedy="close it and open it again, which loads the overlay anew",
            ) from error
        self._buffers.free_beside_pairs()
        if self._uncounted is not None:
            # The registers tell of the last call that ended: have them written anew.
            self._note_call()
            found = self._driver.identity(self._timeout).frames_done
            self._loaded.use.call = None
            if (found - self._frames_done) % _COUNTS <= self._uncounted:
                self._frames_done = found
        check_shown(self._driver, self._manifest.design_number, weights_id)
        shown = self._driver.read_register("frames_done")
        if shown != self._frames_done and not reset:
            raise DeviceError(
                f"the core has processed {shown} frames, {self._frames_done} of them for this "
                "accelerator, so the state to continue is another's",
                field="reset",
                value=reset,
                remedy="pass reset=True, and let one program at a time use the core",
            )
        self._uncounted = 0
        self._states[context] = _State.UNKNOWN
        if shown != self._frames_done:
            # Whose frames they were nobody knows.
            self._states = [_State.UNKNOWN] * len(self._states)
            self._frames_done = shown
        return former

    def _settle(self) -> None:
        """Waits for the core to be idle: for a call that was given up, until its deadline."""
        use = self._loaded.use
        deadline = use.call.deadline if use.call else self._clock.monotonic() + self._timeout
        self._driver.wait_until(deadline)
        use.call = None

    def _leave(self) -> None:
        """Lets the core end after a failure, if it will; what is then left the next call sees."""
        with suppress(DeviceError):
            self._loaded.check()
            self._settle()

    def _refuse_closed(self) -> None:
        # Its buffers may be unmapped: touching one would end the process.
        if self._closed:
            raise DeviceError("is closed", field="accelerator", remedy="open the overlay again")

    def _refuse_without_beginning(self, reset: bool) -> None:
        # A zero state is no frame that the first one could be compared with. Cores of raw frames
        # have one context.
        if self._states[0] is _State.ZERO and self._manifest.input.frames_before and not reset:
            raise DeviceError(
                "the core computes a feature of two frames, and there is none before the first",
                field="reset",
                value=reset,
                remedy="pass reset=True, and one frame more than results",
            )

    def _note_call(self, *buffers: Any) -> None:
        """Notes a call that is about to be started."""
        deadline = self._clock.monotonic() + self._timeout
        self._loaded.use.call = Call(self._driver, self._loaded, buffers, deadline)

    def _pack(self, pair: Pair, batch: Batch, reset: bool) -> Packed | None:
        """Puts the frames of a call into their buffer; None: there are none."""
        if isinstance(batch, np.ndarray):
            started = time.perf_counter()
            packed = self._packing.pack(pair.frames, batch, reset)
        else:
            count = self._place(pair, batch)
            if not count:
                return None
            check_beginning(self._manifest.input, count, reset)
            started = time.perf_counter()
            packed = self._packing.pack_placed(pair.frames, count, reset)
        self.times.pack += time.perf_counter() - started
        return packed

    def _place(self, pair: Pair, batch: Iterator[Frames]) -> int:
        """Puts frames where they belong, each as soon as it is made; returns how many there are."""
        count = 0
        for frame in batch:
            # Whoever makes frames may have closed this meanwhile.
            self._refuse_closed()
            started = time.perf_counter()
            self._packing.place(pair.frames, count, frame)
            self.times.pack += time.perf_counter() - started
            count += 1
        self._refuse_closed()
        return count

    def _start(self, pair: Pair, packed: Packed, reset: bool, context: int) -> _Running:
        started, count, words = time.perf_counter(), packed.count, packed.words
        with pynq_calls.SYNCHRONISED:
            packed.part.flush()
        self.times.transfer += time.perf_counter() - started
        self._loaded.check()
        self._note_call(pair.frames, pair.results)
        addresses = (pair.frames.device_address, pair.results.device_address)
        self._uncounted = count
        several = context if len(self._states) > 1 else None
        self._driver.start(*addresses, count, reset, words=words, context=several)
        read = self._manifest.input.frames_for(count, reset)
        due = self._clock.monotonic() + self._manifest.seconds_of_call(read, words)
        return _Running(pair, count, words, due)

    def _finish(self, call: _Running) -> None:
        self._loaded.check()
        started = time.perf_counter()
        self._driver.wait(self._timeout, max(0.0, call.due - self._clock.monotonic()))
        self._loaded.use.call = None
        # The call itself wrote these registers: they tell whose results these are.
        check_shown(self._driver, self._manifest.design_number, self._weights_id)
        if self._manifest.input.sparse:
            self._driver.check_frames()
        self._frames_done = self._driver.check_progress(self._frames_done, call.count)
        waited = time.perf_counter()
        with pynq_calls.SYNCHRONISED:
            call.pair.results[: call.count].invalidate()
        self.times.compute += waited - started
        self.times.transfer += time.perf_counter() - waited
        self.times.frames += call.count
        self.times.words += call.words
        self.times.calls += 1

    def _unpack(self, call: _Running) -> Logits:
        started = time.perf_counter()
        words = np.asarray(call.pair.results)[: call.count, : len(self._manifest.results.classes)]
        logits = words.astype(np.int64)
        self.times.unpack += time.perf_counter() - started
        return logits
