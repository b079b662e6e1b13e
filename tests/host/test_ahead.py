"""A generator that works in a thread, ahead of whoever takes what it makes."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Generator

import pytest

from fdht_host import ahead
from fdht_host.ahead import Ahead
from tests.host.interrupting import interruptions

Items = Generator[tuple[int, int], None, None]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == ahead.NAME]


def none_is_left() -> bool:
    """True once all of them have come to their end; they look every moment."""
    gc.collect()
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not threads()


class Source:
    """Numbers, how many of them were made, and in which thread they were closed."""

    def __init__(self, count: int, size: int = 1, fails: BaseException | None = None) -> None:
        self.count, self.size, self.fails = count, size, fails
        self.made = 0
        self.closed_by = ""

    def items(self) -> Items:
        try:
            for number in range(self.count):
                self.made += 1
                yield number, self.size
            if self.fails is not None:
                raise self.fails
        finally:
            self.closed_by = threading.current_thread().name


def settled(source: Source) -> int:
    """How many were made once no more are."""
    made = -1
    while made != source.made:
        made = source.made
        time.sleep(0.05)
    return made


def test_all_items_come_in_order_and_the_thread_ends():
    source = Source(1000)
    with Ahead(source.items()) as items:
        assert list(items) == list(range(1000))
        assert list(items) == []  # and it stays so
    assert source.closed_by == ahead.NAME
    assert none_is_left()


@pytest.mark.parametrize(
    ("size", "waiting"), [(1, ahead.MOST_ITEMS), (ahead.MOST_BYTES // 2, 2), (ahead.MOST_BYTES, 1),
                          (10 * ahead.MOST_BYTES, 1)],
)  # fmt: skip
def test_it_is_so_far_ahead_and_no_further(size, waiting):
    """By number and by bytes; one item more is made and waits for room."""
    source = Source(100, size)
    with Ahead(source.items()) as items:
        assert settled(source) == waiting + 1
        assert next(items) == 0
        assert settled(source) == waiting + 2
    assert none_is_left() and source.closed_by == ahead.NAME


@pytest.mark.parametrize("error", [ValueError("bad"), MemoryError(), KeyboardInterrupt()])
def test_what_ends_the_work_comes_behind_its_items(error):
    found = []
    with Ahead(Source(10, fails=error).items()) as items, pytest.raises(type(error)) as raised:
        found.extend(items) if False else [found.append(item) for item in items]
    assert found == list(range(10))
    assert raised.value is error
    assert none_is_left()


def test_a_consumer_that_fails_leaves_no_thread():
    source = Source(100)
    with pytest.raises(ZeroDivisionError), Ahead(source.items()) as items:
        next(items)
        raise ZeroDivisionError
    assert none_is_left() and source.made < 100


def test_ctrl_c_at_any_line_leaves_no_thread():
    """And one that came too early for the block to be left is forgotten with its owner."""

    def work() -> None:
        with Ahead(Source(20).items()) as items:
            for _ in items:
                pass

    places = 0
    for _, error in interruptions(work, step=5):
        places += 1
        error.with_traceback(None)  # as when it was told
        del error
        assert none_is_left()
    assert places > 15


def test_a_source_that_does_not_answer_is_left_behind(monkeypatch):
    monkeypatch.setattr(ahead, "_END", 0.1)
    released = threading.Event()

    def stuck() -> Items:
        yield 0, 1
        released.wait(30)

    started = time.monotonic()
    with Ahead(stuck()) as items:
        next(items)
    assert time.monotonic() - started < 5
    released.set()
    assert none_is_left()
