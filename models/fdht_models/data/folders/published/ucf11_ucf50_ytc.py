"""Sets whose files tell class and source: UCF11, UCF50, YouTube Celebrities Face, CNN features.

A file is recognised by its own name and by the folders next to it, never by how deep it lies, so
that `UCF50/UCF50/Biking/...` is read as well as `UCF50/Biking/...`.

CNN features are feature vectors of UCF11's frames, one .npy file a clip, made by the user with any
CNN. In the set-up of TedNet (Pan et al., arXiv 2104.05018) the recurrent network sees 2,048 values
a frame, the pooled output of a CNN, instead of pixels.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fdht_models.data.folders.listing import Clip, FolderSet, Listing
from fdht_models.data.folders.sentences import (
    archive_notes,
    class_notes,
    copy_notes,
    left_out_notes,
)
from fdht_models.data.folders.tree import VIDEO_SUFFIXES, Tree, nothing_found, sort_files, walk

LENGTH = 2048
"""Values of a frame of CNN features."""
FULL_SCALE = 4.0
"""The value of code 255 of CNN features; larger ones are cut to it.

One constant, not fitted to any data; chosen for averages of activations after ReLU, as Inception
and ResNet end in. Who needs another scale stores codes (uint8), which are taken as they are.
"""

_UCF11_NAME = re.compile(r"v_(?P<action>.+)_(?P<group>\d+)_(?P<clip>\d+)", re.IGNORECASE)
_UCF11_GROUP = re.compile(r"v_.+_(\d+)", re.IGNORECASE)
_UCF50_NAME = re.compile(r"v_(?P<action>.+)_g(?P<group>\d+)_c(?P<clip>\d+)", re.IGNORECASE)
_YTC_NAMES = (
    # As published: a running number, the person's video, the clip, the person.
    re.compile(r"\d+_(?P<video>\d+)_(?P<clip>\d+)_(?P<person>[^\d].*)"),
    # As the face positions that come with it: a number for the person, the person, video, clip.
    re.compile(r"(?:\d+_)?(?P<person>[^\d].*?)_(?P<video>\d+)_(?P<clip>\d+)"),
)


@dataclass(frozen=True)
class _Named:
    """What a file's path tells: class, group, the clip's key, and what a copy has in common."""

    name: str
    group: str
    key: str
    same: object


#: What a file is called; None if it is not named as published.
Parser = Callable[[PurePosixPath], "_Named | None"]


def list_ucf11(root: Path, known: FolderSet) -> Listing:
    """Lists `<class>/v_<action>_<group>/v_<action>_<group>_<clip>.mpg`.

    A group is one of 25 numbers; groups of one number are kept together across classes, as the
    set's leave-one-group-out protocol does.
    """
    return _list_classes(root, known, _parse_ucf11, aside=("annotation",))


def list_ucf50(root: Path, known: FolderSet) -> Listing:
    """Lists `<Class>/v_<Class>_gXX_cYY.avi`; `Billiards` holds `v_Billards_...`, so the folder
    counts and not the name.
    """
    return _list_classes(root, known, _parse_ucf50)


def list_ytc(root: Path, known: FolderSet) -> Listing:
    """Lists `NNNN_VV_CCC_first_last.avi`: clip CCC of video VV of a person."""
    return _list_classes(root, known, _parse_ytc)


def list_features(root: Path, known: FolderSet) -> Listing:
    """Lists `<class>/<group>/<clip>.npy` and `<class>/v_<class>_<group>_<clip>.npy`.

    The class is the nearest folder above that is called as a class of UCF11. A UCF11 name tells the
    group wherever it lies below; otherwise the clip's folder does, if it lies in the class's. As in
    `ucf11`, groups of one number are kept together across classes.

    Raises:
        DataError: there is no such folder, or no clip in it.
    """
    parse = functools.partial(_parse_features, known.classes)
    why = "in no class of UCF11, or without a group"
    return _list_classes(root, known, parse, (".npy",), why, None)


def _ucf11_numbers(stem: str) -> tuple[str, str] | None:
    """(group, clip) of a file called `v_<action>_<group>_<clip>`, or None if it is not."""
    match = _UCF11_NAME.fullmatch(stem)
    return None if match is None else (f"{int(match['group']):02d}", f"{int(match['clip']):02d}")


def _video(path: PurePosixPath, name: str, group: str) -> _Named:
    key = f"{name}/{path.stem}"
    return _Named(name, group, key, key)


def _parse_ucf11(path: PurePosixPath) -> _Named | None:
    numbers = _ucf11_numbers(path.stem)
    if numbers is None or len(path.parts) < 2:
        return None
    above = path.parent
    if _UCF11_GROUP.fullmatch(above.name):
        above = above.parent
    return _video(path, above.name, numbers[0]) if above.name else None


def _parse_ucf50(path: PurePosixPath) -> _Named | None:
    match = _UCF50_NAME.fullmatch(path.stem)
    if match is None or len(path.parts) < 2:
        return None
    return _video(path, path.parent.name, f"{int(match['group']):02d}")


def _parse_ytc(path: PurePosixPath) -> _Named | None:
    for pattern in _YTC_NAMES:
        match = pattern.fullmatch(path.stem)
        if match is not None:
            person = match["person"].lower()
            return _video(path, person, f"{person}/{int(match['video']):02d}")
    return None


def _parse_features(classes: Collection[str], path: PurePosixPath) -> _Named | None:
    folders = [folder.lower() for folder in path.parts[:-1]]
    places = [place for place, folder in enumerate(folders) if folder in classes]
    if not places:
        return None
    name = folders[places[-1]]
    numbers = _ucf11_numbers(path.stem)
    if numbers is not None:
        # Named as the video, so that `six` chooses the frames that it chooses of the video.
        return _Named(name, numbers[0], f"{name}/{path.stem}", (name, *numbers))
    if places[-1] != len(folders) - 2:
        return None
    match = _UCF11_GROUP.fullmatch(folders[-1])
    group, clip = _number(match[1] if match else path.parent.name), _number(path.stem)
    return _Named(name, group, f"{name}/{group}/{clip}", (name, group, clip))


def _number(text: str) -> str:
    # "1" and "01" are one group.
    return f"{int(text):02d}" if text.isdecimal() else text


def _list_classes(
    root: Path,
    known: FolderSet,
    parse: Parser,
    suffixes: Collection[str] = VIDEO_SUFFIXES,
    foreign: str = "not named as published",
    aside: Collection[str] | None = (),
) -> Listing:
    """Lists what is named as published.

    Args:
        root: the folder.
        known: the set.
        parse: reads a path.
        suffixes: of clips.
        foreign: why files are left out that `parse` does not know.
        aside: folders beside those of the classes that are none; None: no folder need be a class.
    """
    tree = walk(root, known.title)
    paths = [
        path
        for path in tree.of_type(suffixes)
        if not any(part.lower() in (aside or ()) for part in path.parts[:-1])
    ]
    parsed = {path: parse(path) for path in paths}
    found, copies, unknown = sort_files(paths, lambda path: (one := parsed[path]) and one.same)
    named = [(path, one) for path in found.values() if (one := parsed[path]) is not None]
    if not named:
        raise nothing_found(tree, known)
    classes = tuple(sorted({one.name for _, one in named}))
    clips = [Clip(one.key, str(path), (classes.index(one.name),), one.group) for path, one in named]
    notes = [
        *archive_notes(tree.archives),
        *copy_notes(copies),
        *left_out_notes(unknown, foreign),
        *class_notes(classes, known.classes),
        *(() if aside is None else _empty_class_notes(tree, named, aside)),
    ]
    skipped = tuple(tree.empty_of_type(suffixes))
    clips.sort(key=lambda clip: clip.key)
    return Listing(root, classes, tuple(clips), skipped, tuple(notes))


def _empty_class_notes(
    tree: Tree, named: Iterable[tuple[PurePosixPath, _Named]], aside: Collection[str]
) -> list[str]:
    # Folders that lie beside the folders of classes, and hold nothing that could be used.
    used: set[PurePosixPath] = set()
    beside: set[PurePosixPath] = set()
    for path, one in named:
        used.update(path.parents)
        beside.update(parent.parent for parent in path.parents if parent.name == one.name)
    idle = [
        folder
        for folder in tree.folders
        if folder.parent in beside and folder not in used and folder.name.lower() not in aside
    ]
    return [f"a folder beside the classes holds no clip: {folder}" for folder in idle]
