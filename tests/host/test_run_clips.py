"""`fdht run` on folders of clips: the very integers of the test set, and what is told of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fdht
import fdht_host.run
from fdht_host.answers import read_predictions
from fdht_host.evidence import Recipe
from fdht_host.own_clips import key_of
from fdht_host.run import RunSettings
from fdht_models.data import source_of
from fdht_models.data.folders import FolderRequest
from fdht_models.preprocessing import Preprocessing
from fdht_models.preprocessing.protocols import FRAME_PROTOCOLS
from fdht_models.tensor.quantized import QuantizedNetwork
from tests.host.builds import NETWORK, reference_as_core, run_built, write_build
from tests.models.folders_samples import random_frames, write_video, write_wav

#: The network has 60 inputs and the classes left, right and still.
CLASSES = NETWORK.classes
STEPS = 4
SECTIONS: dict[str, dict[str, Any]] = {
    "video": {"kind": "video", "height": 4, "width": 5, "feature": "motion_energy", "dead_zone": 9},
    "arrays": {"kind": "arrays", "inputs": 60, "full_scale": 1.0},
    "sound": {"kind": "sound", "bands": 20, "stack": 3},
}
PROTOCOLS = {"video": FRAME_PROTOCOLS, "arrays": FRAME_PROTOCOLS, "sound": ("window",)}
SUFFIXES = {"video": "avi", "arrays": "npy", "sound": "wav"}


def write_clip(path: Path, kind: str, seed: int, frames: int = 23) -> Path:
    """A clip of noise, that no two protocols read alike."""
    generator = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "video":
        # Coarse, so that what is left after resizing is not grey.
        coarse = generator.integers(0, 256, (frames, 2, 2, 3), np.uint8)
        write_video(path, coarse.repeat(8, axis=1).repeat(8, axis=2), rate=10)
    elif kind == "arrays":
        np.save(path, generator.random((frames, 60)).astype(np.float32))
    else:
        write_wav(path, generator.integers(-9000, 9000, 160 * frames).astype(np.int16))
    return path


def write_clips(root: Path, kind: str, groups: str = "abc", frames: int = 23) -> Path:
    """Two clips of each class and group; every other one is shorter than the protocols want."""
    for number, (name, group) in enumerate((c, g) for c in CLASSES for g in groups):
        for clip in (0, 1):
            path = root / name / group / f"{clip}.{SUFFIXES[kind]}"
            write_clip(path, kind, 10 * number + clip, frames if clip else 4)
    return root


def data_of(kind: str, root: Path, **changes: Any) -> dict[str, Any]:
    """A section `[data]`."""
    test = {"test_groups": ("b",), "seed": 5}
    return {
        "set": "folders",
        "root": str(root),
        "steps": STEPS,
        **test,
        **SECTIONS[kind],
        **changes,
    }


def network_of(preprocessing: Preprocessing) -> QuantizedNetwork:
    return replace(NETWORK, preprocessing=preprocessing)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes build/tiny-net of a network that sees clips so, whose experiment has these data."""

    def make(data: dict[str, Any], preprocessing: Preprocessing | None = None) -> Path:
        network = network_of(preprocessing or source_of(data).preprocessing)
        reference_as_core(monkeypatch, network)
        recipe = Recipe({"mix": None, **data})
        monkeypatch.setattr(fdht_host.run, "recipe_of", lambda *_: recipe)
        monkeypatch.setattr(fdht_host.run, "find_recipe", lambda *_: recipe)
        return write_build(tmp_path / "build", network)

    return make


def run(directory: Path, *sources: object, **settings: Any) -> dict[str, Any]:
    wanted = RunSettings(
        [str(source) for source in sources],
        energy=False,
        cache=directory.parent / "data",
        **settings,
    )
    return run_built(directory, wanted)


def logits_of(report: dict[str, Any], source: object) -> dict[str, list[list[int]]]:
    """Logits of the clips of a source by their labels, in an order of their own."""
    found: dict[str, list[list[int]]] = {}
    for clip in report["clips"]:
        if clip["source"] == str(source):
            (block,) = clip["blocks"]
            found.setdefault(clip["label"], []).append(block["logits"])
    return {label: sorted(rows) for label, rows in found.items()}


