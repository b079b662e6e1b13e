"""Boards and sensors of many kinds whose true energy is known, for trials of the protocol."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import VirtualClock
from fdht_host.energy.evaluation import EnergyResult, EnergySettings
from fdht_host.energy.windows import measure
from fdht_host.power.meter import PowerTrace, Sensor

SECOND = 1_000_000_000
#: Seconds a frame.
FRAME = 1e-3


@dataclass
class TrialBoard:
    """A board with a core and a sensor; everything is drawn from its seed unless it is stated.

    A reading at time t is the mean power over [t - latency - averaging, t - latency] - or, where
    `exponential`, that through a filter of first order - with noise, rounded to steps.
    """

    seed: int
    hertz: float
    step_watts: float = 0.4
    resolution: float = 0.01
    noise_watts: float = 0.01
    averaging: float = 1.0  # intervals
    latency: float = 0.0  # intervals
    exponential: bool = False
    drift_watts: float = 0.0
    drift_period: float = 60.0
    slope_watts: float = 0.0  # a second
    dropped: float = 0.0
    gain: float = 1.0
    gain_error: float = 0.0
    clock: VirtualClock = field(default_factory=VirtualClock)
    count: int = 0
    edges: list[int] = field(default_factory=list)
    recordings: int = 0
    start_ns: int = 0

    @property
    def sensor(self) -> Sensor:
        return Sensor("s", "measured", ("b",), self.resolution, self.gain_error, 1 / self.hertz)

    def run_frames(self, frames: int) -> None:
        now = self.clock.monotonic_ns()
        if self.edges and self.edges[-1] == now:
            self.edges.pop()
        else:
            self.edges.append(now)
        self.clock.advance_ns(round(frames * FRAME * SECOND))
        self.edges.append(self.clock.monotonic_ns())
        self.count += frames

    def start(self) -> None:
        self.start_ns = self.clock.monotonic_ns()
        self.recordings += 1

    def stop(self) -> PowerTrace:
        random = np.random.default_rng([self.seed, self.recordings])
        interval, end = 1 / self.hertz, self.clock.monotonic_ns() / SECOND
        times = np.arange(self.start_ns / SECOND, end + interval, interval)
        times = times + random.uniform(-1, 0) * interval
        times = times[times > self.start_ns / SECOND - interval]
        phase = np.random.default_rng(self.seed).uniform(0, 2 * np.pi)
        told = times - self.latency * interval
        drift = self.drift_watts * np.sin(2 * np.pi * told / self.drift_period + phase)
        power = 2.0 + self.step_watts * self._share(told) + drift + self.slope_watts * told
        power = power * self.gain + random.normal(0, self.noise_watts, len(times))
        power = np.round(power / self.resolution) * self.resolution
        kept = random.uniform(size=len(times)) >= self.dropped
        kept[[0, -1]] = True
        stamps = np.rint(times[kept] * SECOND).astype(np.int64)
        missed = int(np.count_nonzero(~kept))
        return PowerTrace(stamps, power[kept], self.sensor, missed=missed)

    def _share(self, told: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if not self.edges:
            return np.zeros_like(told)
        edges, width = np.array(self.edges) / SECOND, self.averaging / self.hertz
        if self.exponential:
            signs = 1 - 2.0 * (np.arange(len(edges)) % 2)
            passed = np.maximum(told[:, None] - edges, 0.0)
            return (-np.expm1(-passed / width)) @ signs
        on = np.diff(edges) * (np.arange(len(edges) - 1) % 2 == 0)
        ran = np.concatenate([[0.0], np.cumsum(on)])
        return (np.interp(told, edges, ran) - np.interp(told - width, edges, ran)) / width

    def measured(self, rate: float | None = None, **settings: float) -> EnergyResult:
        given = EnergySettings(**{"seed": self.seed, **settings})
        return measure(self.run_frames, lambda: self.count, self, self.clock, given, rate)

    @property
    def true_net_mj(self) -> float:
        return self.step_watts * FRAME * 1e3


def drawn_board(seed: int, hertz: float) -> TrialBoard:
    """A board and a sensor with 10 mW steps, drift, dropped readings, averaging and latency."""
    random = np.random.default_rng(10_000 + seed)
    return TrialBoard(
        seed=seed,
        hertz=hertz,
        step_watts=float(random.uniform(0.2, 1.0)),
        noise_watts=float(random.uniform(0.005, 0.03)),
        averaging=float(random.uniform(1, 10)),
        latency=float(random.uniform(0, 5)),
        exponential=bool(random.uniform() < 0.2),
        drift_watts=float(random.uniform(0, 0.1)),
        drift_period=float(np.exp(random.uniform(np.log(1.0), np.log(600.0)))),
        slope_watts=float(random.uniform(-1e-3, 1e-3)),
        dropped=float(random.uniform(0, 0.1)),
    )
