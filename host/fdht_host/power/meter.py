"""What a power meter is, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import NANOSECONDS
from fdht_models.arguments import positive
from fdht_models.errors import MeasurementError


@dataclass(frozen=True)
class Sensor:
    """A sensor, as far as an uncertainty needs to know it.

    Args:
        name: as its driver names it.
        kind: "measured" if it is hardware, "modelled" if it reads a power model.
        rails: what it covers.
        resolution_watts: one step of a reading.
        gain_error: bound of the relative error that all readings share.
        update_interval_seconds: time between two new values.

    Raises:
        ConfigError: a resolution or an interval that is not positive, or a gain error below 0.
    """

    name: str
    kind: Literal["measured", "modelled"]
    rails: tuple[str, ...]
    resolution_watts: float
    gain_error: float
    update_interval_seconds: float

    def __post_init__(self) -> None:
        for name in ("resolution_watts", "update_interval_seconds"):
            positive(getattr(self, name), f"sensor {self.name}: {name}")
        if self.gain_error != 0:
            positive(self.gain_error, f"sensor {self.name}: gain_error")

    def to_json(self) -> dict[str, Any]:
        """Returns the description that the report shows."""
        return {**vars(self), "rails": list(self.rails)}


@dataclass(frozen=True, eq=False)
class PowerTrace:
    """Readings with the time of each.

    Args:
        timestamps_ns: int64[n], strictly rising, on the clock of whoever set the markers.
        watts: float64[n].
        sensor: what gave them.
        joules: float64[n], the energy since the first reading, where the sensor counts energy
            itself (RAPL); `watts[k]` is then the mean between readings k - 1 and k.
        missed: readings that failed and are not among the n.
        by_rail: float64[n, rails] in the order of the sensor's rails, where it reads them apart;
            `watts` is their sum.

    Raises:
        MeasurementError: fewer than two readings, or times that do not rise.
    """

    timestamps_ns: npt.NDArray[np.int64]
    watts: npt.NDArray[np.float64]
    sensor: Sensor
    joules: npt.NDArray[np.float64] | None = None
    missed: int = 0
    by_rail: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if len(self.timestamps_ns) < 2 or len(self.timestamps_ns) != len(self.watts):
            raise MeasurementError(
                "gave too few readings",
                field=f"sensor {self.sensor.name}",
                value=len(self.watts),
                remedy="measure for longer",
            )
        if np.any(np.diff(self.timestamps_ns) <= 0):
            raise MeasurementError("times must rise", field=f"sensor {self.sensor.name}")

    def energy(self, start_ns: int, end_ns: int) -> float:
        """Joules between two moments.

        The trapezoid rule over the sensor's own time stamps, with the power at the two ends
        interpolated; for a counting sensor, the difference of its count, interpolated likewise.
        Time stamps and not `sum x interval`, because a loop that sleeps `interval` after each
        reading takes longer than that for each.

        Raises:
            MeasurementError: the trace does not cover these moments.
        """
        times = self.timestamps_ns
        if not times[0] <= start_ns < end_ns <= times[-1]:
            raise MeasurementError(
                "does not lie within the power trace",
                field="window",
                value=(start_ns, end_ns),
                remedy=f"the trace covers {int(times[0])} to {int(times[-1])} ns",
            )
        # Relative to the start: absolute nanoseconds lose digits as float64.
        seconds = (times - start_ns) / NANOSECONDS
        end = (end_ns - start_ns) / NANOSECONDS
        if self.joules is not None:
            return float(np.diff(np.interp([0.0, end], seconds, self.joules))[0])
        inside = (seconds > 0) & (seconds < end)
        moments = np.concatenate([[0.0], seconds[inside], [end]])
        power = np.interp(moments, seconds, self.watts)
        return float(np.sum((power[1:] + power[:-1]) / 2 * np.diff(moments)))

    def longest_gap_ns(self, start_ns: int, end_ns: int) -> int:
        """The longest time between two readings that leaves the energy of a window uncertain.

        For a counting sensor only the readings around the two ends matter. Where readings failed,
        time before and after the window counts as well: the line that bridges a gap comes from
        there, and what ran then may have been something else.
        """
        times = self.timestamps_ns
        after = np.searchsorted(times, [start_ns, end_ns]).clip(1, len(times) - 1)
        around = int(np.max(times[after] - times[after - 1]))
        if self.joules is not None:
            return around
        inside = times[(times >= start_ns) & (times <= end_ns)]
        within = int(np.max(np.diff(np.concatenate([[start_ns], inside, [end_ns]]))))
        return max(within, around) if self.missed else within

    def thinned(self, points: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Times (ns) and watts of at most `points` points, for a plot: means of neighbours."""
        size = -(-len(self.watts) // points)
        if size == 1:
            return self.timestamps_ns, self.watts
        edges = np.arange(0, len(self.watts), size)
        counts = np.diff(np.append(edges, len(self.watts)))
        origin = self.timestamps_ns[0]
        times = np.add.reduceat(self.timestamps_ns - origin, edges) // counts + origin
        return times, np.add.reduceat(self.watts, edges) / counts


class PowerMeter(Protocol):
    """Records power between `start` and `stop`."""

    @property
    def sensor(self) -> Sensor:
        """What it reads."""

    def start(self) -> None:
        """Begins recording; returns once there is a first reading.

        Raises:
            MeasurementError: the sensor does not answer, or a recording is under way.
        """

    def stop(self) -> PowerTrace:
        """Ends recording.

        Raises:
            MeasurementError: the sensor failed for good, hangs, or gave too few readings.
        """
