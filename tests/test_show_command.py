"""`fdht show`: the plan of an experiment's engine, printed, saved and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fdht
from fdht_hls.engine import lower
from fdht_hls.engine.listing import plan_json
from fdht_hls.schedule import default_schedule
from fdht_hls.tuner.untrained import untrained_network
from fdht_models.artifacts import write_json
from fdht_models.experiment import load_experiment

STAGES = [f"{path}.C{core}" for path in ("input", "hidden") for core in (4, 3, 2, 1)]


@pytest.fixture(scope="module")
def schedule(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = untrained_network(load_experiment("motion"))
    path = tmp_path_factory.mktemp("show") / "schedule.json"
    write_json(path, default_schedule(network.recurrence).to_json())
    return path


def shown(capsys: pytest.CaptureFixture[str], tmp_path: Path, *options: str, code: int = 0) -> str:
    assert fdht.main(["show", "motion", "--build", str(tmp_path), *options]) == code
    return capsys.readouterr().out


def test_people_see_all_that_is_built(capsys, tmp_path: Path, schedule: Path):
    text = shown(capsys, tmp_path, "--schedule", str(schedule))
    assert all(name in text for name in STAGES)
    assert "7,200 words a dense frame of 2400 fibres of 24 bytes" in text
    assert f"schedule: {schedule} (declared widths, not trained)" in text


def test_without_a_schedule_it_is_planned_for_the_board(capsys, tmp_path: Path):
    value = json.loads(shown(capsys, tmp_path, "--board", "pynq-z2", "--core", "rtl", "--json"))
    assert value["origin"].startswith("planned for pynq-z2 and core rtl")
    assert [stage["name"] for stage in value["plan"]["stages"]] == STAGES


def test_a_saved_plan_is_compared(capsys, tmp_path: Path, schedule: Path):
    saved = tmp_path / "plan.json"
    options = ("--schedule", str(schedule))
    shown(capsys, tmp_path, *options, "--save", str(saved))
    network = untrained_network(load_experiment("motion"))
    assert json.loads(saved.read_text()) == plan_json(lower(network))
    same = shown(capsys, tmp_path, *options, "--compare", str(saved))
    assert same == f"as in {saved}\n"
    options = (*options, "--port-bits", "128", "--compare", str(saved), "--json")
    wider = json.loads(shown(capsys, tmp_path, *options, code=1))
    assert "port.word_bytes: 16, not 8" in wider["differences"]


def test_what_is_no_plan_is_refused(capsys, tmp_path: Path, schedule: Path):
    arguments = ["show", "motion", "--build", str(tmp_path), "--compare", str(schedule)]
    assert fdht.main(arguments) == 2
    assert "is no plan of an engine; write one with fdht show --save" in capsys.readouterr().err


def test_a_schedule_of_another_network_is_refused(capsys, tmp_path: Path, schedule: Path):
    arguments = ["show", "watch", "--build", str(tmp_path), "--schedule", str(schedule)]
    assert fdht.main(arguments) == 2
    assert "schedule.input" in capsys.readouterr().err
