"""Raw frames from accelerator to core: of a sequence the first is only what is compared with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_hls.schedule import default_schedule
from fdht_host.accelerator import Accelerator
from fdht_host.driver import check_identity
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.directories import BuildDirectory
from fdht_models.errors import DeviceError, DeviceTimeoutError, ShapeError
from fdht_models.features import features_of
from fdht_models.preprocessing import Picture
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.golden import load_golden
from fdht_overlays.manifest import load_manifest
from tests import stage_files
from tests.hls.rtl.test_motion import clip_of
from tests.host import builds
from tests.host.reference_computation import ReferenceComputation

PICTURE = Picture(4, 5, "motion_energy", 6)
NETWORK = replace(
    builds.NETWORK, preprocessing=replace(builds.NETWORK.preprocessing, picture=PICTURE)
)
CLIP = clip_of(41, NETWORK.inputs, 4)


def logits_of(raw: np.ndarray) -> np.ndarray:
    """Of a sequence from its first frame on, by the feature of the host."""
    features = features_of("motion_energy", raw.reshape(-1, 4, 5, 3), 6)
    return ReferenceModel(NETWORK).run(features)


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    schedule = default_schedule(NETWORK.recurrence).with_frames("raw")
    directory = builds.write_build(tmp_path_factory.mktemp("raw"), NETWORK, schedule=schedule)
    return BuildDirectory(directory).overlay("sim", "csim").path


Opened = tuple[Accelerator, ReferenceComputation]
Opening = Callable[..., Opened]


@pytest.fixture
def opening(overlay: Path) -> Iterator[Opening]:
    opened: list[Accelerator] = []

    def open_it(**options: object) -> Opened:
        core = ReferenceComputation(NETWORK, raw=True)
        device = SimulatedDevice(computation=lambda *_: core)
        opened.append(Accelerator.open(overlay, device=device, **options))
        core.read.clear()
        return opened[-1], core

    yield open_it
    for accelerator in opened:
        accelerator.close()


def test_the_overlay_says_so_and_its_golden_vectors_are_raw(overlay: Path) -> None:
    manifest = load_manifest(overlay)
    assert (manifest.input.frames, manifest.sparse_pace) == ("raw", None)
    golden = load_golden(overlay, manifest)
    assert len(golden.frames) == len(golden.results) + 1
    np.testing.assert_array_equal(golden.results, logits_of(golden.frames))
    assert len(np.unique(golden.results, axis=0)) > 5


@pytest.mark.parametrize("batch", [1, 2, 7, 39, 40, 64])
def test_a_clip_in_calls_of_any_size(opening: Opening, batch: int) -> None:
    accelerator, core = opening(batch=batch)
    logits = accelerator.infer(CLIP, reset=True)
    np.testing.assert_array_equal(logits, logits_of(CLIP))
    # The first call reads a frame more; none is read twice.
    assert core.read[0] == min(batch, 40) + 1 and sum(core.read) == len(CLIP)
    assert max(core.read[1:], default=0) <= batch
    assert accelerator.times.frames == 40


@pytest.mark.parametrize("cuts", [[2, 41], [3, 4, 5, 20, 41], [9, 41]])
def test_a_sequence_goes_on_from_call_to_call(opening: Opening, cuts: list[int]) -> None:
    accelerator, _ = opening(batch=8)
    found = [accelerator.infer(CLIP[: cuts[0]], reset=True)]
    for start, stop in pairwise(cuts):
        found.append(accelerator.infer(CLIP[start:stop], reset=False))
        assert not len(accelerator.infer(CLIP[:0], reset=False))
    np.testing.assert_array_equal(np.concatenate(found), logits_of(CLIP))


def test_each_reset_begins_anew(opening: Opening) -> None:
    accelerator, _ = opening(batch=8)
    for part in (CLIP, CLIP[::-1], CLIP[5:9], CLIP):
        np.testing.assert_array_equal(accelerator.infer(part, reset=True), logits_of(part))


@pytest.mark.parametrize("batch", [1, 8, 40])
def test_a_stream_goes_on_as_well(opening: Opening, batch: int) -> None:
    accelerator, _ = opening(batch=batch)
    first = np.array(list(accelerator.stream(iter(CLIP[:19]))))
    rest = np.array(list(accelerator.stream(iter(CLIP[19:]), reset=False)))
    np.testing.assert_array_equal(np.concatenate([first, rest]), logits_of(CLIP))
    assert list(accelerator.stream(iter(CLIP[:0]))) == []


def test_a_sequence_has_to_begin(opening: Opening) -> None:
    """After the self test the state is zero, and no frame stands before the first."""
    accelerator, _ = opening()
    with pytest.raises(DeviceError, match="none before the first; pass reset=True"):
        accelerator.infer(CLIP, reset=False)
    accelerator.infer(CLIP[:0], reset=True)
    with pytest.raises(DeviceError, match="none before the first"):
        accelerator.infer(CLIP, reset=False)
    np.testing.assert_array_equal(accelerator.infer(CLIP, reset=True), logits_of(CLIP))
    other, _ = opening(self_test=False)
    with pytest.raises(DeviceError, match="none before the first"):
        other.infer(CLIP, reset=False)


def test_one_frame_is_no_beginning(opening: Opening) -> None:
    accelerator, core = opening()
    for begin in (
        lambda: accelerator.infer(CLIP[:1], reset=True),
        lambda: list(accelerator.stream(iter(CLIP[:1]))),
    ):
        with pytest.raises(ShapeError, match="frames = 1: a sequence begins with 2 raw frames"):
            begin()
    assert not core.read
    np.testing.assert_array_equal(accelerator.infer(CLIP[:2], reset=True), logits_of(CLIP[:2]))
    np.testing.assert_array_equal(
        accelerator.infer(CLIP[2:3], reset=False), logits_of(CLIP[:3])[1:]
    )


def test_a_call_takes_the_time_of_the_frames_that_it_reads(opening: Opening) -> None:
    accelerator, _ = opening(batch=40)
    each = accelerator.manifest.seconds_per_frame

    def seconds(frames: np.ndarray, reset: bool) -> float:
        before = accelerator.device.clock.monotonic()
        accelerator.infer(frames, reset=reset)
        return accelerator.device.clock.monotonic() - before

    assert seconds(CLIP, True) - seconds(CLIP[1:], False) == pytest.approx(each, rel=0.5)


def test_a_buffer_that_lacks_the_frame_before_hangs_as_on_a_board(opening: Opening) -> None:
    accelerator, _ = opening()
    buffer = accelerator.device.allocate((4096,), "u1")
    start = (buffer.device_address, buffer.device_address, 4096 // NETWORK.frame_bytes)
    accelerator.driver.start(*start, reset=True)
    with pytest.raises(DeviceTimeoutError):
        accelerator.driver.wait(0.1)
    assert "no buffer holds 4160 bytes" in accelerator.device.core.hang_reason


class Dense(ReferenceComputation):
    """A core of dense frames that takes a frame too many for one of its own."""

    def run(self, frames, results, count, reset, words=0):
        return super().run(frames[: count * NETWORK.frame_bytes], results, count, reset, words)


def test_a_core_that_computes_no_feature_is_refused(overlay: Path) -> None:
    device = SimulatedDevice(computation=lambda *_: Dense(NETWORK))
    with pytest.raises(DeviceError, match="takes dense frames, the manifest says raw"):
        Accelerator.open(overlay, device=device)


def test_a_core_that_computes_a_feature_is_none_of_dense_frames(opening: Opening) -> None:
    accelerator, _ = opening()
    for shown in (True, False):
        layout = replace(accelerator.manifest.input, frames="dense", frames_shown=shown)
        with pytest.raises(DeviceError, match="takes raw frames, the manifest says dense"):
            check_identity(accelerator.driver, replace(accelerator.manifest, input=layout))


def of_a_former_version(overlay: Path, directory: Path) -> Path:
    """The same overlay, whose core does not say which frames it takes."""

    def former(manifest: dict[str, Any]) -> None:
        del manifest["overlay"]["input"]["frames_shown"], manifest["overlay"]["contexts"]
        manifest["overlay"]["schema_version"] = 3

    shutil.copytree(overlay, directory)
    stage_files.reseal(directory, former)
    return directory


def test_an_overlay_of_a_former_version_runs(overlay: Path, tmp_path: Path) -> None:
    """Of such the registers do not tell raw frames from dense ones; its results do."""
    former = of_a_former_version(overlay, tmp_path / "former")
    for core in (ReferenceComputation(NETWORK, raw=True), Dense(NETWORK)):
        core.frames = "dense"
        device = SimulatedDevice(computation=lambda *_, core=core: core)
        if isinstance(core, Dense):
            with pytest.raises(DeviceError, match="self test"):
                Accelerator.open(former, device=device)
        else:
            with Accelerator.open(former, device=device) as accelerator:
                found = accelerator.infer(CLIP, reset=True)
            np.testing.assert_array_equal(found, logits_of(CLIP))


# Copies -------------------------------------------------------------------------------------------


def test_a_frame_is_copied_once(opening: Opening, copies: list[np.ndarray]) -> None:
    """From the caller's array into the core's buffer, and nowhere on the way."""
    accelerator, _ = opening(batch=8)
    for run in (
        lambda: accelerator.infer(CLIP, reset=True),
        lambda: list(accelerator.stream(iter(CLIP))),
    ):
        copies.clear()
        np.testing.assert_array_equal(run(), logits_of(CLIP))
        assert len(copies) == len(CLIP)
        assert all(np.shares_memory(*pair) for pair in zip(copies, CLIP, strict=True))


def test_a_source_may_use_one_array_for_all_its_frames(opening: Opening) -> None:
    accelerator, _ = opening(batch=8)
    one = np.empty(NETWORK.inputs, np.uint8)

    def frames() -> Iterator[np.ndarray]:
        for frame in CLIP:
            one[:] = frame
            yield one

    np.testing.assert_array_equal(list(accelerator.stream(frames())), logits_of(CLIP))
