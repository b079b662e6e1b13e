"""The shell with a small engine in Verilator, between models of the processing system's ports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.engine import lower
from fdht_hls.registers import AP_DONE, AP_IDLE, AP_START, BY_NAME, WINDOW
from fdht_hls.rtl.core import Core
from fdht_hls.schedule import Schedule, default_schedule
from fdht_hls.weights import pack_weights
from fdht_host.accelerator import Accelerator
from fdht_models.errors import ConfigError, DeviceError, DeviceTimeoutError, ToolError
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.tensor.sparse_frames import CORE_FRAMES, FrameFault
from fdht_overlays.design import CORE_ADDRESS
from fdht_overlays.open.axi3 import DECERR, FIXED, OKAY, SLVERR
from tests.hls.patterns import sparse_patterns
from tests.hls.rtl.test_motion import clip_of
from tests.overlays.open.board import ShellDevice, write_overlay
from tests.overlays.open.simulation import (
    SimulatedSystem,
    SystemSettings,
    build_shell_simulator,
)
from tests.overlays.sample_network import sample_network

WRAP = 2
CALM = SystemSettings()
BUSY = SystemSettings(latency=9, jitter=40, back_pressure=0.4, seed=3)
MEMORY = CALM.base


@pytest.fixture(scope="module")
def network():
    return sample_network()


@pytest.fixture(scope="module")
def shells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled programs are."""
    return tmp_path_factory.mktemp("shells")


@pytest.fixture(scope="module")
def program(network, shells: Path) -> Path:
    return build_shell_simulator(Core(lower(network)), shells, quick=True)


@pytest.fixture(params=[CALM, BUSY], ids=["calm", "busy"])
def system(request: pytest.FixtureRequest, program: Path):
    with SimulatedSystem(program, request.param) as running:
        yield running


def at(name: str) -> int:
    return CORE_ADDRESS + BY_NAME[name].offset


def frames_of(network, count: int, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, network.inputs)).astype(np.uint8)


def start(system: SimulatedSystem, network, frames: np.ndarray, results: int) -> None:
    """As the driver does it, without the driver."""
    padded = np.zeros((len(frames), network.frame_bytes), np.uint8)
    padded[:, : network.inputs] = frames
    system.load(MEMORY, padded.tobytes())
    for name, value in (("frames", MEMORY), ("results", results)):
        assert system.write(at(name), value, value >> 32) == OKAY
    assert system.write(at("frame_count"), len(frames)) == OKAY
    assert system.write(at("reset_state"), 1) == OKAY
    assert system.write(at("CTRL"), AP_START) == OKAY


def wait(system: SimulatedSystem) -> None:
    while not system.read(at("CTRL")).values[0] & AP_IDLE:
        system.run(50)


def logits(system: SimulatedSystem, network, count: int, address: int) -> np.ndarray:
    words = np.frombuffer(system.save(address, count * network.result_bytes), np.int32)
    return words.reshape(count, -1)[:, : len(network.classes)]


def test_the_driver_runs_frames_through_the_shell(program: Path, network, tmp_path: Path):
    """pynq's Overlay, our driver, registers over AXI3, memory over AXI3: equal to the reference."""
    overlay = write_overlay(tmp_path / "overlay", network, default_schedule(network.recurrence))
    frames = frames_of(network, 7)
    wanted = ReferenceModel(network).run(frames)
    with SimulatedSystem(program, replace(BUSY, size=1 << 18)) as system:
        with Accelerator.open(overlay, device=ShellDevice(system), batch=3) as accelerator:
            np.testing.assert_array_equal(accelerator.infer(frames, reset=True), wanted)
            identity = accelerator.driver.identity()
        assert identity.design_id == network.design_id
        assert identity.frames_done >= len(frames)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sparse", "raw"])
def test_the_driver_runs_frames_of_every_kind(network, shells: Path, tmp_path: Path, kind: str):
    """The same of cores that skip zeros: their registers, reads of their length, their state."""
    frames = inputs = sparse_patterns(network, 13, 4).astype(np.uint8)
    if kind == "raw":
        picture = replace(network.preprocessing.picture, dead_zone=6)
        network = replace(network, preprocessing=replace(network.preprocessing, picture=picture))
        frames = clip_of(14, network.inputs, 4)
        inputs = picture.features(frames)
    schedule = default_schedule(network.recurrence).with_frames(kind)
    wanted = ReferenceModel(network).run(inputs)
    assert len(np.unique(wanted, axis=0)) > 6, "the comparison says little"
    program = build_shell_simulator(Core(lower(network, schedule)), shells, quick=True)
    overlay = write_overlay(tmp_path / "overlay", network, schedule)
    with SimulatedSystem(program, replace(BUSY, size=1 << 18)) as system:
        with Accelerator.open(overlay, device=ShellDevice(system), batch=3) as accelerator:
            first = accelerator.infer(frames[:8], reset=True)
            rest = accelerator.infer(frames[8:], reset=False)
            identity = accelerator.driver.identity()
        assert CORE_FRAMES[identity.core_frames] == kind
        assert identity.frames_done >= len(wanted)
    np.testing.assert_array_equal(np.concatenate([first, rest]), wanted)


