"""Video sets that come with lists of their splits: HMDB51 and Hollywood2."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from fdht_models.data.folders.names import HMDB51, HOLLYWOOD2
from fdht_models.data.folders.notes import (
    archive_notes,
    class_notes,
    copy_notes,
    left_out_notes,
)
from fdht_models.data.folders.scan import VIDEO_SUFFIXES, Tree, nothing_found, read_lines, walk
from fdht_models.data.folders.types import Clip, Listing
from fdht_models.errors import DataError

HMDB51_LAYOUT = "<class>/<name>.avi, and testTrainMulti_7030_splits/<class>_test_split<1-3>.txt"
HOLLYWOOD2_LAYOUT = "AVIClips/actionclip<train|test><number>.avi and ClipSets/<Label>_<split>.txt"

_SPLIT_FOLDER = "testTrainMulti_7030_splits"
_SPLIT_FILE = re.compile(r"(?P<class>.+)_test_split(?P<fold>[123])\.txt", re.IGNORECASE)
_SPLITS = {"0": "", "1": "train", "2": "test"}
# <video>_<action>_<visible body>_<camera motion>_np<people>_<view>_<quality>_<number>
_HMDB51_NAME = re.compile(
    r"(?P<video>.+)_[a-z]_(?:cm|nm)_np\d+_[a-z]{2}_(?:bad|med|goo)_\d+", re.IGNORECASE
)
_CLIP_SET = re.compile(r"(?P<label>[A-Za-z]+)_(?P<split>train|test)\.txt", re.IGNORECASE)


def list_hmdb51(root: Path) -> Listing:
    """Lists `<class>/<name>.avi` with the three published divisions.

    A clip's group is the video that it was cut from, told by the name before its tags.
    """
    tree = walk(root, "HMDB51")
    skipped = tree.empty_of_type(VIDEO_SUFFIXES)
    foreign: list[PurePosixPath] = []
    found: dict[str, PurePosixPath] = {}
    copies: list[PurePosixPath] = []
    for path in tree.of_type(VIDEO_SUFFIXES):
        if len(path.parts) < 2:
            foreign.append(path)
            continue
        key = f"{path.parent.name}/{path.stem}"
        if key in found:
            copies.append(path)
        found.setdefault(key, path)
    if not found:
        raise nothing_found(tree, "HMDB51", HMDB51_LAYOUT)
    classes = tuple(sorted({path.parent.name for path in found.values()}))
    divisions = _hmdb51_divisions(tree)
    clips = tuple(
        Clip(key, str(path), (classes.index(path.parent.name),), _hmdb51_video(path), division)
        for key, path in sorted(found.items())
        for division in [_division(divisions, path.parent.name, path.name)]
    )
    notes = [
        *archive_notes(tree.archives),
        *copy_notes(copies),
        *left_out_notes(foreign, "in no class's folder"),
        *class_notes(classes, HMDB51),
    ]
    unpublished = "" if divisions else f"no {_SPLIT_FOLDER}/<class>_test_split<1-3>.txt is there"
    return Listing(root, classes, clips, tuple(skipped), tuple(notes), unpublished)


def _hmdb51_video(path: PurePosixPath) -> str:
    match = _HMDB51_NAME.fullmatch(path.stem)
    video = match["video"] if match else path.stem
    return video.removesuffix(f"_{path.parent.name}").lower()


def _hmdb51_divisions(tree: Tree) -> dict[tuple[str, str], list[str]]:
    """(class, file name) in lower case -> its split in each of the three divisions."""
    files = [tree.root / path for path in tree.files if _SPLIT_FILE.fullmatch(path.name)]
    beside = tree.root.parent / _SPLIT_FOLDER
    if not files and beside.is_dir():
        files = [path for path in sorted(beside.iterdir()) if _SPLIT_FILE.fullmatch(path.name)]
    divisions: dict[tuple[str, str], list[str]] = defaultdict(lambda: ["", "", ""])
    for file in files:
        match = _SPLIT_FILE.fullmatch(file.name)
        assert match is not None
        for number, line in enumerate(read_lines(file), 1):
            name, _, code = line.rpartition(" ")
            if code not in _SPLITS or not name.strip():
                raise DataError(
                    "is not '<name of a video> <0, 1 or 2>'",
                    field=f"{file}: line {number}",
                    value=line,
                    remedy="unpack the published splits again",
                )
            key = (match["class"].lower(), name.strip().lower())
            divisions[key][int(match["fold"]) - 1] = _SPLITS[code]
    return dict(divisions)


def _division(divisions: dict[tuple[str, str], list[str]], name: str, file: str) -> tuple[str, ...]:
    return tuple(divisions.get((name.lower(), file.lower()), ("", "", "")) if divisions else ())


def list_hollywood2(root: Path) -> Listing:
    """Lists the clips of `ClipSets/<Label>_<train|test>.txt` with all labels of each."""
    tree = walk(root, "Hollywood2")
    labels, splits = _clip_sets(tree)
    videos: dict[str, PurePosixPath] = {}
    for path in tree.of_type(VIDEO_SUFFIXES):
        videos.setdefault(path.stem.lower(), path)
    if not labels or not videos:
        raise nothing_found(tree, "Hollywood2", HOLLYWOOD2_LAYOUT)
    skipped = tree.empty_of_type(VIDEO_SUFFIXES)
    known = {PurePosixPath(problem.path).stem.lower() for problem in skipped}
    absent = sorted(name for name in labels if name not in videos and name not in known)
    clips = tuple(
        Clip(name, str(videos[name]), tuple(sorted(labels[name])), published=(splits[name],))
        for name in sorted(labels)
        if name in videos
    )
    if not clips:
        raise nothing_found(tree, "Hollywood2", HOLLYWOOD2_LAYOUT)
    used = {label for clip in clips for label in clip.labels}
    notes = [
        *archive_notes(tree.archives),
        *left_out_notes(absent, "listed in ClipSets but not there"),
        *class_notes([HOLLYWOOD2[label] for label in used], HOLLYWOOD2),
    ]
    several = sum(len(clip.labels) > 1 for clip in clips)
    if several:
        notes.append(f"clips with several labels, one sample for each label: {several}")
    return Listing(root, HOLLYWOOD2, clips, tuple(skipped), tuple(notes))


def _clip_sets(tree: Tree) -> tuple[dict[str, set[int]], dict[str, str]]:
    """Clip -> its labels, and clip -> its split; clips without any label are in neither."""
    places = {name.lower(): place for place, name in enumerate(HOLLYWOOD2)}
    labels: dict[str, set[int]] = defaultdict(set)
    splits: dict[str, str] = {}
    for path in tree.files:
        match = _CLIP_SET.fullmatch(path.name)
        if match is None or match["label"].lower() not in places:
            continue
        file = tree.root / path
        for number, line in enumerate(read_lines(file), 1):
            words = line.split()
            if len(words) != 2 or words[1] not in ("1", "-1"):
                raise DataError(
                    "is not '<clip> <1 or -1>'",
                    field=f"{file}: line {number}",
                    value=line,
                    remedy="unpack ClipSets again",
                )
            if words[1] == "1":
                name = words[0].lower()
                labels[name].add(places[match["label"].lower()])
                splits[name] = match["split"].lower()
    return labels, splits
