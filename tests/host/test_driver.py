"""The driver, bound by the real pynq to the core of a simulated board."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from fdht_hls.registers import BY_NAME, VLNV
from fdht_host._pynq import DefaultIP, Overlay, allocate
from fdht_host.clocks import clock_of
from fdht_host.driver import POLL_SECONDS, CoreIdentity, FdhtLstm
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.errors import DeviceError, DeviceTimeoutError
from tests.host import toy_core


@pytest.fixture
def overlay(tmp_path):
    directory = toy_core.write_toy_overlay(tmp_path / "overlay")
    device = SimulatedDevice()
    yield Overlay(str(directory / "toy-core.bit"), device=device)
    device.close()


@pytest.fixture
def driver(overlay):
    return overlay.fdht_lstm_0


def buffers(driver, count):
    shapes = ((count, toy_core.FRAME_BYTES), "u1"), ((count, toy_core.RESULT_BYTES // 4), "i4")
    return [allocate(shape, dtype, target=driver.device) for shape, dtype in shapes]


def run(driver, frames, results, count, reset):
    """One call, with the steps that the accelerator takes."""
    before = driver.identity().frames_done
    frames.flush()
    driver.start(frames.device_address, results.device_address, count, reset)
    driver.wait(1.0)
    driver.check_progress(before, count)
    results.invalidate()


def test_pynq_binds_it_by_vlnv(overlay):
    assert overlay.ip_dict["fdht_lstm_0"]["type"] == VLNV
    assert overlay.ip_dict["fdht_lstm_0"]["driver"] is FdhtLstm
    assert isinstance(overlay.fdht_lstm_0, FdhtLstm) and isinstance(overlay.fdht_lstm_0, DefaultIP)


def test_importing_the_package_needs_no_pynq():
    code = "import sys, fdht_host; assert 'pynq' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_importing_the_driver_warns_of_nothing_and_adds_no_device():
    code = (
        "import fdht_host.driver, fdht_host.simulator, fdht_host.accelerator;"
        "from pynq.pl_server.device import DeviceMeta;"
        "names = [c.__name__ for c in DeviceMeta._subclasses.values()];"
        "assert 'SimulatedDevice' not in names, names"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_identity_needs_no_frames(driver):
    expected = CoreIdentity(2, toy_core.DESIGN_ID, toy_core.FRAME_BYTES, toy_core.RESULT_BYTES, 0)
    assert driver.identity() == expected


def test_it_runs_frames_and_keeps_state(driver):
    frames, results = buffers(driver, 5)
    data = toy_core.random_frames(10)
    logits = []
    for start in (0, 5):
        frames[:, : toy_core.INPUTS] = data[start : start + 5]
        run(driver, frames, results, 5, reset=start == 0)
        logits.append(np.array(results[:, : toy_core.CLASSES]))
    np.testing.assert_array_equal(np.concatenate(logits), toy_core.expected_logits(data))
    assert driver.read_register("frames_done") == driver.identity().frames_done == 10


def test_asking_for_the_identity_keeps_the_state(driver):
    frames, results = buffers(driver, 1)
    data = toy_core.random_frames(2)
    for index in range(2):
        frames[0, : toy_core.INPUTS] = data[index]
        run(driver, frames, results, 1, reset=index == 0)
        driver.identity()
    np.testing.assert_array_equal(
        np.array(results[0, : toy_core.CLASSES]), toy_core.expected_logits(data)[1]
    )


def test_registers_are_reached_by_name_and_by_pynqs_register_map(driver):
    driver.write_register("frames", 0x1_2345_6780)
    assert driver.read_register("frames") == 0x1_2345_6780
    assert int(driver.register_map.frames_1) == 0x2345_6780
    assert int(driver.register_map.frames_2) == 1
    assert driver.register_map.CTRL.AP_IDLE == 1
    driver.register_map.frame_count = 0
    driver.register_map.CTRL.AP_START = 1
    driver.wait(1.0)
    assert int(driver.register_map.frame_bytes) == toy_core.FRAME_BYTES


@pytest.mark.parametrize(("frames", "results"), [(4, 0), (0, 4)])
def test_misaligned_addresses_are_refused(driver, frames, results):
    with pytest.raises(DeviceError, match=r"address of the .* = '0x4': must be a multiple of 8"):
        driver.start(frames, results, 1, reset=True)


@pytest.mark.parametrize("count", [-1, 2**32])
def test_a_count_out_of_range_is_refused(driver, count):
    with pytest.raises(DeviceError, match=f"frame_count = {count}: must fit 32 bits"):
        driver.start(0, 0, count, reset=True)


def test_starting_a_running_core_is_refused(driver):
    frames, results = buffers(driver, 100)
    driver.start(frames.device_address, results.device_address, 100, reset=True)
    with pytest.raises(DeviceError, match=r"start: the core is still running \(CTRL = 0x01\)"):
        driver.start(frames.device_address, results.device_address, 100, reset=True)
    driver.wait(1.0)
    driver.start(frames.device_address, results.device_address, 100, reset=True)


def test_waiting_ends_soon_after_the_core(driver):
    frames, results = buffers(driver, 100)
    begin = driver.device.clock.monotonic()
    driver.start(frames.device_address, results.device_address, 100, reset=True)
    driver.wait(1.0)
    # 100 frames of 1,000 cycles at 100 MHz.
    assert 1e-3 <= driver.device.clock.monotonic() - begin < 1e-3 + 3 * POLL_SECONDS


def test_waiting_sleeps_through_the_expected_time(driver):
    frames, results = buffers(driver, 1000)
    polls = []
    driver.start(frames.device_address, results.device_address, 1000, reset=True)
    sleep = driver.device.clock.sleep
    driver.device.clock.sleep = lambda seconds: (polls.append(seconds), sleep(seconds))
    driver.wait(1.0, expected=10e-3)
    assert polls[0] == 10e-3 and len(polls) <= 2


def test_a_core_that_never_ends_is_a_timeout(driver):
    frames, results = buffers(driver, 1)
    driver.device.faults.hang = True
    begin = driver.device.clock.monotonic()
    driver.start(frames.device_address, results.device_address, 1, reset=True)
    message = (
        r"wait: the core did not end within 0\.25 s \(CTRL = 0x01, frames = 0x10000000, "
        r"results = 0x10001000, frame_count = 1, frames_done = 0\); check the buffers"
    )
    with pytest.raises(DeviceTimeoutError, match=message):
        driver.wait(0.25)
    assert 0.25 <= driver.device.clock.monotonic() - begin < 0.251


def test_an_address_outside_every_buffer_is_a_timeout(driver):
    _, results = buffers(driver, 1)
    driver.start(0x2000_0000, results.device_address, 1, reset=True)
    with pytest.raises(DeviceTimeoutError, match="frames = 0x20000000"):
        driver.wait(0.1)
    assert "DECERR" in driver.device.core.hang_reason


def test_waiting_on_an_idle_core_returns_even_without_time(driver):
    driver.wait(0.0)


def test_lost_frames_are_noticed(driver):
    frames, results = buffers(driver, 4)
    driver.device.faults.dropped_results = 3
    with pytest.raises(DeviceError, match="frames_done: the core processed 1 of 4 frames"):
        run(driver, frames, results, 4, reset=True)


def test_progress_is_counted_across_the_registers_overflow(driver):
    driver.device.core.write(BY_NAME["CTRL"].offset, 0)
    frames, results = buffers(driver, 2)
    run(driver, frames, results, 2, reset=True)
    assert driver.check_progress(0xFFFF_FFFF, 3) == 2


def test_a_board_without_its_own_clock_uses_the_systems():
    clock = clock_of(object())
    assert clock is time
    before = time.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01


def test_time_stands_still_with_the_systems_clock_never(driver):
    """A hang on a real board: the deadline is one of real time."""
    frames, results = buffers(driver, 1)
    driver.device.faults.hang = True
    driver._clock = time
    driver.start(frames.device_address, results.device_address, 1, reset=True)
    before = time.monotonic()
    with pytest.raises(DeviceTimeoutError):
        driver.wait(0.05)
    assert 0.05 <= time.monotonic() - before < 5


def test_a_timeout_needs_no_more_looks_than_its_time_allows(driver):
    """A core that never ends, and a test that does: the hundredth look is one too many."""
    frames, results = buffers(driver, 1)
    driver.device.faults.hang = True
    driver.start(frames.device_address, results.device_address, 1, reset=True)
    looks = iter(range(100))
    read = driver.mmio.read

    def counted(offset):
        next(looks)
        return read(offset)

    driver.mmio.read = counted
    with pytest.raises(DeviceTimeoutError):
        driver.wait(50 * POLL_SECONDS)