@pytest.mark.slow
def test_damaged_frames_are_told_through_the_shell(network, shells: Path, tmp_path: Path):
    schedule = default_schedule(network.recurrence).with_frames("sparse")
    program = build_shell_simulator(Core(lower(network, schedule)), shells, quick=True)
    overlay = write_overlay(tmp_path / "overlay", network, schedule)
    frames = sparse_patterns(network, 4, 4).astype(np.uint8)
    with (
        SimulatedSystem(program, replace(BUSY, size=1 << 18)) as system,
        Accelerator.open(overlay, device=ShellDevice(system)) as accelerator,
    ):
        driver = accelerator.driver
        buffer = accelerator.device.allocate((4096,), "u1")
        buffer[:] = 0
        buffer.flush()
        driver.start(buffer.device_address, buffer.device_address + 2048, 2, True, words=3)
        driver.wait(1.0)
        assert FrameFault(driver.read_register("frame_faults")) == FrameFault.HEADER
        with pytest.raises(DeviceError, match="frame_faults = 1: a frame's header is of no kind"):
            driver.check_frames()
        # Words without frames are too many.
        driver.start(buffer.device_address, buffer.device_address + 2048, 0, True, words=3)
        driver.wait(1.0)
        assert FrameFault(driver.read_register("frame_faults")) == FrameFault.LONG
        wanted = ReferenceModel(network).run(frames)
        np.testing.assert_array_equal(accelerator.infer(frames, reset=True), wanted)


def test_frames_and_interrupt(system: SimulatedSystem, network):
    frames = frames_of(network, 5, seed=9)
    results = MEMORY + 0x4008  # not at the start of a burst
    assert system.write(at("GIER"), 1) == OKAY
    assert system.write(at("IP_IER"), 1) == OKAY
    assert system.status()[1] is False
    start(system, network, frames, results)
    system.wait_for_interrupt()
    assert system.read(at("CTRL")).values[0] & AP_DONE
    assert system.write(at("IP_ISR"), 1) == OKAY
    system.run(4)
    assert system.status()[1] is False
    wanted = ReferenceModel(network).run(frames)
    np.testing.assert_array_equal(logits(system, network, 5, results), wanted)


@pytest.mark.parametrize("beats", [1, 2, 7, 16])
def test_bursts_on_the_control_port_are_split(system: SimulatedSystem, beats: int):
    """Every ID is random, and every answer must carry it; the bench checks both."""
    values = [0x1000_0000 + 64 * index for index in range(4)]
    assert system.write(at("frames"), values[0], values[1]) == OKAY
    answer = system.read(at("frames"), beats)
    assert answer.response == OKAY and len(answer.values) == beats
    assert answer.values[:2] == tuple(values[:2])[:beats]
    # The words of a burst of one address come from that address.
    fixed = system.read(at("frames"), beats, kind=FIXED)
    assert fixed.values == (values[0],) * beats


def test_strobes_and_narrow_accesses(system: SimulatedSystem):
    system.write(at("frame_count"), 0x11223344)
    assert system.write(at("frame_count"), 0xAABBCCDD, strobes=0b0100) == OKAY
    assert system.read(at("frame_count")).values == (0x11BB3344,)
    # Four single bytes as a burst: the lanes move, the word stays.
    assert system.read(at("frame_count"), 4, size=0).values == (0x11BB3344,) * 4


@pytest.mark.parametrize(
    ("address", "response"),
    [
        (CORE_ADDRESS - 4, DECERR),
        (CORE_ADDRESS + WINDOW, DECERR),
        (0x4000_0000, DECERR),
        (0x7FFF_FFFC, DECERR),
        (CORE_ADDRESS + WINDOW - 4, OKAY),
    ],
)
def test_addresses_outside_the_window_are_answered_with_an_error(
    system: SimulatedSystem, address: int, response: int
):
    before = system.read(at("frame_count"))
    assert system.read(address).response == response
    assert system.write(address, 0xDEAD) == response
    assert system.read(at("frame_count")) == before


