"""How energy per frame is measured, and the result that tells it; formulas: `estimating`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fdht_host.clocks import NANOSECONDS
from fdht_host.energy.order import draw_seed
from fdht_host.power.meter import PowerTrace
from fdht_models.arguments import count, seconds

Kind = Literal["measured", "modelled", "unmeasured", "refused"]
#: Points of the power trace that the report keeps, for its plot.
TRACE_POINTS = 1500


@dataclass(frozen=True)
class EnergySettings:
    """How to measure.

    Args:
        repeats: windows of each kind, idle and busy; at least 5.
        minimum_updates: new sensor values that a window must span.
        minimum_seconds: and how long it must be.
        assumed_updates: new sensor values to wait for before a window where the sensor's step
            response cannot be seen.
        seed: of the order of the windows; drawn anew unless stated.
        calibration_frames: frames of the first trial run.

    Raises:
        ConfigError: an impossible value; names the field.
    """

    repeats: int = 5
    minimum_updates: int = 20
    minimum_seconds: float = 0.0
    assumed_updates: int = 10
    seed: int = field(default_factory=draw_seed)
    calibration_frames: int = 8

    def __post_init__(self) -> None:
        least = {
            "repeats": 5,
            "minimum_updates": 10,
            "assumed_updates": 1,
            "calibration_frames": 1,
            "seed": 0,
        }
        for name, bound in least.items():
            count(getattr(self, name), f"energy.{name}", bound)
        if self.minimum_seconds != 0:
            seconds(self.minimum_seconds, "energy.minimum_seconds")


@dataclass(frozen=True)
class Window:
    """A stretch of time between two markers; `frames` is 0 where it was idle.

    `spread_watts` is the standard deviation of the readings in it.
    """

    start_ns: int
    end_ns: int
    frames: int
    joules: float
    spread_watts: float = 0.0

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / NANOSECONDS

    @property
    def watts(self) -> float:
        """Its mean power."""
        return self.joules / self.seconds


@dataclass(frozen=True)
class EnergyResult:
    """Energy per frame, or the reason why there is none.

    `value_mj_per_frame` is the total, E / N: all that the rails drew, divided by the frames.
    `net_mj_per_frame` is what running frames adds. Uncertainties are the larger halves of 95 %
    intervals, without the sensor's gain error, which is kept apart: see `estimating`. All of these
    are None if the kind is "unmeasured" or "refused".

    Args:
        kind: "measured", "modelled", "unmeasured" (there is no sensor, or it failed for good) or
            "refused" (the difference between busy and idle is within the noise, or the sensor
            left gaps).
        explanation: a sentence for people.
        value_mj_per_frame: total, in millijoules.
        net_mj_per_frame: net, in millijoules; of frames at a rate, None where it is within the
            noise: the total is told all the same.
        uncertainty_mj: of the total.
        net_uncertainty_mj: of the net; where that is None, what it would have been.
        interval_mj, net_interval_mj: of total and net; each need not lie evenly about its value.
        gain_mj, net_gain_mj: by how much the sensor's gain error changes total and net at most.
        step_mj: half of the net value's interval that is of the sensor's steps.
        sensor: what measured.
        rails: what it covers.
        by_rail: the same figures of each rail, where the sensor reads them apart.
        repeats: windows of each kind.
        seed: that the order of the windows was drawn by.
        idle_watts: mean power of the idle windows.
        active_watts: mean power of the busy windows.
        seconds_per_frame: in the busy windows.
        drift_watts: by how much the board's power drifted over the windows, which was taken out.
        windows: in order of time.
        response: how the sensor follows a step, and what follows from it; see `step_response`.
        pace: of frames that were run at a rate: see `pacing`.
        alignment: how the clock of a meter that has its own was found; see `meter_clock`.
        trace: the readings.
        step_trace: those of the step response.
    """

    kind: Kind
    explanation: str
    value_mj_per_frame: float | None = None
    net_mj_per_frame: float | None = None
    uncertainty_mj: float | None = None
    net_uncertainty_mj: float | None = None
    interval_mj: tuple[float, float] | None = None
    net_interval_mj: tuple[float, float] | None = None
    gain_mj: float | None = None
    net_gain_mj: float | None = None
    step_mj: float | None = None
    sensor: str | None = None
    rails: tuple[str, ...] = ()
    by_rail: tuple[Mapping[str, Any], ...] = ()
    repeats: int = 0
    seed: int | None = None
    idle_watts: float | None = None
    active_watts: float | None = None
    seconds_per_frame: float | None = None
    drift_watts: float | None = None
    windows: tuple[Window, ...] = ()
    response: Mapping[str, Any] = field(default_factory=dict)
    pace: Mapping[str, Any] = field(default_factory=dict)
    alignment: Mapping[str, float] = field(default_factory=dict)
    trace: PowerTrace | None = field(default=None, repr=False, compare=False)
    step_trace: PowerTrace | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Returns the result for `report.json`; times in seconds from the trace's first reading."""
        origin = 0 if self.trace is None else int(self.trace.timestamps_ns[0])
        return {
            **vars(self),
            "sensor_details": None if self.trace is None else self.trace.sensor.to_json(),
            "rails": list(self.rails),
            "by_rail": [dict(one) for one in self.by_rail],
            "response": dict(self.response),
            "pace": dict(self.pace),
            "alignment": dict(self.alignment),
            "windows": [_window_json(window, origin) for window in self.windows],
            "trace": None if self.trace is None else _trace_json(self.trace),
            "step_trace": None if self.step_trace is None else _trace_json(self.step_trace),
        }


def _window_json(window: Window, origin: int) -> dict[str, Any]:
    return {
        "kind": "active" if window.frames else "idle",
        "start_seconds": (window.start_ns - origin) / NANOSECONDS,
        "end_seconds": (window.end_ns - origin) / NANOSECONDS,
        "frames": window.frames,
        "joules": window.joules,
        "watts": window.watts,
    }


def _trace_json(trace: PowerTrace) -> dict[str, Any]:
    times, watts = trace.thinned(TRACE_POINTS)
    return {
        "readings": len(trace.watts),
        "missed": trace.missed,
        "seconds": [round((int(time) - int(times[0])) / NANOSECONDS, 6) for time in times],
        "watts": [round(float(value), 6) for value in watts],
    }
