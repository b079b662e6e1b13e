"""What ends a command is taken as Ctrl-C is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from fdht_models.interruption import SIGNALS, interrupts_held_back, termination_as_interrupt


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    """As in a terminal, also where these tests run in the background or under nohup."""
    former = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    former[signal.SIGINT] = signal.getsignal(signal.SIGINT)
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


@pytest.mark.parametrize("number", [signal.SIGINT, *SIGNALS])
def test_what_comes_while_it_is_held_back_takes_effect_later(number: signal.Signals):
    done = []
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with termination_as_interrupt():
        with pytest.raises(KeyboardInterrupt), interrupts_held_back():
            os.kill(os.getpid(), number)
            time.sleep(0.05)
            done.append(number)
        handlers = [signal.getsignal(each) for each in SIGNALS]
    assert done == [number]
    # What it was before is what it is again: an interruption.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert all(callable(handler) for handler in handlers)


def test_what_is_ignored_is_not_held_back():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interrupts_held_back():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_an_error_while_interrupts_are_held_back_leaves_all_as_it_was():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(ValueError), interrupts_held_back():
        raise ValueError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_hold_nothing_back():
    seen = []

    def run() -> None:
        with interrupts_held_back():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
