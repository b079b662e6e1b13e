"""Which files of a user's folder are clips: asked of the files, not of a list of suffixes.

Many of FFmpeg's demuxers (of RIFF, MPEG and Windows Media, too) declare no suffix and know their
files by what is in them. So every file is opened, which decodes no clip, and its streams say what
it is. Suffixes decide only what need not be opened, and whether a file that cannot be opened is a
damaged clip or none at all.
"""

from __future__ import annotations

import functools
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fdht_models.data.folders.listing import ARRAYS, VIDEO, Problem
from fdht_models.data.folders.tree import VIDEO_SUFFIXES, Tree, is_archive, words
from fdht_models.errors import ConfigError, DataError
from fdht_models.files import Stamp, stamp_of
from fdht_models.media.library import Failure, attempt, av
from fdht_models.media.opening import best_stream, open_media
from fdht_models.media.stills import is_picture, list_pictures
from fdht_models.preprocessing.values import check_header
from fdht_models.threads import map_in_threads

#: Called with what begins and of how many steps; gives what is called with steps done.
Bar = Callable[[str, int], Callable[[int], None]]


def no_bar(name: str, total: int) -> Callable[[int], None]:
    """A `Bar` that shows nothing."""
    return lambda steps: None


#: A table of the clips, in the folder itself.
TABLE = "clips.csv"
ARRAY_SUFFIX = ".npy"

#: What lies beside clips and is none: texts, tables, programs and subtitles. FFmpeg would show some
#: of the texts as pictures of a terminal.
_NO_CLIPS = words(
    """
    .txt .md .rst .log .nfo .ini .cfg .csv .tsv .json .jsonl .xml .yaml .yml .toml .html .htm
    .pdf .doc .docx .xls .xlsx .py .ipynb .m .mat .r .sh .npy .npz .h5 .hdf5 .pkl .pickle
    .parquet .db .sqlite .srt .vtt .ass .ssa .sub .idx .sup .smi .lrc .xgtf .eaf .textgrid
    .md5 .sha256 .torrent .part .crdownload .lnk .url
    """
)
#: Folders of small pictures that programs make of videos.
_THUMBNAILS = ("thumbs", "thumbnails", "thumbnail", "previews", "preview", "@eadir")

_CLIP, _PICTURE, _OTHER, _UNREADABLE = "clip", "picture", "other", "unreadable"


@dataclass(frozen=True)
class ClipFiles:
    """What a folder holds, sorted by what it is.

    Attributes:
        clips: files, and folders of pictures, that are clips.
        unreadable: what should be a clip, by its name, and cannot be used.
        others: files that are no clips of the kind that is wanted.
        pictured: the folders of pictures among `clips`.
    """

    clips: tuple[PurePosixPath, ...]
    unreadable: tuple[Problem, ...]
    others: tuple[PurePosixPath, ...]
    pictured: frozenset[PurePosixPath]


def find_clips(
    tree: Tree, kind: str, inputs: int | None, full_scale: float | None, bar: Bar = no_bar
) -> ClipFiles:
    """Sorts the files of a folder; decodes nothing.

    Args:
        tree: the folder.
        kind: "video", "sound" or "arrays".
        inputs: of arrays, values a frame.
        full_scale: of arrays, the number that becomes the code 255; None: files hold codes.
        bar: see `Bar`.

    Raises:
        DataError: PyAV is not installed (not for arrays).
        ConfigError: arrays hold numbers, and no scale is given.
    """
    files = [path for path in tree.files if str(path) != TABLE]
    if kind == ARRAYS:
        assert inputs is not None
        states = [_array_state(tree.root / path, inputs, full_scale) for path in files]
    else:
        states = _states(tree.root, files, kind, bar("opening files", len(files)))
    unreadable = [
        Problem(_told(path), why)
        for path, (state, why) in zip(files, states, strict=True)
        if state == _UNREADABLE
    ]
    unreadable += [
        Problem(_told(path), _why_empty(tree.root / path))
        for path in tree.empty
        if path.suffix.lower() in _suffixes_of(kind)
    ]
    of = {state: [p for p, (s, _) in zip(files, states, strict=True) if s == state]
          for state in (_CLIP, _PICTURE, _OTHER)}  # fmt: skip
    folders = _picture_folders(of[_CLIP], of[_PICTURE]) if kind == VIDEO else frozenset()
    others = of[_OTHER] + [path for path in of[_PICTURE] if path.parent not in folders]
    damaged = {folder: why for folder in folders if (why := _why_unusable(tree.root / folder))}
    unreadable += [Problem(_told(folder), why) for folder, why in damaged.items()]
    folders -= damaged.keys()
    return ClipFiles(
        tuple(sorted([*of[_CLIP], *folders])),
        tuple(sorted(unreadable, key=lambda problem: problem.path)),
        tuple(sorted(others)),
        folders,
    )


def without_suffix(path: PurePosixPath, kind: str) -> str:
    """The path of a file without its suffix, if that is one of media files (of arrays).

    What follows a dot in 'take.s1' or '2024.01.01' is part of a name.
    """
    suffix = path.suffix.lower()
    known = suffix in _suffixes_of(kind)
    # FFmpeg knows files called .302, but digits are more often of a date or a number.
    return str(path.with_suffix("")) if known and not suffix[1:].isdigit() else str(path)


