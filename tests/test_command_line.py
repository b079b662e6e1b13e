"""The front door: commands, JSON, exit codes, one line for a mistake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import fdht
from fdht_models.artifacts import command_on


def run(capsys, *arguments):
    """Runs a command: (exit code, standard output, standard error)."""
    code = fdht.main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def mistake(capsys, *arguments):
    """The one line of a mistake."""
    code, out, error = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert error.startswith("fdht: ")
    assert error.count("\n") == 1
    return error


def test_public_names_resolve():
    for name in fdht._NAMES:
        assert getattr(fdht, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        fdht.Nonsense  # noqa: B018


def test_importing_the_front_door_imports_nothing_heavy():
    code = (
        "import sys, fdht; print([m for m in ('tensorflow', 'hls4ml', 'pynq') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_zoo_lists_every_experiment(capsys):
    code, out, _ = run(capsys, "zoo", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert {"motion", "watch"} <= rows.keys()
    motion = rows["motion"]
    assert motion["hidden_units"] >= 128
    assert motion["parameters_lstm"] <= 9000
    assert motion["dense_lstm"] == 4 * 128 * (57_600 + 128 + 1)
    assert motion["ratio_lstm"] == motion["dense_lstm"] / motion["parameters_lstm"]
    code, out, _ = run(capsys, "zoo")
    assert code == 0
    assert "motion" in out


def test_doctor_tells_what_is_missing_and_how_to_get_it(capsys, monkeypatch):
    code, out, _ = run(capsys, "doctor", "--json")
    parts = {part["name"]: part for part in json.loads(out)}
    assert code == 0
    assert parts["convert"]["ready"]
    monkeypatch.setenv("PATH", "")
    code, out, _ = run(capsys, "doctor", "--json")
    parts = {part["name"]: part for part in json.loads(out)}
    assert not parts["convert"]["ready"]
    code, out, _ = run(capsys, "doctor")
    assert "g++ is missing: apt-get install g++" in out


@pytest.mark.parametrize("command", ["train", "convert", "build", "run"])
def test_unknown_experiment_gets_near_matches(capsys, tmp_path, command):
    line = mistake(capsys, command, "moton", "--build", str(tmp_path))
    assert "'moton'" in line
    assert "'motion'" in line
    assert not list(tmp_path.iterdir())


def test_unknown_board_gets_near_matches(capsys, tmp_path):
    line = mistake(capsys, "run", "motion", "--board", "pynqz2", "--build", str(tmp_path))
    assert "did you mean 'pynq-z2' or 'pynq-z1'?" in line


def test_unknown_key_is_named_by_its_dotted_path(capsys, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[data]\nset = "motion"\ntrain_clps = 3\n')
    line = mistake(capsys, "train", str(path), "--build", str(tmp_path / "build"))
    assert "data.train_clps" in line
    assert "'train_clips'" in line


def test_a_stage_out_of_order_says_which_comes_first(capsys, tmp_path):
    build = f"--build {tmp_path}"
    line = mistake(capsys, "convert", "motion", "--build", str(tmp_path))
    assert f"run fdht train motion {build} first" in line
    line = mistake(capsys, "build", "motion", "--build", str(tmp_path))
    assert f"run fdht convert motion {build} first" in line
    line = mistake(capsys, "build", "motion", "--board", "pynq-z2", "--build", str(tmp_path))
    assert f"run fdht convert motion {build} first" in line
    line = mistake(capsys, "run", "motion", "--weights", "watch", *build.split())
    assert f"run fdht train watch {build}" in line
    line = mistake(capsys, "run", "motion", "--board", "pynq-z2", "--build", str(tmp_path))
    assert "holds no overlay" in line
    assert "pynq-z2" in line
    line = mistake(capsys, "run", "motion", "--build", str(tmp_path))
    assert f"fdht build motion --board sim {build}" in line


def test_a_command_is_typed_where_the_build_is():
    assert command_on(Path("build/motion"), "train") == "fdht train motion"
    told = command_on(Path("my builds/motion"), "build", "--board sim")
    assert told == "fdht build motion --board sim --build 'my builds'"


def test_a_plan_to_compare_with_that_is_not_there(capsys, tmp_path):
    line = mistake(capsys, "show", "motion", "--compare", str(tmp_path / "none.json"))
    assert "write one with fdht show --save" in line


def test_a_folder_that_is_not_there_is_no_experiment(capsys, tmp_path):
    line = mistake(capsys, "data", str(tmp_path / "none"))
    assert "there is no such folder; give the folder" in line


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["trian"], "No such command 'trian'"),
        (["nosuch"], "No such command 'nosuch'; see fdht --help"),
        (["train"], "EXPERIMENT"),
        (["zoo", "--jason"], "--jason"),
        (
            ["train", "motion", "--start", "nowhere"],
            "choose one of checkpoint, decomposed, scratch",
        ),
        (["run", "motion", "--clips", "0"], "--clips"),
    ],
)
def test_misused_command_line(capsys, arguments, part):
    assert part in mistake(capsys, *arguments)


def test_an_interruption_is_said_in_one_line(capsys, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("fdht_overlays.doctor.examine", interrupt)
    code, _, error = run(capsys, "doctor")
    assert code == 130
    assert error.count("\n") == 1


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch):
    def fail():
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("fdht_overlays.doctor.examine", fail)
    with pytest.raises(ZeroDivisionError):
        fdht.main(["doctor"])
