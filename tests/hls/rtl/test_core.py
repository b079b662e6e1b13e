"""Control, reader and writer in Verilator, around an engine that can be foreseen.

One compiled core serves all tests; see `tampering` for how it is told to break rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import pywellen

from fdht_hls.csimulation import Identity
from fdht_hls.engine import PortPlan, lower
from fdht_hls.rtl.core import Core, check_port, verilog_of
from fdht_hls.rtl.simulation.compiling import Simulator, build_simulator
from fdht_hls.rtl.simulation.runner import Layout, RunSettings, run_calls, simulate_stream
from fdht_models.errors import (
    ArtifactError,
    ConfigError,
    DeviceError,
    DeviceTimeoutError,
    ToolError,
)
from fdht_models.tensor.quantized import QuantizedNetwork
from tests.hls.networks import CLASSIFIERS
from tests.hls.rtl.standin import ChecksumEngine
from tests.hls.rtl.tampering import FAULTS, SHIFT, TamperedCore

FRAMES = 9
BUSY = RunSettings(latency=3, jitter=30, back_pressure=0.4, timeout_clocks=20_000)
MEMORIES = (RunSettings(), BUSY, replace(BUSY, seed=7))


@dataclass(frozen=True)
class Standin:
    network: QuantizedNetwork
    simulator: Simulator
    verilog: str
    cache: Path

    @property
    def frames(self) -> np.ndarray:
        noise = np.random.default_rng(1).integers(0, 256, (FRAMES, self.network.inputs))
        return noise.astype(np.uint8)

    @property
    def logits(self) -> np.ndarray:
        """What the stand-in answers if the first frame resets it."""
        sums = np.cumsum(self.frames.astype(np.int64).sum(axis=1))
        return sums[:, None] + np.arange(len(self.network.classes))


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Standin:
    network = CLASSIFIERS["bytes"].network  # 8 words a frame, 3 logits in 2 words
    core = Core(lower(network), ChecksumEngine(network), probes=True)
    verilog = verilog_of(TamperedCore(core))
    cache = tmp_path_factory.mktemp("cores")
    simulator = build_simulator(verilog, ChecksumEngine.names, cache, traces=True, quick=True)
    assert simulator.fresh
    return Standin(network, simulator, verilog, cache)


def pieces(*sizes: int) -> list[slice]:
    ends = np.cumsum(sizes)
    return [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]


@pytest.mark.parametrize(
    "settings",
    [
        RunSettings(),
        RunSettings(latency=40),
        RunSettings(interrupt=True),
        BUSY,
        replace(BUSY, seed=1, interrupt=True),
        replace(BUSY, seed=2, back_pressure=0.9, timeout_clocks=50_000),
    ],
)
@pytest.mark.parametrize("offset", [0, 8, 120, 4096 - 24])
def test_results_and_registers_for_every_memory(
    standin: Standin, settings: RunSettings, offset: int
):
    cut = pieces(1, 0, 5, 3)
    logits, outcome = simulate_stream(
        standin.simulator, standin.network, standin.frames, cut, settings, offset
    )
    np.testing.assert_array_equal(logits, standin.logits)
    done = 0
    for piece, call in zip(cut, outcome.calls, strict=True):
        done += piece.stop - piece.start
        wanted = Identity(**lower(standin.network).identity, frames_done=done)
        assert call.identity == wanted
        first, last, result = call.times.T
        assert (first < last).all()
        assert (last < result).all()
        assert (result <= call.done).all()


def test_padding_of_a_result_is_zero(standin: Standin):
    layout = Layout(standin.network, 1)
    memory = layout.image(standin.frames[:1])
    outcome = run_calls(
        standin.simulator, standin.network, memory, [layout.call(0, 1, True)], RunSettings()
    )
    start = layout.results - layout.frames
    words = outcome.memory[start : start + standin.network.result_bytes].view(np.int32)
    np.testing.assert_array_equal(words, [*standin.logits[0], 0])


def test_latency_does_not_slow_the_reader(standin: Standin):
    """Frames of 8 words: bursts of 8, of which many must be open to hide 40 clocks."""

    def clocks(latency: int) -> float:
        _, outcome = simulate_stream(
            standin.simulator,
            standin.network,
            standin.frames,
            pieces(FRAMES),
            RunSettings(latency=latency),
        )
        ends = outcome.calls[0].times[:, 1]
        return float(ends[-1] - ends[0]) / (FRAMES - 1)

    assert clocks(0) == standin.network.frame_bytes / 8  # no gap between frames
    assert clocks(40) <= 1.05 * clocks(0)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("crosses 4 KB", "AR burst crosses a 4 KB boundary"),
        ("long burst", "ARLEN asks for 17 words, more than 16"),
        ("wrapping burst", "ARBURST is not INCR"),
        ("drops ARVALID", "ARVALID fell before ARREADY"),
        ("drops AWVALID", "AWVALID fell before AWREADY"),
        ("changes WDATA", "W payload changed while WVALID waited"),
        ("no WLAST", "WLAST is missing at the last word"),
        ("early WLAST", "WLAST came before the last word"),
        ("RVALID unasked", "RVALID without a read"),
        ("BVALID unasked", "BVALID without a write"),
        ("reads elsewhere", "a word was read that is not of the call's frames"),
    ],
)
def test_the_bench_catches_broken_rules(standin: Standin, fault: str, message: str):
    with pytest.raises(DeviceError, match=message):
        tampered(standin, fault)


def test_every_fault_is_tried():
    source = Path(__file__).read_text()
    assert [fault for fault in FAULTS[1:] if source.count(f'"{fault}"') != 1] == []


def test_a_core_that_stops_is_late(standin: Standin):
    with pytest.raises(DeviceTimeoutError, match=r"the call did not end .*call 0, clock 20\d\d\d"):
        tampered(standin, "stops reading")


def test_wrong_integers_are_seen(standin: Standin):
    assert np.array_equal(tampered(standin, "none"), standin.logits)
    assert not np.array_equal(tampered(standin, "truncates"), standin.logits)


def test_stray_writes_are_seen(standin: Standin):
    with pytest.raises(DeviceError, match="wrote beside its results"):
        tampered(standin, "writes elsewhere")


def tampered(standin: Standin, fault: str) -> np.ndarray:
    """Logits that a core with a fault gives."""
    layout = Layout(standin.network, FRAMES)
    call = layout.call(0, FRAMES, True)
    call = replace(call, results=call.results | FAULTS.index(fault) << SHIFT)
    image = layout.image(standin.frames)
    outcome = run_calls(standin.simulator, standin.network, image, [call], BUSY)
    layout.check_around(image, outcome.memory)
    return layout.logits(outcome.memory)


@pytest.mark.parametrize("settings", MEMORIES)
@pytest.mark.parametrize("bad", [0, 4, 8])
def test_a_read_error_ends_the_call(standin: Standin, settings: RunSettings, bad: int):
    """Frames before it are counted, those behind it are not, and the next call is as any."""
    layout = Layout(standin.network, FRAMES)
    address = layout.frames + bad * standin.network.frame_bytes + 16
    calls = [layout.call(0, FRAMES, True), layout.call(0, bad, True)]
    image = layout.image(standin.frames)
    faulty = replace(settings, bad_reads=(address,))
    outcome = run_calls(standin.simulator, standin.network, image, calls, faulty)
    assert [call.identity.frames_done for call in outcome.calls] == [bad, 2 * bad]
    np.testing.assert_array_equal(layout.logits(outcome.memory)[:bad], standin.logits[:bad])
    # Nothing was written for the frame that could not be read, nor behind it.
    rest = slice(layout.results - layout.frames + bad * standin.network.result_bytes, None)
    np.testing.assert_array_equal(outcome.memory[rest], image[rest])


@pytest.mark.parametrize("settings", MEMORIES)
@pytest.mark.parametrize("bad", [0, 4, 8])
def test_a_write_error_ends_the_call(standin: Standin, settings: RunSettings, bad: int):
    layout = Layout(standin.network, FRAMES)
    address = layout.results + bad * standin.network.result_bytes + 8
    calls = [layout.call(0, FRAMES, True), layout.call(0, bad, True)]
    faulty = replace(settings, bad_writes=(address,))
    outcome = run_calls(
        standin.simulator, standin.network, layout.image(standin.frames), calls, faulty
    )
    assert [call.identity.frames_done for call in outcome.calls] == [bad, 2 * bad]
    np.testing.assert_array_equal(layout.logits(outcome.memory)[:bad], standin.logits[:bad])


def test_addresses_outside_the_memory_end_the_call(standin: Standin):
    layout = Layout(standin.network, FRAMES)
    call = layout.call(0, FRAMES, True)
    nowhere = [replace(call, frames=0x1000), replace(call, results=0x2000), call]
    outcome = run_calls(
        standin.simulator, standin.network, layout.image(standin.frames), nowhere, BUSY
    )
    assert [one.identity.frames_done for one in outcome.calls] == [0, 0, FRAMES]
    np.testing.assert_array_equal(layout.logits(outcome.memory), standin.logits)


def test_the_same_verilog_is_compiled_once(standin: Standin):
    again = build_simulator(
        standin.verilog, ChecksumEngine.names, standin.cache, traces=True, quick=True
    )
    assert not again.fresh
    assert again.program == standin.simulator.program


def test_a_program_that_takes_too_long(standin: Standin):
    with pytest.raises(ToolError, match=r"RTL simulation: did not finish within 0.5 s"):
        simulate_stream(
            standin.simulator,
            standin.network,
            standin.frames,
            pieces(FRAMES),
            RunSettings(latency=2**31 - 1, timeout_clocks=2**31 - 1, timeout=0.5),
        )


def test_timeline_has_a_letter_a_clock(standin: Standin):
    settings = RunSettings(timeline=3)
    _, outcome = simulate_stream(
        standin.simulator, standin.network, standin.frames, pieces(2, FRAMES - 2), settings
    )
    first, _, result = outcome.calls[-1].times[3]
    assert outcome.timeline_start == first
    assert [len(states) for states in outcome.timeline] == [result - first] * 2
    assert set(outcome.timeline[0]) <= set("bso.")


def test_waveforms_need_a_core_that_writes_them(standin: Standin, tmp_path: Path):
    with pytest.raises(ConfigError, match="was not compiled to write waveforms"):
        simulate_stream(
            replace(standin.simulator, traces=False),
            standin.network,
            standin.frames,
            pieces(FRAMES),
            RunSettings(trace=tmp_path / "a.fst"),
        )


@pytest.mark.parametrize(
    "port_bytes", [16, pytest.param(32, marks=pytest.mark.slow)], ids=lambda size: f"{8 * size}"
)
def test_wider_ports_for_frames(port_bytes: int, standin: Standin):
    """Results, a word a clock without a gap, errors of the memory, and bursts at 4 KB."""
    network = standin.network
    verilog = verilog_of(
        Core(
            lower(network, port_bytes=port_bytes), ChecksumEngine(network, port_bytes), probes=True
        )
    )
    simulator = build_simulator(
        verilog, ChecksumEngine.names, standin.cache, port_bytes=port_bytes, quick=True
    )
    for settings in (RunSettings(), RunSettings(latency=40), BUSY):
        for offset in (0, 4096 - 2 * port_bytes):
            logits, outcome = simulate_stream(
                simulator, network, standin.frames, pieces(1, 5, 3), settings, offset
            )
            np.testing.assert_array_equal(logits, standin.logits)
    _, outcome = simulate_stream(simulator, network, standin.frames, pieces(FRAMES), RunSettings())
    ends = outcome.calls[0].times[:, 1]
    assert (ends[-1] - ends[0]) / (FRAMES - 1) == network.frame_bytes / port_bytes
    layout = Layout(network, FRAMES)
    bad = layout.frames + 4 * network.frame_bytes + 24  # not at the start of a word
    image = layout.image(standin.frames)
    outcome = run_calls(
        simulator,
        network,
        image,
        [layout.call(0, FRAMES, True)],
        replace(BUSY, bad_reads=(bad,)),
    )
    assert outcome.calls[0].identity.frames_done == 4


@pytest.mark.parametrize(
    ("port_bytes", "message"),
    [
        (4, "port bits = 32: is no width of a port; use 64, 128, 256"),
        (32, "port bits = 256: does not divide a frame of 24 bytes.*; use 64"),
    ],
)
def test_ports_that_do_not_suit(port_bytes: int, message: str):
    with pytest.raises(ConfigError, match=message):
        check_port(PortPlan(port_bytes, 3, 8, 24, 8, False))


def test_waveforms_hold_every_clock(standin: Standin, tmp_path: Path):
    """Read by the library that Surfer is built on: names, and each word on the results' port."""
    trace = tmp_path / "wave.fst"
    settings = replace(BUSY, trace=trace)
    logits, outcome = simulate_stream(
        standin.simulator, standin.network, standin.frames, pieces(FRAMES), settings
    )
    waves = pywellen.Waveform(str(trace))
    assert waves.file_format == "FST"
    found = {variable.full_name: variable for variable in waves.all_vars()}
    assert {"TOP.fdht_lstm.ap_clk", "TOP.fdht_lstm.probe_busy"} <= set(found)
    port = "TOP.m_axi_gmem_results_W"
    valid, ready, words = (found[port + name].signal for name in ("VALID", "READY", "DATA"))
    # Two times a clock; signals before the rising edge are at the first.
    moved = [
        words.value_at(2 * clock)
        for clock in range(outcome.clocks)
        if valid.value_at(2 * clock) and ready.value_at(2 * clock)
    ]
    written = np.array([int(word) for word in moved], np.uint64).view(np.int32).reshape(FRAMES, -1)
    np.testing.assert_array_equal(written[:, : logits.shape[1]], logits)


def test_waveforms_of_a_run_that_ends_badly(standin: Standin, tmp_path: Path):
    settings = replace(BUSY, trace=tmp_path / "wave.fst", timeout_clocks=200)
    with pytest.raises(DeviceTimeoutError, match="the call did not end"):
        simulate_stream(
            standin.simulator, standin.network, standin.frames, pieces(FRAMES), settings
        )
    assert len(list(pywellen.Waveform(str(settings.trace)).all_vars())) > 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latency": -1}, "latency = -1: must be a whole number from 0 to "),
        ({"back_pressure": 1.0}, "back_pressure = 1.0: must be at least 0 and less than 1"),
        ({"timeout_clocks": 0}, "timeout_clocks = 0: must be a whole number from 1 to "),
    ],
)
def test_bad_settings(change: dict[str, int], message: str):
    with pytest.raises(ConfigError, match=message):
        RunSettings(**change)


def test_verilog_that_does_not_compile(tmp_path: Path):
    with pytest.raises(ToolError, match=r"verilator.*failed: .*rror"):
        build_simulator("module fdht_lstm(input a; endmodule", ("a",), tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_a_cache_that_cannot_be_written(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        build_simulator("module fdht_lstm; endmodule", (), blocked)
