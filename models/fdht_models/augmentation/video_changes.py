"""Video: mirrored, cropped, brighter or darker.

Pixels are moved, never averaged. So a change of a motion feature is exactly the feature of changed
frames: |a - b| of the same two pixels, at another place.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fdht_models.augmentation.section import AugmentationSettings
from fdht_models.preprocessing import Picture


def change_picture(
    clip: NDArray[np.uint8],
    draws: Mapping[str, float],
    settings: AugmentationSettings,
    picture: Picture,
) -> NDArray[np.uint8]:
    """A changed clip: uint8 [steps, inputs].

    Args:
        clip: uint8 [steps, height * width * 3].
        draws: numbers from 0 to 1, by the names of `DRAWS`.
        settings: how much.
        picture: size and feature.
    """
    frames = clip.reshape(len(clip), picture.height, picture.width, 3)
    if settings.crop:
        kept = 1 - settings.crop * draws["crop"]
        frames = frames.take(kept_places(picture.height, kept, draws["crop_row"]), axis=1)
    columns = np.arange(picture.width)
    if settings.crop:
        columns = kept_places(picture.width, kept, draws["crop_column"])
    mirrored = draws["flip"] < settings.flip
    if mirrored:
        columns = columns[::-1]
    if mirrored or settings.crop:
        frames = frames.take(columns, axis=2)
    if settings.brightness:
        factor = 1 + settings.brightness * (2 * draws["brightness"] - 1)
        table = brightness_table(factor, picture.dead_zone)
        # Three times as fast as numpy, which makes an index of 64 bits of every byte.
        frames = np.frombuffer(frames.tobytes().translate(table.tobytes()), np.uint8)
    return frames.reshape(clip.shape)


def kept_places(length: int, kept: float, drawn: float) -> NDArray[np.int64]:
    """Which rows (or columns) fill a frame when a part of them is enlarged to the whole.

    Args:
        length: rows of the frame.
        kept: the part of them that is kept.
        drawn: from 0 to 1: where that part lies.

    Returns:
        int64 [length], ascending: the row nearest to the centre of each new row.
    """
    count = max(1, round(length * kept))
    first = int(drawn * (length - count + 1))
    return first + (2 * np.arange(length) + 1) * count // (2 * length)


def brightness_table(factor: float, dead_zone: int) -> NDArray[np.uint8]:
    """What each of the 256 values becomes when light is multiplied: uint8 [256].

    Differences that fall into the dead zone count as none, as they would have in a darker video.
    """
    table = np.clip(np.rint(np.arange(256) * factor), 0, 255).astype(np.uint8)
    table[table <= dead_zone] = 0
    return table
