"""A batch of training clips, changed at random; the same for one seed, epoch and clip.

Video is mirrored, cropped, made brighter or darker: pixels are moved, never averaged. So a change
of a motion feature is exactly the feature of changed frames: |a - b| of the same two pixels, at
another place. Sound, as log-mel codes, becomes faster or slower, another voice, louder or softer,
and parts of it are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdht_models.augmentation.section import AugmentationSettings
from fdht_models.preprocessing import Picture, Preprocessing, Sound
from fdht_models.preprocessing.log_mel import band_centres, bands_at, codes_per_decibel

Floats = NDArray[np.float32]

#: Numbers drawn for each clip, by what they are for. Every clip draws all of them, so that one
#: option changes nothing of what another one does. New ones are added at the end.
DRAWS = (
    "flip",
    "crop",
    "crop_row",
    "crop_column",
    "brightness",
    "shift",
    "time_warp",
    "bands",
    "level",
    "mask_time",
    "mask_time_place",
    "mask_bands",
    "mask_bands_place",
    "tilt",
)


@dataclass(frozen=True)
class Augmentation:
    """How clips of one kind are changed.

    Args:
        settings: what is changed, and how much.
        preprocessing: what the inputs are.
    """

    settings: AugmentationSettings
    preprocessing: Preprocessing

    def change(
        self, frames: NDArray[np.uint8], numbers: NDArray[np.int64], course: tuple[int, ...]
    ) -> NDArray[np.uint8]:
        """Changed copies of clips.

        Args:
            frames: uint8 [clips, steps, inputs].
            numbers: of the clips in their set, [clips]; what is drawn for a clip depends on its
                number and on `course`, and not on the other clips of the batch.
            course: phase, seed and epoch.

        Returns:
            uint8 [clips, steps, inputs].
        """
        settings, kind = self.settings, self.preprocessing
        generators = [np.random.default_rng([*course, int(number)]) for number in numbers]
        drawn = np.array([generator.random(len(DRAWS)) for generator in generators])
        draws = dict(zip(DRAWS, drawn.T, strict=True))
        lost = np.array([generator.random(frames.shape[1]) for generator in generators])
        if kind.picture is not None:
            changed = np.empty_like(frames, subok=False)
            for place, clip in enumerate(frames):
                own = {name: float(values[place]) for name, values in draws.items()}
                changed[place] = change_picture(clip, own, settings, kind.picture)
        elif kind.sound is not None:
            changed = change_sounds(frames, draws, generators, settings, kind.sound)
        else:
            changed = np.array(frames)
        # A network input of sound is several frames.
        steps = changed if kind.sound is None else by_frames(changed, kind.sound)
        move_in_time(steps, draws["shift"], settings.shift)
        changed[lost < settings.drop] = 0
        return changed


def move_in_time(frames: NDArray[np.uint8], drawn: NDArray[np.float64], most: int) -> None:
    """Cuts clips later or earlier, in place.

    What is left of a cut that begins too late or ends too early is shorter, and ends at the last
    step, zeros before it, as that of a short clip does.

    Args:
        frames: uint8 [clips, steps, inputs].
        drawn: from 0 to 1, [clips]; each of -most .. most steps is as likely. Above 0: so many
            steps are missing at the beginning; below: at the end.
        most: steps.
    """
    steps = frames.shape[1]
    for clip, missing in zip(frames, (drawn * (2 * most + 1)).astype(int) - most, strict=True):
        if missing < 0:
            clip[-missing:] = clip[: steps + missing].copy()
        clip[: abs(missing)] = 0


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
