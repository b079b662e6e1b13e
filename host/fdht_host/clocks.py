"""Time as the host takes it: the machine's, or a simulated board's own."""

from __future__ import annotations

import time
from typing import Protocol

NANOSECONDS = 1_000_000_000


class Clock(Protocol):
    """A clock that only grows; the module `time` is one."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since that moment."""

    def sleep(self, seconds: float, /) -> None:
        """Lets time pass."""


def clock_of(device: object) -> Clock:
    """A device's own clock, as simulated boards have one, or else the system's."""
    clock: Clock = getattr(device, "clock", None) or time
    return clock
