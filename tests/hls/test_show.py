"""`fdht show`: the engine's plan as a table, as JSON, and beside one that was saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fdht
from fdht_hls.engine import lower
from fdht_hls.tuner.untrained import untrained_network
from fdht_models.experiment import load_experiment

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def plan():
    return lower(untrained_network(load_experiment("motion")))


def show(capsys: Capture, build: Path, *options: str) -> tuple[int, str, str]:
    code = fdht.main(["show", "motion", "--build", str(build), *options])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_each_stage_has_a_row(capsys: Capture, tmp_path: Path, plan) -> None:
    code, said, _ = show(capsys, tmp_path)
    assert code == 0
    rows = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert {stage.name for stage in plan.stages} <= rows.keys()
    # 57,600 bytes through a port of 8 bytes.
    assert rows["input.C4"].rstrip().endswith("7,200")
    assert f"design {plan.design.design_id:016x}" in said
    assert said.rstrip().endswith("not trained: of the shapes and widths that it declares")


def test_json_is_the_plan(capsys: Capture, tmp_path: Path, plan) -> None:
    code, said, _ = show(capsys, tmp_path, "--json", "--save", str(tmp_path / "plan.json"))
    assert code == 0
    assert json.loads(said) == json.loads(json.dumps(plan.to_json()))
    assert json.loads((tmp_path / "plan.json").read_text()) == json.loads(said)


def test_plans_are_compared(capsys: Capture, tmp_path: Path, plan) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan.to_json()))
    assert show(capsys, tmp_path, "--compare", str(file)) == (0, f"as in {file}\n", "")
    other = plan.to_json()
    other["stages"][1]["queue_words"] = 7
    file.write_text(json.dumps(other))
    code, said, _ = show(capsys, tmp_path, "--compare", str(file))
    assert (code, said) == (1, f"stages[1].queue_words: {plan.stages[1].queue_words}, not 7\n")
    code, said, _ = show(capsys, tmp_path, "--compare", str(file), "--json")
    assert code == 1 and len(json.loads(said)["differences"]) == 1


def test_a_schedule_is_a_file_or_what_was_tuned_for_a_board(
    capsys: Capture, tmp_path: Path, plan
) -> None:
    code, _, error = show(capsys, tmp_path, "--board", "pynq-z2")
    assert code == 2 and "run fdht tune motion --board pynq-z2 first" in error
    schedule = plan.schedule.to_json()
    schedule["input"][1]["multipliers"] = "lut"
    file = tmp_path / "motion" / "tune" / "pynq-z2" / "schedule.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(schedule))
    for options in (["--board", "pynq-z2"], ["--schedule", str(file)]):
        code, said, _ = show(capsys, tmp_path, "--json", *options)
        assert code == 0
        assert [one["multipliers"] for one in json.loads(said)["stages"][:3]] == [
            "dsp",
            "lut",
            "dsp",
        ]
    code, _, error = show(capsys, tmp_path, "--board", "pynq-z2", "--schedule", str(file))
    assert code == 2 and "cannot go with --schedule" in error


@pytest.mark.parametrize("text", ["{}", "[]", '{"schema": 1}', '{"schema": 2, "stages": []}', "x"])
def test_another_file_is_no_plan(capsys: Capture, tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    code, said, error = show(capsys, tmp_path, "--compare", str(tmp_path / "other.json"))
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert "other.json" in error
