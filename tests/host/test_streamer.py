"""Videos streamed through the real pynq on a simulated board: which frame belongs to which clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_host import video
from fdht_host.accelerator import Accelerator
from fdht_host.answers import probabilities_of
from fdht_host.own_clips import ClipFile
from fdht_host.readers import TRAINED, reader_of
from fdht_host.run_sources import FILE, Source
from fdht_host.simulator.device import SimulatedDevice
from fdht_host.source_run import SourceRun
from fdht_host.streamer import Streamer
from fdht_host.verification import Verification
from fdht_host.video.labels import write_labels
from fdht_models.artifacts import digest_file
from fdht_models.directories import ConversionDirectory, OverlayDirectory
from fdht_models.errors import DataError
from fdht_models.features import features_of
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.simulated_overlay import build_simulated_overlay
from tests.host.reference_computation import ReferenceComputation
from tests.overlays.sample_network import sample_network, write_hls_stage

# Of a seed whose weights tell one noise from another.
NETWORK = sample_network(seed=7)
CLASSES = ("down", "up")


@pytest.fixture
def accelerator(tmp_path: Path) -> Iterator[Accelerator]:
    hls = write_hls_stage(tmp_path / "hls", NETWORK, b"replaced by the reference")
    overlay = tmp_path / "overlay"
    build_simulated_overlay(ConversionDirectory(hls), OverlayDirectory(overlay), get_board("sim"))
    device = SimulatedDevice(computation=lambda directory, manifest: ReferenceComputation(NETWORK))
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


def _run(accelerator: Accelerator, path: Path, clip_frames: int = 8) -> SourceRun:
    reader = reader_of(NETWORK.preprocessing, TRAINED, clip_frames, True)
    source = Source(str(path), FILE, files=(ClipFile(path, path.name, path.name),))
    streamer = Streamer(accelerator, NETWORK, reader, Verification(1.0), lambda *_: None)
    run = SourceRun(source)
    for _ in streamer.steps(run):
        assert run.context == 0
    return run


def _last(features: np.ndarray) -> tuple[int, ...]:
    return tuple(ReferenceModel(NETWORK).run(features)[-1])


def _shares(logits: tuple[int, ...]) -> np.ndarray:
    return probabilities_of(np.array(logits), NETWORK.logit_format)


def _blocks(run: SourceRun) -> list[tuple[int | None, int, tuple[int, ...]]]:
    return [
        (block.start, block.inputs, block.logits)
        for answer in run.answers
        for block in answer.blocks
    ]


def test_frames_outside_of_clips_are_runs_of_their_own(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    """Before, between and behind the clips; a lone frame between two has no motion energy."""
    path, pictures = _video(tmp_path, 40)
    _label(path, [(3, 6, 1), (9, 5, 0), (15, 10, 1)], 40)
    run = _run(accelerator, path)
    stretches = [(0, 3, None), (3, 6, "up"), (9, 5, "down"), (15, 10, "up"), (25, 15, None)]
    expected, found = [], [(one.start, one.frames_there, one.label) for one in run.answers]
    for start, frames, _ in stretches:
        energy = features_of("motion_energy", pictures[start : start + frames])
        expected.append((start, frames - 1, _last(energy)))
    assert found == stretches
    assert _blocks(run) == expected
    assert len({answer.predicted for answer in run.answers}) > 1
    assert run.mismatches == 0
    assert run.compared == run.inputs * len(NETWORK.classes) == 34 * 3
    video = run.video(NETWORK)
    assert video is not None and video["labelled"] == 3
    assert [one["start"] for one in video["predictions"]] == [0, 2, 7, 11, 20]
    assert [one["inputs"] for one in video["predictions"]] == [2, 5, 4, 9, 14]
    assert (video["inputs"], video["frames"]) == (34, 40)


def test_without_labels_the_state_is_reset_every_so_many_frames(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    """And the vote is the mean of the probabilities of whole blocks."""
    path, pictures = _video(tmp_path, 20)
    energy = features_of("motion_energy", pictures)
    run = _run(accelerator, path, clip_frames=8)
    parts = [energy[start : start + 8] for start in (0, 8, 16)]
    expected = [(8 * k, len(part), _last(part)) for k, part in enumerate(parts)]
    assert _blocks(run) == expected
    (answer,) = run.answers
    assert [block.votes for block in answer.blocks] == [True, True, False]
    mean = np.mean([_shares(logits) for _, _, logits in expected[:2]], axis=0)
    np.testing.assert_array_equal(answer.probabilities, mean)
    assert answer.predicted == NETWORK.classes[int(np.argmax(mean))]
    assert answer.probability == mean.max()
    own = [NETWORK.classes[int(np.argmax(logits))] for _, _, logits in expected[:2]]
    assert answer.agreed == own.count(answer.predicted)
    assert (answer.frames_used, answer.frames_there, answer.stride) == (20, 20, 1)
    assert answer.time_step == 1 / 25
    assert run.mismatches == 0


def test_the_state_may_live_through_a_whole_video(accelerator: Accelerator, tmp_path: Path) -> None:
    path, pictures = _video(tmp_path, 150)
    run = _run(accelerator, path, clip_frames=0)
    logits = ReferenceModel(NETWORK).run(features_of("motion_energy", pictures))
    starts, ends = (0, 64, 128), (63, 127, 148)
    expected = [
        (start, end - start + 1, tuple(logits[end]))
        for start, end in zip(starts, ends, strict=True)
    ]
    assert _blocks(run) == expected
    (answer,) = run.answers
    assert all(block.votes for block in answer.blocks)  # none of them lacks what came before
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
