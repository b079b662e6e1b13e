"""The cache gives back exactly what was generated, notices damage and never holds half a file."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdht_models.data import DATASETS, cache, generated, load_clips
from fdht_models.data.clip_blocks import GeneratedRequest
from fdht_models.errors import ArtifactError


@pytest.fixture
def generations(monkeypatch: pytest.MonkeyPatch) -> list[GeneratedRequest]:
    """Collects a request each time clips are generated and not read."""
    made: list[GeneratedRequest] = []
    generate = generated.generate_blocks

    def count(request: GeneratedRequest, workers: int | None = None) -> Iterator[np.ndarray]:
        made.append(request)
        return generate(request, workers)

    monkeypatch.setattr(generated, "generate_blocks", count)
    return made


def _everything_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", DATASETS)
def test_cached_clips_equal_those_in_memory(
    name: str, tmp_path: Path, generations: list[GeneratedRequest]
) -> None:
    first = load_clips(name, "train", 4, 0, tmp_path)
    assert len(generations) == 1
    second = load_clips(name, "train", 4, 0, tmp_path)
    assert len(generations) == 1, "the second call generated again"
    plain = load_clips(name, "train", 4, 0)
    for clips in (first, second):
        np.testing.assert_array_equal(clips.frames, plain.frames)
        np.testing.assert_array_equal(clips.labels, plain.labels)
        assert clips.frame_shape == plain.frame_shape
        assert isinstance(clips.frames, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            clips.frames[0, 0, 0] = 1


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"split": "test"},
        {"clips": 5},
        {"steps": 8},
        {"dead_zone": 3},
        {"name": "watch"},
    ],
)
def test_other_arguments_are_other_files(change: dict[str, object]) -> None:
    arguments: dict[str, object] = {
        "name": "motion", "split": "train", "clips": 4, "seed": 0, "steps": 7,
    }  # fmt: skip
    here = Path("cache")

    def directory(chosen: dict[str, object]) -> Path:
        data_set = DATASETS[str(chosen.pop("name"))]
        data_set = data_set.with_dead_zone(int(str(chosen.pop("dead_zone", 0))))
        return cache.cache_directory(here, GeneratedRequest(data_set, **chosen))  # type: ignore[arg-type]

    assert directory(dict(arguments)) == directory(dict(arguments))
    assert directory(dict(arguments)) != directory(arguments | change)


def test_the_key_holds_the_pictures_and_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    request = GeneratedRequest(DATASETS["motion"], "train", 4, 0, 7)
    inputs = cache.cache_inputs(request)
    assert {"digits", "picture:astronaut"} <= set(inputs["sources"])
    assert inputs["version"] == DATASETS["motion"].version
    assert {"numpy", "pillow"} == set(inputs["packages"])
    assert "dead_zone" not in inputs, "clips that were kept before there was any are made again"


@pytest.mark.parametrize("damage", ["truncated", "one bit", "no labels", "no manifest"])
def test_a_damaged_cache_is_made_again(
    damage: str, tmp_path: Path, generations: list[GeneratedRequest]
) -> None:
    expected = load_clips("watch", "train", 9, 0)
    load_clips("watch", "train", 9, 0, tmp_path)
    (directory,) = tmp_path.iterdir()
    frames = directory / "frames.bin"
    if damage == "truncated":
        os.truncate(frames, frames.stat().st_size // 2)
    elif damage == "one bit":
        data = bytearray(frames.read_bytes())
        data[1000] ^= 1
        frames.write_bytes(data)
    else:
        (directory / ("labels.npy" if damage == "no labels" else "manifest.json")).unlink()
    before = len(generations)
    found = load_clips("watch", "train", 9, 0, tmp_path)
    assert len(generations) == before + 1
    np.testing.assert_array_equal(found.frames, expected.frames)
    np.testing.assert_array_equal(found.labels, expected.labels)
    load_clips("watch", "train", 9, 0, tmp_path)
    assert len(generations) == before + 1, "the repaired cache was not used"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ArtifactError, match="No space left on device"):
            load_clips("watch", "train", 9, 0, tmp_path)
    assert _everything_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    assert len(load_clips("watch", "train", 9, 0, tmp_path)) == 9


def test_a_write_that_the_system_refuses_leaves_nothing(tmp_path: Path) -> None:
    """No monkeypatch: the kernel itself fails a write half-way through the file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(ArtifactError, match="cannot be written"):
            load_clips("motion", "train", 4, 0, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_clips("watch", "train", 9, 0, tmp_path)
    before = {path: path.read_bytes() for path in _everything_in(tmp_path)}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError):
        load_clips("watch", "train", 10, 0, tmp_path)
    assert {path: path.read_bytes() for path in _everything_in(tmp_path)} == before


def test_a_cache_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("not a directory")
    with pytest.raises(ArtifactError, match="cannot be written"):
        load_clips("watch", "train", 2, 0, tmp_path / "taken")
