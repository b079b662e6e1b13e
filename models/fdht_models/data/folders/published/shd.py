"""Spiking Heidelberg Digits: spike trains in HDF5 files, binned into frames of counts."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.folders.joins import join
from fdht_models.data.folders.listing import Clip, FolderSet, Listing, Problem
from fdht_models.data.folders.sentences import archive_notes, copy_notes, left_out_notes
from fdht_models.data.folders.tree import nothing_found, sort_files, walk
from fdht_models.data.packages import import_package
from fdht_models.errors import DataError
from fdht_models.files import require_regular_file

CHANNELS = 700
_FILES = {"shd_train.h5": "train", "shd_test.h5": "test"}
_LARGEST = 255  # spikes of one channel in one frame; more are counted as so many


def list_shd(root: Path, known: FolderSet) -> Listing:
    """Lists the digits of `shd_train.h5` and `shd_test.h5`; a clip's group is its speaker.

    Raises:
        DataError: neither file is there, one is not as published, or h5py is not installed.
    """
    tree = walk(root, known.title)
    joined = join(
        {name: (name, split) for name, split in _FILES.items()},
        ((path.name.lower(), path) for path in tree.of_type((".h5", ".hdf5"))),
    )
    split_of = {path: split for (_, split), path in joined.pairs}
    files, copies, _ = sort_files(split_of, split_of.__getitem__)
    if not files:
        raise nothing_found(tree, known)
    clips: list[Clip] = []
    names: tuple[str, ...] = ()
    for split, path in sorted(files.items()):
        labels, speakers, keys = _read_labels(root / path)
        if names and keys != names:
            raise _damaged(root / path, "has other classes than the other file")
        names = keys
        clips += [
            Clip(
                f"{split}/{index:05d}",
                str(path),
                (int(label),),
                f"speaker {int(speaker)}",
                (split,),
                (index, index + 1),
            )
            for index, (label, speaker) in enumerate(zip(labels, speakers, strict=True))
        ]
    notes = [
        *archive_notes(tree.archives),
        *(f"no file {name}" for name, _ in joined.absent),
        *left_out_notes(joined.unlisted, "not named as published"),
        *copy_notes(copies),
    ]
    empty = [Problem(str(path), "is empty") for path in tree.empty if path.name.lower() in _FILES]
    return Listing(root, names, tuple(sorted(clips, key=lambda clip: clip.key)), tuple(empty),
                   tuple(notes))  # fmt: skip


class SpikeReader(ExitStack):
    """Bins spike trains; keeps its files open.

    Args:
        root: the folder.
        steps: frames a clip.
        frame_ms: milliseconds of a frame, meant as the decimal number that Python prints.

    Attributes:
        frame: the same in seconds, exactly.
    """

    def __init__(self, root: Path, steps: int, frame_ms: float) -> None:
        self._root, self._steps = root, steps
        self.frame = Fraction(str(frame_ms)) / 1000
        self._open: dict[str, Any] = {}
        super().__init__()

    def read(self, clip: Clip) -> NDArray[np.uint8]:
        """Returns spikes a channel and frame: uint8 [steps, 700]; later spikes are dropped.

        Raises:
            DataError: the clip holds spikes of channels that there are not, or cannot be read.
        """
        assert clip.span is not None
        path = self._root / clip.path
        if clip.path not in self._open:
            self._open[clip.path] = self.enter_context(_opened(path))
        file, index = self._open[clip.path], clip.span[0]
        try:
            # Times are stored in half precision, of which double precision keeps every value.
            times = np.asarray(file["spikes/times"][index], np.float64)
            units = np.asarray(file["spikes/units"][index], np.int64)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise _unreadable(path, error) from error
        return bin_spikes(times, units, self._steps, self.frame, f"{path}: clip {index}")


@functools.cache
def bin_edges(steps: int, frame: Fraction | float) -> NDArray[np.float64]:
    """Where frames of spikes begin, so that comparing a time with it is exact.

    Frame t begins at t * frame seconds, which in general is no float. A float lies before that
    number if and only if it lies before the least float that is not below the number: this one is
    returned, found in rational arithmetic. So no spike on an edge falls into the frame before.

    Args:
        steps: frames.
        frame: seconds of a frame; of a float, the decimal number that Python prints.

    Returns:
        float64 [steps + 1], in seconds, ascending and read-only; the last one is where the last
        frame ends.
    """
    length = frame if isinstance(frame, Fraction) else Fraction(str(frame))
    edges = np.empty(steps + 1, np.float64)
    for step in range(steps + 1):
        exact = step * length
        edge = float(exact)  # the nearest float
        edges[step] = np.nextafter(edge, np.inf) if Fraction(edge) < exact else edge
    edges.setflags(write=False)
    return edges


def bin_spikes(
    times: NDArray[np.float64],
    units: NDArray[np.int64],
    steps: int,
    frame: Fraction | float,
    where: str,
) -> NDArray[np.uint8]:
    """Counts spikes: frame t holds those of times t * frame <= time < (t + 1) * frame, exactly.

    Args:
        times: seconds, [spikes].
        units: channels from 0 to 699, [spikes].
        steps: frames; spikes after the last one are dropped.
        frame: seconds of a frame; see `bin_edges`.
        where: the clip, for messages.

    Returns:
        uint8 [steps, 700]; more than 255 spikes of a channel in a frame count as 255.

    Raises:
        DataError: a channel, a time or the lists' lengths are impossible, or no spike is in any
            frame: HDF5 gives an empty list for what was never written.
    """
    bad = times.shape != units.shape or times.ndim != 1
    if bad or (units.size and not 0 <= units.min() <= units.max() < CHANNELS):
        raise _damaged(where, f"holds spikes of other channels than 0 to {CHANNELS - 1}")
    if not np.all(np.isfinite(times)) or np.any(times < 0):
        raise _damaged(where, "holds impossible times")
    edges = bin_edges(steps, frame)
    bins = np.searchsorted(edges, times, side="right") - 1
    kept = bins < steps
    if not kept.any():
        remedy = "choose more steps or longer frames" if times.size else _AGAIN
        raise _damaged(where, f"holds no spike before {edges[-1]:g} s", remedy)
    places = bins[kept] * CHANNELS + units[kept]
    counts = np.bincount(places, minlength=steps * CHANNELS)
    return np.minimum(counts, _LARGEST).astype(np.uint8).reshape(steps, CHANNELS)


_AGAIN = "download the file again"


def _read_labels(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    with _opened(path) as file:
        try:
            labels = np.asarray(file["labels"], np.int64)
            speakers = np.asarray(file["extra/speaker"], np.int64)
            keys = file["extra"].get("keys")
            names = () if keys is None else tuple(_text(key) for key in keys)
            trains = len(file["spikes/times"]), len(file["spikes/units"])
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise _unreadable(path, error) from error
    # Without names in the file, numbers: a guessed name would be worse than none.
    names = names or tuple(str(number) for number in range(20))
    alike = {len(labels), len(speakers), *trains} == {len(labels)}
    if not alike or not (len(labels) and 0 <= labels.min() <= labels.max() < len(names)):
        raise _damaged(path, "holds labels, speakers and spikes of different lengths or classes")
    return labels, speakers, names


def _text(key: object) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def _opened(path: Path) -> Any:
    require_regular_file(path)
    try:
        return import_package("h5py").File(path, "r")
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> DataError:
    held = "spikes/times, spikes/units, labels and extra/speaker"
    return _damaged(path, f"is not an HDF5 file of {held} ({error})")


def _damaged(where: Path | str, why: str, remedy: str = _AGAIN) -> DataError:
    return DataError(why, field=str(where), remedy=remedy)
