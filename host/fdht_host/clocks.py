"""Time as the host takes it: the machine's, or a simulated board's own.

Virtual time passes only when the simulated board does something (runs frames, answers a register
access) or when its host sleeps on `VirtualClock.sleep`. It is independent of the speed of the
machine that simulates, so that a run gives the same trace everywhere.
"""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

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


class VirtualClock:
    """A clock that starts at zero and moves only forward."""

    def __init__(self) -> None:
        self._now_ns = 0

    def monotonic_ns(self) -> int:
        """Virtual nanoseconds since the board was made."""
        return self._now_ns

    def monotonic(self) -> float:
        """Virtual seconds since the board was made."""
        return self._now_ns / NANOSECONDS

    def sleep(self, seconds: float) -> None:
        """Lets virtual time pass; returns at once.

        Raises:
            ValueError: a negative time.
        """
        self.advance_ns(round(seconds * NANOSECONDS))

    def advance_ns(self, nanoseconds: int) -> None:
        """Lets virtual time pass.

        Raises:
            ValueError: a negative time.
        """
        if nanoseconds < 0:
            raise ValueError("time cannot run backwards")
        self._now_ns += nanoseconds


class Segment(NamedTuple):
    """A stretch of virtual time during which the core was busy, or idle.

    `activity` is the share of it that works, to that in a call of dense frames: 1 in such a call, 0
    where the core is idle.
    """

    start_ns: int
    end_ns: int
    activity: float

    @property
    def busy(self) -> bool:
        """Was the core busy?"""
        return self.activity > 0


class ActivityLog:
    """When the core was busy, and how much of it.

    Calls that follow each other without a gap and work alike are one segment.
    """

    def __init__(self) -> None:
        self._busy: list[tuple[int, int | None, float]] = []

    def begin(self, start_ns: int, end_ns: int | None, activity: float = 1.0) -> None:
        """Notes a call that runs until `end_ns`; None: it never ends. See `Segment.activity`."""
        if self._busy and self._busy[-1][1:] == (start_ns, activity):
            start_ns = self._busy.pop()[0]
        self._busy.append((start_ns, end_ns, activity))

    def interrupt(self, now_ns: int) -> None:
        """Ends a call that has not ended: a new bitstream was loaded."""
        if self._busy and (self._busy[-1][1] is None or self._busy[-1][1] > now_ns):
            self._busy[-1] = (self._busy[-1][0], now_ns, self._busy[-1][2])

    def segments(self, now_ns: int) -> tuple[Segment, ...]:
        """Idle and busy segments from 0 to `now_ns`, in order and without gaps."""
        segments: list[Segment] = []
        reached = 0
        for start, planned_end, activity in self._busy:
            end = now_ns if planned_end is None else min(planned_end, now_ns)
            if start > reached:
                segments.append(Segment(reached, start, 0.0))
            if end > start:
                segments.append(Segment(start, end, activity))
            reached = max(reached, end)
        if now_ns > reached:
            segments.append(Segment(reached, now_ns, 0.0))
        return tuple(segments)
