"""Clips of one's own that are to be classified: their labels, as far as known, and their keys.

The rules of training do not hold here: one class alone, groups and splits are no matter, and clips
without a class are clips all the same.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fdht_host.evidence import Recipe
from fdht_models.data.clip_sources import UNKNOWN_ROOT
from fdht_models.data.folders import Problem
from fdht_models.data.folders.decoding.shards import span_in_seconds
from fdht_models.data.folders.joins import composed, join
from fdht_models.data.folders.listing import ARRAYS, SOUND, VIDEO, Clip
from fdht_models.data.folders.own.clip_files import TABLE, ClipFiles, find_clips, stem_of
from fdht_models.data.folders.own.clip_table import ClipRow, key_of_part, read_table
from fdht_models.data.folders.own.path_pattern import search_paths
from fdht_models.data.folders.sentences import left_out_notes, name_some
from fdht_models.data.folders.sets import OWN
from fdht_models.data.folders.tree import walk
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import QuantizedNetwork

_KINDS = {"picture": VIDEO, "sound": SOUND, "values": ARRAYS}
#: How many folders above a file are looked at for one that is called as a class.
_LEVELS = 8


@dataclass(frozen=True)
class ClipFile:
    """One clip of a source.

    Attributes:
        path: its file, or folder of pictures.
        name: relative to a folder that was named; of a file its own name.
        key: names it as in training; random choices depend on it.
        label: name of its class; None where that is not known.
        span: [first, last) of its part of the file, in seconds; None for all of it.
    """

    path: Path
    name: str
    key: str
    label: str | None = None
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class FoundClips:
    """What a folder holds.

    Attributes:
        files: its clips.
        problems: files that cannot be used, and why.
        notes: what the user should know, a sentence each.
    """

    files: tuple[ClipFile, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def key_of(path: Path, classes: Sequence[str], recipe: Recipe | None) -> str:
    """What random choices in a clip depend on, whichever folder of it was named.

    Of a clip in the folder of the training the path in it; of others the path from the folder of
    the class on; where no folder is called as a class, the plain name.

    Args:
        path: of the file, or folder of pictures.
        classes: names of the network's.
        recipe: the experiment's data, where they are known.
    """
    absolute = absolute_path(path)
    trained = _training_root(recipe)
    if trained is not None and absolute.is_relative_to(trained):
        return str(absolute.relative_to(trained))
    folders = absolute.parts[:-1]
    lowest = max(1, len(folders) - _LEVELS)
    place = next((at for at in range(len(folders) - 1, lowest - 1, -1) if folders[at] in classes),
                 None)  # fmt: skip
    if place is None:
        return absolute.name
    # A group may be called as a class is: <class>/<group>/<clip>.
    while place > lowest and folders[place - 1] in classes:
        place -= 1
    return str(PurePosixPath(*absolute.parts[place:]))


def find_own_clips(root: Path, network: QuantizedNetwork, recipe: Recipe | None) -> FoundClips:
    """The clips of a folder, with labels where a table, a pattern or folders tell them.

    The experiment's pattern counts where it matches and gives a class of the network; elsewhere the
    first folder that is called as a class; of a folder without either its own name.

    Args:
        root: the folder.
        network: that runs.
        recipe: the experiment's data, where they are known.

    Raises:
        ConfigError: clips have labels, and none of them is a class of the network.
        DataError: the table is wrong.
    """
    kind = _KINDS[network.preprocessing.kind]
    values = network.preprocessing.values
    inputs, scale = (None, None) if values is None else (network.inputs, values.full_scale)
    found = find_clips(walk(root, "clips", "give a folder of clips"), kind, inputs, scale)
    clips, patterned = _by_folders(root, found, network, recipe)
    if (root / TABLE).is_file():
        return _by_table(root, found.clips, clips, found.unreadable, network)
    if any(clip.label is not None for clip in clips):
        files, notes = _labelled(root, clips, network)
        return FoundClips(files, found.unreadable, (*notes, *patterned))
    name = absolute_path(root).name
    if clips and name in network.classes:
        files = tuple(ClipFile(one.path, one.name, one.key, name) for one in clips)
        note = f"the folder is called as the class {name} is, which is taken for the label of all"
        return FoundClips(files, found.unreadable, (note,))
    folders = sorted({PurePosixPath(one.name).parts[0] for one in clips if "/" in one.name})
    if folders:
        patterned = (
            f"no folder is called as a class is, so that clips have no labels: "
            f"{name_some(folders, 3)}; the classes are {name_some(network.classes, 10)}",
        )
    return FoundClips(tuple(clips), found.unreadable, patterned)


def _by_folders(
    root: Path,
    found: ClipFiles,
    network: QuantizedNetwork,
    recipe: Recipe | None,
) -> tuple[list[ClipFile], tuple[str, ...]]:
    """Clips with the labels that a pattern and folders tell, and a note where these differ."""
    kind = _KINDS[network.preprocessing.kind]
    matches = _matches(root, [stem_of(path, found, kind) for path in found.clips], recipe)
    clips, differing = [], []
    trained = _training_root(recipe)
    outside = trained is None or not absolute_path(root).is_relative_to(trained)
    for path, match in zip(found.clips, matches, strict=True):
        folder = next((part for part in path.parts[:-1] if part in network.classes), None)
        told = None if match is None else match.get("class")
        if told not in network.classes:
            told = None
        if told and folder and told != folder:
            differing.append(path)
        label = told or folder
        key = key_of(root / path, network.classes, recipe)
        if match is not None and label and outside:
            key = str(path)  # laid out as in training, also above the classes
        clips.append(ClipFile(root / path, str(path), key, label))
    if not differing:
        return clips, ()
    return clips, (
        "the experiment's pattern gives another class than the folder, and counts as in training: "
        f"{len(differing)} ({name_some(differing)})",
    )


def _matches(
    root: Path, stems: Sequence[str], recipe: Recipe | None
) -> Sequence[Mapping[str, str] | None]:
    """What the experiment's pattern holds of each path, as it was searched for in training."""
    pattern = None
    if recipe is not None and recipe.data.get("set") == OWN and not recipe.data.get("mix"):
        pattern = recipe.data.get("pattern")
    if pattern is None:
        return [None] * len(stems)
    trained, absolute = _training_root(recipe), absolute_path(root)
    above = PurePosixPath()
    if trained is not None and absolute.is_relative_to(trained):
        above = PurePosixPath(absolute.relative_to(trained))
    return search_paths(pattern, [str(above / stem) for stem in stems])


