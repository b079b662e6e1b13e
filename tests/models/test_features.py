"""Features equal a plain computation in wider integers, and refuse what they cannot read."""

import subprocess
import sys

import numpy as np
import pytest

from fdht_models.errors import ConfigError, ShapeError
from fdht_models.features import (
    FEATURES,
    features_of,
    get_feature,
    leave_out,
    motion_energy,
    pixels,
)


def _frames(count: int, shape: tuple[int, ...] = (6, 8, 3)) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_motion_energy_equals_a_plain_difference() -> None:
    previous, frame = _frames(2, (120, 160, 3))
    expected = np.abs(frame.astype(np.int16) - previous.astype(np.int16)).ravel()
    found = motion_energy(previous, frame)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_motion_energy_does_not_wrap_at_the_extremes() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    np.testing.assert_array_equal(motion_energy(black, white), 255)
    np.testing.assert_array_equal(motion_energy(white, black), 255)
    np.testing.assert_array_equal(motion_energy(white, white), 0)


def test_order_is_row_column_channel() -> None:
    previous, frame = np.zeros((2, 4, 5, 3), np.uint8)
    frame[2, 3, 1] = 9
    np.testing.assert_array_equal(
        np.flatnonzero(motion_energy(previous, frame)), [(2 * 5 + 3) * 3 + 1]
    )


@pytest.mark.parametrize(
    "frame", [np.zeros((6, 8, 3), np.int16), np.zeros((6, 9, 3), np.uint8)], ids=["type", "shape"]
)
def test_motion_energy_refuses_frames_that_differ(frame: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="resize every frame"):
        motion_energy(np.zeros((6, 8, 3), np.uint8), frame)


def test_features_of_a_clip_are_the_features_of_its_frames() -> None:
    frames = _frames(4)
    energy = features_of("motion_energy", frames)
    assert energy.shape == (3, 144)
    for step in range(3):
        np.testing.assert_array_equal(energy[step], motion_energy(frames[step], frames[step + 1]))
    np.testing.assert_array_equal(features_of("pixels", frames), frames.reshape(4, -1))
    np.testing.assert_array_equal(pixels(frames[0], frames[1]), frames[1].ravel())


@pytest.mark.parametrize("dead_zone", [0, 1, 40, 254])
def test_differences_in_the_dead_zone_are_none(dead_zone: int) -> None:
    frames = _frames(5)
    frames[1, 0, 0] = frames[0, 0, 0] ^ 255  # the largest and the smallest difference are there
    frames[2, 0, 0] = frames[1, 0, 0]
    plain = np.abs(np.diff(frames.astype(np.int16), axis=0)).reshape(4, -1)
    expected = np.where(plain > dead_zone, plain, 0)
    np.testing.assert_array_equal(features_of("motion_energy", frames, dead_zone), expected)
    made = features_of("motion_energy", frames)
    leave_out(made, dead_zone)
    np.testing.assert_array_equal(made, expected)


def test_a_feature_that_compares_nothing_has_no_dead_zone() -> None:
    with pytest.raises(ConfigError, match=r"dead_zone = 3: 'pixels' compares nothing.*leave it"):
        features_of("pixels", _frames(2), 3)


def test_needs_previous_is_told() -> None:
    assert FEATURES["motion_energy"].needs_previous
    assert not FEATURES["pixels"].needs_previous


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ShapeError, match="at least 2"):
        features_of("motion_energy", _frames(1))


def test_unknown_feature_names_the_near_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'motion_energy'"):
        get_feature("motion_enrgy")


def test_the_board_can_import_the_features() -> None:
    """Nothing but numpy and our own error family comes with them."""
    code = (
        "import sys, fdht_models.features; "
        "heavy = {'tensorflow', 'PIL', 'sklearn', 'skimage', 'hls4ml'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("dead_zone", [0, 17])
def test_a_feature_is_written_where_it_is_wanted(name: str, dead_zone: int) -> None:
    """Also between others, and from frames that are parts of larger ones; the frames stay."""
    feature = get_feature(name, dead_zone if name == "motion_energy" else 0)
    larger = _frames(2, (6, 16, 3))
    before = larger.copy()
    previous, frame = larger[:, :, ::2]
    expected = feature.function(np.ascontiguousarray(previous), np.ascontiguousarray(frame))
    room = np.full((3, 2 * frame.size), 0xA5, np.uint8)
    for row in (room[1, : frame.size], room[2, ::2]):
        assert feature.function(previous, frame, out=row) is row
        np.testing.assert_array_equal(row, expected)
    assert (room[0] == 0xA5).all() and (room[1, frame.size :] == 0xA5).all()
    assert (room[2, 1::2] == 0xA5).all()
    np.testing.assert_array_equal(larger, before)


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize(
    "out", [np.zeros(143, np.uint8), np.zeros((6, 24), np.uint8), np.zeros(144, np.int8)]
)
def test_a_place_of_another_size_is_refused(name: str, out: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="out"):
        get_feature(name).function(*_frames(2), out=out)
