"""The simulated board, register by register, through the real pynq."""

from __future__ import annotations

import gc
import itertools

import numpy as np
import pytest

from fdht_hls.registers import ABI_VERSION, AP_DONE, AP_IDLE, AP_READY, AP_START, BY_NAME
from fdht_host._pynq import Clocks, Overlay, allocate, pynq
from fdht_host.clocks import ActivityLog, Segment, VirtualClock
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.errors import DeviceError
from tests.host import toy_core

CTRL, GIER, IER, ISR = (BY_NAME[name].offset for name in ("CTRL", "GIER", "IP_IER", "IP_ISR"))


@pytest.fixture
def mmio(overlay):
    return overlay.fdht_lstm_0.mmio


def prepare(overlay, count=4):
    """Buffers with frames in them, flushed, and the arguments set."""
    core, device = overlay.fdht_lstm_0, overlay.device
    frames = allocate((count, toy_core.FRAME_BYTES), "u1", target=device)
    results = allocate((count, toy_core.RESULT_BYTES // 4), "i4", target=device)
    data = toy_core.random_frames(count)
    frames[:] = 0
    frames[:, : toy_core.INPUTS] = data
    frames.flush()
    # A buffer that nobody refers to is freed.
    device.__dict__.setdefault("kept", []).append((frames, results))
    core.write_register("frames", frames.device_address)
    core.write_register("results", results.device_address)
    core.write_register("frame_count", count)
    core.write_register("reset_state", 1)
    return frames, results, toy_core.expected_logits(data)


def finish(overlay):
    overlay.device.clock.sleep(1.0)
    overlay.fdht_lstm_0.mmio.read(GIER)


def test_control_register_follows_ap_ctrl_hs(overlay, mmio, device):
    prepare(overlay, 4)
    assert mmio.read(CTRL) == AP_IDLE
    mmio.write(CTRL, AP_START)
    assert mmio.read(CTRL) == AP_START
    assert mmio.read(CTRL) == AP_START
    device.clock.sleep(50e-6)
    assert mmio.read(CTRL) == AP_DONE | AP_IDLE | AP_READY
    assert mmio.read(CTRL) == AP_IDLE


def test_polling_alone_lets_time_pass(overlay, mmio, device):
    prepare(overlay, 1)
    mmio.write(CTRL, AP_START)
    polls = sum(1 for _ in itertools.takewhile(lambda _: mmio.read(CTRL) & AP_START, range(1000)))
    # 10 us and the call's overhead at 150 ns a look.
    assert 60 < polls < 90


def test_starting_again_while_running_changes_nothing(overlay, mmio, device):
    _, results, expected = prepare(overlay, 4)
    mmio.write(CTRL, AP_START)
    overlay.fdht_lstm_0.write_register("frame_count", 1)
    mmio.write(CTRL, AP_START)
    finish(overlay)
    assert overlay.fdht_lstm_0.read_register("frames_done") == 4
    results.invalidate()
    np.testing.assert_array_equal(np.asarray(results)[:, :3], expected)


def test_results_appear_when_the_call_ends(overlay, mmio, device):
    _, results, expected = prepare(overlay, 4)
    mmio.write(CTRL, AP_START)
    results.invalidate()
    before = np.array(results)
    finish(overlay)
    np.testing.assert_array_equal(np.array(results), before)  # not invalidated yet
    results.invalidate()
    np.testing.assert_array_equal(np.asarray(results)[:, :3], expected)
    assert (before != np.asarray(results)).any()


def test_a_forgotten_flush_shows(overlay, mmio, device):
    frames, results, expected = prepare(overlay, 4)
    frames[:] = 255
    mmio.write(CTRL, AP_START)
    finish(overlay)
    results.invalidate()
    np.testing.assert_array_equal(np.asarray(results)[:, :3], expected)
    frames.flush()
    mmio.write(CTRL, AP_START)
    finish(overlay)
    results.invalidate()
    assert (np.asarray(results)[:, :3] != expected).any()


def test_an_uncached_buffer_needs_neither_flush_nor_invalidate(overlay, device):
    buffer = allocate((8,), "u4", target=device, cacheable=False)
    alias = device._memory.view(buffer.device_address, 32)
    buffer[:] = 0x0102_0304
    assert list(alias[:4]) == [4, 3, 2, 1]
    assert not buffer.cacheable


def test_a_part_of_a_buffer_is_flushed_alone(overlay, device):
    buffer = allocate((4, 8), "u1", target=device)
    memory = device._memory.view(buffer.device_address, 32).reshape(4, 8)
    poison = memory.copy()
    buffer[:] = 7
    buffer[1:3].flush()
    assert (memory[1:3] == 7).all()
    np.testing.assert_array_equal(memory[[0, 3]], poison[[0, 3]])


def test_frames_overwritten_while_the_core_runs_spoil_the_results(overlay, mmio, device):
    frames, results, expected = prepare(overlay, 4)
    mmio.write(CTRL, AP_START)
    frames[:] = 0
    frames.flush()
    finish(overlay)
    results.invalidate()
    assert (np.asarray(results)[:, :3] != expected).any()


def test_a_call_of_no_frames_sets_only_the_identity(overlay, mmio, device):
    assert mmio.read(BY_NAME["abi_version"].offset) == 0
    _, results, _ = prepare(overlay, 2)
    overlay.fdht_lstm_0.write_register("frame_count", 0)
    before = np.array(results)
    mmio.write(CTRL, AP_START)
    finish(overlay)
    results.invalidate()
    shown = [
        mmio.read(BY_NAME[name].offset)
        for name in ("abi_version", "design_id_low", "design_id_high", "frame_bytes")
    ]
    assert shown == [ABI_VERSION, 0x89AB_CDEF, 0x0123_4567, toy_core.FRAME_BYTES]
    assert mmio.read(BY_NAME["result_bytes"].offset) == toy_core.RESULT_BYTES
    assert mmio.read(BY_NAME["frames_done"].offset) == 0
    assert (np.asarray(results) == np.int32(-0x5A5A5A5B)).all() and (before == 0).all()


def test_read_only_registers_ignore_writes(overlay, mmio):
    overlay.fdht_lstm_0.identity()
    for name in ("abi_version", "design_id_low", "frames_done"):
        offset = BY_NAME[name].offset
        before = mmio.read(offset)
        mmio.write(offset, 0xFFFF_FFFF)
        assert mmio.read(offset) == before


def test_places_without_a_register_read_as_zero(mmio):
    mmio.write(0x8000, 5)
    assert mmio.read(0x8000) == 0


def test_auto_restart_is_refused(mmio):
    with pytest.raises(DeviceError, match=r"CTRL\.AUTO_RESTART = 1: would process the same frames"):
        mmio.write(CTRL, 0x81)
    assert mmio.read(CTRL) == AP_IDLE


def test_interrupts_follow_their_enables(overlay, mmio, device):
    def run():
        prepare(overlay, 1)
        mmio.write(CTRL, AP_START)
        finish(overlay)

    run()
    assert mmio.read(ISR) == 0 and not device.core.interrupt
    mmio.write(IER, 1)
    run()
    assert mmio.read(ISR) == 1 and not device.core.interrupt
    mmio.write(GIER, 1)
    assert device.core.interrupt
    mmio.write(ISR, 1)  # toggles
    assert mmio.read(ISR) == 0 and not device.core.interrupt
    mmio.write(ISR, 2)
    assert mmio.read(ISR) == 2
    mmio.write(IER, 0xFFFF_FFFF)
    assert mmio.read(IER) == 3


@pytest.mark.parametrize("name", ["frames", "results"])
@pytest.mark.parametrize(
    "address", [0, 0x0FFF_FFF8, 0x1000_0000 + (64 << 20), 0x1_1000_0000], ids=hex
)
def test_an_address_in_no_buffer_leaves_the_core_busy(overlay, mmio, device, name, address):
    prepare(overlay, 4)
    overlay.fdht_lstm_0.write_register(name, address)
    mmio.write(CTRL, AP_START)
    finish(overlay)
    assert mmio.read(CTRL) == AP_START
    assert f"{name}: no buffer holds" in device.core.hang_reason


def test_a_call_beyond_the_end_of_a_buffer_leaves_the_core_busy(overlay, mmio, device):
    prepare(overlay, 4)
    overlay.fdht_lstm_0.write_register("frame_count", 4096 // toy_core.FRAME_BYTES + 1)
    mmio.write(CTRL, AP_START)
    finish(overlay)
    assert mmio.read(CTRL) == AP_START and "frames: no buffer" in device.core.hang_reason


def test_a_buffer_freed_under_the_core_leaves_it_busy(overlay, mmio, device):
    frames, _, _ = prepare(overlay, 4)
    mmio.write(CTRL, AP_START)
    frames.freebuffer()
    finish(overlay)
    assert mmio.read(CTRL) == AP_START and "frames: no buffer" in device.core.hang_reason
    with pytest.raises(RuntimeError, match="Buffer Flush Failed: 0x10000000 is freed or too small"):
        frames.flush()


@pytest.mark.parametrize("name", ["frames", "results"])
def test_a_misaligned_address_is_refused(overlay, mmio, name):
    prepare(overlay, 1)
    core = overlay.fdht_lstm_0
    core.write_register(name, core.read_register(name) + 4)
    with pytest.raises(DeviceError, match=f"register {name} = .*must be a multiple of 8"):
        mmio.write(CTRL, AP_START)


def test_loading_again_frees_a_hanging_core_and_starts_it_anew(directory, overlay, mmio, device):
    prepare(overlay, 1)
    device.faults.hang = True
    mmio.write(CTRL, AP_START)
    finish(overlay)
    device.faults.hang = False
    again = Overlay(str(directory / "toy-core.bit"), device=device)
    assert again.fdht_lstm_0.identity().frames_done == 0


def test_an_address_that_no_block_answers_raises(overlay, device):
    for address in (0x4000_0000, 0x43C1_0000, 0xF800_1000):
        with pytest.raises(DeviceError, match=f"register = '{hex(address)}': nothing answers"):
            pynq.MMIO(address, 4, device=device).read(0)
        with pytest.raises(DeviceError, match="nothing answers"):
            pynq.MMIO(address, 4, device=device).write(0, 1)


def test_nothing_answers_before_an_overlay_is_loaded(device):
    with pytest.raises(DeviceError, match="nothing answers"):
        pynq.MMIO(0x43C0_0000, 4, device=device).read(0)


def test_a_misaligned_register_is_refused(overlay, device):
    with pytest.raises(DeviceError, match="register = '0x43c00002': must be a multiple of 4"):
        device.read_registers(0x43C0_0002, 4)
    with pytest.raises(MemoryError):
        overlay.fdht_lstm_0.mmio.read(2)


# Clocks and time.


def test_pynqs_clocks_work_and_set_the_cores_pace(directory, overlay, mmio, device):
    assert Clocks.fclk0_mhz == 100.0 and Clocks.cpu_mhz == 650.0

    def duration():
        prepare(overlay, 100)
        begin = device.clock.monotonic()
        mmio.write(CTRL, AP_START)
        finish(overlay)
        busy = [segment for segment in device.activity if segment.busy][-1]
        assert busy.start_ns >= begin
        return busy.end_ns - busy.start_ns

    assert duration() == 1_000_000 + 1_000
    Clocks.fclk0_mhz = 50.0
    assert Clocks.fclk0_mhz == 50.0
    assert duration() == 2_000_000 + 1_000


def test_each_board_has_its_own_clocks(directory, overlay):
    Clocks.fclk0_mhz = 25.0
    other = SimulatedDevice()
    Overlay(str(directory / "toy-core.bit"), device=other)
    assert Clocks.fclk0_mhz == 100.0
    other.close()


def test_activity_has_no_gaps_and_tells_busy_from_idle(overlay, mmio, device):
    device.clock.sleep(0.5)
    for _ in range(3):
        prepare(overlay, 10)
        mmio.write(CTRL, AP_START)
        device.clock.sleep(0.25)
        mmio.read(CTRL)
    activity = device.activity
    assert activity[0].start_ns == 0 and activity[-1].end_ns == device.clock.monotonic_ns()
    for first, second in itertools.pairwise(activity):
        assert first.end_ns == second.start_ns and first.busy != second.busy
    assert sum(end - start for start, end, busy in activity if busy) == 3 * 101_000


def test_activity_of_a_running_and_of_a_hanging_core(overlay, mmio, device):
    prepare(overlay, 1000)
    mmio.write(CTRL, AP_START)
    device.clock.sleep(1e-3)
    assert device.activity[-1].busy and device.activity[-1].end_ns == device.clock.monotonic_ns()
    finish(overlay)
    assert not device.activity[-1].busy
    device.faults.hang = True
    mmio.write(CTRL, AP_START)
    finish(overlay)
    assert device.activity[-1].busy
    device.close()
    device.clock.sleep(1)
    assert device.activity[-1] == Segment(
        device.clock.monotonic_ns() - 10**9, device.clock.monotonic_ns(), False
    )


def test_calls_without_a_gap_are_one_segment():
    log = ActivityLog()
    log.begin(10, 20)
    log.begin(20, 30)
    log.begin(40, 50)
    assert log.segments(45) == (
        Segment(0, 10, False),
        Segment(10, 30, True),
        Segment(30, 40, False),
        Segment(40, 45, True),
    )


def test_virtual_time_moves_only_forward():
    clock = VirtualClock()
    clock.sleep(1.5)
    assert clock.monotonic() == 1.5 and clock.monotonic_ns() == 1_500_000_000
    with pytest.raises(ValueError, match="backwards"):
        clock.sleep(-1)


# Memory.


def test_buffers_are_apart_aligned_and_freed(overlay, device):
    first = allocate((100,), "u1", target=device)
    second = allocate((5000,), "u1", target=device)
    third = allocate(3, "u4", target=device)
    addresses = [buffer.device_address for buffer in (first, second, third)]
    assert addresses == [0x1000_0000, 0x1000_1000, 0x1000_3000]
    second.freebuffer()
    second.freebuffer()
    fourth = allocate((8192,), "u1", target=device)
    assert fourth.device_address == 0x1000_1000
    del first
    gc.collect()
    assert allocate((1,), "u1", target=device).device_address == 0x1000_0000


def test_exhausted_memory_is_refused_as_pynq_refuses_it(directory):
    device = SimulatedDevice(memory_bytes=8192)
    with pytest.raises(RuntimeError, match="Overlay is not downloaded"):
        allocate((1,), "u1", target=device)
    Overlay(str(directory / "toy-core.bit"), device=device)
    keep = allocate((4096,), "u1", target=device)
    with pytest.raises(RuntimeError, match="BO allocation failed: no 8192 bytes are left of the"):
        allocate((8192,), "u1", target=device)
    assert keep.nbytes == 4096


def test_a_simulation_that_fails_is_an_error(tmp_path, device):
    library = toy_core.compile_toy("-DFAIL")
    directory = toy_core.write_toy_overlay(tmp_path / "o", library=library)
    overlay = Overlay(str(directory / "toy-core.bit"), device=device)
    prepare(overlay, 1)
    overlay.fdht_lstm_0.mmio.write(CTRL, AP_START)
    with pytest.raises(DeviceError, match="C simulation = 7: failed"):
        finish(overlay)
