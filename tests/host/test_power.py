"""Power meters: integration, sampling threads, wrap-around, and sensors that fail."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fdht_hls.boards import Board, PowerSensor, get_board
from fdht_host.clocks import ActivityLog, VirtualClock
from fdht_host.power import sampling
from fdht_host.power.finding import find_meter
from fdht_host.power.hwmon import hwmon_meter
from fdht_host.power.meter import PowerTrace, Sensor
from fdht_host.power.modelled import SimulatedMeter
from fdht_host.power.pmbus import pmbus_meter
from fdht_host.power.rapl import Domain, EnergyCounter, rapl_meter
from fdht_host.power.sampling import SamplingMeter, characterise
from fdht_models.errors import ConfigError, MeasurementError

SECOND = 1_000_000_000


def sensor(interval: float = 0.01, step: float = 0.001, gain: float = 0.0) -> Sensor:
    return Sensor("test", "modelled", ("board",), step, gain, interval)


def trace(times: list[float], watts: list[float], joules: list[float] | None = None) -> PowerTrace:
    # Far from zero, as monotonic_ns is on a machine that has been up for weeks.
    moments = np.array([round(moment * SECOND) for moment in times], np.int64) + 10**16
    counted = None if joules is None else np.array(joules)
    return PowerTrace(moments, np.array(watts, float), sensor(), counted)


# Traces -------------------------------------------------------------------------------------------


def test_energy_is_the_trapezoid_with_interpolated_ends() -> None:
    ramp = trace([0, 1, 2, 4], [0, 1, 2, 4])  # P(t) = t, unevenly read
    for start, end in [(0, 4), (0.5, 3.5), (1, 2), (2.1, 2.2)]:
        joules = ramp.energy(10**16 + round(start * SECOND), 10**16 + round(end * SECOND))
        assert joules == pytest.approx((end**2 - start**2) / 2, rel=1e-12)


def test_energy_of_a_counting_sensor_is_the_difference_of_its_count() -> None:
    counting = trace([0, 1, 3], [9, 9, 9], [0, 2, 10])  # 2 W, then 4 W
    assert counting.energy(10**16 + SECOND // 2, 10**16 + 2 * SECOND) == pytest.approx(1 + 4)


def test_sum_times_interval_would_be_wrong() -> None:
    """DataRecorder's readings, asked for each 10 ms, come each 16 ms."""
    times = np.arange(100) * 0.016
    steady = trace(list(times), [2.0] * 100)
    start, end = 10**16, 10**16 + round(times[-1] * SECOND)
    assert steady.energy(start, end) == pytest.approx(2.0 * times[-1])
    assert np.sum(steady.watts) * 0.010 < 0.65 * steady.energy(start, end)


@pytest.mark.parametrize("window", [(-1, 1), (0, 5), (2, 2), (3, 1)])
def test_energy_outside_the_trace_is_refused(window: tuple[int, int]) -> None:
    with pytest.raises(MeasurementError, match="does not lie within the power trace"):
        trace([0, 4], [1, 1]).energy(*(10**16 + moment * SECOND for moment in window))


def test_traces_that_are_none() -> None:
    with pytest.raises(MeasurementError, match="too few readings"):
        trace([0], [1])
    with pytest.raises(MeasurementError, match="times must rise"):
        trace([0, 1, 1], [1, 1, 1])
    with pytest.raises(ConfigError, match="update_interval_seconds"):
        sensor(interval=0)


