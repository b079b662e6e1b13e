"""Ctrl-C at a chosen line of `fdht_host`, again and again: the same place each time."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import fdht_host

_ROOT = str(Path(fdht_host.__file__).parent)


def interrupted_at(place: int, action: Callable[[], object]) -> KeyboardInterrupt | None:
    """Runs an action and sends SIGINT before the line of `fdht_host` that it executes then.

    A real signal, not an exception: what holds signals back may hold this one back.

    Args:
        place: which of the lines that are executed, from 1.
        action: what to interrupt.

    Returns:
        What it raised; None if it ended before, with fewer lines than that.
    """
    lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(_ROOT):
            return None
        if event == "line":
            lines += 1
            if lines == place:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return trace

    former, tracer = signal.signal(signal.SIGINT, signal.default_int_handler), sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except KeyboardInterrupt as error:
        return error
    finally:
        sys.settrace(tracer)
        signal.signal(signal.SIGINT, former)
    # The last line's signal may be held back past the end of the action, but not be lost.
    assert lines < place
    return None


def interruptions(
    action: Callable[[], object], step: int = 1
) -> Iterator[tuple[int, KeyboardInterrupt]]:
    """Interrupts an action at one line after the other until it ends undisturbed.

    Yields:
        The place, and what was raised there, whose traceback holds on to all that was under way, as
        an interactive interpreter does.
    """
    place = 1
    while (error := interrupted_at(place, action)) is not None:
        yield place, error
        place += step
