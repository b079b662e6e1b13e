"""What ends a command is taken as Ctrl-C is."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from fdht_models.interruption import SIGNALS, termination_as_interrupt


@pytest.mark.parametrize("number", SIGNALS)
def test_it_interrupts_and_then_is_as_before(number: signal.Signals):
    with pytest.raises(KeyboardInterrupt), termination_as_interrupt():
        os.kill(os.getpid(), number)
        time.sleep(10)
    assert signal.getsignal(number) == signal.SIG_DFL


@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda *_: None])
def test_what_somebody_else_decided_stays(own):
    former = signal.signal(signal.SIGHUP, own)
    try:
        with termination_as_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.1)
            assert signal.getsignal(signal.SIGHUP) == own
        assert signal.getsignal(signal.SIGHUP) == own
    finally:
        signal.signal(signal.SIGHUP, former)


def test_other_threads_leave_signals_alone():
    def inside() -> None:
        with termination_as_interrupt():
            found.append(signal.getsignal(signal.SIGTERM))

    found: list[object] = []
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join(10)
    assert found == [signal.SIG_DFL]
