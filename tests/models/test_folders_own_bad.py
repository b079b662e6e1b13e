"""Bad input in a folder of a user's own clips: found before decoding, told in one line."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fdht_models.data.folders import FolderRequest, Listing, list_folder, load_folder
from fdht_models.data.folders.decoding import shards as shards_room
from fdht_models.data.folders.own.clip_table import COLUMNS, read_table
from fdht_models.errors import MOST_CHARACTERS, ConfigError, DataError, FdhtError
from tests.models.folders_samples import SIZE, random_frames, write_video, write_wav

VIDEOS = ("run/1.avi", "run/2.avi", "walk/3.avi", "walk/4.avi")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, name in enumerate(VIDEOS):
        write_video(tmp_path / "own" / name, random_frames(6, seed))
    return tmp_path / "own"


def request_of(root: Path, **settings: object) -> FolderRequest:
    return FolderRequest("folders", root, **{"steps": 4, "folds": 2, **SIZE, **settings})


def listed(root: Path, **settings: object) -> Listing:
    return list_folder(request_of(root, **settings))


def refused(root: Path, match: str, kind: type[FdhtError] = DataError, **settings: object) -> None:
    """Listing refuses, in one short line with a remedy."""
    with pytest.raises(kind, match=match) as found:
        listed(root, **settings)
    text = str(found.value)
    assert "\n" not in text and len(text) <= MOST_CHARACTERS and found.value.remedy


def table(root: Path, text: str) -> Path:
    (root / "clips.csv").write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def nothing_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a clip was decoded")

    monkeypatch.setattr(shards_room, "read_clip", refuse)


# Folders -----------------------------------------------------------------------------------------


def test_no_folder_and_no_clip(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "there is no such folder.*a folder of clips for each class")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no clip of the kind video; found no file.*kind: video, sound")
    (tmp_path / "empty" / "a.zip").write_bytes(b"PK")
    refused(tmp_path / "empty", r"unpack a\.zip there")


def test_one_class_alone(root: Path) -> None:
    for name in ("run/1.avi", "run/2.avi"):
        (root / name).unlink()
    refused(root, "one class alone, walk: there is nothing to tell apart")


def test_an_empty_class_folder_is_told(root: Path) -> None:
    (root / "jump").mkdir()
    listing = listed(root)
    assert listing.classes == ("run", "walk")
    assert any("classes without a clip, left out: 1 (jump)" in note for note in listing.notes)


def test_clips_in_no_class(root: Path) -> None:
    (root / "walk/4.avi").rename(root / "4.avi")
    assert any("in no class's folder: 1 (4.avi)" in note for note in listed(root).notes)
    for path in (root / "run", root / "walk"):
        for file in path.iterdir():
            file.rename(root / file.name)
    refused(root, "holds 4 clips in no class's folder")


def test_folders_around_the_classes(root: Path) -> None:
    outer = root.parent / "outer"
    (outer / "clips").mkdir(parents=True)
    root.rename(outer / "clips" / "v1")
    listing = listed(outer)
    assert listing.classes == ("run", "walk")
    assert "the classes are the folders in clips/v1" in listing.notes


def test_folders_of_splits(root: Path) -> None:
    for split in ("train", "test"):
        for seed, name in enumerate(VIDEOS):
            write_video(root.parent / "split" / split / name, random_frames(6, seed))
    refused(root.parent / "split", "are called as splits.*data.pattern = ")
    pattern = "(?P<split>train|test)/(?P<class>[^/]+)/"
    request = request_of(root.parent / "split", pattern=pattern, fold_rule="table", folds=None)
    listing = list_folder(request)
    assert listing.classes == ("run", "walk")
    assert {clip.published for clip in listing.clips} == {("train",), ("test",)}
    clips, report = load_folder(request, "test", root.parent / "cache")
    assert len(clips) == 4
    # The same files are in both folders, which no rule of division can know.
    assert any("of one content in both splits: 4" in note for note in report.notes)


def test_what_lies_beside_the_clips_is_left_out_and_named(root: Path) -> None:
    (root / "walk/readme.txt").write_text("a text")
    (root / "walk/labels.json").write_text("{}")
    (root / "walk/3.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    (root / "walk/old.zip").write_bytes(b"PK")
    (root / "walk/LICENSE").write_text("a text without a suffix")
    (root / "walk/strange.avi").write_bytes(b"RIFF")
    write_wav(root / "walk/voice.wav", np.zeros(1600, np.int16))
    write_video(root / "walk/film", random_frames(6, 9))  # a video without a suffix
    listing = listed(root)
    assert {clip.path for clip in listing.clips} == {*VIDEOS, "walk/film"}
    notes = "\n".join(listing.notes)
    assert "no clips of this kind: 5 (" in notes
    for name in ("3.srt", "labels.json", "readme.txt", "voice.wav"):
        assert name in notes
    assert "an archive lies among the clips" in notes and "old.zip" in notes
    assert [problem.path for problem in listing.skipped] == ["walk/strange.avi"]


def test_empty_files_links_and_pipes(root: Path) -> None:
    (root / "walk/empty.mp4").touch()
    (root / "walk/gone.mp4").symlink_to(root / "nowhere.mp4")
    os.mkfifo(root / "walk/pipe.mp4")
    (root / "walk/linked.avi").symlink_to(root / "run/1.avi")
    listing = listed(root)
    assert {(problem.path, problem.reason) for problem in listing.skipped} == {
        ("walk/empty.mp4", "is empty"),
        ("walk/gone.mp4", "is a link to a file that is not there"),
        ("walk/pipe.mp4", "is no regular file"),
    }
    assert "walk/linked.avi" in {clip.path for clip in listing.clips}


def test_too_many_unreadable_clips(root: Path, nothing_decoded: None) -> None:
    for number in (1, 2):
        (root / f"walk/bad{number}.mp4").write_bytes(b"no film at all" * 9)
    with pytest.raises(DataError, match="2 of 6 clips cannot be used, 25% may") as found:
        load_folder(request_of(root), "train", root.parent / "cache")
    assert "copy these clips again" in str(found.value)
    assert "unpack" not in str(found.value)


def test_a_file_of_one_name_with_two_suffixes_is_one_group(root: Path) -> None:
    write_video(root / "walk/3.mkv", random_frames(6, 2))
    listing = listed(root)
    of = {clip.path: clip for clip in listing.clips}
    assert of["walk/3.avi"].group == of["walk/3.mkv"].group
    assert of["walk/3.avi"].key != of["walk/3.mkv"].key
    assert any("of one name with several suffixes, all used: 1" in note for note in listing.notes)


def test_short_clips_are_told_before_and_after_decoding(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = request_of(root, steps=9)
    _, report = load_folder(request, "train", root.parent / "cache")
    note = "clips shorter than the 9 frames that uniform with 9 steps takes, padded in front"
    assert any(note in found and found.endswith("2 of 2") for found in report.notes)
    assert sum(note in record.message for record in caplog.records) == 1
    _, again = load_folder(request, "train", root.parent / "cache")
    assert again.notes == report.notes
    _, longer = load_folder(request_of(root), "train", root.parent / "cache")
    assert not any(note in found for found in longer.notes)


def test_one_group_alone(root: Path) -> None:
    request = request_of(root, pattern=r"(?P<group>)\d$")
    assert {clip.group for clip in list_folder(request).clips} != {""}
    request = request_of(root, pattern=r"(?P<group>.?vi?)?\d$")
    with pytest.raises(DataError, match="all clips are of one group"):
        load_folder(
            request_of(table(root, "path,group\n" + "".join(f"{name},g\n" for name in VIDEOS))),
            "train",
            root.parent / "cache",
        )


def test_named_classes(root: Path) -> None:
    listing = listed(root, classes=("walk", "run"))
    assert listing.classes == ("walk", "run")
    assert {listing.classes[clip.labels[0]] for clip in listing.clips if "walk" in clip.path} == {
        "walk"
    }
    write_video(root / "jump/5.avi", random_frames(6, 7))
    notes = listed(root, classes=("walk", "run")).notes
    assert any("data.classes does not name: 1 (jump)" in note for note in notes)
    refused(root, "classes: jog: has no clip", classes=("walk", "jog"))
    refused(root, "at least 2 names", ConfigError, classes=("walk",))
    refused(root, "is there twice", ConfigError, classes=("walk", "walk"))


def test_groups_that_test(root: Path) -> None:
    request = request_of(root, pattern=r"(?P<group>\d)$", test_groups=("9",), folds=None)
    with pytest.raises(ConfigError, match="no such group in the folder"):
        load_folder(request, "train", root.parent / "cache")
    refused(root, "folds = 2: cannot go with test_groups", ConfigError, test_groups=("1",))
    refused(
        root, "fold_rule.*cannot go with test_groups", ConfigError, test_groups=("1",), folds=None,
        fold_rule="leaky-per-clip",
    )  # fmt: skip


# Patterns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<class>", "is no regular expression"),
        (r"\d+", "names no group"),
        (r"(?P<klass>\w+)", "names a group 'klass'.*did you mean 'class'"),
        ("", "must be a text"),
        ("(?P<class>a)" + "b" * 1000, "must be a text of 1 to 1000"),
    ],
)
def test_patterns_that_cannot_be_meant(root: Path, pattern: str, message: str) -> None:
    refused(root, f"pattern.*{message}", ConfigError, pattern=pattern)


def test_a_pattern_that_matches_nothing_or_something_else(root: Path) -> None:
    refused(root, "pattern.*matches none of 4 paths", pattern="(?P<group>x)")
    notes = listed(root, pattern=r"(?P<group>[123])$").notes
    assert any("the pattern does not match: 1 (walk/4.avi)" in note for note in notes)
    refused(root, "gives run/1.avi the split '1'", pattern=r"(?P<split>\d)$")


def test_a_pattern_that_never_ends(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fdht_models.data.folders.own.path_pattern._SECONDS", 0.5)
    write_video(root / ("walk/" + "a" * 40 + "!.avi"), random_frames(6, 5))
    refused(root, "pattern.*took longer than", pattern=r"(?P<group>(a+)+)b")


# Arrays ------------------------------------------------------------------------------------------


def test_arrays_of_other_shapes(tmp_path: Path, nothing_decoded: None) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for number in range(8):
        np.save(tmp_path / "ab"[number % 2] / f"{number}.npy", np.ones((3, 5), np.float32))
    np.save(tmp_path / "a" / "wide.npy", np.ones((3, 6), np.float32))
    (tmp_path / "a" / "no.npy").write_bytes(b"text")
    whole = (tmp_path / "a" / "0.npy").read_bytes()
    (tmp_path / "a" / "cut.npy").write_bytes(whole[:-4])
    request = FolderRequest("folders", tmp_path, kind="arrays", inputs=5, full_scale=1.0)
    found = {problem.path: problem.reason for problem in list_folder(request).skipped}
    assert found["a/wide.npy"] == "is of shape (3, 6), not [frames, 5]"
    assert found["a/no.npy"] == "is not a .npy file"
    assert found["a/cut.npy"] == "has more or fewer bytes than it states"
    with pytest.raises(ConfigError, match=r"full_scale: is missing: \d\.npy holds numbers"):
        list_folder(FolderRequest("folders", tmp_path, kind="arrays", inputs=5))
    with pytest.raises(ConfigError, match="inputs: is missing"):
        FolderRequest("folders", tmp_path, kind="arrays").complete()
    with pytest.raises(DataError, match="an array has no seconds"):
        table(tmp_path, "path,start\na/0.npy,1\n")
        list_folder(request)


# The table ---------------------------------------------------------------------------------------

REFUSED = {
    "": "is empty",
    "path,class\n": "names no clip",
    "class,group\nwalk,a\n": "has no column path",
    "path,clas\nrun/1.avi,run\n": "'clas'.*no such column.*did you mean 'class'",
    "path;class\nrun/1.avi;run\n": "separate the columns by commas",
    "path,path\nrun/1.avi,run\n": "names a column twice",
    "path,end\nrun/1.avi,1\n": "has a column end without a column start",
    "path,class\nrun/1.avi\n": "line 2.*has 1 fields, the header 2",
    "path,class\nrun/1.avi,run,x\n": "line 2.*has 3 fields, the header 2",
    'path,class\n"run/1.avi,run\n': "not readable as CSV",
    'path,class\n"run/1.avi"x,run\n': "not readable as CSV",
    "path\n/etc/passwd\n": "leaves the folder.*without ..",
    "path\n../own/run/1.avi\n": "leaves the folder",
    "path\nrun/../../x.avi\n": "leaves the folder",
    "path,class\n,run\n": "names no path",
    "path,split\nrun/1.avi,training\n": "there is no such split.*train, test",
    "path,start,end\nrun/1.avi,-1,2\n": "start is no number of seconds",
    "path,start,end\nrun/1.avi,1e3,\n": "start is no number of seconds",
    "path,start,end\nrun/1.avi,nan,\n": "start is no number of seconds",
    "path,start,end\nrun/1.avi,0,1:30\n": "end is no number of seconds",
    "path,start,end\nrun/1.avi,2,1\n": "ends before it starts",
    "path,start,end\nrun/1.avi,1,1\n": "ends before it starts",
    "path,start,end\nrun/1.avi,,1\n": "has an end and no start",
    "path\nrun/1.avi\nrun/1.avi\n": "line 3.*names the clip of line 2 again",
    "path\nrun/1.avi\n./run/1.avi\n": "line 3.*names the clip of line 2 again",
    "path,start,end,split\nrun/1.avi,0,2,train\nrun/1.avi,1,3,test\n": "overlaps with line 2",
    "path,start,end,split\nrun/1.avi,,,train\nrun/1.avi,1,3,test\n": "overlaps with line 2",
}


@pytest.mark.parametrize("text", REFUSED)
def test_tables_that_cannot_be_meant(root: Path, text: str) -> None:
    refused(table(root, text), REFUSED[text])


def test_a_table_of_another_encoding(root: Path) -> None:
    (root / "clips.csv").write_bytes("path\nrun/é.avi\n".encode("latin-1"))
    refused(root, "is not UTF-8")


def test_a_table_says_class_group_and_split(root: Path) -> None:
    lines = ["run/1.avi,slow,a,train", '"run/2.avi",slow,b,test', "walk/3.avi,,a,train"]
    # A mark before the text, line ends of Windows, and blank lines.
    table(root, "\ufeffpath,class,group,split\r\n\r\n" + "\r\n".join(lines) + "\r\n")
    listing = listed(root)
    assert {
        clip.path: (listing.classes[clip.labels[0]], clip.group, clip.published)
        for clip in listing.clips
    } == {
        "run/1.avi": ("slow", "a", ("train",)),
        "run/2.avi": ("slow", "b", ("test",)),
        "walk/3.avi": ("walk", "a", ("train",)),
    }
    assert any("no line of clips.csv names them: 1 (walk/4.avi)" in note for note in listing.notes)
    request = request_of(root, fold_rule="table", folds=None)
    train, report = load_folder(request, "train", root.parent / "cache")
    assert not any("are not used" in note for note in report.notes)
    _, report = load_folder(request_of(root), "train", root.parent / "cache")
    assert any("the splits that clips.csv or the pattern tell are not used" in note
               for note in report.notes)  # fmt: skip
    test, _ = load_folder(request, "test", root.parent / "cache")
    assert (len(train), len(test)) == (2, 1)


def test_rows_without_a_file_are_counted(root: Path, nothing_decoded: None) -> None:
    table(root, "path\n" + "".join(f"{name}\n" for name in VIDEOS) + "walk/9.avi\nwalk/8.avi\n")
    problems = [(problem.path, problem.reason) for problem in listed(root).skipped]
    assert problems == [(f"walk/{n}.avi", "is in clips.csv and is not there") for n in "98"]
    with pytest.raises(DataError, match="2 of 6 clips cannot be used"):
        load_folder(request_of(root), "train", root.parent / "cache")


def test_a_group_in_both_splits(root: Path) -> None:
    rows = ["run/1.avi,a,train", "run/2.avi,b,test", "walk/3.avi,b,train", "walk/4.avi,a,train"]
    table(root, "path,group,split\n" + "\n".join(rows) + "\n")
    refused(root, r"group = 'b': is in both splits: walk/3\.avi trains and run/2\.avi tests")


def test_a_rule_by_table_without_a_table(root: Path) -> None:
    request = request_of(root, fold_rule="table", folds=None)
    with pytest.raises(DataError, match=r"no division by table.*or set fold_rule to group"):
        load_folder(request, "train", root.parent / "cache")
    refused(root, "a table has one division", ConfigError, fold_rule="table", folds=3)


def test_parts_of_long_recordings(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-9000, 9000, 32_000).astype(np.int16)
    for name in ("x", "y"):
        write_wav(tmp_path / "own" / f"{name}.wav", samples)
    parts = ("no,0,0.5", "yes,0.5,1.25", "no,1.25,")
    rows = [f"{name}.wav,{part}" for name in "xy" for part in parts]
    table(tmp_path / "own", "path,class,start,end\n" + "\n".join(rows) + "\n")
    request = FolderRequest(
        "folders", tmp_path / "own", kind="sound", bands=20, steps=20, folds=2
    ).complete()
    listing = list_folder(request)
    assert [clip.key for clip in listing.clips][:3] == [
        "x.wav@0-500000", "x.wav@1250000-", "x.wav@500000-1250000",
    ]  # fmt: skip
    assert {clip.group for clip in listing.clips} == {"file x", "file y"}
    clips, report = load_folder(request, "test", tmp_path / "cache")
    assert len(clips) == 3 and not report.skipped
    table(tmp_path / "own", "path,class,start,end\nx.wav,no,0,1\ny.wav,yes,1,2.5\n")
    with pytest.raises(DataError, match=r"lasts 2\.000 s, and its clip is from 1 to 2.5"):
        load_folder(request, "test", tmp_path / "cache")


# Changed at random -------------------------------------------------------------------------------

WHOLE = (
    "path,class,group,split,start,end\n"
    'run/1.avi,run,a,train,0,1.5\nrun/1.avi,run,a,train,1.5,\n"walk/3.avi",walk,b,test,,\n'
)
PIECES: list[Callable[[random.Random], str]] = [
    lambda draw: draw.choice([",", '"', "\n", "\r", ";", "\x00", "..", "/", " ", "é", "\u202e"]),
    lambda draw: draw.choice(["-1", "1e9", "nan", "9" * 30, "0.0000001", "train", "test", "run"]),
    lambda draw: draw.choice(COLUMNS),
    lambda draw: "",
]


@pytest.mark.parametrize("seed", range(4))
def test_tables_changed_at_random_are_refused_or_read_as_they_stand(
    tmp_path: Path, seed: int
) -> None:
    draw, accepted = random.Random(seed), 0
    for _ in range(300):
        text = WHOLE
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(text))
            text = text[:at] + draw.choice(PIECES)(draw) + text[at + draw.randrange(6) :]
        (tmp_path / "clips.csv").write_text(text, encoding="utf-8", newline="")
        try:
            found = read_table(tmp_path / "clips.csv")
        except FdhtError as error:
            assert "\n" not in str(error) and len(str(error)) <= MOST_CHARACTERS
            continue
        accepted += 1
        assert found.rows and set(found.columns) <= set(COLUMNS) and "path" in found.columns
        for row in found.rows:
            assert row.path and not row.path.startswith("/") and ".." not in row.path.split("/")
            assert row.split in ("train", "test", "")
            assert row.span is None or 0 <= row.span[0] < row.span[1]
            # Nothing is made up: every value stands in the text.
            for value in (row.name, row.group, row.split):
                assert value.replace('"', '""') in text or value in text
    assert 0 < accepted < 300


def test_names_are_compared_composed(root: Path) -> None:
    (root / "walk/3.avi").rename(root / "walk/cafe\u0301.avi")  # as some systems unpack it
    table(root, "path,group\nwalk/caf\u00e9.avi,x\nwalk/4.avi,y\nrun/1.avi,x\nrun/2.avi,y\n")
    listing = listed(root)
    assert {clip.group for clip in listing.clips} == {"x", "y"} and not listing.skipped


def test_a_folder_that_is_linked_twice_counts_once(root: Path) -> None:
    (root / "jog").symlink_to(root / "run", target_is_directory=True)
    (root / "walk" / "up").symlink_to(root, target_is_directory=True)
    listing = listed(root)
    assert len(listing.clips) == 4 and len(listing.classes) == 2
    again = "folders that links lead to a second time, used once: 2 ("
    assert any(note.startswith(again) for note in listing.notes)
    assert not any("without a clip" in note for note in listing.notes)
