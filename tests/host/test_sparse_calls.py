"""Sparse frames from accelerator to core: who hands over frames sees no difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from fdht_hls.registers import AP_START, BY_NAME
from fdht_host.accelerator import Accelerator
from fdht_host.driver import check_identity
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.errors import DeviceError, DeviceTimeoutError
from fdht_models.tensor.sparse_frames import FrameFault, FrameKind
from tests.host import sparse_core, toy_core
from tests.host.sparse_core import FORM, PACE, SparseToy

Opened = tuple[Accelerator, SparseToy]


@pytest.fixture
def opened(tmp_path) -> Iterator[Opened]:
    accelerator, core = sparse_core.open_core(tmp_path / "overlay", batch=8)
    core.calls.clear()
    with accelerator:
        yield accelerator, core


def frames_with(words: list[int], seed: int = 0) -> np.ndarray:
    """Frames with so many words that are not zero, the first ones; three of them hold values."""
    frames = toy_core.random_frames(len(words), seed) | 1
    for frame, used in zip(frames, words, strict=True):
        frame[8 * used :] = 0
    return frames


@pytest.mark.parametrize("count", [1, 7, 8, 9, 40])
def test_any_frames_give_the_results_of_the_model(opened: Opened, count: int) -> None:
    accelerator, core = opened
    frames = frames_with([place % 4 for place in range(count)])
    logits = accelerator.infer(frames, reset=True)
    np.testing.assert_array_equal(logits, toy_core.expected_logits(frames))
    assert len(core.calls) == -(-count // 8)


def test_a_stream_gives_the_results_of_the_model(opened: Opened) -> None:
    accelerator, _ = opened
    frames = frames_with([0, 3, 1, 0, 2] * 5)
    logits = np.array(list(accelerator.stream(iter(frames))))
    np.testing.assert_array_equal(logits, toy_core.expected_logits(frames))


def test_the_golden_vectors_are_those_of_dense_frames(tmp_path) -> None:
    accelerator, core = sparse_core.open_core(tmp_path / "overlay")
    with accelerator:
        assert core.calls  # the self test ran
        assert accelerator.self_test(tmp_path / "overlay") > 0


def test_a_call_names_its_words_and_flushes_no_more(opened: Opened, monkeypatch) -> None:
    accelerator, core = opened
    flushed: list[int] = []
    flush = accelerator.device.flush

    def noting(bo: int, offset: int, ptr: int, size: int) -> None:
        flushed.append(size)
        flush(bo, offset, ptr, size)

    monkeypatch.setattr(accelerator.device, "flush", noting)
    # Empty: header and bitmap. One word: one more. Two and three: as long dense, with a header.
    accelerator.infer(frames_with([0, 1, 2, 3]), reset=True)
    assert accelerator.driver.read_register("call_words") == 2 + 3 + 4 + 4
    assert flushed == [8 * 13]
    kinds = [core.calls[0][8 * start + 4] for start in (0, 2, 5, 9)]
    assert kinds == [FrameKind.SPARSE] * 2 + [FrameKind.DENSE] * 2


def test_a_buffer_has_room_for_frames_that_are_all_dense(opened: Opened) -> None:
    accelerator, core = opened
    accelerator.infer(frames_with([3] * 8), reset=True)
    assert len(core.calls[0]) == FORM.room(8)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (FrameFault.HEADER, "header is of no kind"),
        (FrameFault.COUNT, "promise other words than its header"),
        (FrameFault.BEHIND, "behind the frame's last word"),
        (FrameFault.SHORT, "the words ended before the frames did"),
        (FrameFault.LONG, "the frames ended before the words did"),
        (FrameFault.SHORT | FrameFault.HEADER, "no kind.*; the words ended before"),
        (32, "does not know"),
    ],
)
def test_a_fault_is_told_in_words_and_the_state_is_not_continued(
    opened: Opened, fault: int, told: str
) -> None:
    accelerator, core = opened
    frames = frames_with([1, 0, 2])
    core.faults = int(fault)
    with pytest.raises(DeviceError, match=rf"frame_faults = {int(fault)}: .*{told}.*reset=True"):
        accelerator.infer(frames, reset=True)
    core.faults = 0
    with pytest.raises(DeviceError, match="state to continue is not known"):
        accelerator.infer(frames, reset=False)
    logits = accelerator.infer(frames, reset=True)
    np.testing.assert_array_equal(logits, toy_core.expected_logits(frames))


def test_asking_for_the_identity_names_no_words(opened: Opened) -> None:
    accelerator, _ = opened
    accelerator.infer(frames_with([3]), reset=True)
    accelerator.driver.identity()
    assert accelerator.driver.read_register("call_words") == 0


@pytest.mark.parametrize("words", [-1, 2**32])
def test_words_that_no_register_holds_are_refused(opened: Opened, words: int) -> None:
    with pytest.raises(DeviceError, match=r"call_words = .*must fit 32 bits"):
        opened[0].driver.start(0, 0, 1, reset=True, words=words)


def test_a_core_of_the_other_kind_is_refused(opened: Opened, tmp_path) -> None:
    accelerator, _ = opened
    dense = toy_core.write_toy_overlay(tmp_path / "dense")
    with Accelerator.open(dense, device=SimulatedDevice()) as other:
        with pytest.raises(DeviceError, match="takes sparse frames, the manifest says dense"):
            check_identity(accelerator.driver, other.manifest)
        layout = dataclasses.replace(other.manifest.input, frames="sparse")
        changed = dataclasses.replace(other.manifest, input=layout, sparse_pace=PACE)
        with pytest.raises(DeviceError, match="takes dense frames, the manifest says sparse"):
            check_identity(other.driver, changed)


def test_a_core_of_unknown_frames_is_refused(opened: Opened) -> None:
    accelerator, core = opened
    core.core_frames = 7
    with pytest.raises(DeviceError, match=r"takes unknown \(7\) frames, the manifest says sparse"):
        check_identity(accelerator.driver, accelerator.manifest)


def test_a_core_of_a_former_version_is_told_by_its_registers(opened: Opened, tmp_path) -> None:
    accelerator, core = opened
    core.core_frames = 0
    with pytest.raises(DeviceError, match="takes dense frames, the manifest says sparse"):
        check_identity(accelerator.driver, accelerator.manifest)
    layout = dataclasses.replace(accelerator.manifest.input, frames_shown=False)
    former = dataclasses.replace(accelerator.manifest, input=layout)
    check_identity(accelerator.driver, former)
    # As it takes raw or dense frames, the manifest would lie.
    layout = dataclasses.replace(layout, frames="dense")
    with pytest.raises(DeviceError, match="takes sparse frames, the manifest says dense"):
        check_identity(
            accelerator.driver, dataclasses.replace(former, input=layout, sparse_pace=None)
        )
    refused = pytest.raises(DeviceError, match="takes dense frames, the manifest says sparse")
    with toy_core.open_toy(tmp_path / "dense") as dense, refused:
        check_identity(dense.driver, former)


def test_words_beyond_the_buffer_hang_as_on_a_board(opened: Opened) -> None:
    accelerator, _ = opened
    buffer = accelerator.device.allocate((4096,), "u1")
    start = (buffer.device_address, buffer.device_address, 1)
    accelerator.driver.start(*start, reset=True, words=513)
    with pytest.raises(DeviceTimeoutError):
        accelerator.driver.wait(0.1)
    assert "no buffer holds 4104 bytes" in accelerator.device.core.hang_reason


def test_a_core_of_dense_frames_has_no_register_for_words(tmp_path) -> None:
    with toy_core.open_toy(tmp_path / "overlay") as accelerator:
        accelerator.driver.write_register("call_words", 7)
        assert accelerator.driver.read_register("call_words") == 0


def _seconds(accelerator: Accelerator, frames: np.ndarray) -> float:
    before = accelerator.device.clock.monotonic()
    accelerator.infer(frames, reset=True)
    return accelerator.device.clock.monotonic() - before


def test_virtual_time_follows_the_words(opened: Opened) -> None:
    """At 100 MHz, 100 clocks a word or 150 a frame; and polls and registers of each call."""
    accelerator, _ = opened
    for words, each in ((0, 200), (1, 300), (3, 400)):
        expected = 800 * each / 100e6
        assert expected < _seconds(accelerator, frames_with([words] * 800)) < expected + 0.016


def test_activity_follows_the_words(opened: Opened) -> None:
    accelerator, _ = opened

    def activity(words: int) -> float:
        accelerator.infer(frames_with([words] * 8), reset=True)
        busy = [segment for segment in accelerator.device.activity if segment.busy]
        return busy[-1].activity

    assert activity(0) == pytest.approx(0.8 + 0.2 * 150 / 200)
    assert activity(3) == pytest.approx(0.8 + 0.2 * 150 / 400)


def test_a_call_without_words_is_less_active(opened: Opened) -> None:
    """As a driver of its own may ask: its one frame is missing, and only W_h h works."""
    accelerator, _ = opened
    device = accelerator.device
    accelerator.driver.write_register("frame_count", 1)
    accelerator.driver.write_register("call_words", 0)
    accelerator.driver.mmio.write(BY_NAME["CTRL"].offset, AP_START)
    device.clock.advance_ns(1000)
    assert device.activity[-1].activity == pytest.approx(PACE.hidden_share)
