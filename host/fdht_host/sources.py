"""What `--source` names: the test set, a file, or a folder of clips, with or without labels.

All sources are looked at before anything runs. A file that was named itself must be readable; of a
folder, clips that are not are counted and named, as in training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fdht_host.blocks import Reader
from fdht_host.evidence import Recipe
from fdht_host.video import decode, read_labels
from fdht_models.data import ClipSet, source_of
from fdht_models.data.folders import FolderRequest, Listing, Problem, list_folder
from fdht_models.data.folders.catalogue import OWN
from fdht_models.data.folders.notes import name_some
from fdht_models.data.folders.own_files import TABLE, find_clips
from fdht_models.data.folders.scan import walk
from fdht_models.data.folders.shards import MICROSECONDS
from fdht_models.data.folders.types import ARRAYS, SOUND, SPEECH, SPIKES, VIDEO
from fdht_models.data.sources import UNKNOWN_ROOT, FolderSource
from fdht_models.errors import ConfigError, DataError
from fdht_models.media.opening import best_stream, open_media
from fdht_models.media.pictures import is_picture, list_pictures
from fdht_models.preprocessing.values import read_all_values
from fdht_models.tensor.quantized import QuantizedNetwork

#: The source that stands for the experiment's own test set.
TEST_SET = "test"
#: Kinds of sources.
TEST, FILE, FOLDER = "test", "file", "folder"
_KINDS = {"picture": VIDEO, "sound": SOUND, "values": ARRAYS}


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
            found.append(_folder(name, path, network, recipe))
        else:
            _look_at_file(path, network, reader)
            key = f"{path.parent.name}/{path.name}" if path.parent.name in network.classes else ""
            file = ClipFile(path, path.name or name, key or path.name)
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
    read_labels(path)
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


def _folder(name: str, root: Path, network: QuantizedNetwork, recipe: Recipe | None) -> Source:
    listing = _listed(root, network, recipe)
    found = _of_tree(root, network) if listing is None else _of_listing(root, listing, network)
    if not found.files:
        told = [f"{problem.path} {problem.reason}" for problem in found.problems]
        raise DataError(
            "holds no clip that can be used" + (f": {name_some(told, 3)}" if told else ""),
            field=str(root),
            remedy="give a folder of clips, or of a folder of clips for each class",
        )
    notes = (*found.notes, *_training_notes(root, recipe))
    return Source(name, FOLDER, files=found.files, problems=found.problems, notes=notes)


@dataclass(frozen=True)
class _Found:
    """What a folder holds."""

    files: tuple[ClipFile, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def _listed(root: Path, network: QuantizedNetwork, recipe: Recipe | None) -> Listing | None:
    """A folder as the experiment's own set reads it, or with a table; None: neither.

    Raises:
        ConfigError: a set whose clips are no files; DataError: the table or the lists are wrong.
    """
    source = _source_in(root, recipe)
    if source is None or source.name == OWN:
        request = None if source is None else source.request
        if (root / TABLE).is_file() or (request is not None and request.pattern):
            kind = _KINDS[network.preprocessing.kind]
            inputs = network.inputs if kind == ARRAYS else None
            return list_folder(request or FolderRequest(OWN, root, kind=kind, inputs=inputs))
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


def _source_in(root: Path, recipe: Recipe | None) -> FolderSource | None:
    """The experiment's set, if it is one of folders, with its clips in this folder."""
    if recipe is None or recipe.data.get("mix") or recipe.data.get("root") is None:
        return None
    # Not every class of the training need be there.
    source = source_of({**recipe.data, "root": str(root), "classes": None})
    return source if isinstance(source, FolderSource) else None


def _of_listing(root: Path, listing: Listing, network: QuantizedNetwork) -> _Found:
    files, unknown = [], Counter[str]()
    for clip in listing.clips:
        for label in clip.labels:
            name = listing.classes[label]
            if name not in network.classes:
                unknown[name] += 1
                continue
            span = None if clip.span is None else _seconds(clip.span)
            files.append(ClipFile(root / clip.path, clip.key, clip.key, name, span))
    notes = (*listing.notes, *_unknown_notes(root, unknown, len(files), network))
    return _Found(tuple(files), listing.skipped, notes)


def _of_tree(root: Path, network: QuantizedNetwork) -> _Found:
    """A folder by the names of the folders in it: those that are called as classes give labels."""
    found = find_clips(
        walk(root, "clips", "give a folder of clips"), _KINDS[network.preprocessing.kind]
    )
    files, unknown = [], Counter[str]()
    for path in found.clips:
        label = next((part for part in path.parts[:-1] if part in network.classes), None)
        if label is None and len(path.parts) > 1:
            unknown[path.parts[0]] += 1
        files.append(ClipFile(root / path, str(path), str(path), label))
    labelled = [file for file in files if file.label is not None]
    if labelled:
        bare = len(files) - len(labelled) - unknown.total()
        if bare:
            unknown["."] = bare
        notes = _unknown_notes(root, unknown, len(labelled), network)
        return _Found(tuple(labelled), found.unreadable, notes)
    notes = ()
    if unknown:
        notes = (
            f"no folder is called as a class is, so that clips have no labels: "
            f"{name_some(sorted(unknown), 3)}; the classes are {name_some(network.classes, 10)}",
        )
    return _Found(tuple(files), found.unreadable, notes)


def _unknown_notes(
    root: Path, unknown: Counter[str], known: int, network: QuantizedNetwork
) -> tuple[str, ...]:
    """Sentences on folders that are called as no class is; none of them may be all there is.

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


def _seconds(span: tuple[int, int]) -> tuple[float, float]:
    """A part of a user's own clip, which lists name in microseconds."""
    return span[0] / MICROSECONDS, span[1] / MICROSECONDS
