"""A core of sparse frames in C++ behind the registers of the simulated board, through pynq."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_hls.csimulation import compile_library
from fdht_hls.schedule import default_schedule
from fdht_host.accelerator import Accelerator
from fdht_host.frame_packing import FramePacking, Packed
from fdht_models.artifacts import new_stage, write_json
from fdht_models.directories import ConversionDirectory, OverlayDirectory
from fdht_models.errors import DeviceError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.simulated_overlay import build_simulated_overlay
from tests.hls.many import Case, write_project
from tests.hls.patterns import sparse_patterns
from tests.overlays.sample_network import sample_network
from tests.stage_files import estimate, summary

#: 60 inputs, which are no whole number of words: the last has zeros behind them.
NETWORK = sample_network()
SIGNED = sample_network(signed=True)


def build(directory: Path, network: QuantizedNetwork) -> Path:
    """The overlay of a network, whose core is compiled."""
    schedule = default_schedule(network.recurrence).with_frames("sparse")
    write_project(Case(network, schedule), directory / "project")
    compile_library(directory / "project", directory / "csim.so", "native")
    with new_stage(directory / "hls", "hls", {}) as (temporary, extra):
        extra["estimate"] = summary()
        network.save(temporary / "network.json")
        write_json(temporary / "estimate.json", estimate())
        write_json(temporary / "schedule.json", schedule.to_json())
        (temporary / "csim.so").write_bytes((directory / "csim.so").read_bytes())
    overlay = directory / "overlay"
    build_simulated_overlay(
        ConversionDirectory(directory / "hls"), OverlayDirectory(overlay), get_board("sim")
    )
    return overlay


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("sparse"), NETWORK)


@pytest.fixture
def accelerator(overlay: Path) -> Iterator[Accelerator]:
    """Opened, identified, and tested with the golden vectors."""
    with Accelerator.open(overlay, batch=7) as found:
        yield found


def frames_of(network: QuantizedNetwork, count: int = 60) -> np.ndarray:
    codes = sparse_patterns(network, count, 3)
    return codes.astype(np.int8 if network.input_format.signed else np.uint8)


def test_all_kinds_of_frames_give_the_integers_of_the_reference(accelerator: Accelerator) -> None:
    frames = frames_of(NETWORK)
    expected = ReferenceModel(NETWORK).run(frames)
    np.testing.assert_array_equal(accelerator.infer(frames, reset=True), expected)
    pieces = [
        accelerator.infer(frames[start:end], reset=start == 0)
        for start, end in [(0, 1), (1, 18), (18, 60)]
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), expected)
    streamed = np.array(list(accelerator.stream(iter(frames))))
    np.testing.assert_array_equal(streamed, expected)
    assert len(np.unique(expected)) > 20


def test_signed_frames_do_so_too(tmp_path: Path) -> None:
    frames = frames_of(SIGNED)
    with Accelerator.open(build(tmp_path, SIGNED)) as found:
        logits = found.infer(frames, reset=True)
    np.testing.assert_array_equal(logits, ReferenceModel(SIGNED).run(frames))


def _spoiled(monkeypatch: pytest.MonkeyPatch, byte: int, value: int, words: int = 0) -> None:
    """Changes a byte of every call behind the host's back, or how many words it names."""
    pack = FramePacking.pack

    def spoil(packing: FramePacking, buffer: np.ndarray, frames: np.ndarray, reset: bool) -> Packed:
        found = pack(packing, buffer, frames, reset)
        buffer[byte] ^= value
        return Packed(found.part, found.count, found.words + words)

    monkeypatch.setattr(FramePacking, "pack", spoil)


@pytest.mark.parametrize(
    ("byte", "value", "words", "told"),
    [
        (4, 3, 0, "no kind|promise|ended"),  # sparse becomes dense
        (4, 8, 0, "header is of no kind"),
        (0, 0x40, 0, "header is of no kind"),  # more words than a frame has
        (8, 0x02, 0, "promise other words"),
        (9, 0x80, 0, "behind the frame's last word"),
        (0, 0, -1, "the words ended before the frames did"),
        (0, 0, 1, "the frames ended before the words did"),
    ],
)
def test_damage_is_told_and_the_next_call_is_right(
    accelerator: Accelerator, byte: int, value: int, words: int, told: str
) -> None:
    frames = np.zeros((5, NETWORK.inputs), np.uint8)
    frames[:, 3] = 7
    with pytest.MonkeyPatch.context() as patch:
        _spoiled(patch, byte, value, words)
        with pytest.raises(DeviceError, match=rf"frame_faults = \d+: .*({told})"):
            accelerator.infer(frames, reset=True)
    expected = ReferenceModel(NETWORK).run(frames)
    np.testing.assert_array_equal(accelerator.infer(frames, reset=True), expected)