def test_a_burst_out_of_the_window_fails_where_it_leaves_it(system: SimulatedSystem):
    last = CORE_ADDRESS + WINDOW - 8
    assert system.read(last, 2).response == OKAY
    assert system.read(last, 3).response == DECERR
    assert system.write(last, 0, 0, 0) == DECERR
    assert system.read(at("CTRL")).response == OKAY


def test_bursts_that_wrap_are_refused_and_change_nothing(system: SimulatedSystem):
    system.write(at("frame_count"), 5)
    assert system.write(at("frame_count"), 7, 7, 7, 7, kind=WRAP) == SLVERR
    assert system.read(at("frame_count"), 4, kind=WRAP).response == SLVERR
    assert system.read(at("frame_count")).values == (5,)


@pytest.mark.parametrize("side", ["reads", "writes"])
def test_errors_of_the_memory_end_the_call(system: SimulatedSystem, network, side: str):
    frames, results = frames_of(network, 6), MEMORY + 0x8000
    bad = MEMORY + 2 * network.frame_bytes if side == "reads" else results + network.result_bytes
    system.refuse(**{side: [bad]})
    start(system, network, frames, results)
    wait(system)
    done = {"reads": 2, "writes": 1}[side]
    assert system.read(at("frames_done")).values == (done,)
    wanted = ReferenceModel(network).run(frames)[:done]
    np.testing.assert_array_equal(logits(system, network, done, results), wanted)


@pytest.mark.parametrize("results", [0x1_1000_8000, 0x5000_0000])
def test_addresses_that_a_zynq_does_not_have_reach_no_memory(
    system: SimulatedSystem, network, results: int
):
    """Above 4 GB the shell must not cut the address short and write over something else."""
    low = results & 0xFFFF_FFFF
    before = system.save(MEMORY + 0x8000, 64)
    start(system, network, frames_of(network, 2), results)
    wait(system)
    assert system.read(at("frames_done")).values == (0,)
    assert low >= MEMORY and system.save(MEMORY + 0x8000, 64) == before


def test_a_reset_ends_everything(system: SimulatedSystem, network):
    frames, results = frames_of(network, 3), MEMORY + 0x8000
    start(system, network, frames, results)
    wait(system)
    assert system.read(at("frames_done")).values == (3,)
    system.reset()
    assert system.read(at("frames_done")).values == (0,)
    start(system, network, frames, results)
    wait(system)
    np.testing.assert_array_equal(
        logits(system, network, 3, results), ReferenceModel(network).run(frames)
    )


def test_what_does_not_come_is_given_up(program: Path):
    late = pytest.raises(DeviceTimeoutError, match="interrupt did not come within 200 clocks")
    with SimulatedSystem(program, replace(CALM, patience=200)) as system:
        with late:
            system.wait_for_interrupt()
        with pytest.raises(ToolError, match="ended"):
            system.read(at("CTRL"))
    silent = pytest.raises(DeviceTimeoutError, match=r"no answer within 0\.3 s")
    with SimulatedSystem(program, replace(CALM, timeout=0.3)) as system, silent:
        system.run(1_000_000_000)


def test_bad_settings_are_refused(program: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"back_pressure = 1\.0: must be at least 0"):
        SystemSettings(back_pressure=1.0)
    with pytest.raises(ToolError, match="cannot be started"):
        SimulatedSystem(tmp_path / "none", CALM)
    with SimulatedSystem(program, CALM) as system, pytest.raises(ToolError, match="no such memory"):
        system.save(MEMORY + CALM.size, 8)


@pytest.mark.slow
def test_weights_are_loaded_through_the_same_port(network, tmp_path: Path):
    """A core with a third master: its words and the frames' share the port by their IDs."""
    plain = default_schedule(network.recurrence)
    schedule = Schedule(
        tuple(replace(stage, weights="loadable") for stage in plain.input),
        tuple(replace(stage, weights="loadable") for stage in plain.hidden),
    )
    plan = lower(network, schedule)
    core = Core(plan)
    program = build_shell_simulator(core, tmp_path, quick=True)
    frames, results, weights = frames_of(network, 4), MEMORY + 0x8000, MEMORY + 0x1_0000
    for settings in (CALM, BUSY):
        with SimulatedSystem(program, settings) as system:
            system.load(weights, pack_weights(plan).tobytes())
            assert system.write(at("weights"), weights, 0) == OKAY
            assert system.write(at("load_weights"), 1) == OKAY
            start(system, network, frames, results)
            wait(system)
            found = logits(system, network, 4, results)
        np.testing.assert_array_equal(found, ReferenceModel(network).run(frames))
