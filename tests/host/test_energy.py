"""Energy per frame against boards whose true energy is known."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_host.accelerator import Accelerator
from fdht_host.clocks import ActivityLog, VirtualClock
from fdht_host.energy import windows
from fdht_host.energy.estimating import evaluate, within_noise_of
from fdht_host.energy.evaluation import EnergyResult, EnergySettings, Window
from fdht_host.energy.order import draw_order
from fdht_host.energy.student import student_quantile
from fdht_host.energy.windows import board_energy, measure, measure_cpu
from fdht_host.outcome import Outcome
from fdht_host.power.finding import find_meter
from fdht_host.power.meter import PowerTrace, Sensor
from fdht_host.power.modelled import SimulatedMeter
from fdht_models.errors import ConfigError, MeasurementError
from tests.host import toy_core

SECOND = 1_000_000_000
COUNTER = Sensor("counter", "measured", ("package-0",), 0.001, 0.0, 0.01)
SENSOR = Sensor("model", "modelled", ("board",), 0.001, 0.005, 0.01)


@dataclass
class Bench:
    """A core that takes 1 ms a frame on a board whose power is known."""

    idle_watts: float = 2.0
    active_watts: float = 2.4
    drift_watts: float = 0.0
    drift_period_seconds: float = 60.0
    noise_watts: float = 0.01
    seconds_per_frame: float = 1e-3
    call_seconds: float = 0.0
    sensor: Sensor = SENSOR
    seed: int = 0
    count: int = 0
    asked: int = 0
    clock: VirtualClock = field(default_factory=VirtualClock)
    log: ActivityLog = field(default_factory=ActivityLog)

    def run_frames(self, frames: int) -> None:
        self.asked += frames
        self.clock.sleep(self.call_seconds)
        end = self.clock.monotonic_ns() + round(frames * self.seconds_per_frame * SECOND)
        self.log.begin(self.clock.monotonic_ns(), end)
        self.clock.advance_ns(end - self.clock.monotonic_ns())
        self.count = (self.count + frames) % 2**32

    def meter(self) -> SimulatedMeter:
        now = self.clock.monotonic_ns
        return SimulatedMeter(
            self.sensor, self, lambda: self.log.segments(now()), now, seed=self.seed
        )

    def measure(self, rate: float | None = None, **settings: int) -> EnergyResult:
        return measure(
            self.run_frames,
            lambda: self.count,
            self.meter(),
            self.clock,
            EnergySettings(seed=self.seed, **settings),
            rate,
        )

    @property
    def true_net_mj(self) -> float:
        return (self.active_watts - self.idle_watts) * self.seconds_per_frame * 1e3

    @property
    def true_total_mj(self) -> float:
        return self.active_watts * self.seconds_per_frame * 1e3


def covered(results: list[EnergyResult], net: float, total: float | None = None) -> float:
    """Share of results whose stated uncertainty, with the gain error, holds the true value."""
    hits = [
        abs(result.net_mj_per_frame - net) <= result.net_uncertainty_mj + result.net_gain_mj
        for result in results
    ]
    if total is not None:
        hits += [
            abs(result.value_mj_per_frame - total) <= result.uncertainty_mj + result.gain_mj
            for result in results
        ]
    return float(np.mean(hits))


# The true value -----------------------------------------------------------------------------------


def test_a_perfect_sensor_gives_the_true_value() -> None:
    bench = Bench(noise_watts=0.0, sensor=replace(SENSOR, gain_error=0.0))
    result = bench.measure()
    assert result.kind == "modelled"
    assert result.net_mj_per_frame == pytest.approx(bench.true_net_mj, rel=1e-9)
    assert result.value_mj_per_frame == pytest.approx(bench.true_total_mj, rel=1e-9)
    assert result.idle_watts == pytest.approx(2.0, rel=1e-3)
    assert result.seconds_per_frame == pytest.approx(1e-3, rel=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"noise_watts": 0.1},
        {"seconds_per_frame": 0.037},  # windows that do not fit the sensor's interval
        {"sensor": replace(SENSOR, resolution_watts=0.1)},
        {"sensor": replace(SENSOR, gain_error=0.05)},
    ],
    ids=["plain", "noisy", "slow", "coarse", "gain"],
)
def test_the_uncertainty_covers_the_true_value(changes: dict[str, object]) -> None:
    benches = [Bench(seed=seed, **changes) for seed in range(40)]
    results = [bench.measure() for bench in benches]
    assert covered(results, benches[0].true_net_mj, benches[0].true_total_mj) >= 0.93


def test_the_uncertainty_is_not_idle_talk() -> None:
    """Covering the truth is easy with a wide uncertainty: with a good sensor it must be narrow."""
    result = Bench().measure()
    assert result.net_uncertainty_mj < 0.1 * result.net_mj_per_frame
    assert result.uncertainty_mj < 0.02 * result.value_mj_per_frame
    assert result.step_mj < 0.1 * result.net_uncertainty_mj  # noise of ten steps averages them
    low, high = result.net_interval_mj
    assert max(high - result.net_mj_per_frame, result.net_mj_per_frame - low) == pytest.approx(
        result.net_uncertainty_mj
    )
    narrower = Bench().measure(minimum_updates=200)
    assert narrower.net_uncertainty_mj < result.net_uncertainty_mj


@pytest.mark.parametrize("period", [2.0, 7.0, 60.0, 600.0])
def test_a_drifting_board(period: float) -> None:
    """Idle power moves by half of what is to be measured; the truth is still covered."""
    benches = [Bench(seed=seed, drift_watts=0.2, drift_period_seconds=period) for seed in range(40)]
    results = [bench.measure() for bench in benches]
    told = [result for result in results if result.kind == "modelled"]
    assert covered(told, benches[0].true_net_mj) >= 0.9
    if period >= 60:
        assert len(told) == len(results)


def test_slow_drift_costs_less_than_ignoring_it_would() -> None:
    errors = [
        bench.measure().net_mj_per_frame - bench.true_net_mj
        for bench in (
            Bench(seed=seed, drift_watts=0.2, drift_period_seconds=60.0) for seed in range(20)
        )
    ]
    assert np.abs(errors).max() < 0.05 * Bench().true_net_mj


def test_time_between_calls_counts_as_the_frames_own() -> None:
    """Software that lets the core wait makes a frame dearer: total energy has to show it."""
    busy, waiting = Bench(noise_watts=0.0), Bench(noise_watts=0.0, call_seconds=0.1)
    assert waiting.measure().value_mj_per_frame > 1.2 * busy.measure().value_mj_per_frame


@dataclass
class CountingBench:
    """A host that counts energy itself, as RAPL does: 1 W idle, 3 W busy, 5 ms a frame."""

    sensor: Sensor = COUNTER
    joules: float = 0.0
    count: int = 0
    clock: VirtualClock = field(default_factory=VirtualClock)
    rows: list[tuple[int, float]] = field(default_factory=list)

    def _advance(self, seconds: float, watts: float) -> None:
        for _ in range(round(seconds / 0.001)):
            self.clock.sleep(0.001)
            self.joules += 0.001 * watts
            self.rows.append((self.clock.monotonic_ns(), self.joules))

    def monotonic_ns(self) -> int:
        return self.clock.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        self._advance(seconds, 1.0)

    def run_frames(self, frames: int) -> None:
        self._advance(frames * 0.005, 3.0)
        self.count += frames

    def start(self) -> None:
        self.rows.clear()

    def stop(self) -> PowerTrace:
        times, counts = (np.array(column) for column in zip(*self.rows, strict=True))
        return PowerTrace(times, np.gradient(counts, times / SECOND), self.sensor, counts)


def test_a_counting_sensor_gives_the_true_value() -> None:
    bench = CountingBench()
    result = measure(bench.run_frames, lambda: bench.count, bench, bench)
    assert result.kind == "measured"
    assert result.net_mj_per_frame == pytest.approx(10.0, rel=5e-3)
    assert result.value_mj_per_frame == pytest.approx(15.0, rel=5e-3)


# How it is measured -------------------------------------------------------------------------------


def test_windows_are_interleaved_and_sized_from_the_sensor() -> None:
    result = Bench(seconds_per_frame=7e-5).measure(minimum_updates=30, repeats=6)
    kinds = tuple(window.frames > 0 for window in result.windows)
    assert kinds == draw_order(6, 0)
    for window in result.windows:
        assert window.seconds >= 30 * 0.01 * 0.999
    starts = [window.start_ns for window in result.windows]
    assert starts == sorted(starts)
    orders = {
        tuple(window.frames > 0 for window in Bench(seed=seed).measure().windows)
        for seed in range(8)
    }
    assert len(orders) > 4


def test_the_same_seed_gives_the_same_result() -> None:
    assert Bench(seed=3).measure() == Bench(seed=3).measure()


def test_the_counter_may_wrap_round() -> None:
    bench = Bench(count=2**32 - 300)
    assert bench.measure().kind == "modelled"
    assert bench.count < 2**31


@pytest.mark.parametrize("lost", [1, 2, -1])
def test_a_core_that_runs_other_than_asked(lost: int) -> None:
    bench = Bench()

    def run_frames(frames: int) -> None:
        bench.run_frames(frames)
        bench.count -= lost

    with pytest.raises(MeasurementError, match=r"the core counted \d+ frames"):
        measure(run_frames, lambda: bench.count, bench.meter(), bench.clock)


def test_a_core_that_fails_midway_stops_the_meter() -> None:
    bench = Bench()
    meter = bench.meter()

    def run_frames(frames: int) -> None:
        if bench.asked > 500:
            raise RuntimeError("bus error")
        bench.run_frames(frames)

    with pytest.raises(RuntimeError, match="bus error"):
        measure(run_frames, lambda: bench.count, meter, bench.clock)
    with pytest.raises(MeasurementError, match="is not recording"):
        meter.stop()


def test_a_clock_that_stands_still() -> None:
    count = 0

    def run_frames(frames: int) -> None:
        nonlocal count
        count += frames

    with pytest.raises(MeasurementError, match="the time a frame takes cannot be told"):
        measure(run_frames, lambda: count, Bench().meter(), VirtualClock())


def test_a_sensor_that_stalls_is_noticed() -> None:
    bench = Bench()
    inner = bench.meter()

    class Stalling:
        sensor = bench.sensor
        start = staticmethod(inner.start)

        def stop(self) -> PowerTrace:
            whole = inner.stop()
            keep = np.r_[0, np.arange(len(whole.watts) // 2, len(whole.watts))]
            return PowerTrace(whole.timestamps_ns[keep], whole.watts[keep], whole.sensor)

    result = measure(bench.run_frames, lambda: bench.count, Stalling(), bench.clock)
    assert result.kind == "refused"
    assert no_values(result)
    assert "sensor model: gave no reading for" in result.explanation


def measured_without(bench: Bench, first: float, share: float) -> EnergyResult:
    """Measures with a meter whose readings fail in a part of the recording."""
    inner = bench.meter()

    class Missing:
        sensor = bench.sensor
        start = staticmethod(inner.start)

        def stop(self) -> PowerTrace:
            whole = inner.stop()
            place = np.arange(len(whole.watts)) / len(whole.watts)
            keep = (place < first) | (place >= first + share)
            kept = PowerTrace(whole.timestamps_ns[keep], whole.watts[keep], whole.sensor)
            return replace(kept, missed=int(np.count_nonzero(~keep)))

    return measure(bench.run_frames, lambda: bench.count, Missing(), bench.clock)


@pytest.mark.parametrize("first", [0.1, 0.31, 0.5, 0.87])
def test_failed_readings_are_bridged_where_they_are_few(first: float) -> None:
    bench = Bench(noise_watts=0.001)
    result = measured_without(bench, first, 0.006)
    assert result.kind == "modelled"
    assert covered([result], bench.true_net_mj) == 1
    assert result.to_json()["trace"]["missed"] > 0
    assert "readings failed and are bridged" in result.explanation


def test_failed_readings_at_the_end_or_for_long_give_no_figure() -> None:
    for first, share in ((0.3, 0.1), (0.9, 0.2)):
        result = measured_without(Bench(), first, share)
        assert result.kind == "refused"
        assert no_values(result)
        assert "readings having failed" in result.explanation


@pytest.mark.parametrize("when", ["start", "stop"])
def test_a_sensor_that_fails_for_good_leaves_the_energy_unmeasured(when: str) -> None:
    bench = Bench()
    inner = bench.meter()

    def fails() -> PowerTrace:
        raise MeasurementError("failed (Input/output error)", field="sensor model")

    meter = SimpleNamespace(**{"sensor": bench.sensor, "start": inner.start, when: fails})
    result = measure(bench.run_frames, lambda: bench.count, meter, bench.clock)
    assert (result.kind, result.sensor) == ("unmeasured", "model")
    assert no_values(result)
    assert result.explanation == "sensor model: failed (Input/output error)"


# No figure ----------------------------------------------------------------------------------------


def no_values(result: EnergyResult) -> bool:
    return (
        result.value_mj_per_frame is None
        and result.net_mj_per_frame is None
        and result.uncertainty_mj is None
        and result.net_uncertainty_mj is None
    )


def test_a_difference_within_the_noise_is_refused() -> None:
    results = [Bench(active_watts=2.0, seed=seed).measure() for seed in range(40)]
    refused = [result for result in results if result.kind == "refused"]
    # At 95 % coverage, one side: about 1 in 40 may slip through.
    assert len(refused) >= 37
    for result in refused:
        assert no_values(result)
        assert "within the noise" in result.explanation
        assert result.trace is not None
        assert len(result.windows) == 10


def test_a_small_difference_needs_longer_windows() -> None:
    small = {"active_watts": 2.004, "noise_watts": 0.03, "seed": 2}
    small["sensor"] = replace(SENSOR, resolution_watts=0.0001)
    assert Bench(**small).measure().kind == "refused"
    result = Bench(**small).measure(minimum_updates=2000)
    assert result.kind == "modelled"
    assert result.net_mj_per_frame == pytest.approx(0.004, abs=result.net_uncertainty_mj)


def test_no_meter_is_unmeasured() -> None:
    """Before a frame is run: this accelerator cannot."""
    nothing, board, said = SimpleNamespace(device=None), get_board("pynq-z2"), []
    result = Outcome().optional("energy", lambda: board_energy(nothing, board, None, said.append))
    assert result is not None and result.kind == "unmeasured"
    assert no_values(result)
    assert result.explanation == "TUL PYNQ-Z2 has no power sensor; connect an external meter"
    assert not said


@pytest.mark.parametrize("name", ["repeats", "minimum_updates", "assumed_updates"])
def test_settings_that_would_not_be_sound(name: str) -> None:
    with pytest.raises(ConfigError, match=f"energy.{name} = 0: must be a whole number from"):
        EnergySettings(**{name: 0})


# The CPU ------------------------------------------------------------------------------------------


def test_cpu_without_rapl_is_unmeasured(tmp_path: Path) -> None:
    result = Outcome().optional("cpu", lambda: measure_cpu(lambda frames: None, root=tmp_path))
    assert result is not None and result.kind == "unmeasured"
    assert no_values(result)
    assert "holds no RAPL domain" in result.explanation


def test_cpu_with_rapl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU has no counter of frames: what returned without an error was done."""
    bench = CountingBench()
    monkeypatch.setattr(windows, "rapl_meter", lambda root: bench)
    monkeypatch.setattr(windows, "time", bench)
    result = measure_cpu(bench.run_frames)
    assert result.kind == "measured"
    assert result.rails == ("package-0",)
    assert abs(result.value_mj_per_frame - 15.0) <= result.uncertainty_mj
    assert abs(result.net_mj_per_frame - 10.0) <= result.net_uncertainty_mj
    assert all(window.seconds >= 0.999 for window in result.windows)


