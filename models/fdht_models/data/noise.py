"""Camera noise, cheap enough to be drawn for every value of every frame."""

from __future__ import annotations

import functools
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_LEVELS = 256
_MINIMUM_SIGMA, _MAXIMUM_SIGMA = 0.5, 1.5


@functools.cache
def _quantiles() -> NDArray[np.float64]:
    # The mid-point quantiles of the normal distribution: one random byte picks one of them, which
    # costs a tenth of drawing a normal number and, rounded to whole pixel values, looks the same.
    normal = NormalDist()
    values = np.array([normal.inv_cdf((level + 0.5) / _LEVELS) for level in range(_LEVELS)])
    values.setflags(write=False)
    return values


def draw_noise(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Returns normal noise rounded to integers: int16 of `shape`, in pixel values.

    The standard deviation is one for the whole clip, drawn evenly from 0.5 to 1.5 pixel values.
    """
    sigma = generator.uniform(_MINIMUM_SIGMA, _MAXIMUM_SIGMA)
    table = np.rint(_quantiles() * sigma).astype(np.int16)
    picks = np.frombuffer(generator.bytes(int(np.prod(shape))), np.uint8)
    return table.take(picks).reshape(shape)


def to_pixels(values: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Returns int16 values, saturated in place to 0..255, as uint8 pixels."""
    return np.clip(values, 0, 255, out=values).astype(np.uint8)
