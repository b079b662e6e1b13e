"""CNN features of UCF11: .npy files of the user become clips of 2,048 codes a frame."""

import hashlib
import io
import pickle
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fdht_models.data.folders import FOLDER_SETS, FolderRequest, list_folder, load_folder
from fdht_models.data.folders.decoding import shards
from fdht_models.data.folders.published.ucf11_ucf50_ytc import FULL_SCALE
from fdht_models.data.folders.splits import assign_splits
from fdht_models.data.selection import source_of
from fdht_models.errors import ConfigError, DataError
from fdht_models.preprocessing import ClipInputs, Preprocessing, Sampling, Values, read_clip
from fdht_models.preprocessing.values import quantise, read_values

LENGTH = 2048
UCF11 = FOLDER_SETS["ucf11"].classes

Array = NDArray[Any]


def read_features(path: Path, key: str, protocol: str, steps: int, seed: int) -> Array:
    sampling = Sampling(protocol, steps, seed=seed)
    return read_values(path, key, sampling, Values(LENGTH, FULL_SCALE)).values


def random_codes(frames: int, seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (frames, LENGTH), np.uint8)


def save(path: Path, values: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)
    return path


def write_tree(
    root: Path,
    classes: tuple[str, ...] = ("basketball", "biking"),
    groups: int = 5,
    clips: int = 2,
    named: bool = True,
) -> dict[str, Array]:
    """Key -> codes as stored, in either layout; every clip has another length."""
    made = {}
    for place, name in enumerate(classes):
        for group in range(1, groups + 1):
            for clip in range(1, clips + 1):
                short = f"{name}/{group:02d}/{clip:02d}"
                key = f"{name}/v_{name}_{group:02d}_{clip:02d}" if named else short
                made[key] = random_codes(6 + group + clip, 1000 * place + 10 * group + clip)
                save(root / f"{key}.npy", made[key])
    return made


def documented_code(value: float) -> int:
    """min(255, rint(value * 255 / 4)) in exact arithmetic; `round` takes ties to even."""
    return min(255, round(Fraction(value) * 255 / 4))


