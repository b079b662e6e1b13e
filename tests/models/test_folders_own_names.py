"""Names of files, classes and clips in a user's own folder: what is cut off, told and shown."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fdht
from fdht_models.data import source_of
from fdht_models.data.folders import FolderRequest, Listing, list_folder
from fdht_models.data.folders.listing import Problem
from fdht_models.data.folders.reporting.split_report import named_problems
from fdht_models.errors import ConfigError, DataError, FdhtError
from fdht_models.sections import DataSettings
from fdht_models.settings import read_section
from tests.models.folders_samples import SIZE, random_frames, write_video


def videos(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        write_video(root / name, random_frames(6, seed))
    return root


def listed(root: Path, **settings: object) -> Listing:
    given = {"steps": 4, "folds": 2, **SIZE, **settings}
    return list_folder(FolderRequest("folders", root, **given))  # type: ignore[arg-type]


def pictures(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    values = np.random.default_rng(seed).integers(0, 256, (3, 12, 16, 3), np.uint8)
    for number, picture in enumerate(values):
        Image.fromarray(picture).save(folder / f"{number}.png")


def test_a_dot_in_a_name_is_part_of_it(tmp_path: Path) -> None:
    for seed, name in enumerate(("run/take0.s1", "run/take0.s2", "walk/take0.mp4", "walk/b.s2")):
        pictures(tmp_path / name, seed)
    videos(tmp_path, "run/z.avi")
    for day in ("2024.01.01", "2024.01.02"):
        (tmp_path / "run/z.avi").rename(tmp_path / "run" / day)
        videos(tmp_path, "run/z.avi")
    (tmp_path / "run/z.avi").rename(tmp_path / "run/z.one.AVI")
    listing = listed(tmp_path)
    assert {clip.group for clip in listing.clips} == {
        "file run/take0.s1", "file run/take0.s2", "file walk/take0.mp4", "file walk/b.s2",
        "file run/2024.01.01", "file run/2024.01.02", "file run/z.one",
    }  # fmt: skip
    assert not any("of one name" in note for note in listing.notes)
    pattern = r"(?P<class>[^/]+)/[^/]*\.(?P<group>s\d|\d+|one|mp4)$"
    found = {clip.path: clip.group for clip in listed(tmp_path, pattern=pattern).clips}
    assert found["run/take0.s1"] == "s1" and found["run/2024.01.02"] == "02"
    assert found["run/z.one.AVI"] == "one" and len(found) == 7


def test_arrays_have_one_suffix(tmp_path: Path) -> None:
    for name in ("a/x.mp4.npy", "a/x.NPY", "b/y.v1.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with (tmp_path / name).open("wb") as file:
            np.save(file, np.ones((3, 4), np.uint8))
    groups = {clip.group for clip in listed(tmp_path, kind="arrays", inputs=4).clips}
    assert groups == {"file a/x.mp4", "file a/x", "file b/y.v1"}


def test_classes_that_look_alike_are_told(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Gr\u00fcn") for form in ("NFC", "NFD"))
    videos(tmp_path, "Walk/1.avi", "walk/2.avi", "run/3.avi", f"{composed}/4.avi", f"{apart}/5.avi")
    listing = listed(tmp_path)
    assert len(listing.classes) == 5
    (note,) = (note for note in listing.notes if "differ only in case" in note)
    assert "Walk and walk" in note and composed in note and apart in note and "run" not in note
    videos(tmp_path / "other", "Walk/1.avi", "run/2.avi")
    assert not any("differ only" in note for note in listed(tmp_path / "other").notes)


def test_a_table_in_other_letters(tmp_path: Path) -> None:
    videos(tmp_path, "a/1.avi", "b/2.avi")
    (tmp_path / "Clips.CSV").write_text("path,group\na/1.avi,x\nb/2.avi,y\n")
    with pytest.raises(DataError, match=r"Clips\.CSV: is not read: the table is called clips\.csv"):
        listed(tmp_path)
    (tmp_path / "Clips.CSV").rename(tmp_path / "clips.csv")
    assert {clip.group for clip in listed(tmp_path).clips} == {"x", "y"}


def test_backslashes_and_digits_of_a_table(tmp_path: Path) -> None:
    videos(tmp_path, "a/1.avi", "a/2.avi", "b/3.avi")
    (tmp_path / "clips.csv").write_text("path\na/1.avi\na\\2.avi\nb/3.avi\n")
    (problem,) = listed(tmp_path).skipped
    assert problem.path == "a\\2.avi" and problem.reason.endswith("write / between folders, not \\")
    text = "path,start,end\na/1.avi,\u0661,2\nb/3.avi,,\n"  # an Arabic-Indic 1
    (tmp_path / "clips.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="start is no number of seconds"):
        listed(tmp_path)


def test_a_part_of_a_file_is_called_by_its_seconds(tmp_path: Path) -> None:
    videos(tmp_path, "a/1.avi", "a/2.avi", "b/3.avi")
    rows = "a/1.avi,0.08,99\na/2.avi,0,0.1\nb/3.avi,0.04,\n"
    (tmp_path / "clips.csv").write_text("path,start,end\n" + rows)
    listing = listed(tmp_path)
    request = FolderRequest("folders", tmp_path, steps=4, folds=2, **SIZE)
    problems = [Problem(clip.key, "is odd") for clip in listing.clips]
    named = named_problems(request, listing, [*problems, Problem("x@1-2", "is none")])
    assert [problem.path for problem in named] == [
        "a/1.avi from 0.08 s to 99 s", "a/2.avi from 0 s to 0.1 s",
        "b/3.avi from 0.04 s to its end", "x@1-2",
    ]  # fmt: skip


def test_names_cannot_command_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    videos(tmp_path, "a\x1b[2J/1.avi", "a\x1b[2J/2.avi", "b/3.avi", "b/4.avi")
    (tmp_path / "b/5\n6.avi").write_bytes(b"nothing")
    rows = 'a\x1b[2J/1.avi,0,99\na\x1b[2J/2.avi,,\nb/3.avi,,\nb/4.avi,,\n"b/5\n6.avi",,\n'
    (tmp_path / "clips.csv").write_text("path,start,end\n" + rows)
    fdht.main(["data", str(tmp_path)])
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "a\\x1b[2J/1.avi from 0 s to 99 s lasts" in shown.out
    assert "b/5\\n6.avi" in shown.out and "@0-" not in shown.out
    assert "\x1b" not in str(FdhtError("is odd", field="a\x1b[2J"))


@pytest.mark.parametrize("key", ["level", "floor", "trim"])
def test_a_key_of_another_kind_is_told_before_its_range(key: str) -> None:
    def read(**more: object) -> None:
        table = {"set": "folders", "classes": ["a", "b"], key: 300.0, **more}
        source_of(asdict(read_section(DataSettings, table, "data")))

    with pytest.raises(ConfigError, match=f"{key}: has no effect on clips of the kind 'video'"):
        read()
    with pytest.raises(ConfigError, match=rf"data\.{key} = 300\.0: must be a number above"):
        read(kind="sound")
