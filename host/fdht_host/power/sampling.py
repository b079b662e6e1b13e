"""Reads a sensor of the real world at a steady pace, in a thread, with time-outs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import NANOSECONDS
from fdht_host.power.meter import PowerTrace, Sensor
from fdht_models import arguments
from fdht_models.errors import MeasurementError

#: A reading: a number, or one of each rail.
Reading = float | tuple[float, ...]
#: Turns time stamps (int64[n], ns) and readings (float64[n] or [n, rails]) into a trace.
ToTrace = Callable[[npt.NDArray[np.int64], npt.NDArray[np.float64]], PowerTrace]
#: Attempts at the very first reading.
_FIRST_ATTEMPTS = 3


class SamplingMeter:
    """A `PowerMeter` around a function that reads a sensor.

    A reading that fails, as one does now and then on a bus that others use, is left out and
    counted. What stands in its place is nothing: whether the gap can be bridged is for the rule of
    energy to say.

    Args:
        sensor: what is read.
        read: returns one reading; called in a thread of its own.
        to_trace: makes the trace of the readings; by default they are watts, of several rails added
            up and kept apart as well.
        poll_seconds: time between two readings; by default a quarter of the update interval, so
            that a new value is seen soon after it is there.
        at_arrival: `read` waits for a reading that the sensor sends by itself: its moment is when
            it came, and not the middle of the call.
        timeout_seconds: how long a single reading may take, and how long the sensor may go on
            failing before it counts as dead.
    """

    def __init__(
        self,
        sensor: Sensor,
        read: Callable[[], Reading],
        *,
        to_trace: ToTrace | None = None,
        poll_seconds: float | None = None,
        at_arrival: bool = False,
        timeout_seconds: float = 5.0,
    ) -> None:
        self.sensor = sensor
        self._read = read
        self._to_trace = to_trace or self._of_watts
        if poll_seconds is None:
            poll_seconds = sensor.update_interval_seconds / 4
        self._poll = arguments.seconds(poll_seconds, "poll_seconds")
        self._timeout = arguments.seconds(timeout_seconds, "timeout_seconds")
        self._at_arrival = at_arrival
        self._thread: threading.Thread | None = None
        self._recording = _Recording()

    def start(self) -> None:
        """See `PowerMeter.start`."""
        if self._thread is not None:
            raise self._error("is recording already")
        # A recording of its own each time: a thread that hung in an earlier one writes there.
        recording = self._recording = _Recording()
        self._thread = threading.Thread(
            target=self._run, args=(recording,), name=f"power {self.sensor.name}", daemon=True
        )
        self._thread.start()
        if not recording.first.wait(self._timeout):
            self._thread = None
            recording.end.set()
            raise self._error(f"did not answer within {self._timeout:g} s")
        # Only the first reading is judged here: a sensor that dies just after it is reported by
        # `stop`, however late this thread comes to look.
        if not recording.values:
            self._thread = None
            raise self._error(f"failed ({recording.error})") from recording.error

    def stop(self) -> PowerTrace:
        """See `PowerMeter.stop`."""
        thread, recording = self._thread, self._recording
        if thread is None:
            raise self._error("is not recording")
        self._thread = None
        recording.end.set()
        thread.join(self._timeout)
        if recording.error is not None:
            raise self._error(f"failed ({recording.error})") from recording.error
        if thread.is_alive():
            raise self._error(f"did not answer within {self._timeout:g} s")
        times = np.array(recording.times, np.int64)
        values = np.array(recording.values, np.float64)
        return replace(self._to_trace(times, values), missed=recording.missed)

    def _run(self, recording: _Recording) -> None:
        due = time.monotonic()
        while not recording.end.is_set():
            before = time.monotonic_ns()
            try:
                value = np.asarray(self._read(), np.float64)
                if not np.all(np.isfinite(value)):
                    raise ValueError(f"reading is {value}")
            except Exception as error:  # whatever a sensor raises
                recording.missed += 1
                if self._is_dead(recording):
                    # Reported by start or stop.
                    recording.error = error
                    recording.first.set()
                    return
            else:
                # The moment of a reading: the middle of the call that fetched it.
                after = time.monotonic_ns()
                recording.times.append(after if self._at_arrival else (before + after) // 2)
                recording.values.append(value)
                recording.first.set()
            # From due time to due time, so that the pace does not depend on the reading.
            due = max(due + self._poll, time.monotonic())
            recording.end.wait(due - time.monotonic())

    def _of_watts(self, times: npt.NDArray[np.int64], watts: npt.NDArray[np.float64]) -> PowerTrace:
        if watts.ndim < 2:
            return PowerTrace(times, watts, self.sensor)
        return PowerTrace(times, watts.sum(axis=1), self.sensor, by_rail=watts)

    def _is_dead(self, recording: _Recording) -> bool:
        if not recording.times:
            return recording.missed >= _FIRST_ATTEMPTS
        return time.monotonic_ns() - recording.times[-1] > self._timeout * NANOSECONDS

    def _error(self, problem: str) -> MeasurementError:
        return MeasurementError(problem, field=f"sensor {self.sensor.name}")


class _Recording:
    def __init__(self) -> None:
        self.times: list[int] = []
        self.values: list[npt.NDArray[np.float64]] = []
        self.first = threading.Event()
        self.end = threading.Event()
        self.error: Exception | None = None
        self.missed = 0


def characterise(
    read: Callable[[], float], *, seconds: float = 2.0, changes: int = 12
) -> tuple[float, float]:
    """Finds out how often a sensor brings a new value, and its step.

    Polls without a pause until the value has changed `changes` times.

    Returns:
        Median seconds between two changes, and the smallest change in watts.

    Raises:
        MeasurementError: fewer than three changes within `seconds`: the interval is unknown.
    """
    seconds = arguments.seconds(seconds, "seconds")
    changes = arguments.count(changes, "changes", 3)
    end = time.monotonic_ns() + int(seconds * NANOSECONDS)
    moments: list[int] = []
    steps: list[float] = []
    former = read()
    while len(moments) < changes and time.monotonic_ns() < end:
        value = read()
        if value != former:
            moments.append(time.monotonic_ns())
            steps.append(abs(value - former))
            former = value
    if len(moments) < 3:
        raise MeasurementError(
            f"changed {len(moments)} times in {seconds:g} s, so its update interval is unknown",
            field="sensor",
            remedy="state update_interval_seconds and resolution_watts in the board file",
        )
    return float(np.median(np.diff(moments))) / NANOSECONDS, min(steps)
