"""What the simulated board loads, and what it refuses; private copies of a C simulation."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_hls.csimulation import CSimulation
from fdht_host._pynq import Overlay
from fdht_host.accelerator import Accelerator
from fdht_host.driver import load_core
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.artifacts import digest_file
from fdht_models.errors import ArtifactError, ConfigError, DeviceError
from fdht_overlays.bitfile import BitFile, simulated_bitfile
from tests.host import toy_core
from tests.stage_files import reseal


def test_two_boards_have_two_states(directory):
    frames = toy_core.random_frames(6)
    boards = [SimulatedDevice(), SimulatedDevice()]
    first, second = (Accelerator.open(directory, device=board) for board in boards)
    a = first.infer(frames[:3], reset=True)
    b = second.infer(frames[:2], reset=True)
    a = np.concatenate([a, first.infer(frames[3:], reset=False)])
    b = np.concatenate([b, second.infer(frames[2:], reset=False)])
    for logits in (a, b):
        np.testing.assert_array_equal(logits, toy_core.expected_logits(frames))
    first.close()
    second.close()


def rewrite(directory, bitfile):
    """Replaces the bitstream file, and its digest, so that only its contents are wrong."""
    (directory / "toy-core.bit").write_bytes(bitfile.to_bytes())
    digest = digest_file(directory / "toy-core.bit")
    reseal(directory, lambda manifest: manifest["files"].update({"toy-core.bit": digest}))
    return str(directory / "toy-core.bit")


def test_a_real_bitstream_is_refused(directory, device):
    real = BitFile("base_wrapper", "7z020clg400", b"\xff" * 16 + b"\xaa\x99\x55\x66" + b"\0" * 64)
    path = rewrite(directory, real)
    with pytest.raises(OSError, match=r"Errno 22.*is not a simulated board's file") as refused:
        Overlay(path, device=device)
    assert refused.value.errno == errno.EINVAL
    message = r"toy-core\.bit: cannot be loaded \(\[Errno 22\] it is not a simulated board's"
    with pytest.raises(DeviceError, match=message):
        Accelerator.open(directory, device=device)


def test_a_bitstream_for_another_part_is_refused(directory, device):
    other = simulated_bitfile(toy_core.DESIGN_ID, "xczu7ev-ffvc1156-2-e")
    message = "is for the part xczu7ev-ffvc1156-2-e, and sim has xc7z020clg400-1"
    with pytest.raises(OSError, match=message):
        Overlay(rewrite(directory, other), device=device)
    with pytest.raises(DeviceError, match=message):
        Accelerator.open(directory, device=device)


def test_a_bitstream_of_another_design_is_refused(directory, device):
    other = simulated_bitfile(5, "7z020clg400")
    message = "holds design 0000000000000005, and its manifest names 0123456789abcdef"
    with pytest.raises(DeviceError, match=message):
        Overlay(rewrite(directory, other), device=device)


def test_a_missing_handoff_is_refused(directory, device):
    (directory / "toy-core.hwh").unlink()
    with pytest.raises(RuntimeError, match="Unable to find metadata for bitstream"):
        Overlay(str(directory / "toy-core.bit"), device=device)
    message = r"toy-core\.bit: cannot be loaded \(Unable to find metadata for bitstream\); run as"
    with pytest.raises(DeviceError, match=message):
        load_core(directory / "toy-core.bit", device)


def test_an_overlay_without_the_core_is_refused(directory, device):
    path = directory / "toy-core.hwh"
    path.write_text(path.read_text().replace("fdht:hls:fdht_lstm:1.0", "other:hls:core:1.0"))
    digest = digest_file(path)
    reseal(directory, lambda manifest: manifest["files"].update({"toy-core.hwh": digest}))
    with pytest.raises(DeviceError, match="has 0 cores fdht:hls:fdht_lstm"):
        Overlay(str(directory / "toy-core.bit"), device=device)


def test_a_partial_bitstream_is_refused(overlay, device):
    overlay.partial = True
    with pytest.raises(OSError, match="partial bitstreams are not simulated"):
        device.download(overlay, overlay.parser)


def test_a_real_board_cannot_be_simulated():
    with pytest.raises(ConfigError, match="board = 'pynq-z2': is a real board"):
        SimulatedDevice(get_board("pynq-z2"))


# The C simulation.


def test_a_file_that_is_no_library_is_refused(tmp_path):
    (tmp_path / "csim.so").write_bytes(b"not ELF")
    with pytest.raises(ArtifactError, match="cannot be used as a C simulation"):
        CSimulation(tmp_path / "csim.so")
    with pytest.raises(ArtifactError, match="cannot be used as a C simulation"):
        CSimulation(tmp_path / "none.so")


def test_a_library_without_the_entry_point_is_refused():
    with pytest.raises(ArtifactError, match="fdht_csim_run"):
        CSimulation(toy_core.compile_toy("-Dfdht_csim_run=other"))


def test_a_closed_simulation_is_refused():
    engine = CSimulation(toy_core.compile_toy("-fno-gnu-unique"))
    engine.close()
    engine.close()
    nothing = np.zeros(8, np.uint8)
    with pytest.raises(DeviceError, match="C simulation: is closed"):
        engine.run(nothing, nothing, 0, False)


def test_a_library_whose_copies_share_their_state_is_refused():
    """g++ marks inline static variables as unique in the process unless told not to."""
    library = toy_core.compile_toy("-DSHARED")
    first = CSimulation(library)
    frames, results = np.zeros(toy_core.FRAME_BYTES, np.uint8), np.zeros(16, np.uint8)
    first.run(frames, results, 1, True)
    with pytest.raises(DeviceError, match="compile it with -fno-gnu-unique"):
        CSimulation(library)
    first.close()


def test_private_copies_do_not_share_their_state():
    library = toy_core.compile_toy("-DSHARED", "-fno-gnu-unique")
    frames, results = np.zeros(toy_core.FRAME_BYTES, np.uint8), np.zeros(16, np.uint8)
    engines = [CSimulation(library) for _ in range(2)]
    assert engines[0].run(frames, results, 1, True).frames_done == 1
    assert engines[1].run(frames, results, 1, True).frames_done == 1
    for engine in engines:
        engine.close()
