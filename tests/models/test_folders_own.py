"""A user's own clips: what is found in a folder of them, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fdht_models.data.folders import FolderRequest, Listing, list_folder, load_folder
from fdht_models.errors import FdhtError
from fdht_models.preprocessing import read_clip
from tests.models.folders_samples import SIZE, random_frames, write_sphere, write_video, write_wav


def listed(root: Path, **settings: object) -> Listing:
    return list_folder(FolderRequest("folders", root, **settings))  # type: ignore[arg-type]


def videos(root: Path, *names: str, frames: int = 6) -> Path:
    for seed, name in enumerate(names):
        write_video(root / name, random_frames(frames, seed))
    return root


def table_of(listing: Listing) -> dict[str, tuple[str, str]]:
    return {clip.path: (listing.classes[clip.labels[0]], clip.group) for clip in listing.clips}


def test_classes_and_groups_are_folders(tmp_path: Path) -> None:
    videos(tmp_path, "walk/a/1.avi", "walk/a/x/2.avi", "walk/3.avi", "run/b/4.avi", "run/a/5.mkv")
    listing = listed(tmp_path)
    assert listing.classes == ("run", "walk")
    assert table_of(listing) == {
        "walk/a/1.avi": ("walk", "a"),
        "walk/a/x/2.avi": ("walk", "a"),
        "walk/3.avi": ("walk", "file walk/3"),
        "run/b/4.avi": ("run", "b"),
        "run/a/5.mkv": ("run", "a"),
    }
    assert any("source is not known" in note and "1 of 5" in note for note in listing.notes)


def test_videos_are_decoded_as_one_clip_is(tmp_path: Path) -> None:
    root = videos(
        tmp_path / "own", *(f"{c}/g{g}/{n}.avi" for c in "ab" for g in "123" for n in "12")
    )
    request = FolderRequest("folders", root, steps=4, test_groups=("g2",), **SIZE).complete()
    clips, report = load_folder(request, "test", tmp_path / "cache")
    assert (len(clips), report.used, clips.classes) == (4, 4, ("a", "b"))
    made = {tuple(frames.ravel()) for frames in clips.frames}
    expected = {
        tuple(read_clip(root / f"{c}/g2/{n}.avi", "", request.preprocessing("test")).values.ravel())
        for c in "ab"
        for n in "12"
    }
    assert made == expected and len(made) == 4
    train, _ = load_folder(request, "train", tmp_path / "cache")
    assert len(train) == 8 and train.groups is not None and len(set(train.groups)) == 2


def test_sound_of_several_formats(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for label in ("no", "yes"):
        for number in range(4):
            samples = generator.integers(-9000, 9000, 8000).astype(np.int16)
            write = write_sphere if number % 2 else write_wav
            suffix = "sph" if number % 2 else "wav"
            write(tmp_path / "own" / label / f"s{number}_a.{suffix}", samples)
    request = FolderRequest(
        "folders", tmp_path / "own", kind="sound", pattern="/(?P<group>s[0-9])_", bands=20,
        steps=30, folds=2,
    ).complete()  # fmt: skip
    clips, _ = load_folder(request, "train", tmp_path / "cache")
    assert clips.frames.shape == (4, 30, 20) and clips.time_step == 0.01
    sound = request.preprocessing().sound
    assert sound is not None and (sound.level, sound.placement) == (-3.0, "energy")


def test_arrays_are_values_or_codes(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for label in ("hot", "cold"):
        for number in range(4):
            path = tmp_path / "own" / label / f"{number}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, generator.random((9, 5)).astype(np.float32))
    request = FolderRequest(
        "folders", tmp_path / "own", kind="arrays", inputs=5, full_scale=1.0, steps=9, folds=2
    )
    clips, _ = load_folder(request, "train", tmp_path / "cache")
    assert clips.frames.shape == (4, 9, 5) and clips.classes == ("cold", "hot")
    assert int(clips.frames.max()) > 200


def test_the_folder_of_the_issue_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FdhtError, match="there is no such folder"):
        listed(tmp_path / "nowhere")