@pytest.mark.parametrize(
    ("kind", "protocol"), [(kind, one) for kind, several in PROTOCOLS.items() for one in several]
)
def test_a_folder_of_clips_gives_what_the_test_set_gives(tmp_path, build, kind, protocol):
    root = write_clips(tmp_path / "all", kind)
    stride = {"stride": 3} if protocol in ("stride", "random_stride", "tt_rnn") else {}
    directory = build(data_of(kind, root, protocol=protocol, **stride))
    tests = tmp_path / "tests"
    for name in CLASSES:
        shutil.copytree(root / name / "b", tests / name / "b")
    report = run(directory, "test", tests)
    own, theirs = logits_of(report, tests), logits_of(report, "test")
    assert own.keys() == theirs.keys() == set(CLASSES)
    for name in CLASSES:
        np.testing.assert_array_equal(own[name], theirs[name])
    assert len({tuple(row) for rows in own.values() for row in rows}) > 3
    test, folder = report["sources"]
    assert folder["accuracy"] == test["accuracy"]
    assert report["accuracy"]["quantized"] == folder["accuracy"]["accuracy"]
    assert report["equality"]["reference_board"] == {"compared": 2 * 6 * STEPS * 3, "mismatches": 0}
    assert all(clip["frames_there"] in (4, 23) or kind == "sound" for clip in report["clips"][6:])
    # How long the files of the test set are is not known, so that nothing is told of it.
    assert {clip["frames_used"] for clip in report["clips"][:6]} == {None}
    assert test["notes"] == []


def test_clips_without_labels_are_answered_alike(tmp_path, build):
    """A folder of bare files, and each file by itself: the same integers, and no accuracy."""
    root = write_clips(tmp_path / "all", "video")
    directory = build(data_of("video", root, protocol="uniform"))
    bare = tmp_path / "bare"
    bare.mkdir()
    files = [
        Path(shutil.copyfile(path, bare / "-".join(path.parts[-3:])))
        for path in sorted(root.glob("*/b/*.avi"))
    ]
    report = run(directory, root, bare, *files)
    labelled, folder, *single = report["sources"]
    assert (labelled["kind"], folder["kind"], single[0]["kind"]) == ("folder", "folder", "file")
    assert labelled["accuracy"]["clips"] == 18 and folder["accuracy"] is None
    of = {clip["clip"]: clip for clip in report["clips"] if clip["source"] == str(root)}
    others = {clip["clip"]: clip for clip in report["clips"] if clip["source"] == str(bare)}
    alone = {clip["clip"]: clip for clip in report["clips"] if clip["source"].endswith(".avi")}
    assert len(others) == len(alone) == 6
    for path in files:
        expected = of[path.name.replace("-", "/")]
        for found in (others[path.name], alone[path.name]):
            assert found["label"] is None
            for key in ("blocks", "probabilities", "predicted", "frames_used", "time_step"):
                assert found[key] == expected[key]
    assert report["video"]["file"] == files[0].name
    assert report["provenance"]["preprocessing"]["picture"]["dead_zone"] == 9


