"""Stage directories: whole or not at all, also when the disk is full or the process dies."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fdht_models import artifacts
from fdht_models.artifacts import (
    MANIFEST,
    SCHEMA_VERSION,
    canonical_json,
    digest_file,
    digest_of,
    is_current,
    new_stage,
    read_json,
    read_manifest,
    write_bytes,
    write_json,
    write_text,
)
from fdht_models.errors import ArtifactError, ToolError

INPUTS = {"network": "abc", "settings": {"ranks": [1, 2]}}


class ProcessKilledError(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def make(directory: Path, text: str = "first", inputs: object = None) -> None:
    with new_stage(directory, "model", inputs or INPUTS, {"tool": "1.2"}) as (temporary, extra):
        (temporary / "deep").mkdir()
        (temporary / "deep" / "weights.txt").write_text(text)
        (temporary / "plain.txt").write_text(text + "!")
        extra["design_id"] = "0123456789abcdef"


def contents(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def stage(tmp_path):
    directory = tmp_path / "build" / "model"
    make(directory)
    return directory


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


# JSON and digests -------------------------------------------------------------------------------


def test_canonical_json_does_not_depend_on_insertion_order():
    first = {"b": [1, 2.5, {"y": None, "x": True}], "a": "é"}
    second = dict(reversed(first.items()))
    second["b"] = [1, 2.5, {"x": True, "y": None}]
    assert list(first) != list(second)
    assert canonical_json(first) == canonical_json(second)
    assert canonical_json(first) == '{"a":"\\u00e9","b":[1,2.5,{"x":true,"y":null}]}'
    assert digest_of(first) == digest_of(second)


def test_digests_are_plain_sha256(tmp_path):
    # From FIPS 180-2, appendix B.1: the digest of "abc".
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc").write_bytes(b"abc")
    assert digest_file(tmp_path / "abc") == known
    assert digest_of([1]) != digest_of(["1"]) != digest_of("1")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_other_readers_cannot_read(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json([value])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", [value])
    assert list(tmp_path.iterdir()) == []


def test_json_round_trip(tmp_path):
    value = {"text": "ü", "list": [1, 2.5, None, True], "last": -(2**62)}
    write_json(tmp_path / "deep" / "x.json", value)
    assert read_json(tmp_path / "deep" / "x.json") == value
    assert list(json.loads((tmp_path / "deep" / "x.json").read_text())) == ["text", "list", "last"]


def test_reading_a_missing_or_damaged_file_names_it(tmp_path):
    missing, damaged, binary = tmp_path / "no.json", tmp_path / "bad.json", tmp_path / "bin.json"
    damaged.write_text('{"a": 1')
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtifactError, match=r"no\.json.*No such file.*run the stage before"):
        read_json(missing)
    with pytest.raises(ArtifactError, match=r"bad\.json.*not valid JSON.*run its stage again"):
        read_json(damaged)
    with pytest.raises(ArtifactError, match=r"bin\.json: is not UTF-8 text"):
        read_json(binary)


# Single files -----------------------------------------------------------------------------------


def test_write_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "file"
    write_text(path, "one\n")
    write_bytes(path, b"two\n")
    assert path.read_bytes() == b"two\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("broken", ["fsync", "fdopen"])
def test_a_full_disk_leaves_the_former_file(tmp_path, monkeypatch, broken):
    path = tmp_path / "file"
    path.write_text("former")
    monkeypatch.setattr(os, broken, full_disk)
    with pytest.raises(ArtifactError, match=r"No space left on device.*unchanged"):
        write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "former"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_file_in_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match=r"file.*cannot be written"):
        write_text(tmp_path / "file" / "below", "x")


# Stages -----------------------------------------------------------------------------------------


def test_a_stage_describes_itself(stage):
    manifest = read_manifest(stage, "model")
    assert manifest == {
        "schema": SCHEMA_VERSION,
        "stage": "model",
        "inputs": INPUTS,
        "tools": {"tool": "1.2"},
        "design_id": "0123456789abcdef",
        "files": {
            "deep/weights.txt": digest_file(stage / "deep" / "weights.txt"),
            "plain.txt": digest_file(stage / "plain.txt"),
        },
    }
    assert is_current(stage, "model", INPUTS)
    assert [entry.name for entry in stage.parent.iterdir()] == ["model"]


def test_a_new_stage_replaces_the_whole_directory(stage):
    with new_stage(stage, "model", INPUTS) as (temporary, _):
        (temporary / "only.txt").write_text("x")
    assert sorted(contents(stage)) == [MANIFEST, "only.txt"]
    assert [entry.name for entry in stage.parent.iterdir()] == ["model"]


def test_equal_work_gives_equal_bytes(tmp_path):
    make(tmp_path / "one")
    make(tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_is_current_sees_every_change(stage):
    assert not is_current(stage, "hls", INPUTS)
    assert not is_current(stage, "model", {**INPUTS, "network": "abd"})
    assert not is_current(stage, "model", {"network": "abc"})
    assert not is_current(stage, "model", {**INPUTS, "more": 1})
    assert not is_current(stage.with_name("elsewhere"), "model", INPUTS)


@pytest.mark.parametrize("name", ["plain.txt", "deep/weights.txt"])
def test_is_current_sees_a_changed_or_missing_file(stage, name):
    path = stage / name
    former = path.read_bytes()
    path.write_bytes(former[:-1] + b"?")
    assert not is_current(stage, "model", INPUTS)
    path.write_bytes(former)
    assert is_current(stage, "model", INPUTS)
    path.unlink()
    assert not is_current(stage, "model", INPUTS)


def test_is_current_compares_inputs_as_json_keeps_them(tmp_path):
    # JSON has lists only; a stage whose inputs did not change must not run again for that.
    inputs = {"modes": (3, 4), "codes": {"a": (1,)}}
    make(tmp_path / "model", inputs=inputs)
    assert is_current(tmp_path / "model", "model", inputs)
    assert not is_current(tmp_path / "model", "model", {**inputs, "modes": (4, 3)})


@pytest.mark.parametrize("text", ["{", "[]", '"text"', "null", "{}", '{"stage": "model"}'])
def test_a_damaged_manifest_is_refused(stage, text):
    (stage / MANIFEST).write_text(text)
    assert not is_current(stage, "model", INPUTS)
    with pytest.raises(ArtifactError, match=r"manifest\.json.*run fdht train again"):
        read_manifest(stage, "model")


@pytest.mark.parametrize("text", ["{", "{}", '{"stage": "model"}'])
def test_a_damaged_manifest_of_a_copied_overlay_is_copied_again(tmp_path, text):
    """On a board there is no stage to run."""
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json.*; copy it again, or run fdht build"):
        read_manifest(tmp_path, "overlay")


def test_a_manifest_of_another_stage_or_schema_is_refused(stage):
    with pytest.raises(ArtifactError, match=r"stage = 'model': expected 'hls'"):
        read_manifest(stage, "hls")
    manifest = json.loads((stage / MANIFEST).read_text())
    (stage / MANIFEST).write_text(json.dumps({**manifest, "schema": SCHEMA_VERSION + 1}))
    with pytest.raises(ArtifactError, match=f"schema = {SCHEMA_VERSION + 1}: expected"):
        read_manifest(stage, "model")
    assert not is_current(stage, "model", INPUTS)


def test_no_directory_says_which_stage_to_run(tmp_path):
    with pytest.raises(ArtifactError, match="run fdht train first"):
        read_manifest(tmp_path / "nothing", "model")
    with pytest.raises(ArtifactError, match=f"run fdht convert motion --build {tmp_path} first"):
        read_manifest(tmp_path / "motion" / "hls", "hls")


@pytest.mark.parametrize(
    "failure", [RuntimeError("bug"), KeyboardInterrupt(), ToolError("g++ failed")], ids=repr
)
def test_a_failure_in_the_middle_leaves_the_old_directory(stage, failure):
    before = contents(stage)
    with (
        pytest.raises(type(failure)) as caught,
        new_stage(stage, "model", {"other": 1}) as (temporary, _),
    ):
        (temporary / "plain.txt").write_text("half")
        raise failure
    assert caught.value is failure
    assert contents(stage) == before
    assert is_current(stage, "model", INPUTS)
    assert [entry.name for entry in stage.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("broken", ["fsync", "fdopen", "mkdir"])
def test_a_full_disk_leaves_the_old_directory(stage, monkeypatch, broken):
    before = contents(stage)
    monkeypatch.setattr(os, broken, full_disk)
    with (
        pytest.raises(ArtifactError, match=r"cannot be written \(No space left"),
        new_stage(stage, "model", {"other": 1}),
    ):
        pass
    monkeypatch.undo()
    assert contents(stage) == before
    assert [entry.name for entry in stage.parent.iterdir()] == ["model"]


def test_a_disk_that_fills_while_the_stage_works_is_reported_as_such(stage):
    before = contents(stage)
    with (
        pytest.raises(ArtifactError, match=r"No space left"),
        new_stage(stage, "model", {}) as (temporary, _),
    ):
        (temporary / "big").write_text("x")
        full_disk()
    assert contents(stage) == before


def test_a_missing_program_is_not_reported_as_a_full_disk(stage):
    # A stage runs compilers and synthesisers: their absence has nothing to do with the directory.
    with (
        pytest.raises(FileNotFoundError, match="no-such-program"),
        new_stage(stage, "model", {}),
    ):
        subprocess.run(["no-such-program"], check=True)
    assert is_current(stage, "model", INPUTS)


def test_a_missing_input_of_a_sibling_stage_is_not_a_full_disk(stage):
    with (
        pytest.raises(FileNotFoundError, match="weights"),
        new_stage(stage.with_name("hls"), "hls", {}),
    ):
        (stage / "weights").read_bytes()


def test_a_place_that_cannot_be_made_or_written_is_named(tmp_path, stage):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(ArtifactError, match="cannot be written"),
        new_stage(tmp_path / "file" / "below" / "model", "model", {}),
    ):
        pytest.fail("the body must not run")
    with (
        pytest.raises(ArtifactError, match="model: cannot be written"),
        new_stage(stage, "model", {}) as (temporary, _),
    ):
        (temporary / "no folder" / "x").write_text("x")


@pytest.mark.parametrize("killed", [1, 2])
def test_a_crash_at_either_rename_recovers(stage, monkeypatch, killed):
    """The process dies right before the first or the second rename of the swap."""
    before = contents(stage)
    rename, calls = Path.rename, []

    def dying_rename(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == killed:
            raise ProcessKilledError
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", dying_rename)
    with pytest.raises(ProcessKilledError):
        make(stage, "second")
    monkeypatch.undo()
    assert stage.exists() == (killed == 1)  # the second case is the one that needs a recovery
    assert read_manifest(stage, "model")["design_id"] == "0123456789abcdef"
    assert contents(stage) == before
    assert is_current(stage, "model", INPUTS)
    make(stage, "third")
    assert contents(stage)["deep/weights.txt"] == "third"
    assert [entry.name for entry in stage.parent.iterdir()] == ["model"]


def test_a_crash_after_the_swap_keeps_the_new_directory(stage, monkeypatch):
    removed = artifacts.shutil.rmtree
    calls = []

    def dying_remove(path: Path, ignore_errors: bool = False) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise ProcessKilledError
        removed(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(artifacts.shutil, "rmtree", dying_remove)
    with pytest.raises(ProcessKilledError):
        make(stage, "second")
    monkeypatch.undo()
    assert contents(stage)["plain.txt"] == "second!"
    make(stage, "third")
    assert contents(stage)["plain.txt"] == "third!"
    assert [entry.name for entry in stage.parent.iterdir()] == ["model"]


def test_a_failing_second_rename_puts_the_old_directory_back(stage, monkeypatch):
    """Unlike a crash: the process lives on, and the message says that nothing has changed."""
    before = contents(stage)
    rename, calls = Path.rename, []

    def failing_rename(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            full_disk()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing_rename)
    with pytest.raises(ArtifactError, match="what was there before is unchanged"):
        make(stage, "second")
    monkeypatch.undo()
    assert stage.is_dir()
    assert contents(stage) == before


_KILLED = """
import os, signal, sys
from pathlib import Path
from fdht_models.artifacts import new_stage

