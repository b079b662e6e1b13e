"""Work on many things in threads, in order, that an interruption ends at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def map_in_threads(
    work: Callable[[Given], Made], items: Iterable[Given], threads: int = 4
) -> Iterator[Made]:
    """What `work` makes of each item, in order; what was not begun is not waited for."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
