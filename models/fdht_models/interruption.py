"""Signals that end a command: taken as Ctrl-C is, and held back while they would do harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: What `kill`, and a terminal or a connection that closes, send.
SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread.

    So a command that is ended takes its programs and temporary files with it, as after Ctrl-C. What
    is ignored, as by nohup, or caught by somebody else, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    taken = [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Holds Ctrl-C, SIGTERM and SIGHUP back until the block has ended; then they take effect.

    For a few moments, in which an exception from nowhere would lose something: a program that has
    started, but that nobody has got hold of yet.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python calls handlers in the main thread only
        return
    # Without their frames, which would keep alive all that was under way.
    came: list[int] = []
    handlers = {
        number: handler
        for number in (signal.SIGINT, *SIGNALS)
        if callable(handler := signal.getsignal(number))
    }
    for number in handlers:
        signal.signal(number, lambda received, _: came.append(received))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for received in came:
        handlers[signal.Signals(received)](received, None)
