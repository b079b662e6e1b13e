"""The tutorial "Your own clips, from folder to board": its experiment and its commands."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import av
import numpy as np
import pytest

import fdht
from fdht_models.artifacts import digest_of
from fdht_models.experiment import Experiment, load_experiment

PAGE = Path(__file__).parents[1] / "docs" / "own-clips.md"
#: Pixels that a square moves from frame to frame, (down, right).
CLASSES = {"fall": (3, 0), "walk": (0, 3)}


def blocks(kind: str) -> list[str]:
    found = re.findall(r"^```(.*?)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == kind]


def commands() -> list[list[str]]:
    lines = [line for block in blocks("") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("fdht ")]


def film(path: Path, step: tuple[int, int], seed: int) -> None:
    """Two seconds of a bright square that crosses a picture of its own, 30 frames a second."""
    generator = np.random.default_rng(seed)
    ground = np.kron(generator.integers(0, 120, (12, 16, 3)), np.ones((20, 20, 1))).astype(np.uint8)
    start = generator.integers(10, 50, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=30)
        stream.height, stream.width, stream.pix_fmt = 240, 320, "yuv420p"
        for number in range(60):
            picture = ground.copy()
            row, column = start + number * np.array(step)
            picture[row : row + 40, column : column + 40] = 250
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))


def test_its_experiment_is_the_one_that_ships(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    (tmp_path / "own.toml").write_text(text)
    shown, shipped = load_experiment(tmp_path / "own.toml"), load_experiment("clips")
    same = {"name": "own", "description": "own"}
    assert digest_of(shown.to_json()) == digest_of(
        Experiment.from_json({**shipped.to_json(), **same}).to_json()
    )


def test_it_shows_every_step() -> None:
    names = [command[0] for command in commands()]
    assert names == ["data", "train", "convert", "build", "run", "run", "run", "build"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_its_commands_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for place, (name, step) in enumerate(CLASSES.items()):
        for source in range(5):
            for clip in range(4):
                seed = 100 * place + 10 * source + clip
                film(Path("clips", name, f"place{source}", f"{clip}.mp4"), step, seed)
        film(Path("later", name, "park", "1.mp4"), step, seed=500 + place)
    film(Path("new/somebody.mp4"), CLASSES["fall"], seed=600)
    film(Path("new/other.mov"), CLASSES["walk"], seed=601)
    (text,) = blocks("toml")
    Path("own.toml").write_text(text)
    outputs = []
    for command in commands()[:-1]:  # the last one needs Vitis
        capsys.readouterr()
        assert fdht.main(command) == 0, capsys.readouterr().err
        outputs.append(capsys.readouterr().out)
    assert Path("sheet.png").stat().st_size > 1000
    metrics = json.loads(Path("build/own/model/metrics.json").read_text())
    assert metrics["accuracy"]["quantized"] >= 0.8  # two classes that motion alone tells apart
    reports = [
        json.loads(path.read_text()) for path in sorted(Path("build/own/run").glob("*/report.json"))
    ]
    tests, files, folder = reports
    assert tests["accuracy"]["quantized"] == metrics["accuracy"]["quantized"]
    for report in reports:
        board = report["equality"]["reference_board"]
        assert board["compared"] > 0 and board["mismatches"] == 0
    assert [row["predicted"] for row in files["clips"]] == ["fall", "walk"]
    assert "fall" in outputs[-2] and "walk" in outputs[-2]
    assert sum(row["label"] is not None for row in folder["clips"]) == 2
