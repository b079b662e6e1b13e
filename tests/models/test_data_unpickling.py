"""Arrays of objects are read, and nothing in their pickles is called."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fdht_models.data import watch
from fdht_models.data.watch import read_objects
from fdht_models.errors import DataError


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self._path,)


def saved(path: Path, value: object) -> Path:
    np.save(path, np.array(value, object), allow_pickle=True)
    return path


def test_arrays_texts_and_numbers_come_back(tmp_path: Path) -> None:
    value = {"X": [np.arange(6.0).reshape(2, 3), np.ones(2, np.int8)], "names": ["a"], "n": 3}
    found = read_objects(saved(tmp_path / "a.npy", value))
    assert found["names"] == ["a"] and found["n"] == 3
    for one, wanted in zip(found["X"], value["X"], strict=True):  # type: ignore[call-overload]
        np.testing.assert_array_equal(one, wanted)


def test_nothing_is_called(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", {"X": Trap(tmp_path / "sprung")})
    with pytest.raises(pickle.UnpicklingError, match="which no array needs"):
        read_objects(path)
    assert not (tmp_path / "sprung").exists()
    np.load(path, allow_pickle=True)
    assert (tmp_path / "sprung").exists()  # the trap works


def test_a_watch_file_that_is_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.npy", {"X": Trap(tmp_path / "sprung")})
    monkeypatch.setattr(watch, "package_file", lambda *_: path)
    with pytest.raises(DataError, match=r"cannot be read .*which no array needs"):
        watch._read()
    assert not (tmp_path / "sprung").exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(ValueError, match="it holds no single object"):
        read_objects(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="magic"):
        read_objects(tmp_path / "b.npy")
