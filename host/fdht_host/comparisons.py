"""The integer reference beside a board, in a thread of its own.

It computes on the host's processors what the core computes, and holds the one against the other.
As in `fdht_host.ahead`, no wait is without an end, and Ctrl-C leaves no lock behind.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from fdht_host.ahead import look
from fdht_host.readers import InputBlock
from fdht_models.interruption import interrupts_held_back
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

#: Blocks that wait for their comparison at most, the one under way among them.
_MOST_WAITING = 2
#: Seconds that a comparison under way is given to come to its end after a failure.
_END = 10.0
#: How the threads are called, for whoever looks for one.
NAME = "fdht-reference"


class Reference:
    """The integer reference beside the board; of raw frames it computes the feature first.

    Args:
        network: that runs.
    """

    def __init__(self, network: QuantizedNetwork) -> None:
        self._network, self._picture = network, network.preprocessing.picture
        self._model: ReferenceModel | None = None
        self._last: NDArray[np.uint8] | None = None

    def run(self, block: InputBlock) -> NDArray[np.int64]:
        """Logits of a block that goes on from the one before, or begins anew."""
        inputs = np.asarray(block.inputs)
        if self._model is None:
            self._model = ReferenceModel(self._network)
        if block.reset:
            self._model.reset()
        if block.raw:
            assert self._picture is not None and (block.reset or self._last is not None)
            frames = inputs if block.reset else np.concatenate([[self._last], inputs])
            self._last = frames[-1].copy()
            inputs = self._picture.features(frames)
        return self._model.run(inputs)


@dataclass(eq=False)
class Comparison:
    """A comparison, under way or done.

    Attributes:
        found: (logits compared, those that differ); None before.
        failure: why there is no such thing.
        seconds: that it took.
    """

    found: tuple[int, int] | None = None
    failure: BaseException | None = None
    seconds: float = 0.0
    _told: SimpleQueue[None] = field(default_factory=SimpleQueue)

    @property
    def done(self) -> bool:
        """True if nobody has to wait for it."""
        return self.found is not None or self.failure is not None

    def compare(self, reference: Reference, block: InputBlock, logits: NDArray[np.int64]) -> None:
        """Compares, and tells who waits for it; raises nothing."""
        started = time.perf_counter()
        try:
            wrong = int(np.count_nonzero(logits != reference.run(block)))
            self.found = (logits.size, wrong)
        except BaseException as error:  # for whoever waits
            self.failure = error
        self.seconds = time.perf_counter() - started
        self._told.put(None)

    def completed(self) -> tuple[int, int]:
        """What it found, once it has.

        Raises:
            BaseException: whatever the reference raised.
        """
        while not self.done:
            look(self._told)
        if self.failure is not None:
            raise self.failure
        assert self.found is not None
        return self.found


class _Jobs:
    """What is to be compared. The thread knows this alone, and so ends without its owner."""

    def __init__(self, network: QuantizedNetwork) -> None:
        self.queue: SimpleQueue[tuple[Comparison, InputBlock, NDArray[np.int64]] | None]
        self.queue = SimpleQueue()
        self.stopped = False
        self._reference = Reference(network)

    def stop(self) -> None:
        """Nothing more is to be compared."""
        self.stopped = True
        self.queue.put(None)

    def work(self) -> None:
        """Compares until it is stopped."""
        while not self.stopped:
            job = look(self.queue)
            if job is not None:
                comparison, block, logits = job
                comparison.compare(self._reference, block, logits)
                del job, comparison, block, logits  # nothing is kept until the next one comes


class Comparisons:
    """Compares blocks in the order in which they come; leaving the block ends the thread.

    What is to be known of them is asked for before: nothing is compared afterwards.

    Args:
        network: that runs.
    """

    def __init__(self, network: QuantizedNetwork) -> None:
        self._jobs = _Jobs(network)
        self._thread: threading.Thread | None = None
        self._waiting: deque[Comparison] = deque()
        weakref.finalize(self, self._jobs.stop)

    def __enter__(self) -> Comparisons:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._jobs.stop()
        if self._thread is not None:
            self._thread.join(_END)

    def begin(self, block: InputBlock, logits: NDArray[np.int64]) -> Comparison:
        """Begins to compare a block; waits first if too many of them are waiting.

        Raises:
            BaseException: whatever the reference raised for one before.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._jobs.work, name=NAME, daemon=True)
            with interrupts_held_back():  # `start` waits with a lock
                self._thread.start()
        while len(self._waiting) >= _MOST_WAITING:
            self._waiting[0].completed()
            self._waiting.popleft()
        comparison = Comparison()
        self._waiting.append(comparison)
        self._jobs.queue.put((comparison, block, logits))
        return comparison
