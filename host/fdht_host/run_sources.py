"""What `--source` names: the test set, a file, or a folder of clips, with or without labels.

All sources are looked at before anything runs. A file that was named itself must be readable; of a
folder, clips that are not are counted and named, as in training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fdht_host.evidence import Recipe
from fdht_host.own_clips import (
    ClipFile,
    FoundClips,
    absolute_path,
    find_own_clips,
    key_of,
    unknown_notes,
)
from fdht_host.readers import Reader
from fdht_host.video import VideoLabels, decode, read_labels
from fdht_host.video.labels import labels_path
from fdht_models.data import ClipSet, source_of
from fdht_models.data.clip_sources import UNKNOWN_ROOT, FolderSource
from fdht_models.data.folders import Listing, Problem, list_folder
from fdht_models.data.folders.decoding.shards import span_in_seconds
from fdht_models.data.folders.listing import SPEECH, SPIKES
from fdht_models.data.folders.own.clip_files import TABLE
from fdht_models.data.folders.sentences import name_some
from fdht_models.data.folders.sets import OWN
from fdht_models.errors import ConfigError, DataError
from fdht_models.media.opening import best_stream, open_media
from fdht_models.media.stills import is_picture, list_pictures
from fdht_models.preprocessing.values import read_all_values
from fdht_models.tensor.quantized import QuantizedNetwork

#: The source that stands for the experiment's own test set.
TEST_SET = "test"
#: Kinds of sources.
TEST, FILE, FOLDER = "test", "file", "folder"


@dataclass(frozen=True)
class Source:
    """A source that was looked at.

    Attributes:
        name: as it was named.
        kind: "test", "file" or "folder".
        clips: of the test set.
        files: of the others.
        problems: files of a folder that cannot be used, and why.
        notes: what the user should know, a sentence each.
    """

    name: str
    kind: str
    clips: ClipSet | None = None
    files: tuple[ClipFile, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def check_names(names: Sequence[str]) -> None:
    """Refuses what names nothing, and what is named twice, also by another path.

    Raises:
        ConfigError: one of these.
    """
    found: set[str | Path] = set()
    for name in names:
        if not name:
            raise ConfigError(
                "is empty", field="source", value=name, remedy="name a file, a folder, or test"
            )
        same = name if name == TEST_SET else absolute_path(name)
        if same in found:
            raise ConfigError("is named twice", field="source", value=name, remedy="name it once")
        found.add(same)


def look_at(
    names: Sequence[str], network: QuantizedNetwork, reader: Reader | None, recipe: Recipe | None
) -> list[Source]:
    """Finds out, of everything but the test set, what there is to run.

    Args:
        names: of the sources, `TEST_SET` among them, which is left to `test_set`.
        network: that runs.
        reader: how files are read; None where there is none.
        recipe: the experiment's data, where they are known.

    Raises:
        FdhtError: a file cannot be read, or a folder holds no clip.
    """
    found = []
    for name in names:
        if name == TEST_SET:
            found.append(Source(name, TEST))
            continue
        assert reader is not None
        path = Path(name)
        if path.is_dir() and not _is_pictures(path, network):
            found.append(_folder(name, path, network, reader, recipe))
        else:
            _look_at_file(path, network, reader)
            key = key_of(path, network.classes, recipe)
            file = ClipFile(path, path.name or name, key)
            found.append(Source(name, FILE, files=(file,)))
    return found


def _look_at_file(path: Path, network: QuantizedNetwork, reader: Reader) -> None:
    """Refuses what running it would refuse at its first frame."""
    preprocessing = network.preprocessing
    if preprocessing.values is not None:
        read_all_values(path, preprocessing.values)
        return
    if preprocessing.sound is not None:
        with open_media(path, "sound") as container:
            best_stream(path, container, "sound")
        return
    if path.is_dir():
        list_pictures(path)
        return
    labels = _check_labels(path, network)
    if labels is not None and not reader.clipwise and reader.block != preprocessing.sampling.steps:
        raise ConfigError(
            "has no effect on a video with labels beside it, which say where clips begin",
            field="clip-frames",
            value=reader.block,
            remedy="leave it out, or take the labels away",
        )
    height, width = network.frame_shape[:2]
    for _ in decode(path, height, width, strict_size=not reader.resize, limit=1):
        pass


def _is_pictures(path: Path, network: QuantizedNetwork) -> bool:
    """True if a folder holds the pictures of one clip, and no others below."""
    if network.preprocessing.picture is None:
        return False
    entries = list(path.iterdir())
    folders = any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)
    return not folders and any(is_picture(entry) for entry in entries)


def _folder(
    name: str, root: Path, network: QuantizedNetwork, reader: Reader, recipe: Recipe | None
) -> Source:
    listing = _published(root, recipe)
    if listing is None:
        found = find_own_clips(root, network, recipe)
    else:
        found = _of_listing(root, listing, network)
    if not found.files:
        told = [f"{problem.path} {problem.reason}" for problem in found.problems]
        raise DataError(
            "holds no clip that can be used" + (f": {name_some(told, 3)}" if told else ""),
            field=str(root),
            remedy="give a folder of clips, or of a folder of clips for each class",
        )
    if network.preprocessing.picture is not None and not reader.clipwise:
        for file in found.files:
            _check_labels(file.path, network)
    notes = (*found.notes, *_training_notes(root, recipe))
    return Source(name, FOLDER, files=found.files, problems=found.problems, notes=notes)


def _check_labels(path: Path, network: QuantizedNetwork) -> VideoLabels | None:
    """Labels beside a video, whose classes must be the network's.

    Raises:
        DataError: the labels are damaged; ConfigError: they name a class that is not there.
    """
    labels = None if path.is_dir() else read_labels(path)
    for clip in () if labels is None else labels.clips:
        assert labels is not None and clip.label is not None
        shown = labels.classes[clip.label]
        if shown not in network.classes:
            raise ConfigError(
                "is no class of the network",
                field=f"{labels_path(path)}: class",
                value=shown,
                remedy=f"take the labels away, or use {name_some(network.classes, 10)}",
            )
    return labels


def _published(root: Path, recipe: Recipe | None) -> Listing | None:
    """A folder as the experiment's published set reads it; None: it is no such folder.

    Raises:
        ConfigError: a set whose clips are no files.
    """
    if recipe is None or recipe.data.get("mix") or recipe.data.get("root") is None:
        return None
    if recipe.data["set"] == OWN or (root / TABLE).is_file():
        return None
    source = source_of({**recipe.data, "root": str(root), "classes": None})
    if not isinstance(source, FolderSource):
        return None
    if source.request.folder_set.kind in (SPEECH, SPIKES):
        raise ConfigError(
            f"{source.request.folder_set.title} is read as its published test split",
            field="source",
            value=str(root),
            remedy="use --source test, or give single files",
        )
    try:
        return list_folder(source.request)
    except DataError:  # not laid out as published; its folders may be called as classes
        return None


def _of_listing(root: Path, listing: Listing, network: QuantizedNetwork) -> FoundClips:
    files, unknown = [], Counter[str]()
    for clip in listing.clips:
        for label in clip.labels:
            name = listing.classes[label]
            if name not in network.classes:
                unknown[name] += 1
                continue
            span = span_in_seconds(clip)
            files.append(ClipFile(root / clip.path, clip.key, clip.key, name, span))
    notes = (*listing.notes, *unknown_notes(root, unknown, len(files), network))
    return FoundClips(tuple(files), listing.skipped, notes)


def _training_notes(root: Path, recipe: Recipe | None) -> tuple[str, ...]:
    """A sentence where clips that trained the network may be among those of a folder."""
    trained = None if recipe is None else recipe.data.get("root")
    if trained is None or trained == UNKNOWN_ROOT:
        return ()
    own, theirs = root.resolve(), Path(trained).resolve()
    if own != theirs and own not in theirs.parents and theirs not in own.parents:
        return ()
    return (
        "clips that the network was trained on may be among these, which raises the accuracy; "
        f"--source {TEST_SET} runs those alone that it was not trained on",
    )