def test_thinning_keeps_the_mean() -> None:
    long = trace([k * 0.01 for k in range(1000)], list(np.linspace(1, 3, 1000)))
    times, watts = long.thinned(100)
    assert len(times) == len(watts) == 100
    assert watts.mean() == pytest.approx(2.0)
    assert np.all(np.diff(times) == 10 * SECOND // 100)
    assert len(long.thinned(1000)[1]) == 1000


def test_longest_gap_counts_the_ends() -> None:
    sparse = trace([0, 20, 30, 40, 100], [1] * 5)
    counting = trace([0, 20, 30, 40, 100], [1] * 5, [0, 1, 2, 3, 4])

    def gap(of: PowerTrace, start: int, end: int) -> float:
        return of.longest_gap_ns(10**16 + start * SECOND, 10**16 + end * SECOND) / SECOND

    assert gap(sparse, 5, 45) == 15
    assert gap(sparse, 18, 60) == 20
    assert gap(sparse, 41, 99) == 58
    # A counter misses nothing between two readings; only the ends are interpolated.
    assert gap(counting, 25, 35) == 10
    assert gap(counting, 5, 35) == 20
    assert gap(counting, 0, 100) == 60


# The modelled meter -------------------------------------------------------------------------------

MODEL = SimpleNamespace(
    idle_watts=2.0, active_watts=3.0, drift_watts=0.0, drift_period_seconds=60.0, noise_watts=0.0
)


def modelled(clock: VirtualClock, log: ActivityLog, model: object = MODEL, **more: float):
    return SimulatedMeter(
        sensor(**more), model, lambda: log.segments(clock.monotonic_ns()), clock.monotonic_ns
    )


def test_modelled_power_follows_the_core() -> None:
    clock, log = VirtualClock(), ActivityLog()
    meter = modelled(clock, log)
    clock.sleep(0.1)
    meter.start()
    clock.sleep(0.1)
    log.begin(clock.monotonic_ns(), clock.monotonic_ns() + SECOND // 10)
    clock.sleep(0.1)
    clock.sleep(0.105)
    result = meter.stop()
    np.testing.assert_array_equal(result.timestamps_ns, np.arange(10, 41) * (SECOND // 100))
    expected = [2.0] * 11 + [3.0] * 10 + [2.0] * 10
    np.testing.assert_allclose(result.watts, expected)
    assert result.sensor.kind == "modelled"


def test_a_reading_is_the_mean_of_its_conversion() -> None:
    clock, log = VirtualClock(), ActivityLog()
    meter = modelled(clock, log)
    meter.start()
    clock.sleep(0.004)
    log.begin(clock.monotonic_ns(), clock.monotonic_ns() + 3_000_000)  # 3 of 10 ms
    clock.sleep(0.016)
    np.testing.assert_allclose(meter.stop().watts, [2.0, 2.3, 2.0])


def test_half_the_activity_takes_half_of_what_is_beyond_idle_power() -> None:
    clock, log = VirtualClock(), ActivityLog()
    meter = modelled(clock, log)
    meter.start()
    log.begin(clock.monotonic_ns(), clock.monotonic_ns() + 10_000_000, 0.5)
    log.begin(clock.monotonic_ns() + 10_000_000, clock.monotonic_ns() + 20_000_000)
    clock.sleep(0.02)
    assert [segment.activity for segment in log.segments(clock.monotonic_ns())] == [0.5, 1.0]
    np.testing.assert_allclose(meter.stop().watts, [2.0, 2.5, 3.0])


def test_modelled_errors_are_seeded_and_of_the_size_stated() -> None:
    noisy = SimpleNamespace(**{**vars(MODEL), "noise_watts": 0.05})

    def record(seed: int) -> PowerTrace:
        clock = VirtualClock()
        meter = SimulatedMeter(
            sensor(gain=0.01), noisy, lambda: [(0, clock.monotonic_ns(), False)],
            clock.monotonic_ns, seed=seed,
        )  # fmt: skip
        meter.start()
        clock.sleep(20)
        return meter.stop()

    first = record(1)
    np.testing.assert_array_equal(first.watts, record(1).watts)
    assert np.any(first.watts != record(2).watts)
    assert first.watts.std() == pytest.approx(0.05, rel=0.1)
    np.testing.assert_allclose(first.watts, np.round(first.watts, 3), atol=1e-12)
    means = [record(seed).watts.mean() for seed in range(20)]
    assert max(means) < 2.03
    assert min(means) > 1.97
    assert np.std(means) > 0.005  # the gain error is there


def test_drift_is_slow_and_bounded() -> None:
    drifting = SimpleNamespace(**{**vars(MODEL), "drift_watts": 0.5, "drift_period_seconds": 4.0})
    clock, log = VirtualClock(), ActivityLog()
    meter = modelled(clock, log, drifting)
    meter.start()
    clock.sleep(8)
    watts = meter.stop().watts
    assert watts.max() == pytest.approx(2.5, abs=0.01)
    assert watts.min() == pytest.approx(1.5, abs=0.01)
    assert np.abs(np.diff(watts)).max() < 0.02


# Sampling threads ---------------------------------------------------------------------------------


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits for a thread on a machine that may be busy."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def record(meter: SamplingMeter, readings: int = 3) -> PowerTrace:
    """Records until there are so many readings."""
    meter.start()
    wait_for(lambda: len(meter._recording.values) >= readings)
    return meter.stop()


def fast_sensor() -> Sensor:
    return Sensor("fast", "measured", ("rail",), 0.001, 0.0, 0.004)


def test_sampling_reads_at_a_steady_pace() -> None:
    count = itertools.count()
    meter = SamplingMeter(fast_sensor(), lambda: float(next(count)))
    for _ in range(2):  # a meter can be used again
        result = record(meter, 50)
        # A quarter of the interval apart, on a busy machine more.
        assert np.median(np.diff(result.timestamps_ns)) > 0.7e6
        elapsed = (result.timestamps_ns[-1] - result.timestamps_ns[0]) / SECOND
        assert len(result.watts) <= elapsed / 0.001 + 2
        np.testing.assert_array_equal(np.diff(result.watts), 1)
    assert not [thread for thread in threading.enumerate() if thread.name == "power fast"]


@pytest.mark.parametrize("before_start_returns", [False, True])
def test_a_sensor_that_dies_raises_when_stopped(
    before_start_returns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([1.0, 1.0])

    def read() -> float:
        for value in values:
            return value
        raise OSError(5, "Input/output error")

    class Hurried(threading.Thread):
        """Runs to its end before whoever started it goes on."""

        def start(self) -> None:
            super().start()
            self.join(10)

    if before_start_returns:
        monkeypatch.setattr(sampling.threading, "Thread", Hurried)
    meter = SamplingMeter(fast_sensor(), read)
    meter.start()
    wait_for(lambda: meter._recording.error is not None)
    with pytest.raises(MeasurementError, match=r"sensor fast: failed .*Input/output error"):
        meter.stop()


def test_a_sensor_that_is_dead_raises_when_started() -> None:
    def read() -> float:
        raise OSError(19, "No such device")

    meter = SamplingMeter(fast_sensor(), read)
    with pytest.raises(MeasurementError, match="No such device"):
        meter.start()
    with pytest.raises(MeasurementError, match="is not recording"):
        meter.stop()


@pytest.mark.parametrize("first", [0, 1])
def test_a_sensor_that_hangs_does_not_hang_us(first: int) -> None:
    hanging, release = threading.Event(), threading.Event()
    answers = itertools.chain([1.0] * first)

    def read() -> float:
        for value in answers:
            return value
        hanging.set()
        release.wait(10)
        return 1.0

    meter = SamplingMeter(fast_sensor(), read, timeout_seconds=0.1)
    try:
        with pytest.raises(MeasurementError, match=r"did not answer within 0.1 s"):
            meter.start()
            wait_for(hanging.is_set)
            meter.stop()
    finally:
        release.set()


def test_readings_that_are_no_numbers() -> None:
    meter = SamplingMeter(fast_sensor(), lambda: float("nan"))
    with pytest.raises(MeasurementError, match="reading is nan"):
        meter.start()


def test_starting_twice() -> None:
    meter = SamplingMeter(fast_sensor(), lambda: 1.0)
    meter.start()
    with pytest.raises(MeasurementError, match="is recording already"):
        meter.start()
    wait_for(lambda: len(meter._recording.values) >= 2)
    meter.stop()


MILLISECOND = SECOND // 1000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that goes on by a millisecond whenever the sampling looks at it: no load matters."""
    found = SimpleNamespace(now=0)

    def look() -> int:
        found.now += MILLISECOND
        return found.now

    monkeypatch.setattr(sampling, "time", SimpleNamespace(monotonic_ns=look))
    return found


@pytest.mark.parametrize("held_up", [False, True])
def test_an_unknown_sensor_is_characterised(clock: SimpleNamespace, held_up: bool) -> None:
    pauses = iter([0] * 50 + [500 * MILLISECOND] * held_up)

    def read() -> float:
        clock.now += next(pauses, 0)  # another program has the processor
        return 5.0 + 0.25 * (clock.now // (20 * MILLISECOND) % 3)

    interval, step = characterise(read)
    # A change is seen at the next look, and each is two: for the loop and for the time stamp.
    assert interval == pytest.approx(0.02, abs=0.002)
    assert step == 0.25


def test_a_sensor_without_changes_has_no_known_interval(clock: SimpleNamespace) -> None:
    with pytest.raises(
        MeasurementError, match=r"changed 0 times in 0\.05 s, so its update interval"
    ):
        characterise(lambda: 1.0, seconds=0.05)
    assert clock.now >= 50 * MILLISECOND


# RAPL ---------------------------------------------------------------------------------------------


def powercap(root: Path, **counters: str) -> Path:
    """A powercap tree: `package_0="123"` makes intel-rapl:0, named package-0."""
    for number, (name, counter) in enumerate(counters.items()):
        folder = root / f"intel-rapl:{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(name.replace("_", "-") + "\n")
        (folder / "energy_uj").write_text(counter + "\n")
        (folder / "max_energy_range_uj").write_text("1000000\n")
        core = root / f"intel-rapl:{number}:0"  # a part of the package: must not count twice
        core.mkdir()
        (core / "name").write_text("core\n")
        (core / "energy_uj").write_text("77\n")
    return root


def count(root: Path, package: int, microjoules: int) -> None:
    """Sets a counter at once: a reader must never see it half-written."""
    (root / "new").write_text(f"{microjoules}\n")
    (root / "new").replace(root / f"intel-rapl:{package}" / "energy_uj")


def test_rapl_wraps_round(tmp_path: Path) -> None:
    values = iter([900_000, 990_000, 40_000, 40_000, 30_000])

    class Counter(Domain):
        def read(self) -> int:
            return next(values)

    counter = EnergyCounter((Counter("package-0", tmp_path, 1_000_000),))
    joules = [counter.read() for _ in range(5)]
    np.testing.assert_allclose(joules, [0.0, 0.09, 0.14, 0.14, 1.13])


def test_rapl_adds_packages_and_counts_energy(tmp_path: Path) -> None:
    root = powercap(tmp_path, package_0="999000", package_1="5000", psys="1")
    meter = rapl_meter(root, poll_seconds=0.005)
    assert meter.sensor.rails == ("package-0", "package-1")
    assert meter.sensor.kind == "measured"
    meter.start()
    count(root, 0, 4_000)  # round the end: 5,000 uJ
    count(root, 1, 25_000)  # 20,000 uJ
    wait_for(lambda: meter._recording.values[-1] > 0.0249)
    result = meter.stop()
    start, end = (int(result.timestamps_ns[k]) for k in (0, -1))
    assert result.energy(start, end) == pytest.approx(0.025)
    assert result.watts.max() > 0


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda root: None, "holds no RAPL domain"),
        (lambda root: powercap(root, psys="1"), "holds no package domain"),
        (lambda root: powercap(root, package_0="none"), "cannot be read"),
        (
            lambda root: (powercap(root, package_0="1") / "intel-rapl:0" / "energy_uj").unlink(),
            "cannot be read",
        ),
    ],
)
def test_no_rapl(tmp_path: Path, prepare: Callable[[Path], object], expected: str) -> None:
    prepare(tmp_path)
    with pytest.raises(MeasurementError, match=expected):
        rapl_meter(tmp_path)


def test_rapl_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = powercap(tmp_path, package_0="1")

    def denied(self: Domain) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Domain, "read", denied)
    with pytest.raises(MeasurementError, match="may not be read; run as root"):
        rapl_meter(root)


# hwmon, pmbus and the choice ----------------------------------------------------------------------


def hwmon_tree(root: Path, name: str, microwatts: int) -> Path:
    folder = root / "hwmon3"
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "power1_input").write_text(f"{microwatts}\n")
    return root


def test_hwmon_reads_microwatts(tmp_path: Path) -> None:
    root = hwmon_tree(tmp_path, "ina260_u14", 4_810_000)
    meter = hwmon_meter(PowerSensor("ina260_u14", "hwmon", ("module",), 0.01, 0.01), root)
    np.testing.assert_allclose(record(meter).watts, 4.81)


def test_hwmon_without_the_sensor(tmp_path: Path) -> None:
    hwmon_tree(tmp_path, "coretemp", 1)
    with pytest.raises(MeasurementError, match=r"power sensor = 'ina260_u14'.*there are coretemp"):
        hwmon_meter(PowerSensor("ina260_u14", "hwmon", ("module",)), tmp_path)
    with pytest.raises(MeasurementError, match="there are none"):
        hwmon_meter(PowerSensor("ina260_u14", "hwmon", ("module",)), tmp_path / "missing")


def rails() -> dict[str, SimpleNamespace]:
    return {
        "12V": SimpleNamespace(power=SimpleNamespace(value=11.5)),
        "INT": SimpleNamespace(power=SimpleNamespace(value=2.5)),
        "VCC": SimpleNamespace(power=None),
    }


def test_pmbus_sums_its_rails_and_keeps_them_apart() -> None:
    meter = pmbus_meter(PowerSensor("pmbus", "pynq.pmbus", ("12V", "INT"), 0.01, 0.001), rails())
    found = record(meter)
    np.testing.assert_allclose(found.watts, 14.0)
    np.testing.assert_allclose(found.by_rail, np.tile([11.5, 2.5], (len(found.watts), 1)))
    assert meter.sensor.name == "pmbus 12V+INT"


def test_pmbus_without_the_rail() -> None:
    with pytest.raises(MeasurementError, match=r"rail = 'VCC'.*there are 12V, INT"):
        pmbus_meter(PowerSensor("pmbus", "pynq.pmbus", ("VCC",)), rails())
    with pytest.raises(MeasurementError, match="install libsensors-dev"):
        pmbus_meter(PowerSensor("pmbus", "pynq.pmbus", ("12V",)), {})


def board(name: str) -> Board:
    return get_board(name)


def test_a_board_without_a_sensor_is_unmeasured() -> None:
    with pytest.raises(MeasurementError, match="has no power sensor"):
        find_meter(board("pynq-z2"))


def test_a_missing_sensor_is_unmeasured_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="ina260_u14"):
        find_meter(board("kv260"), hwmon_root=tmp_path)


