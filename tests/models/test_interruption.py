"""What ends a command is taken as Ctrl-C is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from fdht_models.interruption import SIGNALS, termination_as_interrupt


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    """As in a terminal, also where these tests run in the background or under nohup."""
    former = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_it_interrupts_and_then_is_as_before(number: signal.Signals):
    with pytest.raises(KeyboardInterrupt), termination_as_interrupt():
        os.kill(os.getpid(), number)
        time.sleep(10)
    assert signal.getsignal(number) == signal.SIG_DFL


@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda *_: None])
def test_what_somebody_else_decided_stays(own):
    signal.signal(signal.SIGHUP, own)
    with termination_as_interrupt():
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.1)
        assert signal.getsignal(signal.SIGHUP) == own
    assert signal.getsignal(signal.SIGHUP) == own


def test_other_threads_leave_signals_alone():
    def inside() -> None:
        with termination_as_interrupt():
            found.append(signal.getsignal(signal.SIGTERM))

    found: list[object] = []
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join(10)
    assert found == [signal.SIG_DFL]
