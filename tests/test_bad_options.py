"""Options that cannot be used: refused at once, before anything large is imported or waited for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fdht
from fdht_models.data import load_clips, render_clips
from fdht_models.data.generated import check_room
from fdht_models.errors import MOST_CHARACTERS, ArtifactError, ConfigError

# A pipe that is opened waits for ever: the time-out is the test.
pytestmark = pytest.mark.timeout(60)

#: Arguments, and what is said of them.
MISTAKES = [
    (["train", "nosuch"], "there is no such experiment"),
    (["run", "/nosuch"], "there is no such directory, file or experiment; choose one of fdht zoo"),
    (["run", "nowhere/motoin"], "file or experiment; did you mean 'motion'"),
    (["train", "nosuch.toml"], "No such file"),
    (["train", "motion", "--steps", "5"], "has no effect with start 'scratch'"),
    (["train", "motion", "--start", "here"], "is not a start"),
    (["train", "motion", "--start", "checkpoint", "--steps", "9999"], "must be from 1 to 312"),
    (["train", "motion", "--start", "decomposed"], "run fdht decompose"),
    (["train", "motion", "--folds", "2", "--steps", "5"], "has no effect on folds"),
    (["train", "motion", "--distribute", "everywhere"], "is no kind of distribution"),
    (["train", "motion", "--distribute", "workers"], "TF_CONFIG: is missing"),
    (["train", "motion", "--build", "/dev/null/x"], "cannot be written"),
    (["train", "motion", "--data-root", "/nowhere"], "data.root"),
    (["search", "motion", "--space", "nosuch.toml"], "No such file"),
    (["decompose", "motion", "--weights", "nosuch.h5"], "No such file"),
    (["decompose", "motion", "--weights", __file__], "is neither a Keras model"),
    (["convert", "motion", "--schedule", "nosuch.json"], "No such file"),
    (["convert", "motion", "--clock-period", "nan"], "--clock-period"),
    *(
        ([command, "motion", "--port-bits", bits], f"port-bits = {bits}: is no width that a port")
        for command in ("show", "cosim", "resources")
        for bits in ("100", "0", "512")
    ),
    (
        ["show", "motion", "--port-bits", "128"],
        "port-bits = 128: a port of pynq-z2 has 64 bits; use 64, or a --schedule",
    ),
    (["show", "motion", "--board", "sim", "--port-bits", "256"], "port-bits = 256: a port of sim"),
    (["cosim", "motion", "--board", "pynq-z2", "--port-bits", "128"], "port-bits = 128: a port of"),
    (["build", "motion", "--board", "pynq-z2", "--timeout", "inf"], "must be a finite number"),
    (["bench", "train", "--rounds", "99999999999"], "must be at most"),
    (["run", "motion", "--clips", "1000000000000"], "--clips"),
    (["run", "motion", "--board", "x" * 5000], "(5,002 characters)"),
]
PROGRAM = """
import contextlib, io, json, sys
import fdht
found = []
for arguments in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = fdht.main(arguments)
    found.append([code, said.getvalue(), sorted({"tensorflow", "hls4ml"} & set(sys.modules))])
print(json.dumps(found))
"""


def test_mistakes_are_told_before_tensorflow_is_imported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([arguments for arguments, _ in MISTAKES])],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "TF_CONFIG"},
        capture_output=True,
        text=True,
        check=True,
    )
    for (arguments, message), (code, said, imported) in zip(
        MISTAKES, json.loads(done.stdout), strict=True
    ):
        assert (code, said.count("\n"), imported) == (2, 1, []), (arguments, said)
        assert message in said, (arguments, said)
        assert len(said) <= MOST_CHARACTERS + len("fdht: \n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "PIPE.toml"],
        ["search", "motion", "--space", "PIPE.toml"],
        ["decompose", "motion", "--weights", "PIPE.h5"],
        ["decompose", "motion", "--weights", "PIPE.npz"],
        ["convert", "motion", "--schedule", "PIPE.json"],
        ["run", "motion", "--weights", "PIPE.json"],
        ["build", "motion", "--board", "pynq-z2", "--import", "PIPE.tar.gz"],
    ],
)
def test_a_pipe_is_no_input(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for suffix in (".toml", ".h5", ".npz", ".json", ".tar.gz"):
        os.mkfifo(f"PIPE{suffix}")
    assert fdht.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("fdht: ")


def test_clips_without_room_are_refused_before_the_first_is_made(tmp_path):
    # 10**12 clips of 7 frames of 160 x 120 x 3 bytes.
    said = r"clips = 1000000000000: need 403,200,000,000,000,000 bytes .* are free of memory"
    with pytest.raises(ConfigError, match=said):
        load_clips("motion", "test", 10**12, 0, steps=7)
    with pytest.raises(ConfigError, match=r"57,600 bytes each"):
        render_clips("motion", "test", 10**12, 0)
    with pytest.raises(ArtifactError, match=r"free on the disk of"):
        load_clips("motion", "test", 10**12, 0, tmp_path / "not yet")
    assert not list(tmp_path.iterdir())
    check_room(3, 4, 5, None)
