"""Frames at a rate, as a camera brings them, by the host's clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fdht_host.clocks import NANOSECONDS
from fdht_host.energy.workload import Workload
from fdht_models.arguments import positive
from fdht_models.errors import ConfigError

if TYPE_CHECKING:
    from fdht_host.energy.evaluation import EnergyResult

#: Share of the time that frames may take: without a rest, none is at a rate.
_BUSIEST = 0.95


@dataclass
class Pace:
    """Runs a load's frames one by one, each when it is due.

    Args:
        unpaced: the load as fast as it runs.
        rate: frames a second.
        seconds_per_frame: that one takes.

    Raises:
        ConfigError: the core is not so fast.
    """

    unpaced: Workload
    rate: float
    seconds_per_frame: float
    frames: int = field(default=0, init=False)
    late: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.rate = positive(self.rate, "rate")
        if self.rate * self.seconds_per_frame > _BUSIEST:
            raise ConfigError(
                "is more than the core does in calls of many frames, with a rest between them",
                field="rate",
                value=self.rate,
                remedy=f"ask for at most {_BUSIEST / self.seconds_per_frame:.4g} frames a second",
            )

    @property
    def load(self) -> Workload:
        """The frames at the rate."""
        base = self.unpaced
        return Workload(self._run_frames, base.frames_done, base.clock, base.note)

    def _run_frames(self, count: int) -> None:
        """Runs frames; the last one's period passes as well."""
        clock = self.unpaced.clock
        start = clock.monotonic_ns()
        for place in range(count):
            self.unpaced.run_frames(1)
            wait = start + round((place + 1) * NANOSECONDS / self.rate) - clock.monotonic_ns()
            self.frames += 1
            self.late += wait < 0
            if wait > 0:
                clock.sleep(wait / NANOSECONDS)

    def to_json(self, found: EnergyResult) -> dict[str, Any]:
        """What a report tells of it.

        Returns:
            `frames_per_second`: asked for, and `reached`; `late`: frames that were not done when
            the next one was due; `idle_share`: of the board's energy, what it draws idle;
            `core_adds_mj`: a frame, None within the noise, and `core_adds_at_most_mj`, the upper
            end of its interval.
        """
        told: dict[str, Any] = {
            "frames_per_second": self.rate,
            "frames": self.frames,
            "late": self.late,
        }
        if found.value_mj_per_frame is None:
            return told
        assert found.seconds_per_frame and found.idle_watts and found.active_watts
        return {
            **told,
            "reached": 1 / found.seconds_per_frame,
            "idle_share": found.idle_watts / found.active_watts,
            "core_adds_mj": found.net_mj_per_frame,
            "core_adds_at_most_mj": found.net_interval_mj and found.net_interval_mj[1],
        }
