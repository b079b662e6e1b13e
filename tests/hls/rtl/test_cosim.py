"""The whole core in Verilator, with the real engine: reference = C simulation = RTL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.benchmarks.random_networks import random_frames, random_network
from fdht_hls.csimulation import CSimulation
from fdht_hls.engine import lower
from fdht_hls.equality import corner_frames
from fdht_hls.rtl.core import Core, emit_verilog, verilog_of
from fdht_hls.rtl.cosim import (
    Distribution,
    StageLoad,
    Timeline,
    cosim,
    recurrent_latency,
    report_lines,
)
from fdht_hls.rtl.cosim import _busy as busy_of
from fdht_hls.rtl.cosim import _distribution as distribution
from fdht_hls.rtl.cosim import _limit as limit
from fdht_hls.rtl.gantt import draw_gantt, shares
from fdht_hls.rtl.simulation.compiling import build_simulator
from fdht_hls.rtl.simulation.runner import Layout, RunSettings, run_calls
from fdht_hls.schedule import default_schedule
from fdht_models.errors import ConfigError, EqualityError
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.quantized import Head, QuantizedNetwork
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.conftest import Converted
from tests.hls.networks import CLASSIFIERS

#: Random latency, and channels that are held up a third of the time.
BUSY = RunSettings(latency=7, jitter=25, back_pressure=0.35, seed=3, timeout_clocks=200_000)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cores")


@pytest.fixture(scope="module")
def network() -> QuantizedNetwork:
    return CLASSIFIERS["bytes"].network


def test_the_text_is_the_same_every_time(network: QuantizedNetwork):
    schedule = default_schedule(network.recurrence)
    verilog = emit_verilog(lower(network, schedule))
    assert verilog == emit_verilog(lower(network, schedule))
    assert "probe_" not in verilog
    assert str(Path(__file__).parents[3]) not in verilog


def test_a_clip_equals_the_reference(network: QuantizedNetwork, cache: Path, tmp_path: Path):
    frames = corner_frames(network, 24)
    schedule = default_schedule(network.recurrence)
    quiet = cosim(network, lower(network, schedule), frames, cache, RunSettings(), quick=True)
    for result in (
        quiet,
        cosim(network, lower(network, schedule), frames, cache, BUSY, quick=True),
    ):
        assert result.comparison.compared == 24 * 3
        assert result.comparison.mismatches == 0
        assert result.cycles_per_frame >= result.io_limit == 8
    report = quiet.to_json()
    assert report["kind"] == "simulated"
    assert report["mismatches"] == 0
    assert "between_results" not in report  # dense frames all take the same
    assert [stage["name"] for stage in report["stages"]][-2:] == ["cell", "head"]
    # So short a frame waits for W_h h of the one before.
    assert report["limited_by"] == "recurrence"
    assert any("0 differ" in line for line in report_lines(quiet))
    picture = tmp_path / "gantt.svg"
    draw_gantt(quiet.timeline, "a frame", picture)
    assert "input.C3" in picture.read_text() or "<path" in picture.read_text()


@pytest.mark.slow  # a core of its own to compile; wider ports: `test_wider_ports_for_frames`
def test_several_fibres_at_once_behind_a_port_of_256_bits(cache: Path):
    """Fibres of 4 bytes, four a clock. (What that does to the pace: `test_study_pace`.)"""
    network = random_network("wide", fdht_shape((4, 4, 4), (8, 2, 1), (2, 2), 2, 2), classes=2)
    schedule = default_schedule(network.recurrence, 32)
    assert schedule.fibres == (4, 1)
    frames = random_frames(network, 12)
    for settings in (RunSettings(), BUSY):
        result = cosim(network, lower(network, schedule, 32), frames, cache, settings, quick=True)
        assert result.comparison.compared == 12 * 2
        assert result.comparison.mismatches == 0
        assert result.io_limit == 2


def test_registers_and_results_equal_the_c_simulation(
    small: Converted, cache: Path, network: QuantizedNetwork
):
    """The same calls on the same memory: every byte and every register."""
    frames = corner_frames(network, 20)
    layout = Layout(network, len(frames), offset=40)
    plan = lower(network)
    verilog = verilog_of(Core(plan, probes=True))
    simulator = build_simulator(verilog, plan.names, cache, quick=True)
    calls = [
        layout.call(0, 7, True),
        layout.call(7, 0, False),
        layout.call(7, 4, False),
        layout.call(11, 8, True),
        layout.call(19, 1, False),
    ]
    image = layout.image(frames)
    outcome = run_calls(simulator, network, image, calls, BUSY)
    csim = CSimulation(small.library("native"))
    try:
        memory = image.copy()
        for call, seen in zip(calls, outcome.calls, strict=True):
            start, stop = (address - layout.frames + layout.offset for address in _spans(call))
            results = np.zeros(call.count * network.result_bytes, np.uint8)
            source = memory[start : start + call.count * network.frame_bytes].copy()
            identity = csim.run(source, results, call.count, call.reset)
            memory[stop : stop + len(results)] = results
            assert seen.identity == identity
        np.testing.assert_array_equal(outcome.memory, memory)
    finally:
        csim.close()


def _spans(call: object) -> tuple[int, int]:
    return call.frames, call.results  # type: ignore[attr-defined]


def test_a_wrong_integer_is_named(network: QuantizedNetwork, cache: Path):
    """The Verilog of one network against the reference of another."""
    codes = network.head.bias.codes.copy()
    codes[1] += 1
    head = Head(network.head.weights, QuantizedArray(network.head.bias.format, codes))
    with pytest.raises(EqualityError, match=r"8 of 24 integers differ.*frame 0, class 1: "):
        cosim(
            replace(network, head=head),
            lower(network),
            corner_frames(network, 8),
            cache,
            RunSettings(),
            quick=True,
        )


def test_too_few_frames(network: QuantizedNetwork, cache: Path):
    schedule = default_schedule(network.recurrence)
    with pytest.raises(ConfigError, match="frames = 4: a steady state needs 5 frames or more"):
        cosim(network, lower(network, schedule), corner_frames(network, 4), cache, RunSettings())


def test_recurrent_latency_is_what_the_windows_show():
    stages = ("input.C1", "hidden.C2", "hidden.C1", "cell", "head")
    idle = [0, 0, 0, 0, 0]
    window = [
        [50, 0, 0, 100, 190],
        [10, 0, 0, 160, 169],  # W_h h from clock 160
        [20, 0, 0, 165, 189],  # to clock 189: 30 clocks
        [8, 0, 0, 140, 149],  # 8 units; 11 clocks from the last one to W_h h
        [8, 0, 0, 150, 160],
    ]
    assert recurrent_latency(stages, np.array([[idle] * 5, window, window])) == 30 + 8 + 11
    assert recurrent_latency(stages, np.array([[idle] * 5, [idle] * 5])) is None
    assert recurrent_latency(("input.C1",), np.array([[idle], [idle]])) is None


def test_what_sets_the_pace():
    busy = {"input.C2": 200.0, "input.C1": 500.0, "cell": 20.0}
    assert limit(busy, 512, 128, RunSettings()) == "input.C1"
    assert limit(busy, 130, 128, RunSettings()) == "memory port"
    assert limit(busy, 900, 128, RunSettings()) == "recurrence"
    assert limit(busy, 900, 128, RunSettings(latency=400)) == "memory"
    # Sparse frames of which none is faster do not wait for words.
    assert limit(busy, 900, 128, RunSettings(latency=400), 880) == "recurrence"
    assert limit(busy, 900, 128, RunSettings(latency=400), 300) == "memory"


def test_how_clocks_between_results_are_spread():
    clocks = np.array([*range(100, 120), 1000])
    found = distribution(clocks)
    assert found == Distribution(float(sum(clocks)) / 21, 110.0, 119.0, 1000)


def test_windows_that_are_shorter_than_frames_do_not_hide_a_slow_stage(network: QuantizedNetwork):
    """The reader is frames ahead: in a window a stage works for but a part of its frame."""
    plan = lower(network)
    names = [stage.name for stage in plan.input]
    loads = [*(StageLoad(name, 1.0, 0.0, 0.0) for name in names), StageLoad("cell", 8.0, 0.0, 0.0)]
    found = busy_of(loads, plan)
    wanted = [stage.schedule.cycles(stage.shape) for stage in plan.input]
    assert found == {**dict(zip(names, wanted, strict=True)), "cell": 8.0}


def test_shares_add_up():
    edges, found = shares("bbbbssoo..", intervals=5)
    np.testing.assert_array_equal(edges, [0, 2, 4, 6, 8, 10])
    np.testing.assert_array_equal(found["b"], [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(found["s"], [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(found["o"], [0, 0, 0, 1, 0])


@pytest.mark.parametrize(
    ("timeline", "name", "message"),
    [
        (Timeline(("a",), ("bs",), 1), "picture.txt", r"must end in \.svg, \.png, \.pdf"),
        (Timeline(("a",), ("",), 0), "picture.svg", "nothing was noted"),
    ],
)
def test_bad_pictures(
    timeline: Timeline, name: str, message: str, tmp_path: Path, request: pytest.FixtureRequest
):
    with pytest.raises(ConfigError, match=message):
        draw_gantt(timeline, "title", tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_every_kind_of_classifier(
    name: str, converted: Callable[[str], Converted], cache: Path, tmp_path: Path
):
    """Widths, signs, gates, padding; with waveforms."""
    network = CLASSIFIERS[name].network
    trace = tmp_path / "wave.fst"
    settings = replace(BUSY, trace=trace)
    result = cosim(network, lower(network), corner_frames(network, 40), cache, settings)
    assert result.comparison.mismatches == 0
    assert trace.stat().st_size > 1000
