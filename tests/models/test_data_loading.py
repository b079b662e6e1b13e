"""Clips are the same whenever, wherever and in however many they are made; bad input is refused."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from fdht_models.data import DATASETS, clip_blocks, load_clips, packages, photographs, render_clips
from fdht_models.errors import ConfigError, DataError
from fdht_models.features import features_of

VIDEO = [name for name, data_set in DATASETS.items() if data_set.is_video]


@pytest.mark.parametrize("name", DATASETS)
def test_shape_type_and_labels(name: str) -> None:
    data_set = DATASETS[name]
    clips = load_clips(name, "test", 5, 3)
    assert clips.frames.shape == (5, data_set.steps, data_set.inputs)
    assert clips.frames.dtype == np.uint8
    assert clips.labels.shape == (5,)
    assert clips.labels.dtype == np.int64
    assert clips.classes == data_set.classes
    assert clips.frame_shape == data_set.frame_shape
    assert len(clips) == 5


def test_the_default_frame_has_57600_values() -> None:
    assert DATASETS["motion"].inputs == 57_600
    assert DATASETS["watch"].inputs == 150


@pytest.mark.parametrize("name", DATASETS)
def test_the_seed_decides(name: str) -> None:
    one, again = load_clips(name, "train", 12, 7), load_clips(name, "train", 12, 7)
    np.testing.assert_array_equal(one.frames, again.frames)
    np.testing.assert_array_equal(one.labels, again.labels)
    other = load_clips(name, "train", 12, 8)
    assert not np.array_equal(one.labels, other.labels)
    assert all(not np.array_equal(a, b) for a, b in zip(one.frames, other.frames, strict=True))


@pytest.mark.parametrize("name", DATASETS)
def test_splits_and_clips_differ_with_one_seed(name: str) -> None:
    train, test = load_clips(name, "train", 6, 7).frames, load_clips(name, "test", 6, 7).frames
    assert len({clip.tobytes() for clip in (*train, *test)}) == 12


@pytest.mark.parametrize("name", DATASETS)
def test_a_smaller_set_is_the_start_of_a_larger_one(name: str) -> None:
    small, large = load_clips(name, "train", 5, 1), load_clips(name, "train", 9, 1)
    np.testing.assert_array_equal(small.frames, large.frames[:5])
    np.testing.assert_array_equal(small.labels, large.labels[:5])


@pytest.mark.parametrize("name", DATASETS)
def test_two_workers_make_the_same_clips_as_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small blocks, so that both workers have several, the last one not full.
    clip_bytes = DATASETS[name].steps * DATASETS[name].inputs
    monkeypatch.setattr(clip_blocks, "_BLOCK_BYTES", 3 * clip_bytes)
    one, two = (load_clips(name, "train", 17, 2, workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.labels, two.labels)


def test_a_worker_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])  # so that it cannot import numpy or us
    monkeypatch.setattr(sys, "executable", sys.executable)
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    with pytest.raises(DataError, match=r"a worker process failed \(.+\); use one worker"):
        load_clips("watch", "train", 20, 0, workers=2)


def test_a_silent_worker_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_blocks, "_TIMEOUT_SECONDS", 0.001)
    with pytest.raises(DataError, match="was silent"):
        load_clips("watch", "train", 20, 0, workers=2)


def test_workers_end_when_the_caller_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remember(*arguments, **options):  # type: ignore[no-untyped-def]
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", remember)
    request = clip_blocks.GeneratedRequest(DATASETS["motion"], "train", 60, 0, 7)
    generator = clip_blocks.generate_blocks(request, workers=2)
    assert len(next(generator)) > 0
    assert len(started) == 2
    generator.close()  # type: ignore[attr-defined]
    assert all(process.returncode is not None for process in started)


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_classes_are_balanced(name: str, split: str) -> None:
    data_set = DATASETS[name]
    labels = clip_blocks.GeneratedRequest(
        data_set, split, 10 * len(data_set.classes) + 3, 5, 1
    ).labels()
    counts = np.bincount(labels, minlength=len(data_set.classes))
    assert counts.min() >= 10
    assert counts.max() <= 11
    # In no fixed order: a network trained without shuffling must not see a pattern.
    turns = labels[: 10 * len(data_set.classes)].reshape(10, -1)
    assert len(np.unique(turns, axis=0)) == 10


@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.parametrize("steps", [None, 55])
def test_features_of_rendered_clips_are_the_loaded_clips(name: str, steps: int | None) -> None:
    raw, labels = render_clips(name, "test", 3, 9, steps=steps)
    clips = load_clips(name, "test", 3, 9, steps=steps)
    assert raw.shape == (3, (steps or 7) + 1, 120, 160, 3)
    np.testing.assert_array_equal(labels, clips.labels)
    for pixels, frames in zip(raw, clips.frames, strict=True):
        np.testing.assert_array_equal(features_of("motion_energy", pixels), frames)
        wide = pixels.astype(np.int16)
        np.testing.assert_array_equal(np.abs(np.diff(wide, axis=0)).reshape(frames.shape), frames)


@pytest.mark.parametrize("dead_zone", [0, 1, 6, 254])
def test_differences_in_the_dead_zone_are_none(dead_zone: int) -> None:
    raw, labels = render_clips("motion", "test", 3, 9)
    found = load_clips("motion", "test", 3, 9, dead_zone=dead_zone)
    np.testing.assert_array_equal(labels, found.labels)
    wide = np.abs(np.diff(raw.astype(np.int16), axis=1)).reshape(found.frames.shape)
    np.testing.assert_array_equal(np.where(wide > dead_zone, wide, 0), found.frames)
    for pixels, frames in zip(raw, found.frames, strict=True):
        np.testing.assert_array_equal(features_of("motion_energy", pixels, dead_zone), frames)
    assert dead_zone == 254 or found.frames.max() > 6


def test_workers_know_the_dead_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_blocks, "_BLOCK_BYTES", 2 * 7 * 57_600)
    one, two = (
        load_clips("motion", "train", 5, 2, dead_zone=5, workers=workers) for workers in (1, 2)
    )
    np.testing.assert_array_equal(one.frames, two.frames)
    assert 0 < two.frames[two.frames > 0].min() == 6


@pytest.mark.parametrize("name", DATASETS)
def test_steps_can_be_chosen(name: str) -> None:
    assert load_clips(name, "train", 2, 0, steps=16).frames.shape[1] == 16


def test_progress_is_shown_for_hundreds_of_clips(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a bar is drawn on terminals only
    quiet = load_clips("watch", "train", 310, 0)
    few = load_clips("watch", "train", 20, 0, progress=True)
    assert capfd.readouterr().err == ""
    shown = load_clips("watch", "train", 310, 0, progress=True)
    assert "watch: train clips" in capfd.readouterr().err
    np.testing.assert_array_equal(shown.frames, quiet.frames)
    np.testing.assert_array_equal(shown.frames[:20], few.frames)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "moton"}, r"data = 'moton': there is no such data set; did you mean 'motion'"),
        ({"split": "tset"}, r"split = 'tset': there is no such split; did you mean 'test'\?"),
        ({"clips": 0}, r"clips = 0: must be a whole number of at least 1"),
        ({"clips": 2.5}, r"clips = 2.5: must be a whole number"),
        ({"seed": -1}, r"seed = -1: must be a whole number of at least 0"),
        ({"steps": 3}, r"steps = 3: must be a whole number of at least 4"),
        ({"workers": 0}, r"workers = 0: must be a whole number of at least 1"),
        ({"name": "watch", "steps": 1}, r"steps = 1: must be a whole number of at least 2"),
        ({"name": "watch", "steps": 500}, r"no recording is that long; choose at most \d+ steps"),
        ({"dead_zone": 255}, r"dead_zone = 255: must be a whole number from 0 to 254"),
        ({"dead_zone": 2.5}, r"dead_zone = 2.5: must be a whole number"),
        ({"name": "watch", "dead_zone": 3}, r"dead_zone = 3: 'watch' is no video.*leave it out"),
    ],
)
def test_bad_arguments_are_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"name": "motion", "split": "train", "clips": 1, "seed": 0}
    with pytest.raises(ConfigError, match=message):
        load_clips(**(arguments | change))  # type: ignore[arg-type]


def test_only_video_can_be_rendered() -> None:
    with pytest.raises(ConfigError, match="data = 'watch': is not a video"):
        render_clips("watch", "train", 1, 0)


@pytest.mark.parametrize(
    ("name", "package"),
    [("motion", "sklearn"), ("motion", "skimage"), ("watch", "seglearn")],
)
def test_a_missing_package_is_named_with_its_remedy(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _forget()
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda it, *a: None if it == package else find_spec(it, *a)
    )
    with pytest.raises(DataError, match=rf"{package}.*is not installed; pip install fdht\[train\]"):
        # Enough clips that some need the package, whichever photographs they draw.
        load_clips(name, "train", 20, 0)
    _forget()


def test_missing_pillow_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    _forget()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"pillow.*is not installed; pip install fdht\[train\]"):
        load_clips("motion", "train", 1, 0)
    _forget()


def _forget() -> None:
    from fdht_models.data import watch

    packages.digits.cache_clear()
    photographs.load_picture.cache_clear()
    watch.recordings.cache_clear()


def test_no_tensorflow_is_imported() -> None:
    code = (
        "import sys\n"
        "from fdht_models.data import load_clips\n"
        "for name in ('motion', 'watch'): load_clips(name, 'train', 1, 0)\n"
        "sys.exit('tensorflow' if 'tensorflow' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stderr