def test_one_row_a_clip_is_written_and_read_again(tmp_path, build, capsys):
    root = write_clips(tmp_path / "all", "video")
    directory = build(data_of("video", root, protocol="uniform"))
    arguments = ["run", "tiny-net", "--build", str(directory.parent), "--no-energy"]
    assert fdht.main([*arguments, "--source", str(root), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (path,) = directory.glob("run/*/predictions.jsonl")
    rows = read_predictions(path)
    assert [row.to_json() for row in rows] == report["clips"]
    assert len(rows) == 18
    for row in rows:
        assert row.label is not None and row.clip.startswith(row.label + "/")
        assert row.probability == max(row.probabilities)
        assert row.protocol == "trained" and row.stride is None
        # Of 4 frames all are used; of 23 five, at 10 a second: 4 or 5 frames apart.
        assert (row.frames_used, row.frames_there) in ((4, 4), (5, 23))
    capsys.readouterr()
    assert fdht.main([*arguments, "--source", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    accuracy = report["sources"][0]["accuracy"]
    assert any(
        f"{accuracy['accuracy']:.1%}" in line and "of 18 clips right" in line for line in lines
    )
    for row in rows:
        assert any(row.clip in line and row.predicted in line for line in lines)


def test_a_thousand_clips_are_not_a_thousand_lines(tmp_path, build, capsys):
    root = write_clips(tmp_path / "all", "arrays", "abcdefgh")
    directory = build(data_of("arrays", root, protocol="uniform"))
    arguments = ["run", "tiny-net", "--build", str(directory.parent), "--no-energy"]
    assert fdht.main([*arguments, "--source", str(root)]) == 0
    out = capsys.readouterr().out
    assert "... and 28 more clips, all of them in predictions.jsonl" in out
    assert out.count(".npy") == 20


def test_clips_that_cannot_be_read_are_counted_and_named(tmp_path, build, capsys):
    root = write_clips(tmp_path / "all", "video")
    directory = build(data_of("video", root, protocol="uniform"))
    (root / "left" / "a" / "1.avi").write_bytes(b"no video")
    write_clip(root / "left" / "a" / "one.avi", "video", 1, frames=1)
    (root / "left" / "a" / "empty.avi").write_bytes(b"")
    arguments = ["run", "tiny-net", "--build", str(directory.parent), "--no-energy"]
    assert fdht.main([*arguments, "--source", str(root)]) == 0
    error = capsys.readouterr().err
    assert "3 of 20 clips cannot be used" in error
    (path,) = directory.glob("run/*/report.json")
    report = json.loads(path.read_text())
    problems = {one["path"]: one["reason"] for one in report["sources"][0]["problems"]}
    assert problems.keys() == {f"left/a/{name}.avi" for name in ("1", "one", "empty")}
    assert "the feature compares two" in problems["left/a/one.avi"]
    assert len(report["clips"]) == 17 and report["failures"] == []
    assert "left/a/1.avi" in path.with_name("report.html").read_text()


def test_nothing_that_can_be_read_is_a_mistake(tmp_path, build, capsys):
    directory = build(data_of("video", tmp_path, protocol="uniform"))
    for number in (1, 2):
        write_clip(tmp_path / "bad" / f"{number}.avi", "video", number, frames=1)
    (tmp_path / "none").mkdir()
    arguments = ["run", "tiny-net", "--build", str(directory.parent), "--no-energy"]
    for name, told in (("bad", "none of 2 clips can be used"), ("none", "holds no clip")):
        assert fdht.main([*arguments, "--source", str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1
    assert not (directory / "run").exists()


def test_folders_that_are_called_as_no_class(tmp_path, build, capsys):
    root = write_clips(tmp_path / "all", "arrays", "a")
    directory = build(data_of("arrays", tmp_path / "elsewhere", protocol="uniform"))
    shutil.move(root / "still", root / "Still")
    (report) = run(directory, root)
    assert len(report["clips"]) == 4
    (note,) = report["sources"][0]["notes"]
    assert note == (
        "left out, in no folder of a class: 2 clips (Still); "
        "name the folders as the classes: left, right, still"
    )
    for name in ("left", "right"):
        shutil.rmtree(root / name)
    report = run(directory, root)
    assert [clip["label"] for clip in report["clips"]] == [None, None]
    (note,) = report["sources"][0]["notes"]
    assert "no folder is called as a class is" in note and "left, right, still" in note


def test_where_the_clips_of_the_training_are_it_is_told(tmp_path, build):
    root = write_clips(tmp_path / "all", "arrays", "ab")
    directory = build(data_of("arrays", root, protocol="uniform"))
    notes = run(directory, root / "left", root)["sources"]
    for source in notes:
        assert any("trained on may be among these" in note for note in source["notes"])


def test_a_table_gives_labels_and_parts_of_files(tmp_path, build):
    root = tmp_path / "films"
    for number in (1, 2):
        write_clip(root / f"{number}.avi", "video", number, frames=40)
    rows = ["1.avi,left,0,2", "1.avi,right,2,4", "2.avi,jump,0,1", "2.avi,right,1,3"]
    (root / "clips.csv").write_text("path,class,start,end\n" + "\n".join(rows))
    directory = build(data_of("video", tmp_path / "elsewhere", protocol="uniform"))
    report = run(directory, root)
    assert [(clip["label"], clip["frames_there"]) for clip in report["clips"]] == [
        ("left", 20), ("right", 20), ("right", 20),
    ]  # fmt: skip
    assert any("1 clips (jump)" in note for note in report["sources"][0]["notes"])


def test_the_layout_of_a_published_set_gives_the_labels(tmp_path, build):
    data = {"set": "ucf11", "root": str(tmp_path / "elsewhere"), "steps": STEPS, "height": 4,
            "width": 5, "protocol": "six"}  # fmt: skip
    directory = build(data)
    for number, name in enumerate(CLASSES):
        write_clip(
            tmp_path / "set" / name / f"v_{name}_01" / f"v_{name}_01_01.avi", "video", number
        )
    report = run(directory, tmp_path / "set")
    assert [(clip["clip"], clip["label"]) for clip in report["clips"]] == [
        (f"{name}/v_{name}_01_01", name) for name in CLASSES
    ]
    # In folders by class alone, without the published names.
    for name in CLASSES:
        write_clip(tmp_path / "own" / name / "x.avi", "video", 1)
    assert [clip["label"] for clip in run(directory, tmp_path / "own")["clips"]] == list(CLASSES)


def test_pictures_in_a_folder_are_one_clip(tmp_path, build):
    from PIL import Image

    directory = build(data_of("video", tmp_path / "elsewhere", protocol="consecutive"))
    for name in ("left/one", "alone"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number, frame in enumerate(random_frames(9, 3, 16, 16)):
            Image.fromarray(frame).save(tmp_path / "set" / name / f"{number}.png")
    shutil.move(tmp_path / "set" / "alone", tmp_path / "alone")
    report = run(directory, tmp_path / "set", tmp_path / "alone")
    first, second = report["clips"]
    assert (first["clip"], first["label"], second["label"]) == ("left/one", "left", None)
    assert first["blocks"] == second["blocks"] and first["frames_there"] == 9


def test_test_clips_that_are_made_otherwise_are_refused(tmp_path, build, capsys):
    root = write_clips(tmp_path / "all", "arrays", "ab")
    seen = source_of(data_of("arrays", root, protocol="uniform")).preprocessing
    directory = build(data_of("arrays", root, protocol="consecutive"), seen)
    arguments = ["run", "tiny-net", "--build", str(directory.parent), "--no-energy"]
    assert fdht.main(arguments) == 2
    error = capsys.readouterr().err
    assert "preprocessing.sampling.protocol = 'consecutive'" in error and "'uniform'" in error
    assert fdht.main([*arguments, "--source", str(root)]) == 0


def test_a_request_without_a_recipe_has_its_inputs(tmp_path, build, monkeypatch):
    """On a board the experiment may not be there; a table is read all the same."""
    root = write_clips(tmp_path / "all", "arrays", "a")
    table = "".join(f"{name}/a/1.npy,{name}\n" for name in CLASSES)
    (root / "clips.csv").write_text("path,class\n" + table)
    request = FolderRequest("folders", root, protocol="uniform", steps=STEPS, **SECTIONS["arrays"])
    directory = build(data_of("arrays", root), request.complete().preprocessing())
    monkeypatch.setattr(fdht_host.run, "find_recipe", lambda *_: None)
    report = run(directory, root)
    assert [clip["label"] for clip in report["clips"]] == list(CLASSES)


def labels_of(report: dict[str, Any]) -> dict[str, str | None]:
    return {clip["clip"]: clip["label"] for clip in report["clips"]}


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [("(?P<group>film[0-9]+)_", None), ("(?P<class>[a-z]+)_(?P<group>[0-9]+)", None),
     ("(?P<split>train|test)_(?P<group>[a-z0-9]+)", "table")],
)  # fmt: skip
def test_rules_of_training_do_not_hold_for_clips_to_classify(tmp_path, build, pattern, rule):
    """One class alone, names that no pattern matches, groups and splits: all are answered."""
    data = data_of("video", tmp_path / "elsewhere", protocol="uniform", pattern=pattern)
    if rule:
        data |= {"fold_rule": rule, "test_groups": None}
    directory = build(data)
    for place in ("one/left/a.avi", "flat/a.avi", "flat/train_x.avi", "flat/test_x.avi"):
        write_clip(tmp_path / place, "video", 1)
    report = run(directory, tmp_path / "one")
    assert labels_of(report) == {"left/a.avi": "left"}
    assert report["sources"][0]["accuracy"]["clips"] == 1
    report = run(directory, tmp_path / "flat")
    names = ("a.avi", "test_x.avi", "train_x.avi")
    assert labels_of(report) == dict.fromkeys(names)


def test_a_pattern_gives_the_class_where_no_folder_does(tmp_path, build):
    pattern = "(?P<class>[a-z]+)_(?P<group>[0-9]+)"
    data = data_of("video", tmp_path / "elsewhere", protocol="uniform", pattern=pattern)
    directory = build(data)
    for place in ("left_1.avi", "right/x.avi", "right/new_2.avi", "right/still_3.avi"):
        write_clip(tmp_path / "all" / place, "video", 1)
    report = run(directory, tmp_path / "all")
    assert labels_of(report) == {
        "left_1.avi": "left", "right/x.avi": "right", "right/new_2.avi": "right",
        "right/still_3.avi": "still",
    }  # fmt: skip
    (note,) = report["sources"][0]["notes"]
    assert "pattern gives another class than the folder" in note and "right/still_3.avi" in note


def test_a_folder_that_is_called_as_a_class(tmp_path, build):
    directory = build(data_of("video", tmp_path / "elsewhere", protocol="uniform"))
    for name in ("x", "deep/y"):
        write_clip(tmp_path / "left" / f"{name}.avi", "video", 1)
    report = run(directory, tmp_path / "left")
    assert labels_of(report) == {"x.avi": "left", "deep/y.avi": "left"}
    assert report["sources"][0]["accuracy"]["clips"] == 2
    assert "taken for the label" in report["sources"][0]["notes"][0]


@pytest.mark.parametrize("where", ["trained", "copied"])
def test_random_frames_do_not_depend_on_the_folder_that_was_named(tmp_path, build, where):
    root = write_clips(tmp_path / "all", "video", "ab")
    directory = build(data_of("video", root, protocol="six"))
    logits = logits_of(run(directory, "test"), "test")
    if where == "copied":
        root = Path(shutil.move(root, tmp_path / "copied"))
    file = root / "left" / "b" / "1.avi"
    sources = (root, root / "left", root / "left" / "b", file)
    report = run(directory, *sources)
    found = {}
    for clip in report["clips"]:
        if clip["frames_there"] == 23 and f"/{clip['source']}/{clip['clip']}".endswith(
            ("left/b/1.avi", "1.avi/1.avi")
        ):
            found[clip["source"]] = clip["blocks"][0]["logits"]
    assert found.keys() == {str(source) for source in sources}
    assert len({tuple(row) for row in found.values()}) == 1
    assert found[str(file)] in logits["left"]


def test_the_key_of_a_training_with_folders_above_the_classes(tmp_path):
    recipe = Recipe(data_of("video", tmp_path / "all"))
    trained = tmp_path / "all" / "train" / "left" / "x.avi"
    assert key_of(trained, CLASSES, recipe) == "train/left/x.avi"
    for path, key in (
        ("train/left/x.avi", "left/x.avi"), ("left/g/x.avi", "left/g/x.avi"),
        ("left/right/x.avi", "left/right/x.avi"), ("other/x.avi", "x.avi"),
        ("left/1/2/3/4/5/6/7/8/x.avi", "x.avi"),
    ):  # fmt: skip
        assert key_of(tmp_path / "copy" / path, CLASSES, recipe) == key


def test_options_of_the_test_set(tmp_path, build, capsys):
    """Clips of files have no seed of their own; more than there are cannot be run."""
    root = write_clips(tmp_path / "all", "video", "ab")
    directory = build(data_of("video", root, protocol="uniform"))
    arguments = ["run", "tiny-net", "--build", str(directory.parent), "--no-energy"]
    assert fdht.main([*arguments, "--seed", "3"]) == 2
    assert "seed = 3: has no effect on clips of a folder" in capsys.readouterr().err
    assert run(directory, "test", clips=9)["sources"][0]["notes"] == [
        "--clips 9: the test set has 6"
    ]
    assert run(directory, "test", clips=6)["sources"][0]["notes"] == []
