"""Sound as log-mel codes: faster or slower, another voice, louder or softer, parts left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fdht_models.augmentation.section import AugmentationSettings
from fdht_models.preprocessing import Sound
from fdht_models.preprocessing.log_mel import band_centres, bands_at, codes_per_decibel

Floats = NDArray[np.float32]


def change_sounds(
    frames: NDArray[np.uint8],
    draws: Mapping[str, NDArray[np.float64]],
    generators: Sequence[np.random.Generator],
    settings: AugmentationSettings,
    sound: Sound,
) -> NDArray[np.uint8]:
    """Changed clips: uint8 [clips, steps, inputs].

    Args:
        frames: uint8 [clips, steps, stack * bands].
        draws: numbers from 0 to 1, [clips] each, by the names of `DRAWS`.
        generators: of each clip, for noise.
        settings: how much.
        sound: bands, and frames in a step.
    """
    codes = by_frames(frames, sound).astype(np.float32)
    scale = codes_per_decibel(sound.floor)
    if settings.time_warp:
        speed = 1 + settings.time_warp * (2 * draws["time_warp"] - 1)
        codes = warp_time(codes, speed)
    if settings.bands:
        codes = warp_bands(codes, settings.bands * (2 * draws["bands"] - 1))
    np.rint(codes, out=codes)
    silent = codes == 0
    if settings.level:
        gain = scale * settings.level * (2 * draws["level"] - 1)
        codes += gain.astype(np.float32)[:, None, None]
    if settings.tilt:
        gain = scale * settings.tilt * (2 * draws["tilt"] - 1)
        codes += np.outer(gain, np.linspace(-1, 1, sound.bands)).astype(np.float32)[:, None]
    if settings.noise:
        for clip, generator in zip(codes, generators, strict=True):
            noise = generator.standard_normal(clip.shape, np.float32)
            clip += np.float32(scale * settings.noise) * noise
    # Silence has no level that a gain could change.
    codes[silent] = 0
    changed = np.clip(np.rint(codes), 0, 255).astype(np.uint8)
    for name, axis in (("mask_time", 1), ("mask_bands", 2)):
        most, length = getattr(settings, name), changed.shape[axis]
        hidden = masked(length, most, draws[name], draws[f"{name}_place"])
        changed[np.broadcast_to(np.expand_dims(hidden, 3 - axis), changed.shape)] = 0
    return changed.reshape(frames.shape)


def by_frames(frames: NDArray[np.uint8], sound: Sound) -> NDArray[np.uint8]:
    """The same clips by frames of 10 ms: a view, uint8 [clips, steps * stack, bands]."""
    return frames.reshape(len(frames), -1, sound.bands)


def warp_time(codes: Floats, speed: NDArray[np.float64]) -> Floats:
    """Clips that are spoken `speed` times as fast; the end stays where it is.

    A faster clip is shorter: silence comes before it. A slower one loses its beginning. Codes are
    decibels, and those between two frames lie on a line.

    Args:
        codes: float32 [clips, frames, bands].
        speed: [clips].
    """
    last = codes.shape[1] - 1
    places = last - np.arange(last, -1, -1) * speed[:, None]
    warped = _between(codes, np.maximum(places, 0))
    warped[places < 0] = 0
    return warped


def warp_bands(codes: Floats, shift: NDArray[np.float64]) -> Floats:
    """Clips whose frequencies are all multiplied by one number.

    Args:
        codes: float32 [clips, frames, bands].
        shift: [clips]; by how many bands the highest band's contents move up (below 0: down).
            Beyond the ends the last band is repeated.
    """
    bands = codes.shape[2]
    centres = band_centres(bands)
    # The contents of the highest band move to where its centre was multiplied by `factor`.
    factor = band_centres(bands, bands - 1 + shift) / centres[-1]
    places = np.clip(bands_at(centres / factor[:, None], bands), 0, bands - 1)
    return np.swapaxes(_between(np.swapaxes(codes, 1, 2), places), 1, 2).copy()


def masked(
    length: int, most: int, drawn: NDArray[np.float64], place: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """One stretch of 0 to `most` of `length` for each clip: bool [clips, length]."""
    width = (drawn * (most + 1)).astype(int)
    first = (place * (length - width + 1)).astype(int)
    numbers = np.arange(length)
    return (numbers >= first[:, None]) & (numbers < (first + width)[:, None])


def _between(values: Floats, places: NDArray[np.float64]) -> Floats:
    """Values at places between those of axis 1, on lines between neighbours.

    Args:
        values: float32 [clips, length, others].
        places: from 0 to length - 1, [clips, places].
    """
    below = np.minimum(places.astype(int), values.shape[1] - 1)
    above = np.minimum(below + 1, values.shape[1] - 1)
    part = (places - below).astype(np.float32)[:, :, None]
    low = np.take_along_axis(values, below[:, :, None], axis=1)
    high = np.take_along_axis(values, above[:, :, None], axis=1)
    return np.asarray(low + part * (high - low), np.float32)