@pytest.mark.parametrize("named", [True, False])
def test_both_layouts_give_the_codes_that_were_stored(named: bool, tmp_path: Path) -> None:
    made = write_tree(tmp_path / "features", named=named)
    request = FolderRequest("features", tmp_path / "features", protocol="uniform")
    seen = []
    for split in ("train", "test"):
        clips, report = load_folder(request, split, tmp_path / "cache")
        assert clips.frames.shape == (report.used, 6, LENGTH)
        assert clips.frame_shape == (LENGTH,)
        assert clips.classes == ("basketball", "biking")
        for frames, label in zip(clips.frames, clips.labels, strict=True):
            same = [
                key
                for key, codes in made.items()
                if key.startswith(clips.classes[label] + "/")
                and np.array_equal(
                    frames, codes[[(2 * part + 1) * len(codes) // 12 for part in range(6)]]
                )
            ]
            assert len(same) == 1
            seen += same
        assert any("20 of 1,600 files" in note for note in report.notes)
        assert any("classes without a clip: 9" in note for note in report.notes)
    assert sorted(seen) == sorted(made)


@pytest.mark.parametrize("kind", [np.float32, np.float16, ">f4"])
def test_floats_become_codes_by_one_constant(kind: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(0).exponential(0.8, (7, LENGTH)).astype(kind)
    # The middle between two codes, the largest code's value, and more.
    values[0, :6] = [0.0, -0.0, 2 / 255, 4.0, 4.5, 6e4]
    path = save(tmp_path / "a.npy", values)
    expected = np.array([[documented_code(float(value)) for value in row] for row in values])
    assert expected[0, 3] == expected[0, 5] == 255
    found = read_features(path, "key", "uniform", 7, 0)
    np.testing.assert_array_equal(found, expected)
    # Not by the data: half of the values are half of the codes, whatever the others are.
    assert quantise(np.array([[2.0]], np.float32), FULL_SCALE)[0, 0] == documented_code(2.0) == 128
    assert FULL_SCALE == 4.0


def test_codes_are_taken_as_they_are_and_columns_may_come_first(tmp_path: Path) -> None:
    codes = random_codes(6, 1)
    for values in (codes, np.asfortranarray(codes)):
        path = save(tmp_path / "a.npy", values)
        np.testing.assert_array_equal(read_features(path, "key", "uniform", 6, 0), codes)


def test_six_takes_the_rows_of_the_frames_that_it_takes_of_the_video(tmp_path: Path) -> None:
    codes = random_codes(40, 2)
    path = save(tmp_path / "features" / "biking" / "v_biking_01_02.npy", codes)
    (clip,) = list_folder(FolderRequest("features", tmp_path / "features")).clips
    assert clip.key == "biking/v_biking_01_02"  # as of `ucf11`
    number = int.from_bytes(hashlib.sha256(clip.key.encode()).digest()[:8], "big")
    rows = np.sort(np.random.default_rng([3, number]).choice(40, 6, replace=False))
    np.testing.assert_array_equal(read_features(path, clip.key, "six", 6, 3), codes[rows])
    assert not np.array_equal(read_features(path, clip.key, "six", 6, 4), codes[rows])


def test_tt_rnn_keeps_the_first_frames_and_pads_in_front(tmp_path: Path) -> None:
    codes = random_codes(5, 3)
    path = save(tmp_path / "a.npy", codes)
    np.testing.assert_array_equal(read_features(path, "key", "tt_rnn", 3, 0), codes[:3])
    for protocol in ("tt_rnn", "six", "uniform"):
        found = read_features(path, "key", protocol, 8, 0)
        np.testing.assert_array_equal(found[3:], codes)
        assert not found[:3].any()


def test_folds_never_divide_a_group_by_default(tmp_path: Path) -> None:
    write_tree(tmp_path)
    request = FolderRequest("features", tmp_path).complete()
    assert (request.fold_rule, request.folds) == ("group-disjoint", 5)
    listing = list_folder(request)

    def shared(request: FolderRequest) -> set[str]:
        groups: dict[str, set[str]] = {"train": set(), "test": set()}
        for clip, split in zip(listing.clips, assign_splits(listing, request), strict=True):
            groups[split].add(clip.group)
        assert groups["train"] | groups["test"] == {"01", "02", "03", "04", "05"}
        return groups["train"] & groups["test"]

    assert not shared(request)
    assert shared(FolderRequest("features", tmp_path, fold_rule="leaky-per-clip").complete())


def test_the_leaky_division_says_so(tmp_path: Path) -> None:
    write_tree(tmp_path / "features")
    request = FolderRequest("features", tmp_path / "features", fold_rule="leaky-per-clip")
    _, report = load_folder(request, "test", tmp_path / "cache")
    assert any("leaky-per-clip" in note for note in report.notes)


def test_names_and_folders_tell_class_and_group(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "Features"
    places = {
        "biking/1/7.npy": ("biking/01/07", "01"),
        "biking/02/front view.NPY": ("biking/02/front view", "02"),
        "Biking/v_biking_03/01.npy": ("biking/03/01", "03"),
        "swing/v_swing_04/v_swing_04_02.npy": ("swing/v_swing_04_02", "04"),
        "swing/batch 1/v_swing_05_03.npy": ("swing/v_swing_05_03", "05"),
        "walking/park/01.npy": ("walking/park/01", "park"),
    }
    for seed, path in enumerate(places):
        save(root / "x.npy", random_codes(2, seed)).rename(_made(root / path))
    # Without a group, without a class, too deep; and one that lies there twice.
    for path in ("biking/a.npy", "jumping/01/01.npy", "biking/01/b/c.npy", "v_biking_01_01.npy"):
        save(_made(root / path), random_codes(2, 9))
    save(_made(root / "biking/v_biking_01_07.npy"), random_codes(2, 9))
    (root / "biking" / "._7.npy").write_bytes(b"litter")
    (root / "biking" / "notes.txt").write_text("no clip")
    listing = list_folder(FolderRequest("features", tmp_path))
    assert {clip.key: clip.group for clip in listing.clips} == dict(places.values())
    assert listing.classes == ("biking", "swing", "walking")
    for clip in listing.clips:
        assert clip.key.startswith(listing.classes[clip.labels[0]] + "/")
    assert any("without a group: 4 (" in note for note in listing.notes)
    assert any("left out: 1 (" in note and "v_biking_01_07" in note for note in listing.notes)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _with(place: tuple[int, int], value: float) -> Array:
    values = np.ones((8, LENGTH), np.float32)
    values[place] = value
    return values


def _bytes(values: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=True)
    return stream.getvalue()


def _archive() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, values=random_codes(8, 0))
    return stream.getvalue()


UNUSABLE = {
    "negative": (_bytes(_with((7, 2047), -0.5)), r"holds -0\.5 in frame 7, value 2047"),
    "nan": (_bytes(_with((1, 2), np.nan)), "holds nan in frame 1, value 2"),
    "infinite": (_bytes(_with((0, 0), np.inf)), "holds inf in frame 0"),
    "unfilled": (_bytes(np.zeros((8, LENGTH), np.float32)), "holds only zeros"),
    "length": (_bytes(np.ones((8, 1024), np.float32)), r"is of shape \(8, 1024\), not \[frames"),
    "columns": (_bytes(np.ones((LENGTH, 8), np.float32)), r"is of shape \(2048, 8\)"),
    "vector": (_bytes(np.ones(LENGTH, np.float32)), r"is of shape \(2048,\)"),
    "maps": (_bytes(np.ones((2, LENGTH, 1), np.float16)), r"is of shape \(2, 2048, 1\)"),
    "frameless": (_bytes(np.ones((0, LENGTH), np.float32)), "holds no frame"),
    "double": (_bytes(np.ones((8, LENGTH))), "is of float64, not of float32, float16 or uint8"),
    "signed": (_bytes(np.ones((8, LENGTH), np.int8)), "is of int8"),
    "objects": (_bytes(np.full((8, LENGTH), None)), "cannot be read .*allow_pickle"),
    "pickled": (pickle.dumps([1.0] * LENGTH), r"is not a \.npy file"),
    "archive": (_archive(), r"is not a \.npy file"),
    "cut": (_bytes(random_codes(8, 0))[:-100], "cannot be read"),
    "cut in its header": (_bytes(random_codes(8, 0))[:40], "cannot be read"),
    "two arrays": (_bytes(random_codes(8, 0)) * 2, "holds more than one array"),
    "header": (_bytes(random_codes(8, 0)).replace(b"'shape'", b"'shape("), "cannot be read"),
    "huge": (
        _bytes(random_codes(8, 0)).replace(b"(8, 2048), }" + b" " * 9, b"(8000000000000, 2048)"),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")
def test_files_that_are_no_features_are_errors(name: str, tmp_path: Path) -> None:
    data, message = UNUSABLE[name]
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(DataError, match=rf"a\.npy: {message}"):
        read_features(tmp_path / "a.npy", "key", "six", 6, 0)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(_bytes(np.array([[_Trap(tmp_path / "sprung")]], object)))
    with pytest.raises(DataError, match="cannot be read"):
        read_features(tmp_path / "a.npy", "key", "six", 6, 0)
    assert not (tmp_path / "sprung").exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert (tmp_path / "sprung").exists()  # the trap works


class _Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self._path,)


def test_a_few_unusable_clips_are_skipped_and_counted(tmp_path: Path) -> None:
    root = tmp_path / "features"
    write_tree(root)
    (root / "biking" / "v_biking_02_01.npy").write_bytes(UNUSABLE["nan"][0])
    (root / "biking" / "v_biking_03_01.npy").write_bytes(UNUSABLE["objects"][0])
    (root / "biking" / "v_biking_04_01.npy").write_bytes(b"")
    used, skipped = 0, set()
    for fold in range(5):
        request = FolderRequest("features", root, fold=fold)
        clips, report = load_folder(request, "test", tmp_path / "cache")
        used += len(clips)
        skipped |= {(problem.path, problem.reason.split(" ")[0]) for problem in report.skipped}
        assert report.listed == 20
    assert used == 17
    assert skipped == {
        ("biking/v_biking_02_01.npy", "holds"),
        ("biking/v_biking_03_01.npy", "cannot"),
        ("biking/v_biking_04_01.npy", "is"),
    }


def test_too_many_unusable_clips_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "features"
    write_tree(root)
    for group in range(1, 4):
        for clip in (1, 2):
            save(root / "biking" / f"v_biking_{group:02d}_{clip:02d}.npy", _with((0, 0), -1))
    request = FolderRequest("features", root, unreadable_share=0.1)
    with pytest.raises(DataError, match=r"of 20 clips cannot be used, 10% may: .* holds -1\.0"):
        load_folder(request, "train", tmp_path / "cache")


def test_the_cache_holds_as_long_as_files_and_settings_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "features"
    write_tree(root)
    read: list[str] = []

    def counted(path: Path, key: str, preprocessing: Preprocessing, span: None) -> ClipInputs:
        read.append(path.name)
        return read_clip(path, key, preprocessing)

    monkeypatch.setattr(shards, "read_clip", counted)
    request = FolderRequest("features", root)

    def load(**settings: Any) -> tuple[Array, int]:
        read.clear()
        changed = FolderRequest("features", root, **settings)
        frames = np.array(load_folder(changed, "train", tmp_path / "cache")[0].frames)
        return frames, len(read)

    first, count = load()
    assert count == 20 and request.complete().preprocessing().inputs == LENGTH
    again, count = load()
    assert count == 0
    np.testing.assert_array_equal(again, first)
    assert load(fold=1)[1] == 0
    assert load(seed=1, fold_rule="leaky-per-clip")[1] == 20  # six other frames
    _, count = load(protocol="uniform")
    assert count == 20
    assert load(protocol="uniform", seed=1)[1] == 0  # chooses no frame
    save(root / "biking" / "v_biking_01_01.npy", random_codes(9, 77))
    assert load()[1] == 20  # one shard
    monkeypatch.setattr("fdht_models.data.folders.request.FULL_SCALE", 8.0)
    assert load()[1] == 20


def test_workers_give_the_same_bytes(tmp_path: Path) -> None:
    write_tree(tmp_path / "features", clips=1)
    # 3 MB a clip, so that the clips are in more than one shard.
    request = FolderRequest("features", tmp_path / "features", protocol="tt_rnn", steps=4000)
    alone, _ = load_folder(request, "train", tmp_path / "alone", workers=1)
    shared, _ = load_folder(request, "train", tmp_path / "shared", workers=2)
    assert len(list((tmp_path / "shared" / "shards").iterdir())) > 1
    np.testing.assert_array_equal(shared.frames, alone.frames)
    np.testing.assert_array_equal(shared.labels, alone.labels)


def test_features_need_no_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path / "features")
    monkeypatch.setitem(sys.modules, "av", None)
    request = FolderRequest("features", tmp_path / "features")
    assert len(load_folder(request, "train", tmp_path / "cache", workers=1)[0]) == 16


def test_settings(tmp_path: Path) -> None:
    request = FolderRequest("features", tmp_path).complete()
    assert (request.protocol, request.steps, request.feature) == ("six", 6, None)
    assert request.complete().preprocessing().frame_shape == (LENGTH,)
    assert FolderRequest("features", tmp_path, protocol="tt_rnn").complete().steps == 1492
    with pytest.raises(ConfigError, match="feature = 'pixels': UCF11 as CNN features is not video"):
        FolderRequest("features", tmp_path, feature="pixels").complete()
    with pytest.raises(ConfigError, match="fold_rule = 'published'"):
        FolderRequest("features", tmp_path, fold_rule="published").complete()
    with pytest.raises(DataError, match=r"holds no clip of .*<class>/<group>/<clip>\.npy"):
        list_folder(request)


def test_an_experiment_reads_all_eleven_classes(tmp_path: Path) -> None:
    write_tree(tmp_path / "features", UCF11, groups=5, clips=1, named=False)
    settings = {"set": "features", "root": str(tmp_path / "features"), "protocol": "six"}
    source = source_of(settings)
    assert (source.frame_shape, source.inputs, source.feature) == ((LENGTH,), LENGTH, None)
    assert source.classes == UCF11
    clips = source.load("test", tmp_path / "cache", progress=False)
    assert clips.classes == UCF11
    assert sorted(clips.labels.tolist()) == list(range(11))
