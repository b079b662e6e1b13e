"""Work in a thread of its own, a bounded stretch ahead of whoever takes what it makes.

Decoders and NumPy let other threads work meanwhile. No wait is without an end: each looks again
after a moment whether the other side is still there, so that neither an error nor Ctrl-C leaves
one of them hanging. Ctrl-C may come while a lock is held, and then nobody gives it back: so there
is none here but those within `SimpleQueue`, which no signal interrupts.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar

from fdht_models.interruption import interrupts_held_back

Item = TypeVar("Item")

#: Items that wait at most, and bytes of them; one item may always wait, however large.
MOST_ITEMS, MOST_BYTES = 4, 32 << 20
#: Seconds from one look at the other side to the next.
_LOOK = 0.2
#: Seconds that the thread is given to come to its end: to finish what it is at.
_END = 10.0
#: How the threads are called, for whoever looks for one.
NAME = "fdht-ahead"


def look(queue: SimpleQueue[Item]) -> Item | None:
    """The next item of a queue; None if none came within a moment."""
    with suppress(Empty):
        return queue.get(timeout=_LOOK)
    return None


class _Made(Generic[Item]):
    """What was made and not yet taken. The thread knows this alone, and so ends without its owner.

    Attributes:
        items: that wait to be taken.
        failure: what ended the work; its items come first.
        ended: nothing more will come.
        stopped: nobody wants more.
    """

    def __init__(self) -> None:
        self.items: SimpleQueue[Item] = SimpleQueue()
        self.failure: BaseException | None = None
        self.ended = self.stopped = False
        #: Bytes of those that wait, as the thread knows them.
        self._sizes: deque[int] = deque()
        #: Something was taken, or nobody wants more.
        self._taken: SimpleQueue[bool] = SimpleQueue()

    def put(self, item: Item, size: int) -> bool:
        """Waits for room; returns False if nobody wants it any more."""
        while not self.stopped and not self._has_room(size):
            if look(self._taken):
                self._sizes.popleft()
        if self.stopped:
            return False
        self._sizes.append(size)
        self.items.put(item)
        return True

    def _has_room(self, size: int) -> bool:
        fits = len(self._sizes) < MOST_ITEMS and sum(self._sizes) + size <= MOST_BYTES
        return fits or not self._sizes

    def stop(self) -> None:
        """Nobody wants more."""
        self.stopped = True
        self._taken.put(False)

    def take(self, maker: threading.Thread) -> Item:
        """The next item.

        Raises:
            StopIteration: there is none. Whatever ended the work, once its items were taken.
        """
        while True:
            # Asked first: what was put before it ended is there then.
            ended = self.ended or self.stopped or not maker.is_alive()
            try:
                item = self.items.get(timeout=0 if ended else _LOOK)
            except Empty:
                if not ended:
                    continue
                if self.failure is not None:
                    raise self.failure from None
                raise StopIteration from None
            self._taken.put(True)
            return item


class Ahead(Generic[Item]):
    """The items of a generator, made in a thread while others are worked on.

        with Ahead(read()) as items:
            for item in items: ...

    They come in order, and so does what ends them. Leaving the block ends the thread, and closes
    the generator there.

    Args:
        items: (item, its bytes) each; nobody else may have begun it.
    """

    def __init__(self, items: Generator[tuple[Item, int], None, None]) -> None:
        self._made: _Made[Item] = _Made()
        self._thread = threading.Thread(
            target=_make, args=(items, self._made), name=NAME, daemon=True
        )
        # Ctrl-C may come before `__exit__` has done a thing.
        self._forgotten = weakref.finalize(self, self._made.stop)

    def __enter__(self) -> Ahead[Item]:
        try:
            with interrupts_held_back():  # `start` waits with a lock
                self._thread.start()
        except BaseException:
            self._made.stop()
            raise
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._made.stop()
        self._forgotten.detach()  # a Ctrl-C that came within it would be lost
        # One that reads from a disk that does not answer is left behind; it holds no more than its
        # own file.
        if self._thread.is_alive():
            self._thread.join(_END)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        return self._made.take(self._thread)


def _make(items: Generator[tuple[Any, int], None, None], made: _Made[Any]) -> None:
    try:
        with closing(items):
            for item, size in items:
                if not made.put(item, size):
                    return
    except BaseException as error:  # for whoever takes the items
        made.failure = error
    finally:
        made.ended = True
