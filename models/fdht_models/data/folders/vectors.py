"""Feature vectors of video frames, one .npy file a clip, made by the user with any CNN.

The set-up of TedNet (Pan et al., arXiv 2104.05018) for UCF11: the recurrent network sees 2,048
values a frame, the pooled output of a CNN, instead of pixels.
"""

from __future__ import annotations

import re
import tokenize
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.folders.layouts import parse_ucf11_name
from fdht_models.data.folders.names import UCF11
from fdht_models.data.folders.notes import (
    archive_notes,
    class_notes,
    copy_notes,
    left_out_notes,
)
from fdht_models.data.folders.protocols import TT_RNN, choose_frames, pad_front
from fdht_models.data.folders.scan import nothing_found, walk
from fdht_models.data.folders.types import Clip, Listing
from fdht_models.errors import DataError
from fdht_models.files import open_regular_file

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
_MAGIC = b"\x93NUMPY"
_CODES = 255
_FLOATS = (2, 4)  # bytes of a value
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


def read_features(path: Path, key: str, protocol: str, steps: int, seed: int) -> NDArray[np.uint8]:
    """Reads the frames of one clip that a protocol names: uint8 [steps, 2048].

    Args:
        path: the .npy file.
        key: the clip's.
        protocol: "six", "uniform", or "tt_rnn", which takes the first `steps` frames.
        steps: frames to return; zeros are put in front of a shorter clip.
        seed: of the random choice.

    Raises:
        DataError: the file is not one array [frames, 2048] of float32, float16 or uint8, or holds
            a value that is negative or not finite, used or not, or only zeros.
    """
    values = _load(path)
    _check_values(values, path)
    chosen: Sequence[int] = range(min(len(values), steps))
    if protocol != TT_RNN:
        chosen = choose_frames(protocol, len(values), steps, seed, key)
    frames = values[list(chosen)]
    return pad_front(frames if frames.dtype == np.uint8 else quantise(frames), steps)


def quantise(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Returns the codes of values from 0 upwards: rint(value * 255 / 4), 255 at most."""
    # In double precision the product is exact, so that half precision rounds as single does.
    scaled = np.rint(values.astype(np.float64) * _CODES / FULL_SCALE)
    return np.clip(scaled, 0, _CODES).astype(np.uint8)


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


def _load(path: Path) -> NDArray[Any]:
    try:
        with open_regular_file(path) as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                raise _unusable(path, "is not a .npy file")
            stream.seek(0)
            values: NDArray[Any] = np.load(stream, allow_pickle=False)
            more = stream.read(1)
    # A damaged header may ask for more memory than there is, or be no text that can be parsed.
    except (OSError, ValueError, EOFError, MemoryError, SyntaxError, tokenize.TokenError) as error:
        raise _unusable(path, f"cannot be read ({_first_line(error)})") from error
    if more:
        raise _unusable(path, "holds more than one array")
    kind, size = values.dtype.kind, values.dtype.itemsize
    if values.dtype != np.uint8 and not (kind == "f" and size in _FLOATS):
        raise _unusable(path, f"is of {values.dtype}, not of float32, float16 or uint8")
    if values.ndim != 2 or values.shape[1] != LENGTH:
        raise _unusable(path, f"is of shape {values.shape}, not [frames, {LENGTH}]")
    if not len(values):
        raise _unusable(path, "holds no frame")
    return values


def _check_values(values: NDArray[Any], path: Path) -> None:
    with np.errstate(invalid="ignore"):
        bad = np.argwhere(~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        frame, place = (int(index) for index in bad[0])
        raise _unusable(
            path,
            f"holds {values[frame, place]} in frame {frame}, value {place}; "
            "features are finite and not negative",
        )
    if not values.any():
        raise _unusable(path, "holds only zeros, as an array does that nobody filled")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _unusable(path: Path, why: str) -> DataError:
    return DataError(why, field=str(path), remedy=f"save float32 [frames, {LENGTH}] once more")
