"""Streams in turns on one core: each in a context of its own, as if it were alone.

A core keeps as many states as it has contexts. Of more streams than that, so many are under way at
a time, and the next one begins where one has ended; on a core with a single context they run one
after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from fdht_host.accelerator import Accelerator
from fdht_host.calls import Frames, Logits
from fdht_models.arguments import count

Step = TypeVar("Step")
#: Begins a stream in a context; each step of it is one turn.
Stream = Callable[[int], Generator[Step, None, None]]


def in_turns(
    streams: Sequence[Stream[Step]], contexts: int
) -> Generator[tuple[int, Step], None, None]:
    """Lets streams take a step each, in turn.

    Args:
        streams: functions of a context, called when there is one for them. A step is done when its
            turn comes, and not before.
        contexts: streams that may be under way at a time.

    Yields:
        (number of the stream, its step).

    Raises:
        ConfigError: there is no context.
    """
    free = deque(range(count(contexts, "contexts")))
    waiting = deque(enumerate(streams))
    under_way: deque[tuple[int, int, Generator[Step, None, None]]] = deque()
    try:
        while waiting or under_way:
            while waiting and free:
                number, begin = waiting.popleft()
                context = free.popleft()
                under_way.append((number, context, begin(context)))
            for step in under_way[0][2]:
                yield under_way[0][0], step
                under_way.rotate(-1)
                break
            else:
                free.append(under_way.popleft()[1])
    finally:
        with ExitStack() as left:
            for _, _, steps in under_way:
                left.callback(steps.close)


def infer_in_turns(
    accelerator: Accelerator, streams: Sequence[Iterable[Frames]]
) -> Generator[tuple[int, Logits], None, None]:
    """Runs streams in turns, a call a block; each starts from a zero state.

    Args:
        accelerator: the board.
        streams: blocks of consecutive frames of each, codes [n, size].

    Yields:
        (number of the stream, logit codes of its block, int64[n, classes]).

    Raises:
        As `Accelerator.infer`.
    """

    def steps(blocks: Iterable[Frames], context: int) -> Generator[Logits, None, None]:
        reset = True
        for block in blocks:
            yield accelerator.infer(block, reset=reset, context=context)
            reset = False

    yield from in_turns([partial(steps, blocks) for blocks in streams], accelerator.contexts)