def _training_root(recipe: Recipe | None) -> Path | None:
    """The folder that own clips of the training came from; None where that is not known."""
    if recipe is None or recipe.data.get("set") != OWN or recipe.data.get("mix"):
        return None
    root = recipe.data.get("root")
    return None if root in (None, UNKNOWN_ROOT) else absolute_path(root)


def _by_table(
    root: Path,
    paths: Sequence[PurePosixPath],
    clips: Sequence[ClipFile],
    unreadable: Sequence[Problem],
    network: QuantizedNetwork,
) -> FoundClips:
    """Clips, and parts of files, that a table names."""
    listed = {composed(path): rows for path, rows in read_table(root / TABLE).by_path.items()}
    there = [(composed(path), clip) for path, clip in zip(paths, clips, strict=True)]
    joined = join(listed, there, {composed(one.path) for one in unreadable})
    problems = [
        *unreadable,
        *(Problem(rows[0].path, f"is in {TABLE} and is no clip that is there")
          for rows in joined.absent),
    ]  # fmt: skip
    notes = left_out_notes(
        [clip.name for clip in joined.unlisted], f"because no line of {TABLE} names them"
    )
    told, unknown = [], Counter[str]()
    for rows, clip in joined.pairs:
        for row in rows:
            if row.name and row.name not in network.classes:
                unknown[row.name] += 1
            else:
                told.append(_of_row(clip, row))
    notes += unknown_notes(root, unknown, len(told), network)
    return FoundClips(tuple(told), tuple(problems), tuple(notes))


def _of_row(clip: ClipFile, row: ClipRow) -> ClipFile:
    label = row.name or clip.label
    if row.span is None:
        return ClipFile(clip.path, clip.name, clip.name, label)
    name = key_of_part(clip.name, row.span)
    seconds = span_in_seconds(Clip(name, clip.name, (0,), "", span=row.span))
    return ClipFile(clip.path, name, name, label, seconds)


def _labelled(
    root: Path, clips: Sequence[ClipFile], network: QuantizedNetwork
) -> tuple[tuple[ClipFile, ...], tuple[str, ...]]:
    """The clips that have labels, where some have; the others are left out, and told."""
    unknown = Counter[str](
        PurePosixPath(one.name).parts[0] if "/" in one.name else "."
        for one in clips
        if one.label is None
    )
    files = tuple(one for one in clips if one.label is not None)
    return files, unknown_notes(root, unknown, len(files), network)


def unknown_notes(
    root: Path, unknown: Counter[str], known: int, network: QuantizedNetwork
) -> tuple[str, ...]:
    """Sentences on clips of no class; none of them may be all there is.

    Raises:
        ConfigError: no clip is of a class of the network.
    """
    if not unknown:
        return ()
    names = name_some(sorted(unknown), 3)
    remedy = f"name the folders as the classes: {name_some(network.classes, 10)}"
    if not known:
        raise ConfigError(
            f"holds clips of no class of the network: {names}", field=str(root), remedy=remedy
        )
    return (f"left out, in no folder of a class: {unknown.total()} clips ({names}); {remedy}",)


def absolute_path(path: Path | str) -> Path:
    """Links keep their names, which are what training saw."""
    return Path(os.path.abspath(path))  # noqa: PTH100
