"""Videos streamed through the real pynq on a simulated board: which frame belongs to which clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdht_host import video
from fdht_host.accelerator import Accelerator
from fdht_host.simulator import ReferenceEngine, SimulatedDevice
from fdht_host.streams import Segment, VideoRun, stream_video
from fdht_host.video.labels import write_labels
from fdht_models.artifacts import digest_file
from fdht_models.errors import DataError
from fdht_models.features import features_of
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.boards import get_board
from fdht_overlays.simulated import build_simulated_overlay
from tests.overlays.sample_network import sample_network, write_hls_stage

# Of a seed whose weights tell one noise from another.
NETWORK = sample_network(seed=7)
CLASSES = ("down", "up")


@pytest.fixture
def accelerator(tmp_path: Path) -> Iterator[Accelerator]:
    hls = write_hls_stage(tmp_path / "hls", NETWORK, b"replaced by the reference")
    overlay = tmp_path / "overlay"
    build_simulated_overlay(hls, overlay, get_board("sim"))
    device = SimulatedDevice(engine=lambda directory, manifest: ReferenceEngine(NETWORK))
    with Accelerator.open(overlay, device=device, batch=16) as opened:
        yield opened


def _video(tmp_path: Path, frames: int) -> tuple[Path, np.ndarray]:
    """A video of coarse noise and its frames in the size that the network takes."""
    path = tmp_path / "noise.mkv"
    coarse = np.random.default_rng(7).integers(0, 256, (frames, 4, 5, 3)).astype(np.uint8)
    video.encode(path, coarse.repeat(6, axis=1).repeat(6, axis=2), 25)
    return path, np.stack(list(video.decode(path, *NETWORK.frame_shape[:2])))


def _label(path: Path, clips: list[tuple[int, int, int]], frames: int) -> None:
    write_labels(path, [video.Clip(*clip) for clip in clips], CLASSES, frames, digest_file(path))


def _run(accelerator: Accelerator, path: Path, clip_frames: int = 8) -> VideoRun:
    return stream_video(accelerator, NETWORK, path, clip_frames, True, lambda *_: None)


def _expected(pictures: np.ndarray) -> str:
    logits = ReferenceModel(NETWORK).run(features_of("motion_energy", pictures))
    return NETWORK.classes[int(np.argmax(logits[-1]))]


def test_frames_outside_of_clips_are_runs_of_their_own(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    """Before, between and behind the clips; a lone frame between two has no motion energy."""
    path, pictures = _video(tmp_path, 40)
    _label(path, [(3, 6, 1), (9, 5, 0), (15, 10, 1)], 40)
    run = _run(accelerator, path)
    stretches = [(0, 3, None), (3, 6, "up"), (9, 5, "down"), (15, 10, "up"), (25, 15, None)]
    expected, position = [], 0
    for start, frames, label in stretches:
        shown = _expected(pictures[start : start + frames])
        expected.append(Segment(position, frames - 1, shown, label))
        position += frames - 1
    assert list(run.segments) == expected
    assert len({segment.predicted for segment in expected}) > 1
    assert run.mismatches == 0
    assert run.compared == position * len(NETWORK.classes)
    assert run.to_json()["labelled"] == 3


def test_without_labels_the_state_is_reset_every_so_many_frames(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    path, pictures = _video(tmp_path, 20)
    energy = features_of("motion_energy", pictures)
    run = _run(accelerator, path, clip_frames=8)
    reference = ReferenceModel(NETWORK)
    for segment, start in zip(run.segments, (0, 8, 16), strict=True):
        reference.reset()
        logits = reference.run(energy[start : start + 8])
        shown = NETWORK.classes[int(np.argmax(logits[-1]))]
        assert segment == Segment(start, len(logits), shown, None)
    assert run.mismatches == 0


def test_the_state_may_live_through_a_whole_video(accelerator: Accelerator, tmp_path: Path) -> None:
    path, pictures = _video(tmp_path, 150)
    run = _run(accelerator, path, clip_frames=0)
    assert [(segment.start, segment.frames) for segment in run.segments] == [
        (0, 64), (64, 64), (128, 21),
    ]  # fmt: skip
    logits = ReferenceModel(NETWORK).run(features_of("motion_energy", pictures))
    ends = [segment.start + segment.frames - 1 for segment in run.segments]
    shown = [NETWORK.classes[int(np.argmax(logits[end]))] for end in ends]
    assert [segment.predicted for segment in run.segments] == shown
    assert run.mismatches == 0


@pytest.mark.parametrize("labelled", [False, True])
def test_a_single_frame_has_no_result(
    accelerator: Accelerator, tmp_path: Path, labelled: bool
) -> None:
    path, _ = _video(tmp_path, 1)
    if labelled:
        _label(path, [(0, 1, 0)], 1)
    with pytest.raises(DataError, match="too few frames"):
        _run(accelerator, path)
