"""Which frames of a video make a clip, and how a clip gets its fixed number of steps.

Parts of recordings are told in seconds, which are compared exactly.
"""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.errors import ConfigError, DataError, near_matches

SIX, TT_RNN, UNIFORM = "six", "tt_rnn", "uniform"
CONSECUTIVE, STRIDE, RANDOM_STRIDE = "consecutive", "stride", "random_stride"
#: Of clips that belong to no file: every frame, one after the other.
GENERATED = "generated"

#: Of published sets that are cut in ways of their own.
BINS, PHONES, UTTERANCES = "bins", "phones", "utterances"
#: Of sound: one window, placed as `Sound.placement` says.
WINDOW = "window"

#: Of videos, and of arrays.
FRAME_PROTOCOLS = (UNIFORM, CONSECUTIVE, STRIDE, RANDOM_STRIDE, SIX, TT_RNN)
PROTOCOLS = (*FRAME_PROTOCOLS, GENERATED, WINDOW, BINS, PHONES, UTTERANCES)
#: Those whose frames have one distance in time, as a live stream has.
WINDOWS = (TT_RNN, CONSECUTIVE, STRIDE, RANDOM_STRIDE, GENERATED, WINDOW)
#: Those whose distance can be chosen.
STRIDES = (STRIDE, RANDOM_STRIDE, TT_RNN)
#: `random_stride` draws from half to twice the stride.
_SPREAD = 2.0


def choose_frames(
    protocol: str, frames: int, wanted: int, seed: int, key: str, stride: int = 1
) -> list[int]:
    """Returns the numbers of the frames to take, ascending; fewer than wanted of a short video.

    Args:
        protocol: "six": `wanted` different frames at random; "uniform": the frames in the middle
            of `wanted` equal parts; "consecutive": the ones in the middle; "stride": every
            `stride`-th about the middle; "random_stride": the same at a distance between half and
            twice the stride and at a place that are drawn; "tt_rnn": every `stride`-th from the
            first on.
        frames: how many the video has.
        wanted: how many to take.
        seed: of the random choice.
        key: the clip's key; the choice depends on the seed and on it, not on other clips.
        stride: see above.

    Raises:
        ConfigError: no such protocol of videos.
    """
    if protocol in (SIX, UNIFORM) and frames <= wanted:
        return list(range(frames))
    if protocol == UNIFORM:
        return [(2 * place + 1) * frames // (2 * wanted) for place in range(wanted)]
    if protocol == SIX:
        chosen = _generator(seed, key).choice(frames, wanted, replace=False)
        return sorted(int(frame) for frame in chosen)
    if protocol == TT_RNN:
        return list(range(0, min(frames, wanted * stride), stride))
    if protocol == RANDOM_STRIDE:
        generator = _generator(seed, key)
        exponent = generator.uniform(-math.log(_SPREAD), math.log(_SPREAD))
        return _window(frames, wanted, max(1, round(stride * math.exp(exponent))), generator)
    if protocol in (CONSECUTIVE, STRIDE):
        return _window(frames, wanted, 1 if protocol == CONSECUTIVE else stride)
    raise ConfigError(
        "chooses no frames of a video",
        field="protocol",
        value=protocol,
        remedy=near_matches(protocol, PROTOCOLS),
    )


def scored_protocol(protocol: str) -> str:
    """The protocol by which clips are scored and classified: what is drawn in training is not."""
    return STRIDE if protocol == RANDOM_STRIDE else protocol


def pad_front(values: NDArray[np.uint8], steps: int) -> NDArray[np.uint8]:
    """Returns uint8 [steps, inputs]: the values last, zeros before them.

    In front, so that the last frame is the last step, after which the class is read.
    """
    padded = np.zeros((steps, values.shape[1]), np.uint8)
    if len(values):
        padded[-len(values) :] = values
    return padded


def repeat_front(values: NDArray[np.uint8], steps: int) -> NDArray[np.uint8]:
    """Returns uint8 [steps, inputs]: the values last, the first of them again and again before."""
    return np.concatenate([np.repeat(values[:1], steps - len(values), axis=0), values])


def _window(
    frames: int, wanted: int, stride: int, generator: np.random.Generator | None = None
) -> list[int]:
    """As many frames of this distance as there are, at a drawn place or in the middle."""
    count = min(wanted, -(-frames // stride))
    room = frames - ((count - 1) * stride + 1) if count else 0
    first = room // 2 if generator is None else int(generator.integers(room + 1))
    return [first + place * stride for place in range(count)]


def _generator(seed: int, key: str) -> np.random.Generator:
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


Span = tuple[float, float]

_REMEDY = "correct the clip's start and end"


def exact_span(path: Path, span: Span) -> tuple[Fraction, Fraction | None]:
    """The decimal numbers that were written: 0.1 s is a tenth, which no binary number is.

    Args:
        path: the file, for the message.
        span: [first, last) in seconds; infinity is the file's end, and becomes None.

    Raises:
        DataError: it begins before 0 or does not end after it begins.
    """
    first, last = span
    if not 0 <= first < last:
        raise DataError(
            f"cannot be cut from {_named(first)} to {_named(last)} s",
            field=str(path),
            remedy=_REMEDY,
        )
    return Fraction(str(first)), None if last == math.inf else Fraction(str(last))


def outside(path: Path, span: Span, seconds: Fraction, *, behind: bool) -> DataError:
    """A file does not hold a clip's span.

    Args:
        path: the file.
        span: of the clip.
        seconds: of the file.
        behind: the span reaches behind the file's end; otherwise it holds nothing.
    """
    end = "its end" if span[1] == math.inf else f"{_named(span[1])} s"
    found = f"{_named(span[0])} to {end}"
    why = f"ends before its clip from {found} does" if behind else f"has nothing from {found}"
    return DataError(f"{why}; it lasts {_named(seconds)} s", field=str(path), remedy=_REMEDY)


def _named(seconds: Fraction | float) -> str:
    """Seconds in words of an error, to the millisecond."""
    return f"{float(seconds):.3f}".rstrip("0").rstrip(".")
