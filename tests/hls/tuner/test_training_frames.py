"""Of which frames a core is planned for: counted once, kept, and told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fdht
from fdht_hls.boards import get_board
from fdht_hls.schedule import Schedule
from fdht_hls.tuner import training_frames
from fdht_hls.tuner.board_plan import plan
from fdht_hls.tuner.budget import board_budget
from fdht_hls.tuner.training_frames import PLAN_CLIPS, FramesAtHand, clips_of, frames_at_hand
from fdht_hls.tuner.untrained import untrained_network
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ConfigError, DataError
from fdht_models.experiment import Experiment, load_experiment
from tests.models.test_experiment import TOML

ZYNQ = board_budget(get_board("pynq-z2"))
#: More clips than a plan looks at.
MANY = TOML.replace("train_clips = 30", "train_clips = 300")
SPARSE = MANY + '[core]\nframes = "sparse"\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SPARSE)
    return path


def known(recipe: Path, frames: str = "sparse", **asked: Any) -> FramesAtHand:
    experiment = load_experiment(recipe)
    build = BuildDirectory(recipe.parent / "build" / "small")
    network = untrained_network(experiment)
    return frames_at_hand(network, ZYNQ, "hls", frames, build, experiment, **asked)


def test_some_clips_are_counted_once_and_kept(recipe: Path, monkeypatch) -> None:
    found = known(recipe)
    profile = found.profile
    steps = load_experiment(recipe).steps
    assert profile is not None and profile.clips == PLAN_CLIPS
    assert len(profile.words) == PLAN_CLIPS * steps
    assert found.line.startswith(f"for frames like those of {PLAN_CLIPS} training clips: ")
    assert found.line.endswith("counted")
    fewer = known(recipe, clips=7).profile
    assert fewer is not None and len(fewer.words) == 7 * steps
    (kept, _) = sorted((recipe.parent / "build" / "small" / "profiles").glob("*.json"))
    monkeypatch.setattr(training_frames, "clips_of", lambda *_: pytest.fail("looked again"))
    assert known(recipe).profile == profile and known(recipe, clips=7).profile == fewer
    monkeypatch.undo()
    kept.write_text("{")  # as after a crash
    assert known(recipe).profile == profile and known(recipe, clips=7).profile == fewer


def test_other_clips_are_counted_anew(recipe: Path) -> None:
    known(recipe)
    recipe.write_text(SPARSE.replace("train_clips", "seed = 5\ntrain_clips"))
    known(recipe)
    assert len([*(recipe.parent / "build" / "small" / "profiles").iterdir()]) == 2


def test_of_dense_frames_nothing_is_asked(recipe: Path, monkeypatch) -> None:
    monkeypatch.setattr(training_frames, "clips_of", lambda *_: pytest.fail("looked"))
    assert known(recipe, "dense") == FramesAtHand() and FramesAtHand().line == ""
    assert known(recipe, clips=0).line == "every frame counts as full: no clips are asked for " + (
        "(--clips 0)"
    )


def test_without_clips_frames_count_as_full_unless_clips_are_asked_for(
    recipe: Path, monkeypatch
) -> None:
    def missing(*_: Any) -> None:
        raise DataError("is not there", field="data.root", value="clips", remedy="bring it")

    monkeypatch.setattr(training_frames, "clips_of", missing)
    found = known(recipe)
    assert found.profile is None
    assert found.line.startswith("every frame counts as full: there are no training clips (data.")
    with pytest.raises(DataError, match="is not there"):
        known(recipe, clips=9)
    build = BuildDirectory(recipe.parent / "build" / "other")
    network = untrained_network(load_experiment(recipe))
    assert "without its TOML file" in frames_at_hand(network, ZYNQ, "rtl", "sparse", build).why
    with pytest.raises(ConfigError, match="without its TOML file"):
        frames_at_hand(network, ZYNQ, "rtl", "sparse", build, None, 5)


@pytest.mark.parametrize("core", ["hls", "rtl"])
def test_show_tune_and_the_planner_say_the_same(recipe: Path, capsys, core: str) -> None:
    """What `fdht convert` plans is what `fdht tune` takes of as many clips; see test_stage."""
    build = ["--build", str(recipe.parent / "build"), "--json", "--core", core]
    experiment = load_experiment(recipe)
    network = untrained_network(experiment)
    directory = BuildDirectory(recipe.parent / "build" / "small")
    profile = frames_at_hand(network, ZYNQ, core, "sparse", directory, experiment).profile
    wanted = plan(network, ZYNQ, core, frames="sparse", profile=profile)
    asked = ["--clips", str(PLAN_CLIPS)] if core == "hls" else []
    assert fdht.main(["tune", str(recipe), *build, *asked]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Schedule.from_json(told["chosen"]["schedule"]) == wanted.schedule
    assert wanted.to_json()["clips"] == told["clips"]
    assert fdht.main(["show", str(recipe), *build]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert told["planned_for"] in shown["origin"]


def test_clips_are_taken_for_sparse_frames_unless_dense_ones_are_named(recipe: Path, capsys):
    recipe.write_text(MANY)
    asked = ["tune", str(recipe), "--build", str(recipe.parent), "--clips", "3", "--json"]
    assert fdht.main(asked) == 0
    assert json.loads(capsys.readouterr().out)["chosen"]["schedule"]["frames"] == "sparse"
    recipe.write_text(MANY + '[core]\nframes = "dense"\n')
    assert fdht.main(asked) == 2
    assert "clips = 3: is for a core that skips zeros, and dense" in capsys.readouterr().err


def test_where_nothing_can_be_kept_clips_are_counted_again(recipe: Path) -> None:
    (recipe.parent / "build").write_text("no directory")
    found = known(recipe).profile
    assert found is not None and found == known(recipe).profile


def test_generated_clips_are_the_first_ones(recipe: Path) -> None:
    experiment = load_experiment(recipe)
    few, more = (clips_of(experiment, "train", count, recipe.parent) for count in (3, 8))
    assert (few == more[:3]).all()
    assert isinstance(experiment, Experiment) and len(more) == 8
