"""Frames that a core runs to be measured: run in any number, timed, confirmed by its counter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fdht_host.clocks import NANOSECONDS, Clock
from fdht_models.errors import MeasurementError

#: At which the core's counter of frames wraps round.
_COUNTER = 2**32
# A trial run counts once it is so long that the clock's and the call's own grain do not matter.
_TRIAL_SHARE = 0.1
_TRIAL_RUNS = 24


@dataclass(frozen=True)
class Workload:
    """Frames to run while a meter records.

    Args:
        run_frames: runs that many frames on the accelerator and returns when they are done.
        frames_done: the core's own counter of frames.
        clock: of whoever sets the markers: `time`, or the simulated board's.
        note: what the frames are, where it matters; for people.
    """

    run_frames: Callable[[int], None]
    frames_done: Callable[[], int]
    clock: Clock
    note: str = ""

    def run(self, frames: int) -> tuple[int, int]:
        """Runs frames between two markers (ns) and has the core's counter confirm them.

        Raises:
            MeasurementError: the core ran another number of frames.
        """
        before = self.frames_done()
        start = self.clock.monotonic_ns()
        self.run_frames(frames)
        end = self.clock.monotonic_ns()
        counted = (self.frames_done() - before) % _COUNTER
        if counted != frames:
            raise MeasurementError(
                f"the core counted {counted} frames",
                field="frames asked for",
                value=frames,
                remedy="energy per frame cannot be told; check that nothing else uses the core",
            )
        return start, end

    def seconds_per_frame(self, window_seconds: float, frames: int) -> float:
        """Learns how fast frames run, with runs of `frames` and more until one is long enough.

        Raises:
            MeasurementError: no number of frames takes a time that can be told.
        """
        for _ in range(_TRIAL_RUNS):
            start, end = self.run(frames)
            elapsed = (end - start) / NANOSECONDS
            if elapsed >= _TRIAL_SHARE * window_seconds:
                return elapsed / frames
            frames *= 2
        raise MeasurementError(
            f"took {elapsed:g} s, so the time a frame takes cannot be told",
            field="energy calibration",
            value=f"{frames // 2} frames",
            remedy="check that the meter and the accelerator share one clock",
        )
