"""What pynq raises becomes one line with a remedy, whatever it is: the words of pynq 3.1.2."""

from __future__ import annotations

from importlib.metadata import version
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from fdht_host import _pynq, pynq_calls
from fdht_host._pynq import Device, Overlay
from fdht_host.accelerator import Accelerator
from fdht_host.driver import FdhtLstm
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.errors import ArtifactError, DeviceError
from tests.host import toy_core


def raising(error: BaseException):
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("BO allocation failed: bad allocation"), "BO allocation failed: bad alloc"),
        (RuntimeError("XRT design does not contain PS memory"), "XRT design does not contain PS"),
        (MemoryError(), "MemoryError"),
        (TypeError("an integer is required"), "TypeError: an integer is required"),
    ],
)
def test_memory_that_pynq_refuses_is_one_line(directory, device, monkeypatch, error, words):
    monkeypatch.setattr(device, "allocate", raising(error))
    message = f"buffer of 768 bytes: cannot be allocated ({words}"  # 32 frames of 24 bytes
    with pytest.raises(DeviceError) as refused:
        Accelerator.open(directory, device=device)
    assert str(refused.value).startswith(message) and "smaller batch" in str(refused.value)
    monkeypatch.undo()
    Accelerator.open(directory, device=device).close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("Root permissions required."), "Root permissions required."),
        (OSError(22, "Invalid argument"), "[Errno 22] Invalid argument"),
        (FileNotFoundError(2, "No such file or directory", "xclbinutil"), "[Errno 2] No such"),
        (RuntimeError("xclbinutil failed: no memory"), "xclbinutil failed: no memory"),
        (ValueError("Frequency divider 0 value out of range."), "Frequency divider 0 value out"),
        # pynqmetadata 0.2.0 on pynq's own base overlays, and on a file cut short.
        (KeyError("S_AXI[port]"), "KeyError: 'S_AXI[port]'"),
        (ElementTree.ParseError("no element found: line 7, column 0"), "no element found: line 7"),
        (AttributeError("'NoneType' object has no attribute 'name'"), "AttributeError: 'NoneTyp"),
    ],
)
def test_an_overlay_that_pynq_refuses_is_one_line(directory, device, monkeypatch, error, words):
    monkeypatch.setattr(device, "download", raising(error))
    with pytest.raises(DeviceError) as refused:
        Accelerator.open(directory, device=device)
    assert f"toy-core.bit: cannot be loaded ({words}" in str(refused.value)
    assert "run as root on the board it was built for" in str(refused.value)


def test_errors_of_ours_pass_and_ctrl_c_does(directory, device, monkeypatch):
    for error in (ArtifactError("is damaged"), KeyboardInterrupt()):
        monkeypatch.setattr(device, "download", raising(error))
        with pytest.raises(type(error)) as passed:
            Accelerator.open(directory, device=device)
        assert passed.value is error


def test_registers_out_of_reach_are_one_line(directory, device, monkeypatch):
    """MMIO maps them when the driver is made: without root, it cannot."""
    monkeypatch.setattr(FdhtLstm, "__init__", raising(OSError("Root permissions required.")))
    message = r"toy-core\.bit: holds a core that cannot be driven \(Root permissions required\.\)"
    with pytest.raises(DeviceError, match=message):
        Accelerator.open(directory, device=device)


@pytest.mark.parametrize(
    "found",
    [[], [RuntimeError("No Devices Found")], [None]],
    ids=["no device", "an error", "no active device"],
)
def test_a_machine_without_a_board_is_one_line(monkeypatch, found):
    meta = type(Device)
    if found == []:
        monkeypatch.setattr(meta, "_devices", [], raising=False)
    elif found == [None]:
        monkeypatch.setattr(meta, "_active_device", None, raising=False)
    else:
        monkeypatch.setattr(meta, "devices", property(raising(found[0])))
    with pytest.raises(DeviceError, match=r"^board: .*; run as root on the board it was built for"):
        pynq_calls.active_device()


@pytest.mark.parametrize(
    "blocks",
    [None, {}, {"axi_gpio": {"type": "xilinx.com:ip:axi_gpio:2.0"}}, {"memory": None}],
)
def test_an_overlay_without_our_core_is_one_line(blocks):
    overlay = SimpleNamespace(bitfile_name="base.bit", ip_dict=blocks)
    message = "base.bit: has 0 cores that this driver is bound to, not one; build the overlay again"
    with pytest.raises(DeviceError, match=message):
        pynq_calls.bound_driver(overlay, FdhtLstm)


def test_a_buffer_that_cannot_be_freed_is_one_line(directory, device, monkeypatch):
    accelerator = Accelerator.open(directory, device=device)
    monkeypatch.setattr(device, "return_pointer", raising(NameError("name 'libc' is not defined")))
    with pytest.raises(
        DeviceError, match=r"buffer: cannot be freed \(name 'libc' is not defined\)"
    ):
        accelerator.close()
    monkeypatch.undo()
    accelerator.close()
    assert not device._memory._buffers


@pytest.mark.parametrize("method", ["flush", "invalidate"])
def test_a_buffer_that_pynq_cannot_synchronise_is_one_line(directory, device, monkeypatch, method):
    accelerator = Accelerator.open(directory, device=device)
    words = f"Buffer {method.title()} Failed: Input/output error"
    frames = toy_core.random_frames(3)
    monkeypatch.setattr(device, method, raising(RuntimeError(words)))
    with pytest.raises(
        DeviceError, match=rf"buffer: cannot be synchronised \({words}\); close the"
    ):
        accelerator.infer(frames, reset=True)
    monkeypatch.undo()
    np.testing.assert_array_equal(
        accelerator.infer(frames, reset=True), toy_core.expected_logits(frames)
    )


@pytest.mark.skipif(
    version("pynq").startswith("3.0"), reason="pynq 3.0 asks XRT itself, which is not here"
)
def test_the_simulated_board_refuses_as_pynqs_own_device_does(directory):
    """`EmbeddedDevice` with nothing of a board behind it: the same errors, of the same types."""
    real = object.__new__(_pynq.EmbeddedDevice)
    simulated = SimulatedDevice(memory_bytes=4096)
    for device in (real, simulated):
        device.mem_dict = {}
        if device is simulated:
            Overlay(str(directory / "toy-core.bit"), device=simulated)
        with pytest.raises(RuntimeError):
            device.allocate((8192,), np.uint8)
        with pytest.raises(RuntimeError, match="Buffer Flush Failed"):
            device.flush(0, 0, 0, 8)
        with pytest.raises(RuntimeError, match="Buffer Invalidate Failed"):
            device.invalidate(0, 0, 0, 8)
    handoff = directory / "toy-core.hwh"
    handoff.unlink()
    for device in (real, simulated):
        with pytest.raises(RuntimeError, match="Unable to find metadata for bitstream"):
            device.get_bitfile_metadata(str(directory / "toy-core.bit"))
