"""The modelled power meter of a simulated board. Nothing that it reports was measured.

The board's power model gives the power at every moment of virtual time from what the core was
doing; the meter reads it as a real sensor does: a mean over each conversion, with noise, a gain
error and a finite step.
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


#: (start_ns, end_ns, busy) in order of time.
Segments = Iterable[tuple[int, int, bool]]


class SimulatedMeter:
    """A `PowerMeter` on the virtual clock of a simulated board.

    Args:
        sensor: the modelled sensor; its kind is "modelled".
        model: the board's power model.
        segments: returns when the core was busy, up to now.
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
        busy = self._busy_share(times, interval)
        angle = 2 * np.pi * times / NANOSECONDS / model.drift_period_seconds + self._phase
        power = (
            model.idle_watts
            + (model.active_watts - model.idle_watts) * busy
            + model.drift_watts * np.sin(angle)
        )
        noise = self._random.normal(0.0, model.noise_watts, len(times))
        step = self.sensor.resolution_watts
        return np.round((power * self._gain + noise) / step) * step

    def _busy_share(self, times: npt.NDArray[np.int64], interval: int) -> npt.NDArray[np.float64]:
        """Share of each conversion, which ends at its time stamp, that the core was busy."""
        moments, busy_ns = [0], [0]
        for start, end, busy in self._segments():
            moments += [start, end]
            busy_ns += [busy_ns[-1], busy_ns[-1] + (end - start if busy else 0)]
        begin = np.interp(times - interval, moments, busy_ns)
        return (np.interp(times, moments, busy_ns) - begin) / interval
