"""The modelled power meter of a simulated board. Nothing that it reports was measured.

The board's power model gives the power at every moment of virtual time from what the core was
doing, and from how much of it worked: what is beyond idle power is taken to be in proportion. The
meter reads it as a real sensor does: a mean over each conversion, with noise, a gain error and a
finite step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import NANOSECONDS
from fdht_host.power.meter import PowerTrace, Sensor
from fdht_models.errors import MeasurementError

if TYPE_CHECKING:
    from fdht_hls.boards import PowerModel


#: (start_ns, end_ns, activity) in order of time; see `fdht_host.clocks.Segment`.
Segments = Iterable[tuple[int, int, float]]


class SimulatedMeter:
    """A `PowerMeter` on the virtual clock of a simulated board.

    Args:
        sensor: the modelled sensor; its kind is "modelled".
        model: the board's power model.
        segments: returns when the core was busy, and how much of it, up to now.
        now_ns: returns the virtual time.
        seed: of noise, phase of the drift and gain error.
    """

    def __init__(
        self,
        sensor: Sensor,
        model: PowerModel,
        segments: Callable[[], Segments],
        now_ns: Callable[[], int],
        *,
        seed: int = 0,
    ) -> None:
        self.sensor = sensor
        self._model, self._segments, self._now_ns = model, segments, now_ns
        self._random = np.random.default_rng(seed)
        self._phase = self._random.uniform(0, 2 * np.pi)
        self._gain = 1 + self._random.uniform(-1, 1) * sensor.gain_error
        self._start_ns: int | None = None

    def start(self) -> None:
        """See `PowerMeter.start`."""
        if self._start_ns is not None:
            raise MeasurementError("is recording already", field=f"sensor {self.sensor.name}")
        self._start_ns = self._now_ns()

    def stop(self) -> PowerTrace:
        """See `PowerMeter.stop`."""
        if self._start_ns is None:
            raise MeasurementError("is not recording", field=f"sensor {self.sensor.name}")
        start, self._start_ns = self._start_ns, None
        interval = round(self.sensor.update_interval_seconds * NANOSECONDS)
        first = -(-start // interval)
        last = self._now_ns() // interval
        times = np.arange(first, last + 1, dtype=np.int64) * interval
        return PowerTrace(times, self._readings(times, interval), self.sensor)

    def _readings(self, times: npt.NDArray[np.int64], interval: int) -> npt.NDArray[np.float64]:
        model = self._model
        active = self._active_share(times, interval)
        angle = 2 * np.pi * times / NANOSECONDS / model.drift_period_seconds + self._phase
        power = (
            model.idle_watts
            + (model.active_watts - model.idle_watts) * active
            + model.drift_watts * np.sin(angle)
        )
        noise = self._random.normal(0.0, model.noise_watts, len(times))
        step = self.sensor.resolution_watts
        return np.round((power * self._gain + noise) / step) * step

    def _active_share(self, times: npt.NDArray[np.int64], interval: int) -> npt.NDArray[np.float64]:
        """Share of each conversion, which ends at its time stamp, that the core was active."""
        moments, active_ns = [0], [0.0]
        for start, end, activity in self._segments():
            moments += [start, end]
            active_ns += [active_ns[-1], active_ns[-1] + activity * (end - start)]
        begin = np.interp(times - interval, moments, active_ns)
        return (np.interp(times, moments, active_ns) - begin) / interval
