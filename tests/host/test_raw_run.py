"""`fdht run` on a core that computes the feature: the same answers, and no feature on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fdht_hls.schedule import default_schedule
from fdht_host import file_blocks, video
from fdht_host.accelerator import Accelerator
from fdht_host.energy import windows
from fdht_host.energy.evaluation import EnergyResult
from fdht_host.run import RunSettings
from fdht_models.directories import BuildDirectory
from fdht_models.errors import DataError
from fdht_models.preprocessing import Picture, Preprocessing, Sampling, read_clip
from fdht_models.tensor.quantized import QuantizedNetwork
from tests.host import builds
from tests.host.builds import NETWORK
from tests.host.test_run_clips import write_clip

PICTURE = Picture(4, 5, "motion_energy", 9)


def network_of(protocol: str) -> QuantizedNetwork:
    seen = Preprocessing(Sampling(protocol, 6, 1, time_step=0.04), picture=PICTURE)
    return replace(NETWORK, preprocessing=seen)


def reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, settings: RunSettings
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the same network with the feature on the host, and on the chip."""
    network = network_of(protocol)
    builds.reference_as_core(monkeypatch, network)
    dense = default_schedule(network.recurrence)
    host, chip = (
        builds.run_built(
            builds.write_build(tmp_path / kind, network, schedule=dense.with_frames(kind)),
            replace(settings, energy=False),
        )
        for kind in ("dense", "raw")
    )
    return host, chip


def check_same(host: dict[str, Any], chip: dict[str, Any], least: int = 2) -> None:
    assert chip["clips"] == host["clips"]
    assert chip["equality"]["reference_board"] == host["equality"]["reference_board"]
    assert chip["equality"]["reference_board"]["mismatches"] == 0
    for one, other in zip(chip["sources"], host["sources"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    answers = {tuple(block["logits"]) for clip in chip["clips"] for block in clip["blocks"]}
    assert len(answers) >= least, "the comparison says little"


@pytest.mark.parametrize("clip_frames", [None, 0, 1, 7, 100])
def test_a_video_as_a_stream(tmp_path, monkeypatch, clip_frames):
    """The state is reset every so many inputs, and the feature goes on: each block brings the
    frame before its first."""
    path = builds.write_video(tmp_path / "v.mkv", 45)
    settings = RunSettings([str(path)], clip_frames=clip_frames)
    host, chip = reports(tmp_path, monkeypatch, "generated", settings)
    check_same(host, chip, 1 if clip_frames in (0, 100) else 2)
    assert sum(source["inputs"] for source in chip["sources"]) == 44
    phases = [report["throughput"]["feature"] for report in (host, chip)]
    assert phases[0]["seconds"] > 0
    assert phases[1] == {**phases[1], "seconds": 0}


def test_no_frame_is_copied_on_its_way_to_the_core(tmp_path, monkeypatch, copies):
    """What was decoded is what is put into the core's buffer."""
    decoded: list[np.ndarray] = []
    decode = file_blocks.decode

    def noted(*args: Any, **options: Any) -> Iterator[np.ndarray]:
        for frame in decode(*args, **options):
            decoded.append(frame)
            yield frame

    monkeypatch.setattr(file_blocks, "decode", noted)
    network = network_of("generated")
    builds.reference_as_core(monkeypatch, network)
    schedule = default_schedule(network.recurrence).with_frames("raw")
    path = builds.write_video(tmp_path / "v.mkv", 45)
    directory = builds.write_build(tmp_path / "build", network, schedule=schedule)
    builds.run_built(directory, RunSettings([str(path)], clip_frames=0, energy=False))
    assert len(decoded) == 45
    taken = copies[-45:]  # behind those of the self test
    assert all(np.shares_memory(*pair) for pair in zip(taken, decoded, strict=True))


def test_clips_of_a_labelled_video_begin_anew(tmp_path, monkeypatch):
    path = builds.write_video(tmp_path / "v.mkv", labelled=True)
    host, chip = reports(tmp_path, monkeypatch, "generated", RunSettings([str(path)]))
    check_same(host, chip)
    assert [clip["blocks"][0]["inputs"] for clip in chip["clips"]] == [9] * 4


@pytest.mark.parametrize("protocol", ["uniform", "consecutive"])
def test_a_folder_of_clips_as_in_training(tmp_path, monkeypatch, protocol):
    """Clips of the trained length and shorter ones."""
    for number, frames in enumerate((23, 5, 2)):
        write_clip(tmp_path / "clips" / NETWORK.classes[number] / "a.avi", "video", number, frames)
    settings = RunSettings([str(tmp_path / "clips")])
    host, chip = reports(tmp_path, monkeypatch, protocol, settings)
    check_same(host, chip)
    assert len(chip["clips"]) == 3


def test_a_folder_of_pictures_is_a_stream(tmp_path, monkeypatch):
    noise = np.random.default_rng(3).integers(0, 256, (17, 8, 10, 3), np.uint8)
    (tmp_path / "pictures").mkdir()
    for number, frame in enumerate(noise):
        Image.fromarray(frame).save(tmp_path / "pictures" / f"{number:02}.png")
    settings = RunSettings([str(tmp_path / "pictures")], protocol="every", clip_frames=5)
    host, chip = reports(tmp_path, monkeypatch, "consecutive", settings)
    check_same(host, chip)


@pytest.mark.parametrize("frames", [2, 5, 7, 23])
def test_raw_clips_have_the_inputs_of_training(tmp_path, frames):
    path = write_clip(tmp_path / "v.avi", "video", 4, frames)
    seen = network_of("consecutive").preprocessing
    clip, raw = read_clip(path, "v", seen), read_clip(path, "v", seen, raw=True)
    assert raw.values.shape == (7, 60)
    np.testing.assert_array_equal(PICTURE.features(raw.values), clip.values)
    assert clip.values.any()
    assert (raw.used, raw.frames, raw.time_step) == (clip.used, clip.frames, clip.time_step)


def test_a_clip_of_one_frame_has_no_feature(tmp_path):
    path = write_clip(tmp_path / "v.avi", "video", 4, 1)
    with pytest.raises(DataError, match="the feature compares two"):
        read_clip(path, "v", network_of("consecutive").preprocessing, raw=True)


def test_pairs_begin_anew_with_each_clip():
    frames = np.arange(8 * 3, dtype=np.uint8).reshape(8, 1, 1, 3)
    pairs = list(video.frame_pairs(iter(frames), {0, 3, 4}))
    found = [(int(one[0]) // 3, int(other[0]) // 3) for one, other in pairs]
    assert found == [(0, 1), (1, 2), (4, 5), (5, 6), (6, 7)]


def test_energy_begins_a_sequence(tmp_path, monkeypatch):
    network = network_of("generated")
    builds.reference_as_core(monkeypatch, network)
    schedule = default_schedule(network.recurrence).with_frames("raw")
    directory = builds.write_build(tmp_path, network, schedule=schedule)

    def measure(run_frames: Any, frames_done: Any, *_: Any) -> EnergyResult:
        before = frames_done()
        run_frames(70)
        assert frames_done() - before == 70
        return EnergyResult("modelled", "Readings.")

    monkeypatch.setattr(windows, "measure", measure)
    overlay = BuildDirectory(directory).overlay("sim", "csim").path
    with Accelerator.open(overlay) as accelerator:
        board = accelerator.device.board
        found = windows.board_energy(accelerator, board, network, lambda *_: None)
    assert found.explanation == "Readings."