def test_the_kv260_is_found(tmp_path: Path) -> None:
    meter = find_meter(board("kv260"), hwmon_root=hwmon_tree(tmp_path, "ina260_u14", 1))
    assert meter.sensor.update_interval_seconds == 0.15
    assert meter.sensor.kind == "measured"


def test_the_simulated_board_is_modelled() -> None:
    clock = VirtualClock()
    device = SimpleNamespace(clock=clock, activity=((0, 1, False),))
    meter = find_meter(board("sim"), device)
    assert meter.sensor.kind == "modelled"
    meter.start()
    clock.sleep(1)
    assert meter.stop().watts.mean() == pytest.approx(board("sim").power_model.idle_watts, rel=0.05)
    with pytest.raises(MeasurementError, match="simulated board only"):
        find_meter(board("sim"))


# Readings that fail -------------------------------------------------------------------------------


def failing(numbers: set[int]) -> Callable[[], float]:
    """Counts its calls; those of these numbers fail."""
    count = itertools.count()

    def read() -> float:
        number = next(count)
        if number in numbers:
            raise OSError(5, "Input/output error")
        return float(number)

    return read


@pytest.mark.parametrize("numbers", [{3}, {0}, {4, 5, 9}])
def test_a_reading_that_fails_is_left_out_and_counted(numbers: set[int]) -> None:
    result = record(SamplingMeter(fast_sensor(), failing(numbers)), 20)
    assert result.missed == len(numbers)
    # What stands in its place is nothing: no value is made up.
    expected = [float(number) for number in range(len(result.watts) + len(numbers))]
    np.testing.assert_array_equal(
        result.watts, [value for value in expected if value not in numbers]
    )
    assert len(result.timestamps_ns) == len(result.watts)


def test_a_sensor_that_goes_on_failing_counts_as_dead() -> None:
    meter = SamplingMeter(fast_sensor(), failing(set(range(3, 10_000))), timeout_seconds=0.05)
    meter.start()
    wait_for(lambda: meter._recording.error is not None)
    assert meter._recording.missed > 3
    with pytest.raises(MeasurementError, match=r"sensor fast: failed .*Input/output error"):
        meter.stop()


def test_a_gap_of_failed_readings_counts_from_one_reading_to_the_next() -> None:
    """The line that bridges it begins before the window."""
    whole = trace([0, 20, 30, 40, 100], [1] * 5)
    window = (10**16 + 15 * SECOND, 10**16 + 38 * SECOND)
    assert whole.longest_gap_ns(*window) == 10 * SECOND
    assert replace(whole, missed=1).longest_gap_ns(*window) == 20 * SECOND
