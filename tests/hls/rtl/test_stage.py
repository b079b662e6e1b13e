"""What `fdht cosim` and `fdht resources` take from a build, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fdht
from fdht_hls.boards import DEFAULT_BOARD, get_board
from fdht_hls.rtl.experiments import load_design, users_schedule
from fdht_hls.schedule import Schedule, default_schedule
from fdht_hls.tuner.board_plan import plan
from fdht_hls.tuner.budget import board_budget
from fdht_models.artifacts import new_stage, write_json
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.tensor.quantized import QuantizedNetwork
from tests.hls.networks import CLASSIFIERS


@pytest.fixture(scope="module")
def network() -> QuantizedNetwork:
    return CLASSIFIERS["bytes"].network


@pytest.fixture
def trained(network: QuantizedNetwork, tmp_path: Path) -> Path:
    directory = tmp_path / "bytes"
    (directory / "model").mkdir(parents=True)
    network.save(directory / "model" / "network.json")
    return directory


def patient(network: QuantizedNetwork) -> Schedule:
    """A schedule other than the default: one multiplier in the first stage."""
    own = default_schedule(network.recurrence)
    first = replace(own.input[0], vector=1, outputs=1)
    return Schedule((first, *own.input[1:]), own.hidden)


def test_schedules_by_preference(trained: Path, network: QuantizedNetwork, tmp_path: Path):
    own, build = default_schedule(network.recurrence), BuildDirectory(trained)
    budget = board_budget(get_board(DEFAULT_BOARD))
    assert load_design(build, None)[1].schedule == plan(network, budget, "rtl").schedule
    (trained / "hls").mkdir()
    network.save(trained / "hls" / "network.json")
    write_json(trained / "hls" / "schedule.json", patient(network).to_json())
    assert load_design(build, None)[1].schedule == patient(network)
    other = get_board("zcu104")
    planned = plan(network, board_budget(other), "rtl").schedule
    assert load_design(build, None, board=other)[1].schedule == planned
    write_json(tmp_path / "own.json", own.to_json())
    assert load_design(build, tmp_path / "own.json")[1].schedule == own


def converted(directory: Path, network: QuantizedNetwork, schedule: Schedule, **extra: Any) -> None:
    with new_stage(directory / "hls", "hls", {}) as (temporary, told):
        network.save(temporary / "network.json")
        write_json(temporary / "schedule.json", schedule.to_json())
        told.update(extra)


def test_whose_schedule_a_conversion_has(tmp_path: Path, network: QuantizedNetwork):
    own, default = patient(network), default_schedule(network.recurrence)
    assert users_schedule(BuildDirectory(tmp_path), network) is None
    converted(tmp_path, network, own, plan={"chosen_by": "user"})
    assert users_schedule(BuildDirectory(tmp_path), network) == own
    converted(tmp_path, network, own, plan={"chosen_by": "planner"})
    assert users_schedule(BuildDirectory(tmp_path), network) is None
    # Version 0.1 wrote down no plan.
    converted(tmp_path, network, own)
    assert users_schedule(BuildDirectory(tmp_path), network) == own
    converted(tmp_path, network, default)
    assert users_schedule(BuildDirectory(tmp_path), network) is None


@pytest.mark.parametrize("name", ["network.json", "schedule.json"])
def test_what_changed_since_the_conversion_is_refused(
    tmp_path: Path, network: QuantizedNetwork, name: str
):
    with new_stage(tmp_path / "hls", "hls", {}) as (directory, _):
        network.save(directory / "network.json")
        write_json(directory / "schedule.json", patient(network).to_json())
    assert load_design(BuildDirectory(tmp_path), None)[1].schedule == patient(network)
    with (tmp_path / "hls" / name).open("a") as stream:
        stream.write(" ")
    with pytest.raises(ArtifactError, match=rf"{name}: differs from its digest"):
        load_design(BuildDirectory(tmp_path), None)


def test_a_schedule_of_another_network(trained: Path, network: QuantizedNetwork, tmp_path: Path):
    own = default_schedule(network.recurrence)
    write_json(tmp_path / "other.json", Schedule(own.input[1:], own.hidden).to_json())
    with pytest.raises(ConfigError, match=r"schedule.input: has 2 stages; the network has 3"):
        load_design(BuildDirectory(trained), tmp_path / "other.json")


def test_no_network(tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"network\.json.*run fdht train"):
        load_design(BuildDirectory(tmp_path), None)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["cosim", "bytes", "--back-pressure", "1"], "back_pressure = 1.0: must be at least 0"),
        (["cosim", "bytes", "--gantt", "a.txt"], "gantt = 'a.txt': must end in .svg"),
        (["cosim", "bytes", "--schedule", "none.json"], "none.json: cannot be read (No such file"),
        (["cosim", "bytes"], "experiment.json"),
        (["cosim", "bytes", "--frames", "4"], "--frames"),
        (["resources", "bytes", "--board", "kv260"], "board = 'kv260': is not of the 7 series"),
        (
            ["resources", "bytes", "--schedule", "none.json"],
            "none.json: cannot be read (No such file",
        ),
    ],
)
def test_mistakes_take_one_line(
    trained: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], part: str
):
    assert fdht.main([*arguments, "--build", str(trained.parent)]) == 2
    said = capsys.readouterr().err
    assert part in " ".join(said.split())
    assert "Traceback" not in said


def test_resources_are_counted_once(
    trained: Path, network: QuantizedNetwork, capsys: pytest.CaptureFixture[str]
):
    """A report that is there already is shown, with its share of the board's device."""
    import hashlib

    from fdht_hls.rtl.core import emit_verilog
    from fdht_hls.rtl.yosys_count import KIND, Resources, check_yosys

    _, planned = load_design(BuildDirectory(trained), None)
    verilog = emit_verilog(planned)
    key = hashlib.sha256(f"{check_yosys()}\0{verilog}".encode()).hexdigest()[:24]
    known = Resources(KIND, lut=5000, lutram=320, ff=10640, dsp=22, bram36=3.5, bram18=1, carry4=9)
    write_json(trained / "resources" / key / "report.json", known.to_json())
    build = ["--build", str(trained.parent)]
    assert fdht.main(["resources", "bytes", *build]) == 0
    assert capsys.readouterr().out == (
        "lut 5320 (10%), ff 10640 (10%), dsp 22 (10%), bram36 3.5 (2%) of xc7z020 "
        "(synthesised (yosys))\n"
    )
    assert fdht.main(["resources", "bytes", "--json", *build]) == 0
    assert json.loads(capsys.readouterr().out) == {"experiment": "bytes", **known.to_json()}
