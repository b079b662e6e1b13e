"""Spiking Heidelberg Digits: spikes in HDF5 files become frames of counts."""

from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest

from fdht_models.data.folders import FolderRequest, list_folder, load_folder
from fdht_models.data.folders.published.shd import SpikeReader, bin_spikes
from fdht_models.data.folders.splits import assign_splits
from fdht_models.errors import ConfigError, DataError

NAMES = ["zero", "one", "null", "eins"]


def write_shd(
    path: Path, spikes: list[tuple[np.ndarray, np.ndarray]], labels: list[int], speakers: list[int]
) -> Path:
    """The published structure, with times in half precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, kind, place in (("times", np.float16, 0), ("units", np.uint16, 1)):
            data = file.create_dataset(
                f"spikes/{name}", (len(spikes),), dtype=h5py.vlen_dtype(kind)
            )
            for number, pair in enumerate(spikes):
                data[number] = pair[place].astype(kind)
        file["labels"] = np.array(labels, np.uint16)
        file["extra/speaker"] = np.array(speakers, np.uint16)
        file["extra/keys"] = np.array(NAMES, "S5")
    return path


def random_spikes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    times = np.sort(generator.uniform(0, 1.4, count)).astype(np.float16)
    return times, generator.integers(0, 700, count)


def counted(times: np.ndarray, units: np.ndarray, steps: int, frame_ms: int) -> np.ndarray:
    """One spike after the other, in exact arithmetic."""
    frames = np.zeros((steps, 700), int)
    for time, unit in zip(times.tolist(), units.tolist(), strict=True):
        place = Fraction(time) * 1000 // frame_ms
        if place < steps:
            frames[place, unit] += 1
    return np.minimum(frames, 255).astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "hdspikes"
    for split, count, offset in (("train", 8, 0), ("test", 4, 100)):
        spikes = [random_spikes(40 + 30 * number, offset + number) for number in range(count)]
        labels = [number % 4 for number in range(count)]
        speakers = [(number // 2 + offset) % 5 for number in range(count)]
        write_shd(root / f"shd_{split}.h5", spikes, labels, speakers)
    return root


def test_spikes_become_counts(root: Path, tmp_path: Path) -> None:
    for split, count, offset in (("train", 8, 0), ("test", 4, 100)):
        clips, report = load_folder(FolderRequest("shd", root), split, tmp_path / "cache")
        assert clips.frames.shape == (count, 100, 700)
        assert clips.frame_shape == (700,)
        assert clips.classes == tuple(NAMES)
        expected = {
            counted(*random_spikes(40 + 30 * number, offset + number), 100, 14).tobytes(): number
            % 4
            for number in range(count)
        }
        found = {
            frames.tobytes(): int(label)
            for frames, label in zip(clips.frames, clips.labels, strict=True)
        }
        assert found == expected
        assert any("8 of 8,156 train clips" in note for note in report.notes)


def test_another_frame_length_and_a_cut(root: Path, tmp_path: Path) -> None:
    request = FolderRequest("shd", root, steps=20, frame_ms=50.0)
    clips, _ = load_folder(request, "test", tmp_path / "cache")
    expected = {
        counted(*random_spikes(40 + 30 * number, 100 + number), 20, 50).tobytes()
        for number in range(4)
    }
    assert {frames.tobytes() for frames in clips.frames} == expected
    # 20 frames of 50 ms end before the last spikes do.
    assert clips.frames.sum() < sum(40 + 30 * number for number in range(4))


def test_bins_are_half_open_and_counts_saturate() -> None:
    times = np.array([0.0, 0.25, 0.499, 0.5, 0.75, 1.0, *[0.1] * 300])
    units = np.array([1, 1, 1, 1, 2, 3, *[699] * 300])
    found = bin_spikes(times, units, 2, 0.5, "here")
    assert (found[0, 1], found[1, 1], found[1, 2], found[0, 699]) == (3, 1, 1, 255)
    assert found.sum() == 3 + 1 + 1 + 255  # the spike at 1.0 s lies behind the last frame


@pytest.mark.parametrize("frame_ms", [35.0, 14.0, 1.0, 12.5, 33.3, 3.3])
def test_every_time_is_in_its_frame(frame_ms: float, tmp_path: Path) -> None:
    # All times that half precision knows from 0 to 2 s, each in a channel of its own kind.
    times = np.arange(np.float16(2).view(np.uint16), dtype=np.uint16).view(np.float16)
    length = Fraction(str(frame_ms)) / 1000
    expected = np.array([Fraction(float(time)) // length for time in times])
    steps = int(expected.max()) + 1
    with SpikeReader(tmp_path, steps, frame_ms) as reader:
        for place in range(0, len(times), 700):
            part = times[place : place + 700].astype(np.float64)
            found = bin_spikes(part, np.arange(len(part)), steps, reader.frame, "here")
            counted, channels = np.nonzero(found)
            bins = np.empty(len(part), int)
            bins[channels] = counted
            np.testing.assert_array_equal(bins, expected[place : place + 700])


def test_a_spike_on_an_edge_is_in_the_later_frame(tmp_path: Path) -> None:
    # 0.875 s = 25 frames of 35 ms; in floating point 0.875 / 0.035 is less than 25.
    for split in ("train", "test"):
        spikes = [(np.array([0.875, 0.8745]), np.array([3, 4]))] * 2
        write_shd(tmp_path / f"shd_{split}.h5", spikes, [0, 1], [0, 1])
    clips, _ = load_folder(
        FolderRequest("shd", tmp_path, steps=40, frame_ms=35.0), "train", tmp_path / "cache"
    )
    for frames in clips.frames:
        assert list(zip(*np.nonzero(frames), strict=True)) == [(24, 4), (25, 3)]


def test_a_digit_without_a_spike_is_no_silence(root: Path, tmp_path: Path) -> None:
    nothing = (np.zeros(0), np.zeros(0))
    late = (np.array([1.5]), np.array([0]))
    spikes = [random_spikes(50, seed) for seed in range(8)]
    spikes[2], spikes[5] = nothing, late
    write_shd(root / "shd_train.h5", spikes, [0, 1] * 4, [0] * 8)
    clips, report = load_folder(FolderRequest("shd", root), "train", tmp_path / "cache")
    assert len(clips) == 6
    assert [problem.reason for problem in report.skipped] == ["holds no spike before 1.4 s"] * 2


@pytest.mark.parametrize(
    ("times", "units"),
    [([0.1], [700]), ([0.1], [-1]), ([0.1, 0.2], [5]), ([-0.1], [5]), ([np.nan], [5])],
)
def test_impossible_spikes_are_refused(times: list[float], units: list[int]) -> None:
    with pytest.raises(DataError, match="here: holds"):
        bin_spikes(np.array(times), np.array(units), 10, 0.1, "here")


def test_a_digit_with_impossible_spikes_is_skipped(root: Path, tmp_path: Path) -> None:
    spikes = [random_spikes(50, seed) for seed in range(8)]
    spikes[3] = (spikes[3][0], np.full(50, 900))
    write_shd(root / "shd_train.h5", spikes, [0, 1] * 4, [0] * 8)
    clips, report = load_folder(FolderRequest("shd", root), "train", tmp_path / "cache")
    assert len(clips) == 7
    assert [problem.reason for problem in report.skipped] == [
        "holds spikes of other channels than 0 to 699"
    ]


def test_speakers_can_be_kept_apart(root: Path) -> None:
    # The published test split holds speakers of the training split as well.
    listing = list_folder(FolderRequest("shd", root))
    published = {split: set() for split in ("train", "test")}
    for clip in listing.clips:
        published[clip.published[0]].add(clip.group)
    assert published["train"] & published["test"]
    request = FolderRequest("shd", root, fold_rule="group-disjoint", folds=3).complete()
    apart = {split: set() for split in ("train", "test")}
    for clip, split in zip(listing.clips, assign_splits(listing, request), strict=True):
        apart[split].add(clip.group)
    assert not apart["train"] & apart["test"]


def test_classes_without_names_are_numbers(root: Path) -> None:
    for split in ("train", "test"):
        with h5py.File(root / f"shd_{split}.h5", "a") as file:
            del file["extra/keys"]
    assert list_folder(FolderRequest("shd", root)).classes == tuple(map(str, range(20)))


def test_damaged_and_packed_files(root: Path, tmp_path: Path) -> None:
    with h5py.File(root / "shd_test.h5", "a") as file:
        del file["extra/speaker"]
    with pytest.raises(DataError, match=r"shd_test\.h5: is not an HDF5 file of .*extra/speaker"):
        list_folder(FolderRequest("shd", root))
    (root / "shd_test.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"shd_test\.h5: is not an HDF5 file"):
        list_folder(FolderRequest("shd", root))
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "shd_train.h5.gz").write_bytes(b"gzip")
    with pytest.raises(DataError, match=r"unpack shd_train\.h5\.gz"):
        list_folder(FolderRequest("shd", packed))


def test_without_the_test_file_there_is_no_test_split(root: Path, tmp_path: Path) -> None:
    (root / "shd_test.h5").unlink()
    with pytest.raises(DataError, match="leaves no clip to test"):
        load_folder(FolderRequest("shd", root), "train", tmp_path / "cache")


def test_spikes_have_no_feature_and_no_protocol_of_video(root: Path) -> None:
    with pytest.raises(ConfigError, match="feature = 'pixels': Spiking Heidelberg Digits is not"):
        FolderRequest("shd", root, feature="pixels").complete()
    with pytest.raises(ConfigError, match=r"protocol = 'six'.*bins"):
        FolderRequest("shd", root, protocol="six").complete()
