"""Video sets that come with lists of their splits: HMDB51 and Hollywood2."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fdht_models.data.folders.joins import Join, join, name_key
from fdht_models.data.folders.listing import Clip, FolderSet, Listing
from fdht_models.data.folders.sentences import (
    archive_notes,
    class_notes,
    copy_notes,
    counted_notes,
    left_out_notes,
    unlisted_notes,
)
from fdht_models.data.folders.tree import (
    VIDEO_SUFFIXES,
    Tree,
    damaged_line,
    nothing_found,
    read_lines,
    sort_files,
    walk,
)

_SPLIT_FOLDER = "testTrainMulti_7030_splits"
_SPLIT_FILE = re.compile(r"(?P<class>.+)_test_split(?P<fold>[123])\.txt", re.IGNORECASE)
_SPLITS = {"0": "", "1": "train", "2": "test"}
# <video>_<action>_<visible body>_<camera motion>_np<people>_<view>_<quality>_<number>
_HMDB51_NAME = re.compile(
    r"(?P<video>.+)_[a-z]_(?:cm|nm)_np\d+_[a-z]{2}_(?:bad|med|goo)_\d+", re.IGNORECASE
)
_DIVISIONS = 3
_OTHER_CLIP = re.compile(r"actionclipauto|sceneclip", re.IGNORECASE)
_CLIP_SET = re.compile(r"(?P<label>[A-Za-z]+)_(?P<split>train|test)\.txt", re.IGNORECASE)


def list_hmdb51(root: Path, known: FolderSet) -> Listing:
    """Lists `<class>/<name>.avi` with the three published divisions.

    The lists name a clip by its class and its name; suffixes are not compared, so that converted
    clips are found as well. A clip's group is the video that it was cut from, told by the name
    before its tags.

    Raises:
        DataError: no clip is there, or a list is not as published.
    """
    tree = walk(root, known.title)
    skipped = tree.empty_of_type(VIDEO_SUFFIXES)
    found, copies, foreign = sort_files(
        tree.of_type(VIDEO_SUFFIXES),
        lambda path: f"{path.parent.name}/{path.stem}" if len(path.parts) > 1 else None,
    )
    if not found:
        raise nothing_found(tree, known)
    classes = tuple(sorted({path.parent.name for path in found.values()}))
    lists = _hmdb51_lists(tree)
    joined = join(
        _hmdb51_divisions(lists),
        ((_hmdb51_key(path.parent.name, path.name), path) for path in found.values()),
        {_hmdb51_key(path.parent.name, path.name) for path in tree.empty},
    )
    division = {path: entry.splits for entry, path in joined.pairs}
    unknown = ("",) * _DIVISIONS if lists else ()
    clips = tuple(
        Clip(key, str(path), (classes.index(path.parent.name),), _hmdb51_video(path),
             division.get(path, unknown))
        for key, path in sorted(found.items())
    )  # fmt: skip
    notes = [
        *archive_notes(tree.archives),
        *(_hmdb51_leftovers(joined, lists, classes) if lists else ()),
        *copy_notes(copies),
        *left_out_notes(foreign, "in no class's folder"),
        *class_notes(classes, known.classes),
    ]
    unpublished = "" if lists else f"no {_SPLIT_FOLDER}/<class>_test_split<1-3>.txt is there"
    remedy = (
        "name the clips and their folders as the lists do, or put the lists of all classes there"
    )
    return Listing(root, classes, clips, tuple(skipped), tuple(notes), unpublished, remedy)


def _hmdb51_video(path: PurePosixPath) -> str:
    match = _HMDB51_NAME.fullmatch(path.stem)
    video = match["video"] if match else path.stem
    return video.removesuffix(f"_{path.parent.name}").lower()


@dataclass(frozen=True)
class _Entry:
    """A clip of HMDB51's lists: its name there, and its split in each division ("" for neither).

    `everywhere` is False where a list of its class does not name it.
    """

    name: str
    splits: tuple[str, ...]
    everywhere: bool


#: (class, number of the division) -> name of a clip as its list has it -> its split.
_Lists = dict[tuple[str, int], dict[str, str]]


def _hmdb51_lists(tree: Tree) -> _Lists:
    files = [tree.root / path for path in tree.files if _SPLIT_FILE.fullmatch(path.name)]
    beside = tree.root.parent / _SPLIT_FOLDER
    if not files and beside.is_dir():
        files = [path for path in sorted(beside.iterdir()) if _SPLIT_FILE.fullmatch(path.name)]
    lists: _Lists = {}
    for file in files:
        match = _SPLIT_FILE.fullmatch(file.name)
        assert match is not None
        entries = lists.setdefault((name_key(match["class"]), int(match["fold"])), {})
        for number, line in enumerate(read_lines(file), 1):
            name, _, code = line.rpartition(" ")
            name = name.strip()
            if code not in _SPLITS or not name:
                raise damaged_line(file, number, line, "is not '<name of a video> <0, 1 or 2>'")
            if entries.setdefault(name, _SPLITS[code]) != _SPLITS[code]:
                raise damaged_line(file, number, line, "contradicts a line before it")
    return lists


def _hmdb51_divisions(lists: _Lists) -> dict[str, _Entry]:
    """The entries of all lists, by their clips' keys."""
    splits: dict[str, dict[int, str]] = defaultdict(dict)
    names: dict[str, tuple[str, str]] = {}
    for (label, division), entries in lists.items():
        for name, split in entries.items():
            key = _hmdb51_key(label, name)
            names.setdefault(key, (label, name))
            splits[key][division] = split
    return {
        key: _Entry(
            f"{label}/{name}",
            tuple(splits[key].get(number, "") for number in range(1, _DIVISIONS + 1)),
            all(division in splits[key] for of, division in lists if of == label),
        )
        for key, (label, name) in names.items()
    }