def stem_of(path: PurePosixPath, files: ClipFiles, kind: str) -> str:
    """What a pattern and a group of its own see of a path; a folder's name has no suffix."""
    return str(path) if path in files.pictured else without_suffix(path, kind)


def files_of_clip(root: Path, path: str) -> list[Path]:
    """The files that a clip is made of: itself, or all of a folder of pictures.

    Raises:
        OSError: the folder cannot be read.
    """
    place = root / path
    if not place.is_dir():
        return [place]
    entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    return [Path(entry.path) for entry in entries if is_picture(Path(entry.name))]


def _states(
    root: Path, files: Sequence[PurePosixPath], kind: str, tick: Callable[[int], None]
) -> list[tuple[str, str]]:
    """(what it is, why it cannot be used) of each file."""
    av()  # if it is missing, that is no fault of the files

    def one(path: PurePosixPath) -> tuple[str, str]:
        found = _by_name(path) or _remembered(root / path, kind)
        tick(1)
        return found

    return list(map_in_threads(one, files))


def _array_state(path: Path, inputs: int, full_scale: float | None) -> tuple[str, str]:
    if path.suffix.lower() != ARRAY_SUFFIX:
        return _OTHER, ""
    try:
        _, codes = check_header(path, inputs)
    except DataError as error:
        return _UNREADABLE, error.problem
    if not codes and full_scale is None:
        raise ConfigError(
            f"is missing: {path.name} holds numbers, not codes (uint8)",
            field="full_scale",
            remedy="add the number that becomes the code 255",
        )
    return _CLIP, ""


def _by_name(path: PurePosixPath) -> tuple[str, str] | None:
    """What a name alone tells; None where the file must be opened."""
    if _told(path) != str(path):
        return _UNREADABLE, "has a name that is no UTF-8: rename it"
    if path.suffix.lower() in _NO_CLIPS or is_archive(path.name):
        return _OTHER, ""
    if is_picture(Path(path.name)):
        return _PICTURE, ""
    return None


def _remembered(path: Path, kind: str) -> tuple[str, str]:
    try:
        return _look(path.absolute(), "video" if kind == VIDEO else "sound", stamp_of(path))
    except OSError as error:
        return _UNREADABLE, f"cannot be read ({error.strerror})"


@functools.cache
def _look(path: Path, kind: str, _: Stamp) -> tuple[str, str]:
    """What is in a file, which is known as long as its stamp stays."""
    try:
        with open_media(path, kind) as container:
            name = attempt(lambda: str(container.format.name))
            pictures = not isinstance(name, Failure) and name.endswith(("image2", "_pipe"))
            if pictures and name != "gif_pipe":
                return _OTHER, ""
            streams = attempt(lambda: len(getattr(container.streams, _STREAMS[kind])))
            if streams == 0:
                return _OTHER, ""
            best_stream(path, container, kind)
    except DataError as error:
        if path.suffix.lower() in _media_suffixes() or not os.access(path, os.R_OK):
            return _UNREADABLE, error.problem
        return _OTHER, ""
    return _CLIP, ""


_STREAMS = {"video": "video", "sound": "audio"}


def _picture_folders(
    clips: Collection[PurePosixPath], pictures: Collection[PurePosixPath]
) -> frozenset[PurePosixPath]:
    """Folders with pictures and nothing else that could be a clip, in them or below."""
    below: dict[PurePosixPath, int] = defaultdict(int)
    for path in clips:
        for parent in path.parents:
            below[parent] += 1
    holding = {path.parent for path in pictures}
    inner = {parent for folder in holding for parent in folder.parents}
    return frozenset(
        folder
        for folder in holding
        if folder.parts
        and not below[folder]
        and folder not in inner
        and folder.name.lower() not in _THUMBNAILS
    )


def _suffixes_of(kind: str) -> Collection[str]:
    return (ARRAY_SUFFIX,) if kind == ARRAYS else _media_suffixes()


def _why_empty(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError:
        return "is a link to a file that is not there" if path.is_symlink() else "cannot be read"
    return "is empty" if stat.S_ISREG(mode) else "is no regular file"


def _why_unusable(folder: Path) -> str:
    try:
        list_pictures(folder)
    except DataError as error:
        return error.problem
    return ""


def _told(path: PurePosixPath) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode()


@functools.cache
def _media_suffixes() -> frozenset[str]:
    """The suffixes that any demuxer or muxer of FFmpeg declares, with their dots."""
    library = av()
    found: set[str] = set()
    for name in library.formats_available:
        for mode in ("r", "w"):
            described = attempt(
                functools.partial(lambda name, mode: library.ContainerFormat(name, mode).extensions,
                                  name, mode)
            )  # fmt: skip
            if not isinstance(described, Failure):
                found.update(f".{suffix.lower()}" for suffix in described)
    return (frozenset(found) | set(VIDEO_SUFFIXES)) - set(_NO_CLIPS)