# The formulas -------------------------------------------------------------------------------------


def test_student_quantiles() -> None:
    # Tables, for example NIST/SEMATECH e-Handbook 1.3.6.7.2.
    for freedom, expected in [(3, 3.182), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042)]:
        assert student_quantile(freedom) == pytest.approx(expected, rel=2e-3)


ORDER = draw_order(5, 1)


def sample_windows(idle: float, step: float, drift: list[float]) -> list[Window]:
    """Ten one-second windows of 100 frames in a drawn order."""
    return [
        Window(k * SECOND, (k + 1) * SECOND, 100 * busy, idle + step * busy + more)
        for k, (busy, more) in enumerate(zip(ORDER, drift, strict=True))
    ]


def test_a_drift_that_is_no_straight_line_leaves_the_net_energy_alone() -> None:
    drift = [0.1 * k - 0.02 * k**2 for k in range(10)]
    found = evaluate(sample_windows(1.0, 0.5, drift), replace(SENSOR, resolution_watts=1e-9))
    assert found.net.value == pytest.approx(0.005)
    assert found.net.uncertainty == pytest.approx(0, abs=1e-9)
    assert found.total.value == pytest.approx((1.5 + np.mean(drift)) / 100)
    assert found.drift_watts == pytest.approx(np.ptp(drift))


