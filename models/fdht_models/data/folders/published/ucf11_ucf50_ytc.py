"""Video sets whose files tell class and source: UCF11, UCF50, YouTube Celebrities Face.

A file is recognised by its own name and by the folders next to it, never by how deep it lies, so
that `UCF50/UCF50/Biking/...` is read as well as `UCF50/Biking/...`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePosixPath

from fdht_models.data.folders.listing import Clip, Listing
from fdht_models.data.folders.published.class_names import UCF11, UCF50
from fdht_models.data.folders.sentences import (
    archive_notes,
    class_notes,
    copy_notes,
    left_out_notes,
)
from fdht_models.data.folders.tree import VIDEO_SUFFIXES, Tree, nothing_found, walk

_UCF11_NAME = re.compile(r"v_(?P<action>.+)_(?P<group>\d+)_(?P<clip>\d+)", re.IGNORECASE)
_UCF11_GROUP = re.compile(r"v_.+_\d+", re.IGNORECASE)
_UCF50_NAME = re.compile(r"v_(?P<action>.+)_g(?P<group>\d+)_c(?P<clip>\d+)", re.IGNORECASE)
_YTC_NAMES = (
    # As published: a running number, the person's video, the clip, the person.
    re.compile(r"\d+_(?P<video>\d+)_(?P<clip>\d+)_(?P<person>[^\d].*)"),
    # As the face positions that come with it: a number for the person, the person, video, clip.
    re.compile(r"(?:\d+_)?(?P<person>[^\d].*?)_(?P<video>\d+)_(?P<clip>\d+)"),
)

#: (class, group) of a video's path, or None if it is not named as published.
Parser = Callable[[PurePosixPath], "tuple[str, str] | None"]


def list_ucf11(root: Path) -> Listing:
    """Lists `<class>/v_<action>_<group>/v_<action>_<group>_<clip>.mpg`.

    A group is one of 25 numbers; groups of one number are kept together across classes, as the
    set's leave-one-group-out protocol does.
    """
    return _list_classes(root, "UCF11", _parse_ucf11, UCF11, aside=("annotation",))


def list_ucf50(root: Path) -> Listing:
    """Lists `<Class>/v_<Class>_gXX_cYY.avi`; `Billiards` holds `v_Billards_...`, so the folder
    counts and not the name.
    """
    return _list_classes(root, "UCF50", _parse_ucf50, UCF50)


def list_ytc(root: Path) -> Listing:
    """Lists `NNNN_VV_CCC_first_last.avi`: clip CCC of video VV of a person."""
    return _list_classes(root, "YouTube Celebrities Face", _parse_ytc, ())


def parse_ucf11_name(stem: str) -> tuple[str, str] | None:
    """(group, clip) of a file called `v_<action>_<group>_<clip>`, or None if it is not."""
    match = _UCF11_NAME.fullmatch(stem)
    return None if match is None else (f"{int(match['group']):02d}", f"{int(match['clip']):02d}")


def _parse_ucf11(path: PurePosixPath) -> tuple[str, str] | None:
    named = parse_ucf11_name(path.stem)
    if named is None or len(path.parts) < 2:
        return None
    above = path.parent
    if _UCF11_GROUP.fullmatch(above.name):
        above = above.parent
    return (above.name, named[0]) if above.name else None


def _parse_ucf50(path: PurePosixPath) -> tuple[str, str] | None:
    match = _UCF50_NAME.fullmatch(path.stem)
    if match is None or len(path.parts) < 2:
        return None
    return path.parent.name, f"{int(match['group']):02d}"


def _parse_ytc(path: PurePosixPath) -> tuple[str, str] | None:
    for pattern in _YTC_NAMES:
        match = pattern.fullmatch(path.stem)
        if match is not None:
            person = match["person"].lower()
            return person, f"{person}/{int(match['video']):02d}"
    return None


def _list_classes(
    root: Path,
    title: str,
    parse: Parser,
    published: Collection[str],
    aside: Collection[str] = (),
) -> Listing:
    tree = walk(root, title)
    skipped = tree.empty_of_type(VIDEO_SUFFIXES)
    foreign: list[PurePosixPath] = []
    found: dict[str, tuple[PurePosixPath, str, str]] = {}
    copies: list[PurePosixPath] = []
    for path in tree.of_type(VIDEO_SUFFIXES):
        if any(part.lower() in aside for part in path.parts[:-1]):
            continue
        parsed = parse(path)
        if parsed is None:
            foreign.append(path)
            continue
        key = f"{parsed[0]}/{path.stem}"
        if key in found:
            copies.append(path)
        found.setdefault(key, (path, *parsed))
    if not found:
        raise nothing_found(tree, title, _LAYOUTS[title])
    classes = tuple(sorted({name for _, name, _ in found.values()}))
    clips = tuple(
        Clip(key, str(path), (classes.index(name),), group)
        for key, (path, name, group) in sorted(found.items())
    )
    notes = [
        *archive_notes(tree.archives),
        *copy_notes(copies),
        *left_out_notes(foreign, "not named as published"),
        *class_notes(classes, published),
        *_empty_class_notes(tree, found.values(), aside),
    ]
    return Listing(root, classes, clips, tuple(skipped), tuple(notes))


def _empty_class_notes(
    tree: Tree, found: Iterable[tuple[PurePosixPath, str, str]], aside: Collection[str]
) -> list[str]:
    # Folders that lie beside the folders of classes, and hold nothing that could be used.
    used: set[PurePosixPath] = set()
    beside: set[PurePosixPath] = set()
    for path, name, _ in found:
        used.update(path.parents)
        beside.update(parent.parent for parent in path.parents if parent.name == name)
    idle = [
        folder
        for folder in tree.folders
        if folder.parent in beside and folder not in used and folder.name.lower() not in aside
    ]
    return [f"a folder beside the classes holds no clip: {folder}" for folder in idle]


UCF11_LAYOUT = "<class>/v_<action>_<group>/v_<action>_<group>_<clip>.mpg (or .avi)"
UCF50_LAYOUT = "<Class>/v_<Class>_g<group>_c<clip>.avi"
YTC_LAYOUT = "<number>_<video>_<clip>_<first name>_<last name>.avi"
_LAYOUTS = {
    "UCF11": UCF11_LAYOUT,
    "UCF50": UCF50_LAYOUT,
    "YouTube Celebrities Face": YTC_LAYOUT,
}
