"""Decoded clips are kept by content, survive interruptions, and are never half a file."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdht_models.data.folders import (
    Clip,
    FolderRequest,
    folder_digest,
    load_folder,
)
from fdht_models.data.folders.decoding import file_digests, shards
from fdht_models.data.folders.decoding.file_digests import FileIndex
from fdht_models.errors import ArtifactError, DataError
from fdht_models.preprocessing import ClipInputs, Preprocessing, read_clip
from tests.models.folders_samples import SIZE, leftovers, random_frames, write_video


def directory_of(cache: Path, split: str = "train") -> Path:
    (found,) = cache.glob(f"ucf11-{split}-*")
    return found


def test_the_second_call_decodes_nothing_and_gives_the_same(
    root: Path, tmp_path: Path, decoded: list[str]
) -> None:
    request = FolderRequest("ucf11", root, **SIZE)
    first, report = load_folder(request, "train", tmp_path / "cache")
    assert len(decoded) == len(set(decoded)) == 20
    second, again = load_folder(request, "train", tmp_path / "cache")
    assert len(decoded) == 20
    np.testing.assert_array_equal(first.frames, second.frames)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert (report, first.classes) == (again, second.classes)
    assert isinstance(second.frames, np.memmap) and second.labels.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        second.frames[0, 0, 0] = 1
    assert leftovers(tmp_path / "cache") == []


def test_other_folds_and_splits_decode_nothing_again(
    root: Path, tmp_path: Path, decoded: list[str]
) -> None:
    for fold in range(5):
        for split in ("train", "test"):
            load_folder(FolderRequest("ucf11", root, fold=fold, **SIZE), split, tmp_path / "cache")
    assert len(decoded) == 20


def test_the_classes_take_turns(root: Path, tmp_path: Path) -> None:
    clips, _ = load_folder(FolderRequest("ucf11", root, **SIZE), "train", tmp_path / "cache")
    np.testing.assert_array_equal(clips.labels, np.arange(16) % 2)


def test_a_changed_file_is_another_key_and_costs_one_shard(
    root: Path, tmp_path: Path, decoded: list[str]
) -> None:
    request = FolderRequest("ucf11", root, protocol="tt_rnn", steps=9, **SIZE)
    before, _ = load_folder(request, "train", tmp_path / "cache")
    kept = directory_of(tmp_path / "cache")
    changed = root / "biking" / "v_biking_01" / "v_biking_01_01.avi"
    status = changed.stat()
    seed = next(
        seed
        for seed in range(1000, 2000)
        if write_video(tmp_path / "new.avi", random_frames(9, seed)).stat().st_size
        == status.st_size
    )
    # Same name, same size, same time of modification: only the contents differ.
    changed.write_bytes((tmp_path / "new.avi").read_bytes())
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    decoded.clear()
    splits = [load_folder(request, name, tmp_path / "cache")[0] for name in ("train", "test")]
    assert len(decoded) == 4 and "biking/v_biking_01_01" in decoded
    assert len(list((tmp_path / "cache").glob("ucf11-train-*"))) == 2
    found = [frames for clips in splits for frames in clips.frames]
    new = random_frames(9, seed).reshape(9, -1)
    assert sum(np.array_equal(frames, new) for frames in found) == 1
    after = np.memmap(kept / "frames.bin", np.uint8, mode="r", shape=before.frames.shape)
    np.testing.assert_array_equal(after, before.frames)


def test_the_key_does_not_depend_on_where_and_when(root: Path, tmp_path: Path) -> None:
    load_folder(FolderRequest("ucf11", root, **SIZE), "train", tmp_path / "cache")
    shutil.copytree(root, tmp_path / "moved" / "elsewhere", copy_function=shutil.copyfile)
    moved = FolderRequest("ucf11", tmp_path / "moved" / "elsewhere", **SIZE)
    load_folder(moved, "train", tmp_path / "cache")
    directory_of(tmp_path / "cache")  # one and no more


def test_the_digest_tells_content_and_settings_without_decoding(
    root: Path, tmp_path: Path, decoded: list[str]
) -> None:
    request = FolderRequest("ucf11", root, **SIZE)
    shutil.copytree(root, tmp_path / "moved", copy_function=shutil.copyfile)
    moved = replace(request, root=tmp_path / "moved")
    first = folder_digest(request, "train", tmp_path / "cache")
    assert first == folder_digest(moved, "train", tmp_path / "another")
    others = [(request, "test"), (replace(request, steps=5), "train")]
    others += [(replace(request, fold=1), "train"), (replace(request, seed=1), "train")]
    assert first not in [folder_digest(*other, tmp_path / "cache") for other in others]
    write_video(root / "biking" / "v_biking_01" / "v_biking_01_01.avi", random_frames(9, 777))
    assert first != folder_digest(request, "train", tmp_path / "cache")
    assert decoded == []


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"steps": 5},
        {"protocol": "uniform"},
        {"protocol": "stride"},
        {"protocol": "stride", "stride": 2},
        {"feature": "motion_energy", "dead_zone": 3},
        {"feature": "motion_energy"},
        {"width": 8},
        {"height": 8},
    ],
)
def test_other_settings_are_decoded_again(change: dict[str, object], tmp_path: Path) -> None:
    request = FolderRequest("ucf11", tmp_path, **SIZE)
    clips, digests = [Clip("biking/v_biking_01_01", "v.avi", (0,))], {"v.avi": "0" * 64}

    def key(request: FolderRequest) -> dict[str, object]:
        (shard,) = shards.plan_shards(request.complete(), "train", clips, digests, tmp_path)
        return shard.inputs

    assert key(request) == key(FolderRequest("ucf11", tmp_path / "elsewhere", fold=3, **SIZE))
    assert key(request) != key(replace(request, **change))


def test_an_interrupted_decoding_goes_on_where_it_was(
    root: Path, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = FolderRequest("ucf11", root, **SIZE)
    expected, _ = load_folder(request, "train", tmp_path / "whole")
    decoded.clear()
    count = shards.read_clip

    def interrupt(path: Path, key: str, preprocessing: Preprocessing, span: None) -> ClipInputs:
        if len(decoded) == 10:
            raise KeyboardInterrupt
        return count(path, key, preprocessing, span)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "read_clip", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load_folder(request, "train", tmp_path / "cache")
    assert len(decoded) == 10
    assert leftovers(tmp_path / "cache") == []
    assert list((tmp_path / "cache").glob("ucf11-*")) == []
    clips, _ = load_folder(request, "train", tmp_path / "cache")
    # Two shards of four were whole; of the third, two clips were lost.
    assert len(decoded) == 10 + 12
    assert decoded[10:12] == decoded[8:10]
    np.testing.assert_array_equal(clips.frames, expected.frames)
    np.testing.assert_array_equal(clips.labels, expected.labels)


@pytest.mark.parametrize("damage", ["truncated", "one bit", "no labels", "no manifest"])
def test_a_damaged_split_is_put_together_again(
    damage: str, root: Path, tmp_path: Path, decoded: list[str]
) -> None:
    request = FolderRequest("ucf11", root, **SIZE)
    expected = np.array(load_folder(request, "train", tmp_path / "cache")[0].frames)
    directory = directory_of(tmp_path / "cache")
    frames = directory / "frames.bin"
    data = bytearray(frames.read_bytes())
    if damage == "truncated":
        frames.write_bytes(data[:-1])
    elif damage == "one bit":
        data[1000] ^= 1
        frames.write_bytes(data)
    else:
        (directory / ("labels.npy" if damage == "no labels" else "manifest.json")).unlink()
    clips, _ = load_folder(request, "train", tmp_path / "cache")
    np.testing.assert_array_equal(clips.frames, expected)
    assert len(decoded) == 20


def test_a_damaged_shard_is_decoded_again(root: Path, tmp_path: Path, decoded: list[str]) -> None:
    request = FolderRequest("ucf11", root, **SIZE)
    load_folder(request, "train", tmp_path / "cache")
    shard = next(iter((tmp_path / "cache" / "shards").iterdir())) / "frames.bin"
    data = bytearray(shard.read_bytes())
    data[5] ^= 128
    shard.write_bytes(data)
    load_folder(replace(request, fold=1), "train", tmp_path / "cache")  # which uses all shards
    assert len(decoded) == 24


def test_a_disk_that_goes_away_is_no_fault_of_the_clips(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, key: str, preprocessing: Preprocessing, span: None) -> ClipInputs:
        path.unlink()
        return read_clip(path, key, preprocessing)

    monkeypatch.setattr(shards, "read_clip", read)
    request = FolderRequest("ucf11", root, **SIZE)
    with pytest.raises(DataError, match="can no longer be read"):
        load_folder(request, "train", tmp_path / "cache")
    assert leftovers(tmp_path / "cache") == []
    assert list((tmp_path / "cache" / "shards").iterdir()) == []


def test_a_full_disk_is_told_before_decoding(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)
    free = usage._replace(free=36 * 6 * 576 - 1)  # 20 to decode, 16 to put together
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(ArtifactError, match=r"needs 0\.0 GB for 16 clips"):
        load_folder(FolderRequest("ucf11", root, **SIZE), "train", tmp_path / "cache")
    assert decoded == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=36 * 6 * 576))
    load_folder(FolderRequest("ucf11", root, **SIZE), "train", tmp_path / "cache")


def test_contents_are_read_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests, "_SETTLED_SECONDS", -1.0)  # just written, and settled
    paths = sorted(root.rglob("*.avi"))
    first = FileIndex(tmp_path / "files.json").digests(paths)
    assert first[paths[0]] == hashlib.sha256(paths[0].read_bytes()).hexdigest()
    read: list[Path] = []
    again = FileIndex(tmp_path / "files.json")
    digest = file_digests._digest
    monkeypatch.setattr(file_digests, "_digest", lambda path: read.append(path) or digest(path))
    assert again.digests(paths) == first
    assert read == []
    # Same size and time of modification, other contents: the entry's own time tells.
    status = paths[3].stat()
    paths[3].write_bytes(bytes(status.st_size))
    os.utime(paths[3], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert again.digests(paths)[paths[3]] != first[paths[3]]
    assert read == [paths[3]]


def test_files_just_written_are_not_trusted(root: Path, tmp_path: Path) -> None:
    # Two writes within one tick of the clock leave the same time stamps.
    path = next(root.rglob("*.avi"))
    index = FileIndex(tmp_path / "files.json")
    index.digests([path])
    assert not (tmp_path / "files.json").exists()


def test_a_damaged_index_is_made_anew(root: Path, tmp_path: Path) -> None:
    for text in ("{", "[1]", '{"a": 1}', '{"a": [[1], "b"]}'):
        (tmp_path / "files.json").write_text(text)
        path = next(root.rglob("*.avi"))
        assert len(str(FileIndex(tmp_path / "files.json").digests([path])[path])) == 64


def test_a_file_that_cannot_be_read_is_skipped(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = file_digests._digest

    def refuse(path: Path) -> object:
        return PermissionError(13, "Permission denied") if "g_03_" in path.stem else digest(path)

    monkeypatch.setattr(file_digests, "_digest", refuse)
    _, report = load_folder(FolderRequest("ucf11", root, **SIZE), "train", tmp_path / "cache")
    reasons = {Path(problem.path).stem: problem.reason for problem in report.skipped}
    assert reasons == dict.fromkeys(
        ["v_shooting_03_01", "v_shooting_03_02", "v_biking_03_01", "v_biking_03_02"],
        "cannot be read (Permission denied)",
    )


def test_listing_and_importing_need_neither_tensorflow_nor_pyav() -> None:
    script = (
        "import sys, pkgutil, importlib\n"
        "import fdht_models.data.folders as package\n"
        "for module in pkgutil.iter_modules(package.__path__):\n"
        "    importlib.import_module(f'{package.__name__}.{module.name}')\n"
        "print(sorted({'tensorflow', 'keras', 'tf_keras', 'av', 'h5py'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
