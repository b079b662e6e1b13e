"""What clips show: each class moves as named, and no test clip shows training material."""

from pathlib import Path

import numpy as np
import pytest

from fdht_models.data import DATASETS, PICTURES, motion, photomotion, pictures, render_clips, watch
from fdht_models.data.packages import digits, package_file
from fdht_models.features import features_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "pictures.md"


# Splits


def test_no_photograph_is_in_both_splits() -> None:
    train, test = pictures.pictures_of("train"), pictures.pictures_of("test")
    assert len(train) >= 8
    assert len(test) >= 4
    assert set(train) | set(test) == set(PICTURES)
    files = {(picture.package, picture.file) for picture in PICTURES}
    assert len(files) == len(PICTURES), "a photograph is listed twice"
    shown = {pictures.load_picture(picture).tobytes() for picture in PICTURES}
    assert len(shown) == len(PICTURES), "two files show the same photograph"


def test_no_digit_is_in_both_splits() -> None:
    train = {image.tobytes() for image in digits("train")}
    test = {image.tobytes() for image in digits("test")}
    assert len(train) + len(test) == 1797
    assert not train & test


def test_no_person_is_in_both_splits() -> None:
    train = {recording.person for recording in watch.recordings("train")}
    test = {recording.person for recording in watch.recordings("test")}
    assert train == set(watch.PEOPLE["train"])
    assert test == set(watch.PEOPLE["test"])
    assert not train & test
    assert len(train | test) == 10


def test_people_who_exercised_together_are_in_one_split() -> None:
    for pair in ({1, 2}, {3, 4}, {5, 6}, {7, 10}, {8, 9}):
        assert any(pair <= set(people) for people in watch.PEOPLE.values())


