"""A user's own clips: what is found in a folder of them, and what is made of it."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fdht_models.data import source_of
from fdht_models.data.clip_sets import SPLITS
from fdht_models.data.folders import (
    FolderRequest,
    Listing,
    folder_digest,
    list_folder,
    load_folder,
)
from fdht_models.errors import ConfigError, DataError
from fdht_models.experiment import load_experiment
from fdht_models.preprocessing import read_clip
from fdht_models.sections import DataSettings
from tests.models.folders_samples import (
    SIZE,
    random_frames,
    ucf11,
    write_sphere,
    write_video,
    write_wav,
)


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
    assert sound is not None and (sound.level, sound.floor, sound.trim) == (-20.0, -60.0, 30.0)
    assert sound.placement == "energy"


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


def pictures(folder: Path, seed: int, count: int = 5) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(random_frames(count, seed), 1):
        Image.fromarray(frame).save(folder / f"{number}.png")


def test_a_folder_of_pictures_is_one_clip(tmp_path: Path) -> None:
    root = tmp_path / "own"
    for label in ("run", "walk"):
        for number in range(4):
            pictures(root / label / f"g{number}" / f"clip{number}", 10 * len(label) + number)
    write_video(root / "walk/g0/film.avi", random_frames(5, 99))
    pictures(root / "walk/thumbs", 1)  # small pictures of videos, which programs make
    Image.fromarray(random_frames(1, 3)[0]).save(root / "walk/g0/cover.png")
    listing = listed(root)
    clips = table_of(listing)
    assert clips["walk/g1/clip1"] == ("walk", "g1") and len(clips) == 9
    notes = "\n".join(listing.notes)
    assert "no clips of this kind: 6 (walk/g0/cover.png, walk/thumbs/1.png" in notes
    assert "folders of pictures that count as a clip each: 8" in notes
    request = FolderRequest("folders", root, steps=5, folds=2, fold=1, **SIZE).complete()
    found, report = load_folder(request, "test", tmp_path / "cache")
    assert not report.skipped
    assert random_frames(5, 40).tobytes() in {clip.tobytes() for clip in found.frames} | {
        clip.tobytes() for clip in load_folder(request, "train", tmp_path / "cache")[0].frames
    }
    before = folder_digest(request, "test", tmp_path / "cache")
    splits = {split: folder_digest(request, split, tmp_path / "cache") for split in SPLITS}
    path = root / "walk/g1/clip1/3.png"
    Image.fromarray(random_frames(1, 77)[0]).save(path)
    after = {split: folder_digest(request, split, tmp_path / "cache") for split in SPLITS}
    assert sum(splits[split] != after[split] for split in SPLITS) >= 1 and before == splits["test"]


def test_pictures_in_no_folder_of_their_own_are_refused(tmp_path: Path) -> None:
    videos(tmp_path, "walk/1.avi", "walk/2.avi")
    pictures(tmp_path / "run", 1)
    with pytest.raises(DataError, match=r"run: holds pictures.*run/<clip>/<picture>"):
        listed(tmp_path)


def test_pictures_of_one_number_are_a_clip_that_cannot_be_used(tmp_path: Path) -> None:
    for label in ("run", "walk"):
        for number in range(3):
            pictures(tmp_path / label / f"clip{number}", number)
    Image.fromarray(random_frames(1, 3)[0]).save(tmp_path / "run/clip1/01.png")
    assert [(problem.path, problem.reason) for problem in listed(tmp_path).skipped] == [
        ("run/clip1", "01.png and 1.png have one number")
    ]


def test_parts_of_videos_are_their_frames(tmp_path: Path) -> None:
    frames = random_frames(50, 1)  # two seconds
    first = write_video(tmp_path / "own" / "x.avi", frames)
    shutil.copy(first, tmp_path / "own" / "y.avi")
    rows = "".join(f"{n}.avi,a,0,0.4\n{n}.avi,b,1.6,\n" for n in "xy")
    (tmp_path / "own/clips.csv").write_text("path,class,start,end\n" + rows)
    request = FolderRequest("folders", tmp_path / "own", steps=10, folds=2, **SIZE)
    clips, report = load_folder(request, "test", tmp_path / "cache")
    assert report.used == 2 and not report.skipped
    assert any("in both splits: 2" in note for note in report.notes)  # x and y are one film
    names = [clips.classes[label] for label in clips.labels]
    made = dict(zip(names, clips.frames, strict=True))
    np.testing.assert_array_equal(made["a"], frames[:10].reshape(10, -1))
    np.testing.assert_array_equal(made["b"], frames[40:].reshape(10, -1))


def test_groups_that_test_are_of_any_set_with_groups(tmp_path: Path) -> None:
    ucf11(tmp_path / "UCF11")
    request = FolderRequest("ucf11", tmp_path / "UCF11", test_groups=("02", "04"), **SIZE)
    test, _ = load_folder(request, "test", tmp_path / "cache")
    assert len(test) == 8 and test.groups is not None and len(set(test.groups)) == 2
    assert test.classes == ("basketball", "biking")
    with pytest.raises(ConfigError, match="pattern: has no effect on 'ucf11'"):
        FolderRequest("ucf11", tmp_path, pattern="(?P<group>x)").complete()


def section(root: Path | None = None, **more: object) -> dict[str, Any]:
    given = {"set": "folders", "root": None if root is None else str(root), "steps": 4, **SIZE}
    return asdict(DataSettings(**{**given, **more}))  # type: ignore[arg-type]


def test_classes_are_known_by_name_or_by_the_folder(tmp_path: Path) -> None:
    videos(tmp_path, "walk/1.avi", "run/2.avi")
    assert source_of(section(classes=("walk", "run"))).classes == ("walk", "run")
    assert source_of(section(tmp_path)).class_names == ("run", "walk")
    unknown = source_of(section())
    assert unknown.inputs == 12 * 16 * 3  # shapes are known
    with pytest.raises(ConfigError, match=r"data\.root: is missing: the folder of your own clips"):
        unknown.class_names  # noqa: B018
    with pytest.raises(DataError, match=r"data\.root = .*it alone tells the classes"):
        source_of(section(tmp_path / "nowhere")).class_count  # noqa: B018
    assert len(load_experiment("ytc-kcp-lstm").source.class_names) == 47


def test_own_clips_are_mixed_where_their_classes_are_named(tmp_path: Path) -> None:
    for place, names in (("one", ("walk", "run")), ("two", ("run", "jump"))):
        videos(tmp_path / place, *(f"{name}/{n}.avi" for name in names for n in range(4)))
    parts = (section(tmp_path / "one", classes=("walk", "run"), folds=2),
             section(tmp_path / "two", classes=("run", "jump"), folds=2))  # fmt: skip
    mixed = source_of({**parts[0], "mix": (parts[1],)})
    assert mixed.classes == ("walk", "run", "jump") and mixed.class_count == 3
    clips = mixed.load("train", tmp_path / "cache")
    assert len(clips) == 8 and set(clips.labels) == {0, 1, 2}
    with pytest.raises(ConfigError, match=r"name them in data\.mix\[0\]\.classes"):
        source_of({**parts[0], "mix": (section(tmp_path / "two"),)})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"bands": 20}, r"data\.bands: has no effect on clips of the kind 'video'"),
        ({"kind": "sound"}, r"data\.height: has no effect on clips of the kind 'sound'"),
        ({"frame_ms": 3.0}, r"data\.frame_ms: has no effect"),
        ({"kind": "films"}, r"data\.kind = 'films'"),
        ({"protocol": "window"}, r"data\.protocol = 'window': your own clips have no such"),
        ({"fold_rule": "published"}, r"data\.fold_rule = 'published'"),
    ],
)
def test_keys_without_effect_are_refused(more: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        source_of(section(**more))
