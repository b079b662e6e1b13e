"""`[core] contexts` and `--contexts`: how many states a core keeps, and who decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fdht
from fdht_hls.boards import get_board
from fdht_hls.engine import lower
from fdht_hls.estimate.rtl import estimate_rtl
from fdht_hls.rtl.experiments import load_design
from fdht_hls.schedule import Schedule, default_schedule, load_schedule
from fdht_hls.tuner.board_plan import plan, planned
from fdht_hls.tuner.budget import board_budget
from fdht_hls.tuner.untrained import untrained_network
from fdht_models.artifacts import write_json
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ConfigError
from fdht_models.experiment import Experiment, load_experiment
from tests.models.test_experiment import TOML

FOUR = TOML + "[core]\ncontexts = 4\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """An experiment whose core is to keep four states."""
    path = tmp_path / "small.toml"
    path.write_text(FOUR)
    return path


@pytest.fixture
def schedule(tmp_path: Path, recipe: Path) -> Path:
    """A file of one with two."""
    network = untrained_network(load_experiment(recipe))
    path = tmp_path / "two.json"
    write_json(path, default_schedule(network.recurrence).with_frames(None, 2).to_json())
    return path


def shown(capsys: pytest.CaptureFixture[str], recipe: Path, *options: str) -> int:
    """The number of contexts that `fdht show` tells."""
    build = str(recipe.parent / "build")
    assert fdht.main(["show", str(recipe), "--build", build, "--json", *options]) == 0
    told: Any = json.loads(capsys.readouterr().out)["plan"]
    registers = told["registers"]
    found = told["cell"].get("contexts", 1)
    assert ("context" in registers["arguments"]) == (found > 1)
    assert registers["identity"].get("contexts", 1) == found
    return int(found)


def test_who_decides(capsys, recipe: Path, schedule: Path) -> None:
    assert shown(capsys, recipe) == 4
    assert shown(capsys, recipe, "--contexts", "8", "--core", "rtl") == 8
    assert shown(capsys, recipe, "--contexts", "1") == 1
    assert shown(capsys, recipe, "--schedule", str(schedule)) == 2
    recipe.write_text(TOML)
    assert shown(capsys, recipe) == 1


def test_a_schedule_is_not_contradicted(capsys, recipe: Path, schedule: Path) -> None:
    asked = ["show", str(recipe), "--schedule", str(schedule), "--contexts", "4"]
    assert fdht.main(asked) == 2
    error = capsys.readouterr().err
    assert f"contexts = 4: the schedule {schedule} is for 2" in error
    assert "fdht tune --contexts 4" in error


@pytest.mark.parametrize("count", ["0", "3", "128"])
def test_numbers_that_no_core_has(capsys, recipe: Path, count: str) -> None:
    assert fdht.main(["show", str(recipe), "--contexts", count]) == 2
    assert f"contexts = {count}: is no number of contexts; use 1, 2, 4" in capsys.readouterr().err
    recipe.write_text(TOML + f"[core]\ncontexts = {count}\n")
    assert fdht.main(["show", str(recipe)]) == 2
    assert f"core.contexts = {count}: is no number of contexts" in capsys.readouterr().err


def test_a_feature_on_the_chip_has_one(capsys, recipe: Path) -> None:
    recipe.write_text(FOUR + 'feature = "chip"\n')
    assert fdht.main(["show", str(recipe)]) == 2
    error = capsys.readouterr().err
    assert "core.contexts = 4: would each keep a frame of video on the chip" in error
    assert 'feature = "host"' in error


def test_what_is_tuned_has_them(capsys, recipe: Path, tmp_path: Path) -> None:
    arguments = ["tune", str(recipe), "--build", str(tmp_path / "build"), "--json"]
    assert fdht.main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    found = load_schedule(Path(told["directory"]) / "schedule.json", contexts=4)
    assert found == Schedule.from_json(told["chosen"]["schedule"])
    assert {row["schedule"]["contexts"] for row in told["front"]} == {4}
    assert fdht.main(["tune", str(recipe), "--explore", "--contexts", "2"]) == 2
    assert "contexts = 2: shapes are explored for one" in capsys.readouterr().err


def test_a_conversion_plans_for_them(monkeypatch, tmp_path: Path, recipe: Path) -> None:
    build = BuildDirectory(tmp_path / "build" / "small")
    build.model.path.mkdir(parents=True)
    write_json(build.model.path / "experiment.json", load_experiment(recipe).to_json())
    found: list[Any] = []

    def convert_stage(*arguments: Any) -> None:
        found.append(arguments)
        raise ConfigError("ends here", field="test")

    monkeypatch.setattr("fdht_hls.conversion.convert_stage", convert_stage)
    command = ["convert", str(recipe), "--build", str(build.path.parent)]
    for options in ([], ["--contexts", "2"]):
        assert fdht.main([*command, *options]) == 2
    assert [arguments[7] for arguments in found] == [4, 2]


def test_a_simulation_takes_the_converted_ones(recipe: Path, tmp_path: Path) -> None:
    network = untrained_network(load_experiment(recipe))
    build = BuildDirectory(tmp_path / "build" / "small")
    build.model.path.mkdir(parents=True)
    build.hls.path.mkdir()
    network.save(build.model.path / "network.json")
    own = default_schedule(network.recurrence).with_frames(None, 4)
    write_json(build.hls.path / "schedule.json", own.to_json())
    assert load_design(build, None)[1].contexts == 4
    assert load_design(build, None, port_bytes=16)[1].contexts == 4
    assert load_design(build, None, contexts=1)[1].schedule == own.with_frames(None, 1)


def test_models_that_were_trained_before_are_read_as_ever(recipe: Path) -> None:
    given = load_experiment(recipe).to_json()
    assert given["core"]["contexts"] == 4
    for core in ({"frames": "sparse", "feature": "host"}, None):
        before = {key: value for key, value in given.items() if key != "core"}
        before |= {"core": core} if core else {}
        assert Experiment.from_json(before).to_json() == before
    assert Experiment.from_json(given).digest == Experiment.from_json(before).digest


@pytest.mark.parametrize("core", ["hls", "rtl"])
def test_estimates_count_the_states(recipe: Path, core: str) -> None:
    network = untrained_network(load_experiment("motion"))
    budget = board_budget(get_board("pynq-z2"))
    one = default_schedule(network.recurrence)
    taken = []
    for contexts in (1, 4, 64):
        found = planned(network, one.with_frames(None, contexts), budget, core)
        taken.append(found.estimate.resources)
        assert found.schedule.contexts == contexts
    bits = [one.lut * 64 / 2 + (one.bram36 or 0) * 36_864 for one in taken]
    assert bits[0] < bits[1] < bits[2]
    # 64 states of h and c of 128 units are at least so many bits.
    assert bits[2] - bits[0] > 63 * 128 * (8 + 16) / 2


def test_a_plan_has_the_contexts_that_are_asked_for(recipe: Path) -> None:
    network = untrained_network(load_experiment(recipe))
    found = plan(network, board_budget(get_board("pynq-z2")), "rtl", contexts=8)
    assert found.schedule.contexts == 8
    made = lower(network, found.schedule)
    assert made.contexts == 8 and made.schedule == found.schedule
    assert estimate_rtl(made).resources.lut == found.estimate.resources.lut
