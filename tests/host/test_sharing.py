"""Two overlays, two accelerators, two programs on one device: no results of another's."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from pynq.pl_server import global_state

from fdht_host import _pynq, pynq_calls
from fdht_host._pynq import Overlay
from fdht_host.accelerator import Accelerator
from fdht_host.driver import load_core
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.errors import ConfigError, DeviceError
from tests.host import toy_core
from tests.host.reference_computation import ReferenceComputation
from tests.host.test_interruption import CODES, FIRST, SCHEDULE, SECOND, open_loadable
from tests.host.toy_core import expected_logits, random_frames

FRAMES = random_frames(20)
REPLACED = "accelerator: another overlay was loaded on its device since it was opened; close it and"


def test_the_first_accelerator_refuses_once_a_second_overlay_is_loaded(tmp_path, device):
    first = Accelerator.open(toy_core.write_toy_overlay(tmp_path / "first"), device=device)
    other = toy_core.write_toy_overlay(
        tmp_path / "second",
        library=toy_core.compile_toy("-fno-gnu-unique", "-DOFFSET=1000"),
    )
    second = Accelerator.open(other, device=device, self_test=False)
    # The same design, by its registers; only its results would tell.
    with pytest.raises(DeviceError, match=REPLACED):
        first.infer(FRAMES, reset=True)
    with pytest.raises(DeviceError, match=REPLACED):
        next(first.stream(FRAMES))
    np.testing.assert_array_equal(second.infer(FRAMES, reset=True), expected_logits(FRAMES) + 1000)
    first.close()
    np.testing.assert_array_equal(second.infer(FRAMES, reset=True), expected_logits(FRAMES) + 1000)


def test_an_overlay_that_pynq_loads_itself_is_noticed(directory, device):
    accelerator = Accelerator.open(directory, device=device)
    Overlay(str(directory / "toy-core.bit"), device=device)
    with pytest.raises(DeviceError, match=REPLACED):
        accelerator.infer(FRAMES, reset=True)
    accelerator.close()
    with Accelerator.open(directory, device=device) as again:
        np.testing.assert_array_equal(again.infer(FRAMES, reset=True), expected_logits(FRAMES))


def test_an_overlay_that_failed_to_load_half_way_is_noticed(directory, device, monkeypatch):
    """pynq takes the former overlay for loaded then; the core is gone."""

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    accelerator = Accelerator.open(directory, device=device)
    monkeypatch.setattr(device, "_computation_factory", fail)
    with pytest.raises(DeviceError, match=r"cannot be loaded \(\[Errno 5\] Input/output error\)"):
        Accelerator.open(directory, device=device)
    assert device.core is None
    with pytest.raises(DeviceError, match=REPLACED):
        accelerator.infer(FRAMES, reset=True)
    accelerator.close()


def test_an_overlay_loaded_in_the_middle_of_a_stream_ends_it(directory, device):
    accelerator = Accelerator.open(directory, device=device, batch=4)
    stream = accelerator.stream(FRAMES)
    np.testing.assert_array_equal(next(stream), expected_logits(FRAMES)[0])
    with Accelerator.open(directory, device=device) as second:
        with pytest.raises(DeviceError, match=REPLACED):
            list(stream)
        np.testing.assert_array_equal(second.infer(FRAMES, reset=True), expected_logits(FRAMES))
    accelerator.close()
    assert not device._memory._buffers


def test_closing_the_owner_of_a_device_leaves_a_later_accelerator_its_core(directory):
    owner = Accelerator.open(directory)
    second = Accelerator.open(directory, device=owner.device)
    owner.close()
    np.testing.assert_array_equal(second.infer(FRAMES, reset=True), expected_logits(FRAMES))


def test_weights_that_another_accelerator_loads_are_noticed(tmp_path):
    device = SimulatedDevice(computation=lambda *_: ReferenceComputation(FIRST, SCHEDULE))
    first = open_loadable(tmp_path / "overlay", device)
    second = Accelerator.open(tmp_path / "overlay", device=device)
    second.load_weights(SECOND)
    with pytest.raises(DeviceError, match=REPLACED):
        first.infer(CODES, reset=True)
    with pytest.raises(DeviceError, match=REPLACED):
        first.load_weights(FIRST)
    # And by the driver alone, beside an accelerator.
    buffer = pynq_calls.allocate((second.loadable.layout.words,), np.uint64, device)
    buffer[:] = second.loadable.pack(FIRST)
    second.driver.load_weights(buffer)
    with pytest.raises(DeviceError, match=r"weights_id: the core shows .*; load the weights"):
        second.infer(CODES, reset=True)
    second.load_weights(SECOND)
    second.infer(CODES, reset=True)


def test_another_design_behind_the_same_registers_is_noticed(directory, device):
    accelerator = Accelerator.open(directory, device=device)
    device.faults.design_id_mask = 1
    accelerator.driver.identity()  # by whoever: the registers are written anew
    message = "design_id: the core shows 0123456789abcdee, and not 0123456789abcdef as before"
    with pytest.raises(DeviceError, match=message):
        accelerator.infer(FRAMES, reset=True)


def test_frames_of_somebody_else_forbid_to_continue_the_state(directory, device):
    accelerator = Accelerator.open(directory, device=device)
    first = accelerator.infer(FRAMES, reset=True)
    frames = pynq_calls.allocate((1, toy_core.FRAME_BYTES), np.uint8, device)
    results = pynq_calls.allocate((1, toy_core.RESULT_BYTES // 4), np.int32, device)
    driver = accelerator.driver
    driver.start(frames.device_address, results.device_address, 1, reset=False)
    driver.wait(1.0)
    with pytest.raises(DeviceError, match="reset = False: the core has processed 36 frames, 35 of"):
        accelerator.infer(FRAMES, reset=False)
    np.testing.assert_array_equal(accelerator.infer(FRAMES, reset=True), first)


def test_another_programs_overlay_is_noticed_by_pynqs_note_of_it(directory, device, tmp_path):
    """pynq 3.1 writes it for real boards only; here one is said to be written for this one."""
    note = tmp_path / "global_pl_state_.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pynq, "state_file", lambda _: note)
        note.write_text("{}")
        accelerator = Accelerator.open(directory, device=device)
        accelerator.infer(FRAMES, reset=True)
        note.write_text('{"bitfile_name": "other.bit"}')
        with pytest.raises(DeviceError, match=REPLACED):
            accelerator.infer(FRAMES, reset=True)


def test_pynqs_note_is_where_pynq_puts_it():
    real = object.__new__(_pynq.EmbeddedDevice)
    tagged = getattr(global_state, "_get_state_path", None)  # since pynq 3.1
    path = tagged() if tagged else Path(global_state.STATE_DIR) / "global_pl_state.json"
    assert path.name.removesuffix(".json") in inspect.getsource(global_state) or tagged
    assert _pynq.state_file(real) == path
    assert _pynq.state_file(SimulatedDevice()) is None


def test_what_is_no_device_is_refused(directory):
    with pytest.raises(ConfigError, match="device = 'str': must be a pynq device; pass none"):
        load_core(directory / "toy-core.bit", "xilinx:zcu104")
