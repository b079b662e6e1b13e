"""`[core] frames` and `--core-frames`: which frames a core reads, and who decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fdht
from fdht import pipeline
from fdht_hls.boards import get_board
from fdht_hls.rtl.experiments import load_design
from fdht_hls.schedule import Schedule, default_schedule, load_schedule
from fdht_hls.tuner.budget import board_budget
from fdht_hls.tuner.cores import core_to_tune
from fdht_hls.tuner.untrained import untrained_network
from fdht_models.artifacts import write_json
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ConfigError
from fdht_models.experiment import Experiment, load_experiment
from tests.models.test_experiment import TOML

SPARSE = TOML + '[core]\nframes = "sparse"\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """An experiment whose core is to read sparse frames."""
    path = tmp_path / "small.toml"
    path.write_text(SPARSE)
    return path


@pytest.fixture
def schedule(tmp_path: Path, recipe: Path) -> Path:
    """A file of one for dense frames."""
    network = untrained_network(load_experiment(recipe))
    path = tmp_path / "dense.json"
    write_json(path, default_schedule(network.recurrence).to_json())
    return path


def shown(capsys: pytest.CaptureFixture[str], recipe: Path, *options: str) -> str:
    """The kind of frames that `fdht show` tells."""
    build = str(recipe.parent / "build")
    assert fdht.main(["show", str(recipe), "--build", build, "--json", *options]) == 0
    value: Any = json.loads(capsys.readouterr().out)
    return str(value["plan"]["port"]["frames"])


def test_the_experiment_says_what_is_planned(capsys, recipe: Path) -> None:
    assert shown(capsys, recipe) == "sparse"
    recipe.write_text(TOML)
    assert shown(capsys, recipe) == "dense"


def test_an_option_comes_before_the_experiment(capsys, recipe: Path) -> None:
    assert shown(capsys, recipe, "--core-frames", "dense") == "dense"
    recipe.write_text(TOML)
    assert shown(capsys, recipe, "--core-frames", "sparse", "--core", "rtl") == "sparse"


def test_a_schedule_decides(capsys, recipe: Path, schedule: Path) -> None:
    assert shown(capsys, recipe, "--schedule", str(schedule)) == "dense"
    asked = ("--schedule", str(schedule), "--core-frames", "dense")
    assert shown(capsys, recipe, *asked) == "dense"


@pytest.mark.parametrize("command", ["show", "convert"])
def test_what_contradicts_the_schedule_is_refused(
    capsys, monkeypatch, tmp_path: Path, recipe: Path, schedule: Path, command: str
) -> None:
    monkeypatch.setattr(
        pipeline, "experiment_directory", lambda *_: BuildDirectory(tmp_path / "build" / "small")
    )
    asked = ["--schedule", str(schedule), "--core-frames", "sparse"]
    assert fdht.main([command, str(recipe), "--build", str(tmp_path), *asked]) == 2
    error = capsys.readouterr().err
    assert f"core-frames = 'sparse': the schedule {schedule} is for dense frames" in error
    assert "fdht tune --core-frames sparse" in error


def test_a_feature_on_the_chip_is_of_raw_frames(capsys, recipe: Path) -> None:
    """Who asks for both is told so, and who has no video, too."""
    asked = ["show", str(recipe), "--feature", "chip"]
    assert fdht.main([*asked, "--core-frames", "sparse"]) == 2
    error = capsys.readouterr().err
    assert "core-frames = 'sparse': is of frames that the host computes" in error
    assert "leave it out, or take --feature host" in error
    for command in ("show", "tune"):
        assert fdht.main([command, *asked[1:]]) == 2
        error = capsys.readouterr().err
        assert "a core computes motion_energy only" in error and "--feature host" in error
    recipe.write_text(TOML + '[core]\nframes = "dense"\nfeature = "chip"\n')
    assert fdht.main(["show", str(recipe)]) == 2
    error = capsys.readouterr().err
    assert "core.frames = 'dense': is of frames that the host computes" in error
    assert 'feature = "host"' in error
    assert fdht.main(["show", str(recipe), "--feature", "ship"]) == 2
    assert "feature = 'ship': is not known; did you mean 'chip'" in capsys.readouterr().err


def test_a_video_s_feature_on_the_chip(capsys, monkeypatch, tmp_path: Path, schedule: Path) -> None:
    """`motion` has one that a core can compute; whoever names it, names raw frames."""
    monkeypatch.chdir(tmp_path)
    recipe = load_experiment("motion").to_json()
    assert shown(capsys, Path("motion"), "--feature", "chip") == "raw"
    assert shown(capsys, Path("motion"), "--feature", "host") == "dense"
    own = Experiment.from_json({**recipe, "core": {"frames": None, "feature": "chip"}})
    assert own.core.reads == "raw" and own.digest == load_experiment("motion").digest
    assert fdht.main(["show", "motion", "--feature", "chip", "--schedule", str(schedule)]) == 2
    error = capsys.readouterr().err
    assert "feature = 'chip'" in error and "fdht tune --feature chip" in error
    network = untrained_network(load_experiment("motion"))
    # For 57,600 bytes; of the Verilog yosys makes more, see `test_motion.py`.
    for core, blocks in (("hls", 30), ("rtl", 32)):
        model, other = (
            core_to_tune(network, board_budget(get_board("pynq-z2")), core, frames=frames)
            for frames in ("raw", "dense")
        )
        assert model.fixed.bram18 - other.fixed.bram18 == blocks


def test_a_kind_that_there_is_not_is_refused(capsys, recipe: Path) -> None:
    assert fdht.main(["show", str(recipe), "--core-frames", "sparce"]) == 2
    error = capsys.readouterr().err
    assert "core-frames = 'sparce': is not known; did you mean 'sparse'" in error


def test_what_is_tuned_names_its_frames(capsys, recipe: Path, tmp_path: Path) -> None:
    arguments = ["tune", str(recipe), "--build", str(tmp_path / "build"), "--json"]
    assert fdht.main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    found = load_schedule(Path(told["directory"]) / "schedule.json")
    assert found.sparse and found == Schedule.from_json(told["chosen"]["schedule"])
    assert {row["schedule"]["frames"] for row in told["front"]} == {"sparse"}
    assert [row["chosen"] for row in told["front"]].count(True) == 1
    assert fdht.main([*arguments, "--core-frames", "dense"]) == 0
    dense = Schedule.from_json(json.loads(capsys.readouterr().out)["chosen"]["schedule"])
    assert dense == found.with_frames("dense")


def test_shapes_are_explored_for_dense_frames_alone(capsys, recipe: Path) -> None:
    assert fdht.main(["tune", str(recipe), "--explore", "--core-frames", "sparse"]) == 2
    assert "core-frames = 'sparse': shapes are explored for dense frames" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ([], ("planned", "sparse")),
        (["--core-frames", "dense"], ("planned", "dense")),
        (["--schedule"], ("dense", None)),
    ],
)
def test_a_conversion_plans_for_what_is_asked(
    capsys,
    monkeypatch,
    tmp_path: Path,
    recipe: Path,
    schedule: Path,
    options: list[str],
    kinds: Any,
) -> None:
    """The recipe counts as it is now, and not as it was trained: training does not depend on it."""
    build = BuildDirectory(tmp_path / "build" / "small")
    build.model.path.mkdir(parents=True)
    write_json(
        build.model.path / "experiment.json", load_experiment(write_dense(tmp_path)).to_json()
    )
    found: list[Any] = []

    def convert_stage(*arguments: Any) -> None:
        found.append(arguments)
        raise ConfigError("ends here", field="test")

    monkeypatch.setattr("fdht_hls.conversion.convert_stage", convert_stage)
    asked = [*options, *([str(schedule)] if options == ["--schedule"] else [])]
    assert fdht.main(["convert", str(recipe), "--build", str(build.path.parent), *asked]) == 2
    said = capsys.readouterr().err
    assert "ends here" in said and "run fdht train again" not in said
    chosen, frames = found[0][4], found[0][6]
    if kinds[0] == "planned":
        assert (chosen, frames) == (None, kinds[1])
    else:
        assert chosen.frames == kinds[0]
        assert "the experiment names sparse frames, and" in said


def write_dense(directory: Path) -> Path:
    """The experiment as it was trained, before it asked for sparse frames."""
    path = directory / "trained" / "small.toml"
    path.parent.mkdir()
    path.write_text(TOML)
    return path


def test_a_simulation_takes_the_converted_frames(recipe: Path, tmp_path: Path) -> None:
    network = untrained_network(load_experiment(recipe))
    build = BuildDirectory(tmp_path / "build" / "small")
    for directory in (build.model.path, build.hls.path):
        directory.mkdir(parents=True)
        network.save(directory / "network.json")

    def frames(**asked: Any) -> str:
        return load_design(build, None, **asked)[1].frames

    assert frames() == "dense"  # planned
    own = default_schedule(network.recurrence)
    write_json(build.hls.path / "schedule.json", own.with_frames("sparse").to_json())
    assert frames() == frames(port_bytes=16) == "sparse"
    assert frames(frames="dense") == "dense"
    assert load_design(build, None, frames="dense")[1].schedule == own
