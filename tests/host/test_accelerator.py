"""The accelerator: whole sequences through the real pynq, whatever the pieces; refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_host.accelerator import Accelerator
from fdht_host.phase_times import PhaseTimes
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.directories import ConversionDirectory, OverlayDirectory
from fdht_models.errors import (
    ArtifactError,
    DeviceError,
    DeviceTimeoutError,
    ShapeError,
)
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.simulated_overlay import build_simulated_overlay
from tests.host import toy_core
from tests.host.reference_computation import ReferenceComputation
from tests.overlays.sample_network import sample_network, write_hls_stage
from tests.stage_files import reseal


@pytest.fixture
def directory(tmp_path):
    return toy_core.write_toy_overlay(tmp_path / "overlay")


@pytest.fixture
def accelerator(directory):
    with Accelerator.open(directory, batch=8) as opened:
        yield opened


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 41])
def test_any_length_gives_the_results_of_the_model(accelerator, count):
    frames = toy_core.random_frames(count)
    logits = accelerator.infer(frames, reset=True)
    assert logits.dtype == np.int64 and logits.shape == (count, 3)
    np.testing.assert_array_equal(logits, toy_core.expected_logits(frames))


def test_uneven_pieces_give_the_results_of_one_call(accelerator):
    frames = toy_core.random_frames(60)
    whole = accelerator.infer(frames, reset=True)
    edges = [0, 1, 4, 12, 13, 33, 60]
    pieces = [
        accelerator.infer(frames[start:end], reset=start == 0)
        for start, end in itertools.pairwise(edges)
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    np.testing.assert_array_equal(whole, toy_core.expected_logits(frames))


def test_state_is_kept_and_reset(accelerator):
    frames = toy_core.random_frames(20)
    first = accelerator.infer(frames, reset=True)
    np.testing.assert_array_equal(accelerator.infer(frames, reset=True), first)
    assert (accelerator.infer(frames, reset=False)[0] != first[0]).any()


def test_reset_without_frames_is_kept_for_the_next_call(accelerator):
    frames = toy_core.random_frames(3)
    accelerator.infer(frames, reset=True)
    accelerator.infer(frames[:0], reset=True)
    np.testing.assert_array_equal(
        accelerator.infer(frames, reset=False), toy_core.expected_logits(frames)
    )


def test_stream_gives_what_infer_gives_and_may_reuse_its_array(accelerator):
    frames = toy_core.random_frames(29)

    def source():
        reused = np.empty(toy_core.INPUTS, np.uint8)
        for frame in frames:
            reused[:] = frame
            yield reused

    logits = np.stack(list(accelerator.stream(source())))
    np.testing.assert_array_equal(logits, toy_core.expected_logits(frames))


def test_stream_asks_for_frames_while_the_core_runs(accelerator):
    states = []

    def source():
        for frame in toy_core.random_frames(24):
            accelerator.device.clock.sleep(1e-6)
            states.append(accelerator.device.activity[-1].busy)
            yield frame

    assert len(list(accelerator.stream(source()))) == 24
    # The first batch fills an idle core's buffer; the frames after it overlap with a call.
    assert not any(states[:8]) and all(states[8:])


def test_a_stream_given_up_early_leaves_the_core_usable(accelerator):
    frames = toy_core.random_frames(40)
    stream = accelerator.stream(frames)
    next(stream)
    with pytest.raises(DeviceError, match="has a stream that is not finished; exhaust"):
        accelerator.infer(frames, reset=True)
    stream.close()
    np.testing.assert_array_equal(
        accelerator.infer(frames, reset=True), toy_core.expected_logits(frames)
    )


def test_a_failing_source_leaves_the_core_usable(accelerator):
    frames = toy_core.random_frames(20)

    def source():
        yield from frames[:17]
        raise OSError("camera unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(accelerator.stream(source()))
    np.testing.assert_array_equal(
        accelerator.infer(frames, reset=True), toy_core.expected_logits(frames)
    )


def test_times_are_accumulated_by_phase(accelerator):
    assert accelerator.times == PhaseTimes()
    accelerator.infer(toy_core.random_frames(20), reset=True)
    times = accelerator.times
    assert (times.frames, times.calls) == (20, 3)
    phases = (times.pack, times.transfer, times.compute, times.unpack)
    assert min(phases) > 0


def test_virtual_time_follows_the_cycle_estimate(accelerator):
    before = accelerator.device.clock.monotonic()
    accelerator.infer(toy_core.random_frames(800), reset=True)
    elapsed = accelerator.device.clock.monotonic() - before
    # 800 frames of 1,000 cycles at 100 MHz, and up to one poll and the registers for each call.
    assert 8e-3 < elapsed < 8e-3 + 100 * 150e-6


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((2, 21), np.uint8), r"uint8\[2, 21\].*expected frames of uint8\[20\]"),
        (np.zeros((2, 20), np.int8), r"int8\[2, 20\].*expected frames of uint8\[20\]"),
        (np.zeros((2, 20)), r"float64\[2, 20\].*expected frames of uint8\[20\]"),
        (np.zeros(20, np.uint8), r"uint8\[20\].*expected uint8\[n, 20\]"),
    ],
)
def test_wrong_frames_are_refused(accelerator, frames, message):
    with pytest.raises(ShapeError, match=message):
        accelerator.infer(frames, reset=True)


@pytest.mark.parametrize("frame", [np.zeros((4, 5), np.uint8), np.zeros(19, np.uint8)])
def test_wrong_frames_in_a_stream_are_refused(accelerator, frame):
    with pytest.raises(ShapeError, match=r"expected .*uint8\[20\]"):
        list(accelerator.stream([frame]))


def test_codes_outside_a_narrow_format_are_refused(tmp_path):
    design = toy_core.toy_design()
    narrow = design.input.__class__(20, design.input.format.__class__(7, 7, False), 24, None, (20,))
    directory = toy_core.write_toy_overlay(tmp_path / "o", input=narrow)
    with Accelerator.open(directory, self_test=False) as opened:
        opened.infer(np.full((1, 20), 127, np.uint8), reset=True)
        with pytest.raises(ShapeError, match="codes must lie between 0 and 127"):
            opened.infer(np.full((1, 20), 128, np.uint8), reset=True)


def test_another_design_on_the_board_is_refused_with_both_ids(directory):
    device = SimulatedDevice()
    device.faults.design_id_mask = 1 << 63 | 1
    with pytest.raises(DeviceError, match=r"holds design 8123456789abcdee.*names 0123456789abcdef"):
        Accelerator.open(directory, device=device)


def test_other_layout_is_refused(tmp_path):
    design = toy_core.toy_design()
    wide = design.results.__class__(design.results.classes, design.results.format, 24)
    with pytest.raises(DeviceError, match="result_bytes = 16: the manifest says 24"):
        Accelerator.open(toy_core.write_toy_overlay(tmp_path / "o", results=wide))


@pytest.mark.parametrize("bit", [0, 31, 64])
def test_the_self_test_sees_one_wrong_bit(directory, bit):
    device = SimulatedDevice()
    device.faults.flipped_bit = bit
    message = f"self test: 1 of 45 values differ, first frame 0, class {bit // 32}"
    with pytest.raises(DeviceError, match=message):
        Accelerator.open(directory, device=device)
    Accelerator.open(directory, device=device, self_test=False).close()


def test_the_self_test_sees_an_unreset_state(tmp_path):
    design = toy_core.toy_design()
    wrong = design.golden.__class__(design.golden.frames, design.golden.results + 1)
    with pytest.raises(DeviceError, match="self test: 45 of 45 values differ"):
        Accelerator.open(toy_core.write_toy_overlay(tmp_path / "o", golden=wrong))


def test_dropped_results_are_noticed(accelerator):
    accelerator.device.faults.dropped_results = 1
    with pytest.raises(DeviceError, match="processed 7 of 8 frames"):
        accelerator.infer(toy_core.random_frames(20), reset=True)


def test_a_hanging_core_is_a_timeout_that_names_the_registers(directory):
    with Accelerator.open(directory, timeout=0.5) as accelerator:
        accelerator.device.faults.hang = True
        before = accelerator.device.clock.monotonic()
        with pytest.raises(DeviceTimeoutError, match=r"within 0\.5 s \(CTRL = 0x01, frames = 0x1"):
            accelerator.infer(toy_core.random_frames(2), reset=True)
        assert 0.5 <= accelerator.device.clock.monotonic() - before < 0.51
        with pytest.raises(DeviceError, match="still running"):
            accelerator.infer(toy_core.random_frames(2), reset=True)


def test_a_closed_accelerator_is_refused_and_its_buffers_are_free(directory):
    device = SimulatedDevice(memory_bytes=4 * 4096)
    for _ in range(3):
        accelerator = Accelerator.open(directory, device=device)
        accelerator.close()
        accelerator.close()
    with pytest.raises(DeviceError, match="accelerator: is closed; open the overlay again"):
        accelerator.infer(toy_core.random_frames(2), reset=True)


def test_too_little_memory_is_refused(directory):
    message = (
        r"buffer of 768 bytes: cannot be allocated \(BO allocation failed: no 4096 bytes are left "
        r"of the simulated board's 8192\); free other programs' buffers, or open it with a smaller"
    )
    with pytest.raises(DeviceError, match=message):
        Accelerator.open(directory, device=SimulatedDevice(memory_bytes=8192))


def test_a_simulated_overlay_is_refused_by_a_real_board(directory):
    with pytest.raises(DeviceError, match="is for a simulated board; build a bitstream"):
        Accelerator.open(directory, device=object())


def test_no_board_is_an_error_with_a_remedy(directory, monkeypatch):
    # The manifest of a real overlay, on a machine where pynq finds no board.
    reseal(directory, lambda manifest: manifest["overlay"].update(flow="vitis"))
    monkeypatch.setattr(type(SimulatedDevice), "_devices", [], raising=False)
    with pytest.raises(DeviceError, match=r"cannot be found \(No Devices Found\); run as root"):
        Accelerator.open(directory)


def test_a_damaged_overlay_is_refused(directory):
    (directory / "csim.so").write_bytes(b"")
    with pytest.raises(ArtifactError, match="differs from its digest"):
        Accelerator.open(directory)


def test_a_real_network_through_pynq_equals_the_reference(tmp_path):
    """The integer reference behind the registers: everything but the C++ is as in the demo."""
    for signed in (False, True):
        network = sample_network(signed=signed)
        hls = write_hls_stage(tmp_path / f"hls{signed}", network, b"unused")
        overlay = tmp_path / f"overlay{signed}"
        assert build_simulated_overlay(
            ConversionDirectory(hls), OverlayDirectory(overlay), get_board("sim")
        )
        device = SimulatedDevice(
            computation=lambda directory, manifest, n=network: ReferenceComputation(n)
        )
        generator = np.random.default_rng(3)
        frames = generator.integers(0, 256, (50, 60)).astype(np.uint8)
        if signed:
            frames = frames.view(np.int8)
        with Accelerator.open(overlay, device=device, batch=16) as accelerator:
            pieces = [
                accelerator.infer(frames[start:end], reset=start == 0)
                for start, end in [(0, 3), (3, 37), (37, 50)]
            ]
        logits = np.concatenate(pieces)
        np.testing.assert_array_equal(logits, ReferenceModel(network).run(frames))
        assert len(np.unique(logits)) > 20


def test_buffers_alternate_between_calls(accelerator, monkeypatch):
    """The caches of a real board may write a line back at any time: never pack a buffer in use."""
    used = []
    start = accelerator.driver.start

    def noting(frames, results, count, reset, **more):
        used.append((frames, results))
        start(frames, results, count, reset, **more)

    monkeypatch.setattr(accelerator.driver, "start", noting)
    accelerator.infer(toy_core.random_frames(40), reset=True)
    assert len(used) == 5 and len(set(used)) == 2
    assert all(first != second for first, second in itertools.pairwise(used))