@pytest.mark.parametrize("name", ["motion", "photomotion"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_draws_only_its_own_material(
    name: str, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"motion": motion, "photomotion": photomotion}[name]
    drawn: set[pictures.Picture] = set()

    def remember(picture: pictures.Picture) -> np.ndarray:
        drawn.add(picture)
        return pictures.load_picture(picture)

    monkeypatch.setattr(module, "load_picture", remember)
    for index in range(120):
        DATASETS[name].generate_raw(split, 0, index, 1)
    assert drawn == set(pictures.pictures_of(split)), "another split's, or one never drawn"


# Licences


def test_every_picture_is_in_the_licence_document() -> None:
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = cells[1:]
    listed = {
        picture.file.rsplit("/", 1)[-1]: [
            picture.package, picture.split, picture.author, picture.licence, picture.source,
        ]
        for picture in PICTURES
    }  # fmt: skip
    assert rows == listed


def test_every_licence_permits_the_use() -> None:
    assert {picture.licence for picture in PICTURES} <= {"CC0 1.0", "public domain", "CC BY 2.0"}


def test_the_packages_still_state_the_licences() -> None:
    """scikit-image and scikit-learn say in their own files what our table says."""
    source = package_file("skimage", "data/_fetchers.py").read_text()
    phrases = {"CC0 1.0": ("cc0", "cc-0"), "public domain": ("public domain",)}
    for picture in PICTURES:
        if picture.package == "skimage":
            before, _, _ = source.partition(f'"{picture.file}"')
            docstring = before[before.rindex("\ndef ") :].lower().replace("creative commons ", "")
            assert any(phrase in docstring for phrase in phrases[picture.licence]), picture.file
    readme = package_file("sklearn", "datasets/images/README.txt").read_text()
    assert readme.count("https://creativecommons.org/licenses/by/2.0/") == 2
    for picture in PICTURES:
        if picture.package == "sklearn":
            assert picture.source in readme


# motion


def _tracks(name: str, count: int = 40, frames: int = 8) -> list[motion.Track]:
    generator = np.random.default_rng(1)
    return [motion.draw_track(name, frames, generator) for _ in range(count)]


def test_tracks_move_as_named() -> None:
    signs = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
    for name, (x, y) in signs.items():
        for track in _tracks(name):
            np.testing.assert_array_equal(np.sign(np.diff(track.x)), x)
            np.testing.assert_array_equal(np.sign(np.diff(track.y)), y)
            assert np.ptp(track.size) == 0
    for name, sign in (("grow", 1), ("shrink", -1)):
        for track in _tracks(name):
            np.testing.assert_array_equal(np.sign(np.diff(track.size)), sign)
            assert np.ptp(track.x) == np.ptp(track.y) == 0


def test_tracks_circle_as_named() -> None:
    for name, sign in (("clockwise", 1), ("counterclockwise", -1)):
        for track in _tracks(name):
            x, y = np.diff(track.x), np.diff(track.y)
            # Rows count downwards: a clockwise turn of the velocity has a positive cross product.
            turning = x[:-1] * y[1:] - y[:-1] * x[1:]
            np.testing.assert_array_equal(np.sign(turning), sign)


def test_tracks_stop_and_bounce() -> None:
    for track in _tracks("stop"):
        steps = np.diff(track.x)
        assert steps[0] > 0
        np.testing.assert_allclose(steps[-2:], 0, atol=1e-9)
        assert np.all(np.diff(steps) < 1e-9), "it moves again"
    for track in _tracks("bounce"):
        signs = np.sign(np.diff(track.x))
        assert signs[0] == -1
        assert signs[-1] == 1
        assert np.count_nonzero(np.diff(signs)) == 1


def test_shake_has_no_direction() -> None:
    for track in _tracks("shake", frames=30):
        assert len(set(np.sign(np.diff(track.x)))) == 2
        assert len(set(np.sign(np.diff(track.y)))) == 2


@pytest.mark.parametrize("name", motion.CLASSES)
@pytest.mark.parametrize("frames", [8, 61])
def test_the_middle_of_the_digit_stays_in_the_frame(name: str, frames: int) -> None:
    for track in _tracks(name, frames=frames):
        assert track.x.min() >= 0
        assert track.x.max() <= motion.WIDTH
        assert track.y.min() >= 0
        assert track.y.max() <= motion.HEIGHT


def _energy(name: str, wanted: str, split: str = "test", clips: int = 110) -> list[np.ndarray]:
    """Motion energy above the noise of all clips of a class: float [steps, H, W] each."""
    data_set = DATASETS[name]
    height, width, _ = data_set.frame_shape
    found = []
    for index in range(clips):
        if data_set.classes[data_set.label(split, 4, index)] == wanted:
            frames, _ = data_set.generate(split, 4, index)
            energy = frames.reshape(-1, height, width, 3).astype(np.float64).sum(axis=3)
            found.append(np.where(energy > 30, energy, 0))
    return found


def _centroids(energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total = energy.sum(axis=(1, 2)) + 1e-9
    rows, columns = np.indices(energy.shape[1:])
    return (energy * columns).sum(axis=(1, 2)) / total, (energy * rows).sum(axis=(1, 2)) / total


def _visible(energy: np.ndarray) -> bool:
    # A digit of the photograph's own colour cannot be seen; such clips are part of the set.
    return bool((energy.sum(axis=(1, 2)) > 2000).all())


@pytest.mark.parametrize(
    ("name", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)]
)
def test_motion_energy_moves_as_named(name: str, axis: int, sign: int) -> None:
    seen = [energy for energy in _energy("motion", name) if _visible(energy)]
    assert len(seen) >= 4
    for energy in seen:
        centroid = _centroids(energy)
        path = [places[-1] - places[0] for places in centroid]
        assert sign * path[axis] > 12
        assert abs(path[1 - axis]) < abs(path[axis])


@pytest.mark.parametrize(("name", "sign"), [("clockwise", 1), ("counterclockwise", -1)])
def test_motion_energy_circles_as_named(name: str, sign: int) -> None:
    seen = [energy for energy in _energy("motion", name) if _visible(energy)]
    assert len(seen) >= 4
    for energy in seen:
        x, y = (np.diff(places) for places in _centroids(energy))
        assert sign * (x[:-1] * y[1:] - y[:-1] * x[1:]).sum() > 0


@pytest.mark.parametrize(("name", "sign"), [("grow", 1), ("shrink", -1)])
def test_motion_energy_changes_size_as_named(name: str, sign: int) -> None:
    seen = [energy for energy in _energy("motion", name) if _visible(energy)]
    assert len(seen) >= 4
    for energy in seen:
        x, y = _centroids(energy)
        rows, columns = np.indices(energy.shape[1:])
        distance = (rows - y[:, None, None]) ** 2 + (columns - x[:, None, None]) ** 2
        spread = np.sqrt((energy * distance).sum(axis=(1, 2)) / energy.sum(axis=(1, 2)))
        assert sign * np.log(spread[-1] / spread[0]) > 0.2


def test_a_stopped_digit_leaves_noise_only() -> None:
    for energy in _energy("motion", "stop"):
        assert energy[-1].sum() < 400
    assert any(energy[0].sum() > 4000 for energy in _energy("motion", "stop"))


def test_placement_is_bilinear_and_sub_pixel() -> None:
    """An 8-fold enlarged digit has its values at the middles; half a pixel moves it by half."""
    digit = np.zeros((8, 8), np.float32)
    digit[3, 5] = 1
    white = np.full(3, 200, np.float32)
    background = np.zeros((60, 60, 3), np.int16)

    def drawn(x: float) -> np.ndarray:
        canvas = background.copy()
        motion.draw_digit(canvas, background, digit, white, (x, 30.0), 40.0)
        return canvas[..., 0]

    rows, columns = np.indices((60, 60))
    # Five pixels a value: value (3, 5) is centred at pixel (10 + 3 * 5 + 2, 10 + 5 * 5 + 2).
    tent = np.maximum(0, 1 - np.abs(rows - 27) / 5) * np.maximum(0, 1 - np.abs(columns - 37) / 5)
    np.testing.assert_array_equal(drawn(30.0), np.rint(200 * tent))
    here, shifted = drawn(30.0), drawn(30.5)
    centre = [(columns * one).sum() / one.sum() for one in (here, shifted)]
    assert centre[1] - centre[0] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("centre", [(-30.0, 10.0), (0.0, 0.0), (59.0, 65.0), (300.0, 300.0)])
def test_a_digit_beyond_the_edge_is_cut(centre: tuple[float, float]) -> None:
    background = np.zeros((60, 60, 3), np.int16)
    canvas = background.copy()
    motion.draw_digit(
        canvas, background, np.ones((8, 8), np.float32), np.full(3, 9, np.float32), centre, 20.0
    )
    rows, columns, _ = np.indices(canvas.shape)
    far = (np.abs(columns - centre[0]) > 13) | (np.abs(rows - centre[1]) > 13)
    np.testing.assert_array_equal(canvas[far], 0)
    assert (canvas.max() == 9) == (centre in ((0.0, 0.0), (59.0, 65.0)))


def test_noise_is_there_and_small() -> None:
    raw, _ = render_clips("motion", "train", 6, 0)
    for clip in raw.astype(np.int16):
        change = np.diff(clip[:, :4, :4], axis=0)
        assert np.abs(change).max() < 40
    assert np.median(np.abs(np.diff(raw.astype(np.int16), axis=1))) in (1, 2, 3, 4)


# photomotion


@pytest.mark.parametrize("name", photomotion.CLASSES)
def test_the_camera_moves_as_named_and_stays_in_the_photograph(name: str) -> None:
    generator = np.random.default_rng(2)
    for frames in (5, 8, 60):
        for _ in range(20):
            camera = photomotion.draw_camera(name, frames, generator)
            moves = {
                "pan_left": -np.diff(camera.x),
                "pan_right": np.diff(camera.x),
                "pan_up": -np.diff(camera.y),
                "pan_down": np.diff(camera.y),
                "zoom_in": -np.diff(camera.scale),
                "zoom_out": np.diff(camera.scale),
                "rotate_clockwise": np.diff(camera.roll),
                "rotate_counterclockwise": -np.diff(camera.roll),
            }
            assert (moves[name][: min(frames, 8) - 1] > 0).all()
            for frame in range(frames):
                a, b, c, d, e, f = camera.affine(frame)
                for x, y in ((0, 0), (160, 0), (0, 120), (160, 120)):
                    assert -1e-6 <= a * x + b * y + c <= 320 + 1e-6
                    assert -1e-6 <= d * x + e * y + f <= 240 + 1e-6


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("pan_left", 2, 1), ("pan_right", 2, -1), ("pan_up", 1, 1), ("pan_down", 1, -1)],
)
def test_what_is_pictured_moves_against_the_camera(name: str, axis: int, sign: int) -> None:
    """The shift that best maps a frame on the next has the sign that the class says."""
    data_set = DATASETS["photomotion"]
    right = total = 0
    for index in range(64):
        if data_set.classes[data_set.label("test", 1, index)] != name:
            continue
        raw, _ = data_set.generate_raw("test", 1, index)
        grey = raw.astype(np.float32).mean(axis=3)
        here, there = grey[3, 10:-10, 10:-10], grey[4]
        errors = {}
        for shift in range(-7, 8):
            moved = np.roll(there, -shift, axis=axis - 1)[10:-10, 10:-10]
            errors[shift] = float(((moved - here) ** 2).mean())
        total += 1
        right += np.sign(min(errors, key=lambda shift: errors[shift])) == sign
    assert total == 8
    assert right >= 7


