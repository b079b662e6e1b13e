"""Meters with clocks of their own: found by the run's pattern, to within the stated uncertainty."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fdht_host.energy.aligned import aligned_energy
from fdht_host.energy.evaluation import EnergySettings
from fdht_host.energy.load_driver import LoadIdentity, drive
from fdht_host.energy.load_pattern import LoadRecord, PatternSettings, draw_chips, read_load
from fdht_host.energy.meter_clock import ClockError, fit_clock
from fdht_host.energy.pattern_search import PatternNotFoundError, find_pattern
from fdht_host.energy.workload import Workload
from fdht_host.power.meter import PowerTrace, Sensor
from fdht_models.errors import ArtifactError, ConfigError, MeasurementError
from tests.host.sample_loads import FRAME, IDLE, SECOND, sample_load, sample_trace
from tests.host.test_energy import Bench

#: Meters that have to work: readings a second, and what is special.
METERS: dict[str, tuple[float, dict[str, float]]] = {
    "10 a second": (10, {}),
    "of the moment": (10, {"averaging": 0.0}),
    "averaging": (10, {"averaging": 1.0, "latency": 0.5}),
    "faint": (10, {"step": 0.03, "noise": 0.02}),
    "dropping": (10, {"drop": 0.2}),
    "drifting": (10, {"drift": 0.4}),
    "100 a second": (100, {}),
    "noisy": (100, {"noise": 0.3}),
}


def stretch_of(rate: float) -> float:
    return PatternSettings().stretch_seconds(1 / rate, FRAME)


def covers(name: str, trials: int, first: int = 0) -> tuple[NDArray[np.float64], int]:
    """Trials in which offset, rate, and a moment at the trace's end are as stated; and those that
    were refused, which give no figure."""
    rate, changes = METERS[name]
    hits, refused = np.zeros(3), 0
    for seed in range(first, first + trials):
        load = sample_load(seed, stretch_of(rate))
        trace, truth = sample_trace(load, rate, seed=seed, **changes)
        try:
            clock = fit_clock(load, trace, find_pattern(load, trace))
        except ClockError:
            refused += 1
            continue
        end = int(trace.timestamps_ns[-1])
        errors = [
            abs(clock.host_ns / SECOND - truth(clock.origin_ns)),
            abs(clock.rate_ppm - 200),
            abs(int(clock.host_times(end)) / SECOND - truth(end)),
        ]
        stated = [
            clock.offset_uncertainty_seconds,
            clock.rate_uncertainty_ppm,
            clock.uncertainty_seconds(end),
        ]
        hits += np.array(errors) <= np.array(stated)
    return hits, refused


@pytest.mark.parametrize("name", METERS)
def test_a_clock_that_is_off_by_3_s_and_200_ppm_is_found(name: str) -> None:
    """Six trials: of 18 figures at 93 % coverage each, fewer than 13 come once in 1,000."""
    hits, refused = covers(name, 6)
    assert not refused and hits.sum() >= 13


@pytest.mark.slow  # 150 trials a meter; some minutes
@pytest.mark.parametrize("name", METERS)
def test_the_stated_uncertainty_of_the_clock_covers_the_truth(name: str) -> None:
    # 95 % are nominal, and 90 % known of meters of the moment and of faint steps. 150 trials tell
    # shares to 2.5 % (one standard deviation). One trial of the drifting meter is refused: noise
    # may look like a clock that jumped. That costs a measurement, and tells nothing wrong.
    least = 0.82 if name in ("of the moment", "faint") else 0.88
    hits, refused = covers(name, 150, first=1000)
    assert refused <= 3
    assert min(hits) >= least * (150 - refused)


def test_a_thousand_readings_a_second() -> None:
    load = sample_load(1, stretch_of(1000))
    trace, truth = sample_trace(load, 1000)
    clock = fit_clock(load, trace, find_pattern(load, trace))
    assert abs(clock.host_ns / SECOND - truth(clock.origin_ns)) < 1e-3
    assert clock.offset_uncertainty_seconds < 1e-3
    assert clock.rate_ppm == pytest.approx(200, abs=20)


def test_what_a_meter_averages_over_is_told() -> None:
    load = sample_load(2, 1.0)
    for averaging in (0.3, 1.0):
        trace, _ = sample_trace(load, 10, averaging=averaging)
        clock = fit_clock(load, trace, find_pattern(load, trace))
        assert clock.averaging_seconds == pytest.approx(averaging, rel=0.15)
        assert clock.step_watts == pytest.approx(0.4, rel=0.03)


def test_any_offset_will_do() -> None:
    """A log that starts at 0, or one with the seconds since 1970."""
    load = sample_load(3, 1.0)
    for offset in (-load.middle_ns / SECOND + 200.0, 1.7e9):
        trace, truth = sample_trace(load, 10, offset=offset)
        clock = fit_clock(load, trace, find_pattern(load, trace))
        error = abs(clock.host_ns / SECOND - truth(clock.origin_ns))
        assert error < 1e-3 + 1e-6 * abs(offset) * 1e-6 * 1e6  # float64 of the truth


# The test -----------------------------------------------------------------------------------------


def without_pattern(kind: str, seed: int) -> PowerTrace:
    """What a meter may read that knows nothing of the run."""
    random = np.random.default_rng(seed)
    times = np.arange(0, 260, 0.1)
    white = random.normal(0, 1, len(times))
    watts = {
        "white": white,
        "brown": np.cumsum(white),
        # A program that works every other second.
        "rhythm": np.sign(np.sin(np.pi * (times + random.uniform(0, 2)))) + 0.1 * white,
        # Another run's pattern.
        "other run": np.zeros_like(times),
    }[kind]
    if kind == "other run":
        return sample_trace(sample_load(seed + 5000, 1.0), 10, seed=seed)[0]
    stamps = np.rint(times * SECOND).astype(np.int64)
    return PowerTrace(stamps, 2 + 0.1 * watts, Sensor("m", "measured", ("b",), 0.01, 0.0, 0.1))


@pytest.mark.parametrize("kind", ["white", "brown", "rhythm", "other run"])
def test_a_trace_without_the_pattern_is_refused(kind: str) -> None:
    for seed in range(15):
        with pytest.raises(PatternNotFoundError, match="the run's pattern is not in it"):
            find_pattern(sample_load(seed, 1.0), without_pattern(kind, seed))


@pytest.mark.slow  # 400 searches a kind
@pytest.mark.parametrize("kind", ["white", "brown", "rhythm"])
def test_false_alarms_are_as_rare_as_stated(kind: str) -> None:
    """At 5 % stated, for 0.1 % would need more trials; the bound is a safe one."""
    found = 0
    for seed in range(400):
        try:
            find_pattern(sample_load(seed, 1.0), without_pattern(kind, seed), false_alarms=0.05)
        except PatternNotFoundError:
            continue
        found += 1
    assert found <= 0.05 * 400 + 3 * math.sqrt(0.05 * 400)


def test_a_trace_of_one_value_is_refused() -> None:
    still = without_pattern("white", 0)
    still = replace(still, watts=np.full_like(still.watts, 2.4))
    with pytest.raises(PatternNotFoundError, match=r"correlation 0\.00"):
        find_pattern(sample_load(0, 1.0), still)


def test_the_refusal_names_the_rate_of_false_alarms() -> None:
    with pytest.raises(PatternNotFoundError, match="once in 1000 traces"):
        find_pattern(sample_load(0, 1.0), without_pattern("white", 0))


def test_a_trace_of_days_is_refused() -> None:
    stamps = np.array([0, 10**6 * SECOND])
    trace = PowerTrace(stamps, np.ones(2), Sensor("m", "measured", ("b",), 0.01, 0.0, 0.1))
    with pytest.raises(MeasurementError, match="cut the log"):
        find_pattern(sample_load(0, 0.2), trace)


# Clocks that do not run steadily ------------------------------------------------------------------


@pytest.mark.parametrize("jump", [0.6, -0.8, -2.0, 3.0])
def test_a_clock_that_jumps_is_refused(jump: float) -> None:
    load = sample_load(4, 1.0)
    trace, _ = sample_trace(load, 10, jump=jump)
    found = aligned_energy(load, trace)
    assert found.kind == "refused"
    assert found.value_mj_per_frame is None


def test_a_meter_that_averages_over_too_long_is_refused() -> None:
    load = sample_load(5, 1.0)
    trace, _ = sample_trace(load, 10, averaging=2.5, step=1.0)
    with pytest.raises(MeasurementError, match=r"averages over|pattern is not in it"):
        fit_clock(load, trace, find_pattern(load, trace))


def test_a_log_that_holds_half_of_the_run_is_refused() -> None:
    load = sample_load(6, 1.0)
    trace, _ = sample_trace(load, 10)
    half = len(trace.watts) // 2
    late = PowerTrace(trace.timestamps_ns[half:], trace.watts[half:], trace.sensor)
    found = aligned_energy(load, late)
    assert found.kind == "refused"


def test_too_few_readings_for_the_chips() -> None:
    load = sample_load(7, 1.0)
    trace, _ = sample_trace(load, 0.4, step=4.0)
    with pytest.raises(MeasurementError):
        fit_clock(load, trace, find_pattern(load, trace))
    with pytest.raises(ClockError, match="readings of 80 chips"):
        fit_clock(load, trace, find_pattern(load, sample_trace(load, 10)[0]))


# Energy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METERS)
def test_energy_a_frame_comes_back(name: str) -> None:
    rate, changes = METERS[name]
    step = changes.get("step", 0.4)
    hits, trials = 0, 4
    for seed in range(trials):
        load = sample_load(seed, stretch_of(rate))
        result = aligned_energy(load, sample_trace(load, rate, seed=seed, **changes)[0])
        if result.kind == "refused" and name in ("faint", "drifting", "noisy"):
            hits += 2  # within the noise, and said so
            continue
        assert result.kind == "measured", result.explanation
        net = abs(result.net_mj_per_frame - step) <= result.net_uncertainty_mj
        # The total is that of the time of the run, whose mean drift is its amplitude at most.
        drift = changes.get("drift", 0.02)
        total = abs(result.value_mj_per_frame - IDLE - step) <= result.uncertainty_mj + drift
        hits += int(net) + int(total)
    # 95 % each, total and net: five of eight or fewer come once in 200.
    assert hits >= 6


def test_the_result_says_by_what_it_was_measured_and_how_it_was_aligned() -> None:
    load = sample_load(8, 1.0)
    found = aligned_energy(load, sample_trace(load, 10)[0])
    assert found.kind == "measured"
    assert found.rails == ("whole board",)
    assert "log.csv" in found.explanation and "ppm" in found.explanation
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))["alignment"]
    assert told["rate_ppm"] == pytest.approx(200, abs=50)
    assert told["correlation"] > told["correlation_needed"]
    assert told["false_alarms"] < 1e-3


def test_of_a_simulated_board_nothing_is_measured() -> None:
    load = sample_load(9, 1.0, simulated=True, board="sim")
    found = aligned_energy(load, sample_trace(load, 10)[0])
    assert found.kind == "modelled"
    assert "not hardware" in found.explanation


# The load -----------------------------------------------------------------------------------------

IDENTITY = LoadIdentity("tiny-net", "0" * 16, "sim", True)


def driven(bench: Bench, **changes: Any) -> LoadRecord:
    load = Workload(bench.run_frames, lambda: bench.count, bench.clock, "note")
    pattern = PatternSettings(minimum_seconds=0.0, **changes)
    return drive(load, IDENTITY, 0.01, pattern, EnergySettings())


def test_the_load_is_as_recorded() -> None:
    bench = Bench()
    load = driven(bench)
    ran = [
        (one.start_ns - load.origin_ns, one.end_ns - load.origin_ns)
        for one in bench.log.segments(bench.clock.monotonic_ns())
        if one.busy and one.end_ns > load.origin_ns
    ]
    ran = [one for one in ran if one[0] >= load.chips[0].start_ns]

    def length(stretches: Any) -> int:
        return sum(end - start for start, end in stretches)

    assert length(ran) == length(load.busy)
    assert len(load.chips) == 80
    assert len(load.windows) == 10
    for window in load.windows:
        if window.frames:
            assert any(
                start <= window.start_ns - load.settle_ns * 0.99
                and window.end_ns + load.settle_ns * 0.99 <= end
                for start, end in load.busy
            )
    assert load.note == "note"


def test_when_chips_are_due_tells_nothing_of_the_coins() -> None:
    slow = driven(Bench(seconds_per_frame=0.013))
    for chip, planned in zip(slow.chips, draw_chips(PatternSettings(), 0.104), strict=True):
        assert chip.on_first == planned.on_first
        first = (chip.middle_ns - chip.start_ns) / SECOND
        assert first == pytest.approx(planned.first_seconds, abs=1e-6)
    for before, after in zip(slow.chips[:39], slow.chips[1:40], strict=True):
        assert before.end_ns == after.start_ns


def test_coins_and_lengths_are_of_the_seed() -> None:
    one, same, other = (draw_chips(PatternSettings(seed=seed), 1.0) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    share = np.mean([chip.on_first for chip in draw_chips(PatternSettings(chips=4000), 1.0)])
    assert share == pytest.approx(0.5, abs=0.03)


def test_a_record_is_read_back(tmp_path: Path) -> None:
    load = driven(Bench())
    path = tmp_path / "pattern.json"
    path.write_text(json.dumps(load.to_json()))
    assert read_load(path) == load
    for change in ({"chips": []}, {"busy": [[5, 4]]}, {"schema": 2}, {"more": 1}):
        path.write_text(json.dumps({**load.to_json(), **change}))
        with pytest.raises(ArtifactError):
            read_load(path)


@pytest.mark.parametrize("wrong", [{"chips": 8}, {"chips": 81}, {"stretch_updates": 0}])
def test_patterns_that_would_not_be_sound(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="pattern"):
        PatternSettings(**wrong)
