"""What an energy measurement asks for and what it hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fdht_host.clocks import NANOSECONDS
from fdht_host.power.meter import PowerTrace
from fdht_models.arguments import count, seconds

Kind = Literal["measured", "modelled", "unmeasured", "refused"]
#: Points of the power trace that the report keeps, for its plot.
TRACE_POINTS = 1500


@dataclass(frozen=True)
class EnergySettings:
    """How to measure.

    Args:
        repeats: windows of each kind, idle and active; at least 5.
        minimum_updates: new sensor values that a window must span.
        minimum_seconds: and how long it must be.
        settle_updates: new sensor values to wait, in the state to be measured, before a window:
            a sensor reports what was, not what is.
        seed: of the order of the windows.
        calibration_frames: frames of the first trial run.

    Raises:
        ConfigError: an impossible value; names the field.
    """

    repeats: int = 5
    minimum_updates: int = 20
    minimum_seconds: float = 0.0
    settle_updates: int = 3
    seed: int = 0
    calibration_frames: int = 8

    def __post_init__(self) -> None:
        least = {
            "repeats": 5,
            "minimum_updates": 10,
            "settle_updates": 1,
            "calibration_frames": 1,
            "seed": 0,
        }
        for name, bound in least.items():
            count(getattr(self, name), f"energy.{name}", bound)
        if self.minimum_seconds != 0:
            seconds(self.minimum_seconds, "energy.minimum_seconds")


@dataclass(frozen=True)
class Window:
    """A stretch of time between two markers; `frames` is 0 where it was idle."""

    start_ns: int
    end_ns: int
    frames: int
    joules: float

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
    `net_mj_per_frame` is what running frames adds, (E - P_idle * T) / N. Uncertainties are expanded
    to about 95 % coverage. All four are None if the kind is "unmeasured" or "refused".

    Args:
        kind: "measured", "modelled", "unmeasured" (there is no sensor, or it failed for good) or
            "refused" (the difference between active and idle is within the noise, or the sensor
            left gaps).
        explanation: a sentence for people.
        value_mj_per_frame: total, in millijoules.
        net_mj_per_frame: net, in millijoules.
        uncertainty_mj: of the total.
        net_uncertainty_mj: of the net.
        sensor: what measured.
        rails: what it covers.
        repeats: windows of each kind.
        idle_watts: mean power of the idle windows.
        active_watts: mean power of the active windows.
        seconds_per_frame: in the active windows.
        components_mj: standard uncertainties of the net value by cause, in millijoules.
        windows: in order of time.
        trace: the readings.
    """

    kind: Kind
    explanation: str
    value_mj_per_frame: float | None = None
    net_mj_per_frame: float | None = None
    uncertainty_mj: float | None = None
    net_uncertainty_mj: float | None = None
    sensor: str | None = None
    rails: tuple[str, ...] = ()
    repeats: int = 0
    idle_watts: float | None = None
    active_watts: float | None = None
    seconds_per_frame: float | None = None
    components_mj: Mapping[str, float] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    trace: PowerTrace | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Returns the result for `report.json`; times in seconds from the trace's first reading."""
        origin = 0 if self.trace is None else int(self.trace.timestamps_ns[0])
        return {
            **vars(self),
            "sensor_details": None if self.trace is None else self.trace.sensor.to_json(),
            "rails": list(self.rails),
            "components_mj": dict(self.components_mj),
            "windows": [_window_json(window, origin) for window in self.windows],
            "trace": None if self.trace is None else _trace_json(self.trace),
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
