"""Feature vectors of video frames, one .npy file a clip, made by the user with any CNN.

The set-up of TedNet (Pan et al., arXiv 2104.05018) for UCF11: the recurrent network sees 2,048
values a frame, the pooled output of a CNN, instead of pixels.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from fdht_models.data.folders.listing import Clip, Listing
from fdht_models.data.folders.published.class_names import UCF11
from fdht_models.data.folders.published.ucf11_ucf50_ytc import parse_ucf11_name
from fdht_models.data.folders.sentences import (
    archive_notes,
    class_notes,
    copy_notes,
    left_out_notes,
)
from fdht_models.data.folders.tree import nothing_found, walk

LENGTH = 2048
"""Values of a frame."""
FULL_SCALE = 4.0
"""The value of code 255; larger ones are cut to it.

One constant, not fitted to any data; chosen for averages of activations after ReLU, as Inception
and ResNet end in. Who needs another scale stores codes (uint8), which are taken as they are.
"""
TITLE = "UCF11 as CNN features"
LAYOUT = (
    "<class>/<group>/<clip>.npy or <class>/v_<class>_<group>_<clip>.npy, the classes being UCF11's"
)

_SUFFIXES = (".npy",)
_UCF11_GROUP = re.compile(r"v_.+_(\d+)", re.IGNORECASE)


def list_features(root: Path) -> Listing:
    """Lists `<class>/<group>/<clip>.npy` and `<class>/v_<class>_<group>_<clip>.npy`.

    The class is the nearest folder above that is called as a class of UCF11. A UCF11 name tells the
    group wherever it lies below; otherwise the clip's folder does, if it lies in the class's. As in
    `ucf11`, groups of one number are kept together across classes.

    Raises:
        DataError: there is no such folder, or no clip in it.
    """
    tree = walk(root, TITLE)
    foreign: list[PurePosixPath] = []
    copies: list[PurePosixPath] = []
    found: dict[tuple[str, str, str], tuple[str, PurePosixPath]] = {}
    for path in tree.of_type(_SUFFIXES):
        parsed = _parse(path)
        if parsed is None:
            foreign.append(path)
            continue
        name, group, number = parsed
        if parsed in found:
            copies.append(path)
        # Named as the video, so that `six` chooses the frames that it chooses of the video.
        named = parse_ucf11_name(path.stem) is not None
        key = f"{name}/{path.stem}" if named else f"{name}/{group}/{number}"
        found.setdefault(parsed, (key, path))
    if not found:
        raise nothing_found(tree, TITLE, LAYOUT)
    classes = tuple(sorted({name for name, _, _ in found}))
    clips = [
        Clip(key, str(path), (classes.index(name),), group)
        for (name, group, _), (key, path) in found.items()
    ]
    notes = [
        *archive_notes(tree.archives),
        *copy_notes(copies),
        *left_out_notes(foreign, "in no class of UCF11, or without a group"),
        *class_notes(classes, UCF11),
    ]
    skipped = tuple(tree.empty_of_type(_SUFFIXES))
    clips.sort(key=lambda clip: clip.key)
    return Listing(root, classes, tuple(clips), skipped, tuple(notes))


def _parse(path: PurePosixPath) -> tuple[str, str, str] | None:
    """(class, group, clip) of a file's path, or None if it does not tell them."""
    folders = [folder.lower() for folder in path.parts[:-1]]
    places = [place for place, folder in enumerate(folders) if folder in UCF11]
    if not places:
        return None
    name = folders[places[-1]]
    published = parse_ucf11_name(path.stem)
    if published is not None:
        return name, *published
    if places[-1] != len(folders) - 2:
        return None
    group = _UCF11_GROUP.fullmatch(folders[-1])
    return name, _number(group[1] if group else path.parent.name), _number(path.stem)


def _number(text: str) -> str:
    # "1" and "01" are one group.
    return f"{int(text):02d}" if text.isdecimal() else text
