"""What clips show: each class moves as named, and no test clip shows training material."""

from pathlib import Path

import numpy as np
import pytest

from fdht_models.data import DATASETS, PICTURES, motion, photographs, render_clips, watch
from fdht_models.data.packages import digits, package_file
from fdht_models.features import features_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "pictures.md"


# Splits


def test_no_photograph_is_in_both_splits() -> None:
    train, test = photographs.pictures_of("train"), photographs.pictures_of("test")
    assert len(train) >= 8
    assert len(test) >= 4
    assert set(train) | set(test) == set(PICTURES)
    files = {(picture.package, picture.file) for picture in PICTURES}
    assert len(files) == len(PICTURES), "a photograph is listed twice"
    shown = {photographs.load_picture(picture).tobytes() for picture in PICTURES}
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


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_draws_only_its_own_material(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: set[photographs.Photograph] = set()

    def remember(picture: photographs.Photograph) -> np.ndarray:
        drawn.add(picture)
        return photographs.load_picture(picture)

    monkeypatch.setattr(motion, "load_picture", remember)
    for index in range(120):
        DATASETS["motion"].generate_raw(split, 0, index, 1)
    assert drawn == set(photographs.pictures_of(split)), "another split's, or one never drawn"


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


# watch


def test_watch_values_are_quantised_by_physical_constants() -> None:
    samples = np.array([[0, 1, -1, 0, 1, -1], [9, -9, 0.03, 99, -99, 0.03125]], np.float64)
    expected = [[128, 176, 80, 128, 144, 112], [255, 0, 129, 255, 0, 128]]
    np.testing.assert_array_equal(watch.quantise(samples), expected)


def test_training_clips_are_varied_and_test_clips_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording of gravity alone, on a watch that turns steadily about that axis."""
    level = np.zeros((2000, 6))
    level[:, 2], level[:, 5] = 1.0, 2.0
    recording = watch.Recording(level, 1, 0)
    monkeypatch.setattr(watch, "recordings", lambda split: (recording,))
    monkeypatch.setattr(watch, "_NOISE", np.zeros(6))
    np.testing.assert_array_equal(
        watch.render("test", 0, 8, np.random.default_rng(0)).reshape(-1, 6),
        np.tile(watch.quantise(level[0]), (200, 1)),
    )
    angles, paces = [], []
    for seed in range(200):
        clip = watch.render("train", 0, 8, np.random.default_rng(seed)).reshape(-1, 6)
        np.testing.assert_array_equal(clip, np.tile(clip[0], (200, 1)))
        gravity, turning = (clip[0, :3] - 128.0) / 48, (clip[0, 3:] - 128.0) / 16
        # A turned watch feels the same gravity; half a code of each of three channels is rounded.
        assert np.linalg.norm(gravity) == pytest.approx(1, abs=3**0.5 / 96)
        angles.append(np.arccos(np.clip(gravity[2], -1, 1)))
        paces.append(np.linalg.norm(turning) / 2)
    # Two angles of deviation 0.2 tilt the axis by 0.2 sqrt(pi / 2) on average: 0.25, +- 0.01.
    assert np.mean(angles) == pytest.approx(0.2 * (np.pi / 2) ** 0.5, abs=0.04)
    assert 0.75 < min(paces) < 0.85 and 1.2 < max(paces) < 1.33


def test_a_faster_clip_shows_more_of_the_movement(monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = np.linspace(-1, 1, 4000)[:, None] * np.array([1.0, 0, 0, 0, 0, 0])
    for name in ("_TURN", "_NOISE"):
        monkeypatch.setattr(watch, name, 0.0)
    found = watch._varied(ramp[:260], 200, np.random.default_rng(0))
    np.testing.assert_allclose(found[:, 0], np.linspace(ramp[0, 0], ramp[259, 0], 200), atol=1e-12)


def test_a_rotation_is_that_of_scipy() -> None:
    rotations = pytest.importorskip("scipy.spatial.transform").Rotation
    for angles in ([0.3, -0.2, 0.5], [0.0, 0.0, 0.0], [2.0, 1.0, -1.0]):
        expected = rotations.from_rotvec(angles).as_matrix()
        np.testing.assert_allclose(watch.rotation(np.array(angles)), expected, atol=1e-12)


def test_watch_clips_are_consecutive_samples_of_one_recording() -> None:
    data_set = DATASETS["watch"]
    for index in range(14):
        frames, label = data_set.generate("test", 3, index)
        samples = frames.reshape(-1, 6)
        assert samples.shape == (12 * 25, 6)
        places = 0
        for recording in watch.recordings("test"):
            whole = watch.quantise(recording.samples)
            windows = np.flatnonzero((whole[: -len(samples) + 1] == samples[0]).all(1))
            for start in windows:
                if np.array_equal(whole[start : start + len(samples)], samples):
                    places += 1
                    assert recording.label == label
        assert places == 1


def test_few_watch_values_saturate() -> None:
    samples = watch.quantise(
        np.concatenate([recording.samples for recording in watch.recordings("train")])
    )
    assert np.mean((samples == 0) | (samples == 255)) < 0.01
    assert samples.std(axis=0).min() > 10


def test_longest_watch_clips_can_be_cut() -> None:
    longest = watch.maximum_steps("test")
    assert longest >= 50, "equality streams need clips of 50 frames"
    for split in ("test", "train"):
        longest = watch.maximum_steps(split)
        for index in range(70):  # at any pace
            frames, _ = DATASETS["watch"].generate(split, 0, index, longest)
            assert frames.shape == (longest, 150)


def test_features_of_video_are_motion_energy() -> None:
    raw, _ = DATASETS["motion"].generate_raw("train", 0, 0)
    frames, _ = DATASETS["motion"].generate("train", 0, 0)
    np.testing.assert_array_equal(frames, features_of("motion_energy", raw))
