"""Arrays of values to clips: one .npy file a clip, a row a frame."""

from __future__ import annotations

import os
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import ConfigError, DataError, first_line
from fdht_models.files import open_regular_file
from fdht_models.preprocessing.definition import ClipInputs, Sampling, Values
from fdht_models.preprocessing.protocols import choose_frames, pad_front

_MAGIC = b"\x93NUMPY"
_CODES = 255
_format: Any = np.lib.format  # whose functions have no types
_FLOATS = (2, 4)  # bytes of a value
#: A damaged header may ask for more memory than there is, or be no text that can be parsed.
_DAMAGE = (OSError, ValueError, EOFError, MemoryError, SyntaxError, tokenize.TokenError)


def read_values(
    path: Path,
    key: str,
    sampling: Sampling,
    values: Values,
    span: tuple[float, float] | None = None,
) -> ClipInputs:
    """Reads the frames of one clip that a protocol names.

    Args:
        path: the .npy file.
        key: names the clip; random choices depend on it.
        sampling: which frames.
        values: how many values a frame has, and their scale.
        span: refused: an array has no seconds.

    Raises:
        DataError: the file is not one array [frames, length] of float32, float16 or uint8, or holds
            a value that is negative or not finite, used or not, or only zeros.
        ConfigError: a part is asked for.
    """
    if span is not None:
        raise ConfigError(
            "an array has no seconds", field="span", value=span, remedy="cut the array"
        )
    found = _load(path, values.length)
    chosen = choose_frames(
        sampling.protocol, len(found), sampling.steps, sampling.seed, key, sampling.stride
    )
    frames = _codes(found[chosen], path, values)
    return ClipInputs(pad_front(frames, sampling.steps), len(found), len(frames))


def read_all_values(path: Path, values: Values) -> NDArray[np.uint8]:
    """Reads all frames of an array, as a stream: uint8 [frames, length].

    Args:
        path: the .npy file.
        values: how many values a frame has, and their scale.

    Raises:
        DataError: as `read_values`.
    """
    found = _load(path, values.length)
    return _codes(found, path, values)


def check_header(path: Path, length: int) -> tuple[int, bool]:
    """Returns how many frames an array states that it holds, and whether they are codes already.

    None of them is read.

    Args:
        path: the .npy file.
        length: values a frame.

    Raises:
        DataError: the file is not one array [frames, length] of float32, float16 or uint8, or has
            other bytes than it states.
    """
    with _opened(path, length) as stream:
        first = _format.read_magic(stream) == (1, 0)
        read = _format.read_array_header_1_0 if first else _format.read_array_header_2_0
        shape, _, dtype = read(stream)
        start, end = stream.tell(), stream.seek(0, os.SEEK_END)
    _check_kind(path, shape, dtype, length)
    if end - start != shape[0] * length * dtype.itemsize:
        raise _unusable(path, "has more or fewer bytes than it states", length)
    return int(shape[0]), dtype == np.uint8


def quantise(values: NDArray[np.floating[Any]], full_scale: float) -> NDArray[np.uint8]:
    """Returns the codes of values from 0 upwards: rint(value * 255 / full_scale), 255 at most."""
    # In double precision the product is exact, so that half precision rounds as single does.
    scaled = np.rint(values.astype(np.float64) * _CODES / full_scale)
    return np.clip(scaled, 0, _CODES).astype(np.uint8)


def _codes(frames: NDArray[Any], path: Path, values: Values) -> NDArray[np.uint8]:
    if frames.dtype == np.uint8:
        return frames
    if values.full_scale is None:
        raise _unusable(path, f"is of {frames.dtype}, and no scale is given", values.length)
    return quantise(frames, values.full_scale)


@contextmanager
def _opened(path: Path, length: int) -> Iterator[BinaryIO]:
    """A .npy file; what cannot be read of it is refused."""
    try:
        with open_regular_file(path) as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                raise _unusable(path, "is not a .npy file", length)
            stream.seek(0)
            yield stream
    except _DAMAGE as error:
        raise _unusable(path, f"cannot be read ({first_line(error)})", length) from error


def _load(path: Path, length: int) -> NDArray[Any]:
    with _opened(path, length) as stream:
        values: NDArray[Any] = np.load(stream, allow_pickle=False)
        more = stream.read(1)
    if more:
        raise _unusable(path, "holds more than one array", length)
    _check_kind(path, values.shape, values.dtype, length)
    _check_values(values, path, length)
    return values


def _check_kind(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], length: int) -> None:
    if dtype != np.uint8 and not (dtype.kind == "f" and dtype.itemsize in _FLOATS):
        raise _unusable(path, f"is of {dtype}, not of float32, float16 or uint8", length)
    if len(shape) != 2 or shape[1] != length:
        raise _unusable(path, f"is of shape {shape}, not [frames, {length}]", length)
    if not shape[0]:
        raise _unusable(path, "holds no frame", length)


def _check_values(values: NDArray[Any], path: Path, length: int) -> None:
    with np.errstate(invalid="ignore"):
        bad = np.argwhere(~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        frame, place = (int(index) for index in bad[0])
        raise _unusable(
            path,
            f"holds {values[frame, place]} in frame {frame}, value {place}; "
            "features are finite and not negative",
            length,
        )
    if not values.any():
        raise _unusable(path, "holds only zeros, as an array does that nobody filled", length)


def _unusable(path: Path, why: str, length: int) -> DataError:
    return DataError(why, field=str(path), remedy=f"save float32 [frames, {length}] once more")