def test_less_power_than_idle_is_within_the_noise() -> None:
    found = evaluate(sample_windows(1.5, -0.5, [0.0] * 10), SENSOR)
    assert found.within_noise
    assert "-0.5 W, within the noise" in str(within_noise_of(found))


def test_a_small_difference_says_how_much_longer_it_takes() -> None:
    noise = list(np.random.default_rng(3).normal(0, 0.1, 10))
    found = evaluate(sample_windows(1.5, 0.03, noise), replace(SENSOR, resolution_watts=1e-4))
    assert found.within_noise
    assert "--seconds" in str(within_noise_of(found))
    coarse = evaluate(sample_windows(1.5, 0.03, [0.0] * 10), replace(SENSOR, resolution_watts=0.5))
    assert "finer sensor" in str(within_noise_of(coarse))


def test_windows_in_an_order_that_is_never_drawn_are_refused() -> None:
    windows = sorted(sample_windows(1.0, 0.5, [0.0] * 10), key=lambda window: window.frames)
    with pytest.raises(MeasurementError, match="in an order that is never drawn"):
        evaluate(windows, SENSOR)


def test_json_is_whole() -> None:
    result = Bench().measure()
    value = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert value["kind"] == "modelled"
    assert value["sensor"] == "model"
    assert value["rails"] == ["board"]
    assert len(value["windows"]) == 10
    assert {window["kind"] for window in value["windows"]} == {"idle", "active"}
    first, last = value["windows"][0], value["windows"][-1]
    assert 0 < first["start_seconds"] < first["end_seconds"]
    assert last["end_seconds"] < value["trace"]["seconds"][-1] + 0.02
    assert len(value["trace"]["seconds"]) == len(value["trace"]["watts"]) <= 1500
    assert json.loads(json.dumps(EnergyResult("unmeasured", "none").to_json()))["trace"] is None


