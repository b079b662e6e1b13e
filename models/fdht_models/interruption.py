"""Signals that end a command, taken as Ctrl-C is."""

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
