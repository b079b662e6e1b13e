"""Clips changed at random: what each option does, and that it depends on seed, epoch and clip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fdht_models.augmentation import Augmentation, AugmentationSettings, check_augmentation
from fdht_models.augmentation.batches import (
    DRAWS,
    brightness_table,
    change_picture,
    kept_places,
    masked,
    move_in_time,
    warp_bands,
    warp_time,
)
from fdht_models.errors import ConfigError
from fdht_models.features import features_of
from fdht_models.preprocessing import (
    Picture,
    Preprocessing,
    Sampling,
    Sound,
    Spikes,
    plain,
)
from fdht_models.preprocessing.log_mel import RATE, band_centres, bands_at, log_mel
from fdht_models.settings import read_section

STEPS, HEIGHT, WIDTH, BANDS, STACK = 6, 9, 12, 20, 3
VIDEO = Preprocessing(Sampling("stride", STEPS), picture=Picture(HEIGHT, WIDTH, "motion_energy"))
SOUND = Preprocessing(Sampling("window", STEPS), sound=Sound(BANDS, STACK))
COURSE = (7, 3, 2)
NUMBERS = np.arange(40, 72)


def clips(preprocessing: Preprocessing, least: int = 0) -> NDArray[np.uint8]:
    shape = (len(NUMBERS), STEPS, preprocessing.inputs)
    return np.random.default_rng(5).integers(least, 256, shape, dtype=np.uint8)


def changed(preprocessing: Preprocessing, frames: NDArray[np.uint8], **settings: Any) -> Any:
    augmentation = Augmentation(AugmentationSettings(**settings), preprocessing)
    return augmentation.change(frames, NUMBERS, COURSE)


def middle(**drawn: float) -> dict[str, float]:
    return {**dict.fromkeys(DRAWS, 0.5), **drawn}


EVERYTHING = {
    "picture": {"flip": 0.5, "crop": 0.3, "brightness": 0.3, "shift": 2, "drop": 0.2},
    "sound": {
        "time_warp": 0.2, "bands": 2.0, "level": 6.0, "tilt": 4.0, "noise": 1.0, "mask_time": 5,
        "mask_bands": 4, "shift": 2, "drop": 0.2,
    },
}  # fmt: skip


@pytest.mark.parametrize("preprocessing", [VIDEO, SOUND], ids=["video", "sound"])
def test_what_is_drawn_depends_on_course_and_clip_alone(preprocessing: Preprocessing) -> None:
    settings = AugmentationSettings(**EVERYTHING[preprocessing.kind])
    augmentation = Augmentation(settings, preprocessing)
    frames = clips(preprocessing)
    kept = frames.copy()
    whole = augmentation.change(frames, NUMBERS, COURSE)
    assert whole.dtype == np.uint8 and whole.shape == frames.shape
    np.testing.assert_array_equal(frames, kept)  # a cache is never written to
    # Alone, in another order, as of several workers: the same clips.
    some = np.array([9, 3, 20])
    np.testing.assert_array_equal(
        augmentation.change(frames[some], NUMBERS[some], COURSE), whole[some]
    )
    same = np.repeat(frames[:1], len(NUMBERS), axis=0)
    one = augmentation.change(same, NUMBERS, COURSE)
    assert len(np.unique(one, axis=0)) > 20  # each clip has draws of its own
    for other in ((8, 3, 2), (7, 4, 2), (7, 3, 3)):
        assert not np.array_equal(augmentation.change(frames, NUMBERS, other), whole)


@pytest.mark.parametrize("preprocessing", [VIDEO, SOUND], ids=["video", "sound"])
def test_nothing_chosen_changes_nothing(preprocessing: Preprocessing) -> None:
    frames = clips(preprocessing)
    np.testing.assert_array_equal(changed(preprocessing, frames), frames)


def test_an_option_does_not_change_what_another_one_draws() -> None:
    frames = clips(VIDEO, least=1)
    mirrored = changed(VIDEO, frames, flip=0.5)
    lost = ~changed(VIDEO, frames, drop=0.3).any(axis=2)
    assert 0 < lost.sum() < lost.size
    both = changed(VIDEO, frames, flip=0.5, drop=0.3)
    np.testing.assert_array_equal(both[~lost], mirrored[~lost])
    assert not both[lost].any()
    cropped = changed(VIDEO, frames, crop=0.5, drop=0.3)
    np.testing.assert_array_equal(~cropped.any(axis=2), lost)


def test_mirrored_clips_are_those_of_mirrored_videos() -> None:
    frames = clips(VIDEO)
    found = changed(VIDEO, frames, flip=0.5)
    pictures = frames.reshape(*frames.shape[:2], HEIGHT, WIDTH, 3)
    mirrored = pictures[:, :, :, ::-1].reshape(frames.shape)
    is_mirrored = (found == mirrored).all(axis=(1, 2))
    is_same = (found == frames).all(axis=(1, 2))
    assert np.all(is_mirrored ^ is_same)
    assert 8 <= is_mirrored.sum() <= 24
    np.testing.assert_array_equal(changed(VIDEO, frames, flip=1.0), mirrored)


@pytest.mark.parametrize("drawn", [0.001, 0.3, 0.999])
def test_a_change_of_motion_is_the_motion_of_changed_pictures(drawn: float) -> None:
    settings = AugmentationSettings(flip=1.0, crop=0.4)
    draws = middle(crop=0.9, crop_row=drawn, crop_column=1 - drawn)
    video = np.random.default_rng(1).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    of_pixels = Picture(HEIGHT, WIDTH, "pixels")
    pictures = change_picture(video.reshape(5, -1), draws, settings, of_pixels)
    expected = features_of("motion_energy", pictures.reshape(video.shape))
    energy = features_of("motion_energy", video)
    of_motion = Picture(HEIGHT, WIDTH, "motion_energy")
    np.testing.assert_array_equal(change_picture(energy, draws, settings, of_motion), expected)
    # 64 % of the rows and columns are there, every one of them, and none of the others.
    rows = kept_places(HEIGHT, 0.64, drawn)
    columns = kept_places(WIDTH, 0.64, 1 - drawn)
    np.testing.assert_array_equal(np.unique(rows), np.arange(rows[0], rows[0] + 6))
    np.testing.assert_array_equal(np.unique(columns), np.arange(columns[0], columns[0] + 8))
    assert rows[0] >= 0 and rows[-1] < HEIGHT and columns[-1] < WIDTH
    slow = np.empty_like(video)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            slow[:, row, WIDTH - 1 - column] = video[:, rows[row], columns[column]]
    np.testing.assert_array_equal(pictures.reshape(video.shape), slow)


@pytest.mark.parametrize(("length", "kept"), [(1, 0.1), (9, 0.1), (9, 1.0), (160, 0.77)])
def test_every_place_of_a_crop_lies_in_the_frame(length: int, kept: float) -> None:
    for drawn in (0.0, 0.5, np.nextafter(1.0, 0)):
        places = kept_places(length, kept, drawn)
        assert len(places) == length and places[0] >= 0 and places[-1] < length
        assert len(np.unique(places)) == max(1, round(length * kept))
    np.testing.assert_array_equal(kept_places(length, 1.0, 0.7), np.arange(length))


def test_brightness_multiplies_and_saturates() -> None:
    frames = clips(VIDEO)
    for clip, found in zip(frames, changed(VIDEO, frames, brightness=0.5), strict=True):
        factors = found[clip > 100] / clip[clip > 100]
        factor = np.median(factors[found[clip > 100] < 255])
        assert 0.5 <= factor <= 1.5
        wanted = np.minimum(clip * factor, 255)
        # The factor is read off rounded values: half a code of at least 100.
        assert np.abs(found - wanted).max() <= 0.5 + 255 * 0.005
    assert brightness_table(1.5, 0)[[0, 1, 170, 171, 255]].tolist() == [0, 2, 255, 255, 255]
    assert brightness_table(0.5, 10)[[20, 21, 22, 40]].tolist() == [0, 0, 11, 20]


@pytest.mark.parametrize("preprocessing", [VIDEO, SOUND, plain(5, STEPS)], ids=["v", "s", "p"])
def test_a_late_or_early_cut_has_zeros_in_front(preprocessing: Preprocessing) -> None:
    frames = clips(preprocessing, least=1)
    found = changed(preprocessing, frames, shift=2)
    if preprocessing is SOUND:  # by frames of 10 ms, of which a step has three
        frames, found = (one.reshape(len(frames), -1, BANDS) for one in (frames, found))
    steps = frames.shape[1]
    seen = set()
    for clip, other in zip(frames, found, strict=True):
        missing = int((other == 0).all(axis=1).sum())
        assert not other[:missing].any()
        late = np.array_equal(other[missing:], clip[missing:])
        early = np.array_equal(other[missing:], clip[: steps - missing])
        assert late or early
        seen.add(missing if late else -missing)
    assert seen == {-2, -1, 0, 1, 2}


def test_each_shift_is_as_likely() -> None:
    drawn = (np.arange(70) + 0.5) / 70
    frames = np.repeat(np.arange(1, 6, dtype=np.uint8)[None, :, None], 70, axis=0)
    move_in_time(frames, drawn, 3)
    assert np.unique(frames, axis=0, return_counts=True)[1].tolist() == [10] * 7


def test_lost_steps_are_zeros() -> None:
    frames = clips(VIDEO, least=1)
    found = changed(VIDEO, frames, drop=0.25)
    lost = ~found.any(axis=2)
    np.testing.assert_array_equal(found[~lost], frames[~lost])
    # 192 steps: a share of 0.25 has a standard deviation of 0.031.
    assert 0.12 < lost.mean() < 0.38


def test_time_is_stretched_about_the_end() -> None:
    codes = clips(SOUND).reshape(len(NUMBERS), -1, BANDS).astype(np.float32)
    speeds = np.random.default_rng(2).uniform(0.6, 1.4, len(codes))
    found = warp_time(codes, speeds)
    numbers = np.arange(codes.shape[1])
    for clip, other, speed in zip(codes, found, speeds, strict=True):
        places = numbers[-1] - speed * (numbers[-1] - numbers)
        for band in range(BANDS):
            wanted = np.interp(places, numbers, clip[:, band])
            wanted[places < 0] = 0
            # float32 of values up to 255 and of a part of 1: 255 * 2**-22.
            np.testing.assert_allclose(other[:, band], wanted, atol=1e-4)
    np.testing.assert_array_equal(warp_time(codes, np.ones(len(codes))), codes)


def test_bands_move_as_frequencies_that_are_multiplied() -> None:
    codes = clips(SOUND).reshape(len(NUMBERS), -1, BANDS).astype(np.float32)
    shifts = np.random.default_rng(3).uniform(-3, 3, len(codes))
    found = warp_bands(codes, shifts)
    centres = band_centres(BANDS)
    for clip, other, shift in zip(codes, found, shifts, strict=True):
        factor = band_centres(BANDS, np.array([BANDS - 1 + shift]))[0] / centres[-1]
        places = np.interp(np.arange(BANDS), bands_at(centres * factor, BANDS), np.arange(BANDS))
        own = bands_at(centres / factor, BANDS)
        inside = (own > 0) & (own < BANDS - 1)
        # `np.interp` inverts the map on lines between bands, which is not exact: near, not equal.
        assert np.abs(places - own)[inside].max() < 0.05
        for step in range(len(clip)):
            wanted = np.interp(own, np.arange(BANDS), clip[step])
            np.testing.assert_allclose(other[step], wanted, atol=1e-4)
    np.testing.assert_allclose(warp_bands(codes, np.zeros(len(codes))), codes, atol=1e-4)


def test_bands_move_like_those_of_a_tone_of_another_pitch() -> None:
    bands, factor = 40, 1.3
    tones = [
        0.5 * np.sin(2 * np.pi * hertz * np.arange(RATE // 4) / RATE).astype(np.float32)
        for hertz in (2000.0, 2000.0 * factor)
    ]
    low, high = (log_mel(tone, bands)[5:6].astype(np.float32) for tone in tones)
    top = band_centres(bands)[-1:] * factor
    moved = warp_bands(low[None], bands_at(top, bands) - (bands - 1))[0]
    assert np.abs(moved.argmax() - high.argmax()) <= 1 < high.argmax() - low.argmax()


def test_a_level_is_decibels_and_silence_stays_silent() -> None:
    frames = clips(SOUND)
    frames[:, 0] = 0
    found = changed(SOUND, frames, level=5.0)
    gains = []
    for clip, other in zip(frames.astype(int), found.astype(int), strict=True):
        assert not other[clip == 0].any()
        inside = (clip > 20) & (clip < 235)
        (gain,) = np.unique((other - clip)[inside])
        np.testing.assert_array_equal(other[clip > 0], np.clip(clip + gain, 0, 255)[clip > 0])
        gains.append(gain)
    assert -15 <= min(gains) < -8 and 8 < max(gains) <= 15  # 3 codes a decibel


def test_a_tilt_is_a_line_over_the_bands() -> None:
    frames = np.full((len(NUMBERS), STEPS, SOUND.inputs), 128, np.uint8)
    frames[:, 0] = 0
    found = changed(SOUND, frames, tilt=5.0).reshape(len(frames), STEPS, STACK, BANDS)
    assert not found[:, 0].any()
    seen = found[:, 1:].astype(int) - 128
    np.testing.assert_array_equal(seen, np.broadcast_to(seen[:, :1, :1], seen.shape))
    ends = seen[:, 0, 0, -1]
    for line, end in zip(seen[:, 0, 0], ends, strict=True):
        # Half a code of each end, and half of each value, are lost by rounding.
        assert np.abs(line - np.linspace(-end, end, BANDS)).max() <= 1
    assert -15 <= ends.min() < -8 and 8 < ends.max() <= 15  # 3 codes a decibel


def test_noise_has_the_deviation_asked_for_and_leaves_silence() -> None:
    frames = np.full((len(NUMBERS), STEPS, SOUND.inputs), 128, np.uint8)
    frames[:, 0] = 0
    found = changed(SOUND, frames, noise=2.0)[:, 1:].astype(float)
    # 9,600 values: the deviation of 6 codes is known to 0.05, and rounding adds 1/12 to its square.
    assert abs(found.std() - 6) < 0.25 and abs(found.mean() - 128) < 0.3
    assert not changed(SOUND, frames, noise=2.0)[:, 0].any()


@pytest.mark.parametrize(("key", "axis", "most"), [("mask_time", 1, 7), ("mask_bands", 2, 5)])
def test_masks_are_one_stretch_of_silence(key: str, axis: int, most: int) -> None:
    frames = clips(SOUND, least=1)
    found = changed(SOUND, frames, **{key: most}).reshape(len(frames), -1, BANDS)
    hidden = (found == 0).all(axis=3 - axis)
    np.testing.assert_array_equal(
        found == 0, np.broadcast_to(np.expand_dims(hidden, 3 - axis), found.shape)
    )
    widths = hidden.sum(axis=1)
    assert widths.max() == most and widths.min() == 0
    assert all(np.abs(np.diff(row.astype(int), prepend=0, append=0)).sum() <= 2 for row in hidden)
    kept = frames.reshape(found.shape)
    np.testing.assert_array_equal(found[found > 0], kept[found > 0])


def test_masks_reach_both_ends() -> None:
    ends = np.array([0.0, np.nextafter(1.0, 0)])
    hidden = masked(8, 3, np.full(2, np.nextafter(1.0, 0)), ends)
    assert hidden.astype(int).tolist() == [[1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize(
    ("preprocessing", "settings", "message"),
    [
        (SOUND, {"flip": 0.5}, r"^augmentation\.flip = 0\.5: has no meaning for sound; .*level"),
        (SOUND, {"crop": 0.1}, r"^augmentation\.crop = 0\.1: has no meaning for sound"),
        (VIDEO, {"level": 3.0}, r"^augmentation\.level = 3\.0: has no meaning for video; .*flip"),
        (plain(5, STEPS), {"noise": 1.0}, r"^augmentation\.noise = 1\.0: has no meaning for val"),
        (
            Preprocessing(Sampling("bins", STEPS), spikes=Spikes(10.0, 700)),
            {"mask_time": 1},
            r"^augmentation\.mask_time = 1: has no meaning for spikes; .*shift, drop",
        ),
        (VIDEO, {"shift": STEPS}, r"^augmentation\.shift = 6: a clip has 6 steps; choose fewer"),
        (SOUND, {"shift": 18}, r"^augmentation\.shift = 18: a clip has 18 frames of 10 ms"),
        (SOUND, {"mask_time": 18}, r"^augmentation\.mask_time = 18: a clip has 18 frames of 10 ms"),
        (SOUND, {"mask_bands": 20}, r"^augmentation\.mask_bands = 20: a clip has 20 bands"),
        (SOUND, {"bands": 20.0}, r"^augmentation\.bands = 20\.0: a clip has 20 bands"),
    ],
)
def test_what_has_no_meaning_is_refused(
    preprocessing: Preprocessing, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_augmentation(AugmentationSettings(**settings), preprocessing)


@pytest.mark.parametrize("kind", [VIDEO, SOUND], ids=["video", "sound"])
def test_what_has_a_meaning_is_not_refused(kind: Preprocessing) -> None:
    check_augmentation(AugmentationSettings(**EVERYTHING[kind.kind]), kind)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"flips": 1}, r"^augmentation\.flips: there is no such key"),
        ({"flip": 1.1}, r"^augmentation\.flip = 1\.1: must be a number"),
        ({"crop": True}, r"^augmentation\.crop = True: must be a number"),
        ({"crop": 0.95}, r"^augmentation\.crop = 0\.95: must be"),
        ({"brightness": -0.1}, r"^augmentation\.brightness = -0\.1: must be"),
        ({"shift": 1.5}, r"^augmentation\.shift = 1\.5: must be a whole number"),
        ({"time_warp": "0.1"}, r"^augmentation\.time_warp = '0\.1': must be a number"),
        ({"mask_bands": -1}, r"^augmentation\.mask_bands = -1: must be a whole number"),
    ],
)
def test_values_that_cannot_be_used_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_section(AugmentationSettings, table, "augmentation")


def test_flip_may_be_a_truth_value() -> None:
    assert read_section(AugmentationSettings, {"flip": True}, "augmentation").flip == 0.5
    assert read_section(AugmentationSettings, {"flip": False}, "augmentation").flip == 0.0
