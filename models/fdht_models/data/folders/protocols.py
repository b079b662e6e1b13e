"""Which frames of a video make a clip, and how a clip gets its fixed number of steps."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

SIX, TT_RNN, UNIFORM = "six", "tt_rnn", "uniform"


def choose_frames(protocol: str, frames: int, wanted: int, seed: int, key: str) -> list[int]:
    """Returns the numbers of the frames to take, ascending; all of them if there are too few.

    Args:
        protocol: "six": `wanted` different frames at random; "uniform": the frames in the middle
            of `wanted` equal parts.
        frames: how many the video has.
        wanted: how many to take.
        seed: of the random choice.
        key: the clip's key; the choice depends on the seed and on it, not on other clips.
    """
    if frames <= wanted:
        return list(range(frames))
    if protocol == UNIFORM:
        return [(2 * place + 1) * frames // (2 * wanted) for place in range(wanted)]
    digest = hashlib.sha256(key.encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
    return sorted(int(frame) for frame in generator.choice(frames, wanted, replace=False))


def pad_front(values: NDArray[np.uint8], steps: int) -> NDArray[np.uint8]:
    """Returns uint8 [steps, inputs]: the values last, zeros before them.

    In front, so that the last frame is the last step, after which the class is read.
    """
    padded = np.zeros((steps, values.shape[1]), np.uint8)
    if len(values):
        padded[-len(values) :] = values
    return padded