with new_stage(Path(sys.argv[1]), "model", {}) as (temporary, _):
    (temporary / "half").write_text("half")
    print(temporary, flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def owner(tmp_path):
    """A process that is at work on `tmp_path`/stage, and its temporary directory, an hour old."""
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "stage")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        temporary = Path(process.stdout.readline().strip())
        past = time.time() - 3600
        os.utime(temporary, (past, past))
        yield process, temporary
        process.kill()


def kill(process):
    process.communicate("now\n", timeout=60)
    assert process.returncode == -signal.SIGKILL


def test_what_a_killed_process_left_is_removed(tmp_path, owner):
    process, temporary = owner
    make(tmp_path / "stage")
    assert (temporary / "half").is_file(), "its owner is at work on it"
    kill(process)
    make(tmp_path / "other")
    assert temporary.is_dir(), "it is of another artefact"
    os.utime(temporary)
    make(tmp_path / "stage")
    assert temporary.is_dir(), "its owner may not have locked it yet"
    os.utime(temporary, (0, 0))
    make(tmp_path / "stage")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "stage"]


def test_on_a_disk_without_locks_it_goes_after_a_day(tmp_path, owner, monkeypatch):
    process, temporary = owner
    kill(process)

    def refuse(handle, operation):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(artifacts.fcntl, "flock", refuse)
    for hours, there in ((23, True), (25, False)):
        past = time.time() - 3600 * hours
        for path in (temporary / "half", temporary):
            os.utime(path, (past, past))
        make(tmp_path / "stage")
        assert temporary.exists() is there


def test_nothing_else_of_such_a_name_is_removed(tmp_path):
    kept = [".stage.former.zip", ".stage.notes", ".stage.backups9x", ".other.abcdefgh", "stage.x"]
    for name in kept:
        (tmp_path / name).mkdir()
    (tmp_path / ".stage.a_file_x").write_text("no directory")
    (tmp_path / ".stage.abcdefgh").symlink_to(tmp_path / "stage.x")
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0), follow_symlinks=False)
    before = {path.name for path in tmp_path.iterdir()}
    make(tmp_path / "stage")
    assert {path.name for path in tmp_path.iterdir()} == {*before, "stage"}


def test_numbers_of_numpy_are_refused_rather_than_misread(tmp_path):
    with (
        pytest.raises(TypeError, match="int64"),
        new_stage(tmp_path / "model", "model", {"n": np.int64(3)}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