def _hmdb51_key(label: str, file: str) -> str:
    return f"{name_key(label)}/{name_key(file, VIDEO_SUFFIXES)}"


def _hmdb51_leftovers(
    joined: Join[_Entry, PurePosixPath], lists: _Lists, classes: tuple[str, ...]
) -> list[str]:
    missing = [
        f"{name}_test_split{number}.txt"
        for name in classes
        for number in range(1, _DIVISIONS + 1)
        if (name_key(name), number) not in lists
    ]
    partly = [path for entry, path in joined.pairs if not entry.everywhere]
    unlisted, absent = joined.unlisted, [entry.name for entry in joined.absent]
    return [
        *counted_notes("lists that are not there", missing),
        *unlisted_notes([path.parent.name for path in unlisted], [path.name for path in unlisted]),
        *left_out_notes(absent, f"listed in {_SPLIT_FOLDER} but not there"),
        *left_out_notes(partly, "where a division's list does not name it"),
    ]


def list_hollywood2(root: Path, known: FolderSet) -> Listing:
    """Lists the clips of `ClipSets/<Label>_<train|test>.txt` with all labels of each.

    Raises:
        DataError: no listed clip is there, or a list is not as published.
    """
    tree = walk(root, known.title)
    entries, lists = _clip_sets(tree, known.classes)
    skipped = tree.empty_of_type(VIDEO_SUFFIXES)
    videos, copies, _ = sort_files(
        tree.of_type(VIDEO_SUFFIXES), lambda path: name_key(path.name, VIDEO_SUFFIXES)
    )
    joined = join(
        entries, videos.items(), {name_key(path.name, VIDEO_SUFFIXES) for path in tree.empty}
    )
    used = sorted((pair for pair in joined.pairs if pair[0].labels), key=lambda pair: pair[0].name)
    if not used:
        raise nothing_found(tree, known)
    clips = tuple(
        Clip(entry.name, str(path), tuple(sorted(entry.labels)), published=(entry.split,))
        for entry, path in used
    )
    notes = [
        *archive_notes(tree.archives),
        *_hollywood2_leftovers(joined, lists, known.classes),
        *copy_notes(copies),
    ]
    several = sum(len(clip.labels) > 1 for clip in clips)
    if several:
        notes.append(f"clips with several labels, one sample for each label: {several}")
    remedy = "name the clips as the lists do, or put the lists of both splits there"
    return Listing(root, known.classes, clips, tuple(skipped), tuple(notes), remedy=remedy)


@dataclass
class _Labelled:
    """A clip of ClipSets: its name, its split, and the labels that it has (perhaps none)."""

    name: str
    split: str
    labels: set[int]


def _clip_sets(tree: Tree, classes: tuple[str, ...]) -> tuple[dict[str, _Labelled], set[str]]:
    """The listed clips by their keys, and the names of the lists in lower case."""
    places = {name.lower(): place for place, name in enumerate(classes)}
    entries: dict[str, _Labelled] = {}
    lists: set[str] = set()
    for path in tree.files:
        match = _CLIP_SET.fullmatch(path.name)
        if match is None or match["label"].lower() not in places:
            continue
        lists.add(path.name.lower())
        file, split = tree.root / path, match["split"].lower()
        codes: dict[str, str] = {}
        for number, line in enumerate(read_lines(file), 1):
            words = line.split()
            if len(words) != 2 or words[1] not in ("1", "-1"):
                raise damaged_line(file, number, line, "is not '<clip> <1 or -1>'")
            key = name_key(words[0], VIDEO_SUFFIXES)
            entry = entries.setdefault(key, _Labelled(key, split, set()))
            if entry.split != split or codes.setdefault(key, words[1]) != words[1]:
                raise damaged_line(file, number, line, "contradicts a line before it")
            if words[1] == "1":
                entry.labels.add(places[match["label"].lower()])
    return entries, lists


def _hollywood2_leftovers(
    joined: Join[_Labelled, PurePosixPath], lists: set[str], classes: tuple[str, ...]
) -> list[str]:
    missing = [
        f"{label}_{split}.txt"
        for label in classes
        for split in ("train", "test")
        if f"{label}_{split}.txt".lower() not in lists
    ]
    absent = [entry.name for entry in joined.absent]
    unlabelled = [path.name for entry, path in joined.pairs if not entry.labels]
    # The noisy training set and the scenes have lists of their own, which are not read.
    unlisted = [path.name for path in joined.unlisted if not _OTHER_CLIP.match(path.name)]
    return [
        *counted_notes("lists that are not there", missing),
        *unlisted_notes((), unlisted),
        *left_out_notes(absent, "listed in ClipSets but not there"),
        *left_out_notes(unlabelled, "with none of the labels whose lists are there"),
    ]