# watch


def test_watch_values_are_quantised_by_physical_constants() -> None:
    samples = np.array([[0, 1, -1, 0, 1, -1], [9, -9, 0.03, 99, -99, 0.03125]], np.float64)
    expected = [[128, 176, 80, 128, 144, 112], [255, 0, 129, 255, 0, 128]]
    np.testing.assert_array_equal(watch.quantise(samples), expected)


def test_watch_clips_are_consecutive_samples_of_one_recording() -> None:
    data_set = DATASETS["watch"]
    for index in range(14):
        frames, label = data_set.generate("test", 3, index)
        samples = frames.reshape(-1, 6)
        assert samples.shape == (12 * 25, 6)
        places = 0
        for recording in watch.recordings("test"):
            windows = np.flatnonzero((recording.samples[: -len(samples) + 1] == samples[0]).all(1))
            for start in windows:
                if np.array_equal(recording.samples[start : start + len(samples)], samples):
                    places += 1
                    assert recording.label == label
        assert places == 1


def test_few_watch_values_saturate() -> None:
    samples = np.concatenate([recording.samples for recording in watch.recordings("train")])
    assert np.mean((samples == 0) | (samples == 255)) < 0.01
    assert samples.std(axis=0).min() > 10


def test_longest_watch_clips_can_be_cut() -> None:
    longest = watch.maximum_steps("test")
    assert longest >= 50, "equality streams need clips of 50 frames"
    frames, _ = DATASETS["watch"].generate("test", 0, 0, longest)
    assert frames.shape == (longest, 150)


def test_features_of_video_are_motion_energy() -> None:
    raw, _ = DATASETS["motion"].generate_raw("train", 0, 0)
    frames, _ = DATASETS["motion"].generate("train", 0, 0)
    np.testing.assert_array_equal(frames, features_of("motion_energy", raw))
