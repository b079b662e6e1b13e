"""Golden vectors: frames with the reference's results, for the self test of a loaded overlay."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.artifacts import write_bytes
from fdht_models.errors import ArtifactError
from fdht_overlays.manifest import InputLayout, OverlayManifest

_SEED = 20_250


@dataclass(frozen=True, eq=False)
class GoldenVectors:
    """One sequence of frames, from a zero state on, and its results.

    Args:
        frames: codes, uint8 or int8 [frames, size]; of a core of raw frames these.
        results: logit codes, int64[results, classes]: one a frame, but for a first raw frame.
    """

    frames: npt.NDArray[Any]
    results: npt.NDArray[np.int64]


def golden_frames(layout: InputLayout, random_frames: int = 4) -> npt.NDArray[Any]:
    """Frames that reach the corners of the arithmetic, then random ones.

    All zero; all at the largest code, several times, so that sums and cell state saturate; all at
    the smallest; both extremes alternating within a frame and from frame to frame; a ramp.

    Returns:
        uint8 or int8 [frames, layout.size].
    """
    low, high = layout.format.minimum, layout.format.maximum
    position = np.arange(layout.size)
    checker = np.where(position % 2, low, high)
    ramp = low + position % (high - low + 1)
    constant = np.ones(layout.size, np.int64)
    corners = [
        0 * constant,
        *[high * constant] * 3,
        *[low * constant] * 2,
        checker,
        low + high - checker,
        high * constant,
        low * constant,
        ramp,
    ]
    generator = np.random.default_rng(_SEED)
    noise = generator.integers(low, high + 1, (random_frames, layout.size))
    return np.concatenate([np.stack(corners), noise]).astype(layout.dtype)


def save_golden(path: Path, golden: GoldenVectors) -> None:
    """Writes golden vectors, atomically.

    Raises:
        ArtifactError: they cannot be written.
    """
    contents = io.BytesIO()
    np.savez_compressed(contents, frames=golden.frames, results=golden.results)
    write_bytes(path, contents.getvalue())


def load_golden(directory: Path, manifest: OverlayManifest) -> GoldenVectors:
    """Reads an overlay's golden vectors.

    Raises:
        ArtifactError: they are missing, damaged or do not fit the manifest.
    """
    path = directory / manifest.golden
    try:
        # Not by its path: numpy leaves the file open where it is no archive.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            golden = GoldenVectors(archive["frames"], archive["results"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            f"cannot be read ({error})", field=str(path), remedy="run fdht build again"
        ) from error
    layout, given = manifest.input, len(golden.frames)
    count = layout.results_of(given, reset=True)
    frames = (layout.dtype, (given, layout.size))
    results = ("int64", (count, len(manifest.results.classes)))
    for name, array, (dtype, shape) in (
        ("frames", golden.frames, frames),
        ("results", golden.results, results),
    ):
        if array.dtype != np.dtype(dtype) or array.shape != shape or not count:
            raise ArtifactError(
                f"expected {dtype}{list(shape)}",
                field=f"{path}: {name}",
                value=f"{array.dtype}{list(array.shape)}",
                remedy="run fdht build again",
            )
    return golden
