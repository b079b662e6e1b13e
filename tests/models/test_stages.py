"""Files of a stage are read as the stage wrote them; what is no stage is not taken for one."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fdht_models import stages
from fdht_models.artifacts import MANIFEST, check_place, new_stage
from fdht_models.directories import ConversionDirectory, ModelDirectory
from fdht_models.errors import ArtifactError
from fdht_models.stages import new_directory, stages_in


def make(directory: Path, text: str = "first") -> Path:
    with new_stage(directory, "hls", {}) as (temporary, extra):
        (temporary / "project").mkdir()
        (temporary / "project" / "core.cpp").write_text(text)
        (temporary / "figures.json").write_text(json.dumps({"text": text}))
        extra["design_id"] = "00ff"
    return directory


def test_files_are_as_they_were_written(tmp_path):
    stage = ConversionDirectory(make(tmp_path / "hls")).open()
    assert stage.design_id == "00ff"
    assert stage.read_json("figures.json") == {"text": "first"}
    assert stage.file("project/core.cpp").read_text() == "first"
    stage.check()


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_a_file_that_was_changed_is_refused(tmp_path, monkeypatch, seconds):
    """Also right after it was read: of equal length, and with the times that it had."""
    directory = make(tmp_path / "hls")
    stage = ConversionDirectory(directory).open()
    now = (directory / "figures.json").stat().st_ctime + seconds
    monkeypatch.setattr(stages, "time", SimpleNamespace(time=lambda: now))
    stage.read_json("figures.json")
    time.sleep(0.02 if seconds else 0.0)  # a file system's clock ticks
    (directory / "figures.json").write_text(json.dumps({"text": "frist"}))
    with pytest.raises(ArtifactError, match=r"figures\.json: differs from its digest.*convert"):
        stage.read_json("figures.json")
    (directory / "project" / "core.cpp").unlink()
    with pytest.raises(ArtifactError, match=r"core\.cpp: is missing; run fdht convert again"):
        stage.check("project")
    with pytest.raises(ArtifactError, match=r"nothing: is not in the manifest"):
        stage.file("nothing")


@pytest.mark.parametrize("files", [None, [], {"figures.json": 1}])
def test_a_manifest_without_digests_is_refused(tmp_path, files):
    directory = make(tmp_path / "hls")
    manifest = json.loads((directory / MANIFEST).read_text())
    (directory / MANIFEST).write_text(json.dumps({**manifest, "files": files}))
    with pytest.raises(ArtifactError, match=r"files.* must be a (table|text); run fdht convert"):
        ConversionDirectory(directory).open()


def test_what_is_not_there_is_none(tmp_path):
    assert ConversionDirectory(tmp_path / "hls").find() is None
    assert ConversionDirectory(tmp_path / "hls").find_file("figures.json") is None
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand" / "figures.json").write_text("{}")
    # Put together by hand: there is nothing to compare it with.
    assert ConversionDirectory(tmp_path / "hand").find_file("figures.json") is not None
    with pytest.raises(ArtifactError, match="stage = 'hls': expected 'model'"):
        ModelDirectory(make(tmp_path / "hls")).find_file("figures.json")


def test_former_and_temporary_directories_are_no_stages(tmp_path):
    """They sort first, and hold a manifest each."""
    make(tmp_path / "csim", "new")
    make(tmp_path / ".csim.former", "old")
    make(tmp_path / ".csim.abcd1234", "unfinished")
    assert stages_in(tmp_path) == [tmp_path / "csim"]
    assert not (tmp_path / ".csim.former").exists()
    assert ConversionDirectory(tmp_path / "csim").open().read_json("figures.json") == {
        "text": "new"
    }
    assert stages_in(tmp_path / "nothing") == []


def test_a_swap_that_was_interrupted_is_taken_back(tmp_path):
    make(tmp_path / "csim", "old").rename(tmp_path / ".csim.former")
    assert stages_in(tmp_path) == [tmp_path / "csim"]
    make(tmp_path / "hls", "old").rename(tmp_path / ".hls.former")
    found = ConversionDirectory(tmp_path / "hls").find()
    assert found is not None
    assert found.read_json("figures.json") == {"text": "old"}


def test_a_former_directory_stays_beside_one_that_is_not_whole(tmp_path):
    make(tmp_path / ".csim.former", "old")
    (tmp_path / "csim").mkdir()
    assert stages_in(tmp_path) == []
    assert ConversionDirectory(tmp_path / ".csim.former").open().read_json("figures.json")


def test_a_swap_under_way_is_not_taken_back(tmp_path, monkeypatch):
    """A reader that comes between the two renames waits for the second one."""
    make(tmp_path / "csim", "old")
    rename, readers, found = Path.rename, [], []

    def read() -> None:
        stage = ConversionDirectory(tmp_path / "csim").find()
        found.append(None if stage is None else stage.read_json("figures.json")["text"])

    def watched(self: Path, target: Path) -> Path:
        result = rename(self, target)
        if target.name == ".csim.former":
            readers.append(threading.Thread(target=read))
            readers[0].start()
            readers[0].join(0.2)
        return result

    monkeypatch.setattr(Path, "rename", watched)
    make(tmp_path / "csim", "new")
    readers[0].join(10)
    assert found == ["new"]


def test_two_owners_of_one_name_get_a_directory_each(tmp_path):
    barrier, made = threading.Barrier(8), []

    def own() -> None:
        barrier.wait()
        with new_directory(tmp_path / "run", "20261128T100000Z") as directory:
            (directory / "report").write_text("mine")
            made.append(directory)

    threads = [threading.Thread(target=own) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {"20261128T100000Z", *(f"20261128T100000Z-{number}" for number in range(2, 9))}
    assert {path.name for path in made} == names


def test_an_owner_that_fails_leaves_no_directory(tmp_path):
    with pytest.raises(RuntimeError), new_directory(tmp_path, "run"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ArtifactError, match="cannot be made"),
        new_directory(tmp_path / "file", "x"),
    ):
        pass


def test_a_place_is_looked_at_and_left_as_it_was(tmp_path):
    check_place(tmp_path / "new" / "deep" / "picture.svg")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"picture\.svg: cannot be written"):
        check_place(tmp_path / "file" / "picture.svg")