def test_the_simulated_board_end_to_end(tmp_path: Path) -> None:
    """The real pynq, a simulated core with its own counter, virtual time, the modelled meter."""
    with Accelerator.open(toy_core.write_toy_overlay(tmp_path / "overlay"), batch=256) as board:
        frames = toy_core.random_frames(256)

        def run_frames(count: int) -> None:
            for start in range(0, count, len(frames)):
                board.infer(frames[: count - start], reset=False)

        result = measure(
            run_frames,
            lambda: board.driver.identity(1.0).frames_done,
            find_meter(get_board("sim"), board.device),
            board.device.clock,
            EnergySettings(seed=0),
        )
    model = get_board("sim").power_model
    assert model is not None
    assert result.kind == "modelled"
    assert result.idle_watts == pytest.approx(model.idle_watts, abs=0.04)
    # The host's register accesses between two calls leave the core idle for part of the time.
    assert model.idle_watts + 0.1 < result.active_watts < model.active_watts + 0.04
    per_frame = toy_core.CYCLES / (get_board("sim").clock_mhz * 1e6)
    expected = (model.active_watts - model.idle_watts) * per_frame * 1e3
    assert abs(result.net_mj_per_frame - expected) <= (
        result.net_uncertainty_mj + result.net_gain_mj
    )
