"""The package `fdht`: its list of commands, what that imports, versions and completion."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.markup import render
from typer.main import get_command

import fdht
from fdht import pipeline
from fdht.cli import app as front
from fdht_hls.boards import board_names
from fdht_models.artifacts import STAGE_KEYS, again_of
from fdht_models.experiment import ZOO, experiment_names, load_experiment

CLI = Path(front.__file__).parent
COMMANDS = [name for panel in front.PANELS.values() for name in panel]
#: What no list and no listing needs: each takes as long as all that is needed.
SLOW = ("numpy", "rich.markdown", "rich.progress", "pygments", "fdht_models.experiment")
PROGRAM = """
import contextlib, io, json, sys
import fdht
said = io.StringIO()
with contextlib.redirect_stdout(said):
    code = fdht.main(sys.argv[1:])
print(json.dumps([code, said.getvalue(), sorted(sys.modules)]))
"""


def loaded_by(*arguments: str) -> tuple[str, set[str]]:
    """What a command prints, and the modules that a fresh interpreter has loaded for it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    code, said, modules = json.loads(done.stdout)
    assert code == 0
    return said, set(modules)


def completed(words: str, directory: Path) -> list[str]:
    """What bash would offer for the last of some words."""
    settings = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-m", "fdht"],
        env={**os.environ, **settings, "_FDHT_COMPLETE": "complete_bash"},
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def options_of(name: str) -> Iterator[tuple[str, str, str]]:
    """Of each option of a command, or of a group's commands: command, name, help."""
    found = front._load(name)
    for command in getattr(found, "commands", {name: found}).values():
        yield from ((command.name, one.name, getattr(one, "help", "")) for one in command.params)


def test_the_list_of_commands_is_short_and_in_the_order_of_the_work() -> None:
    said, modules = loaded_by("--help")
    places = [said.index(f"\n{panel}:\n") for panel in ("Options", *front.PANELS)]
    assert places == sorted(places)
    for name in COMMANDS:
        lines = [line for line in said.splitlines() if line.startswith(f"  {name} ")]
        assert len(lines) == 1, name
    assert list(front.PANELS)[:5] == ["Prepare", "Train", "Convert", "Build", "Run"]
    assert not modules.intersection(SLOW)
    assert {name for name in modules if name.startswith("fdht.cli.")} == {"fdht.cli.app"}


def test_without_a_command_the_list_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert fdht.main([]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("Usage: fdht") and "\nPrepare:\n" in said.out and not said.err


@pytest.mark.parametrize("command", ["zoo", "doctor"])
def test_a_listing_imports_only_what_it_prints(command: str) -> None:
    said, modules = loaded_by(command)
    assert "motion" in said or "train quantised models" in said
    assert not modules.intersection(SLOW)


def test_every_command_that_is_listed_is_there_and_says_more() -> None:
    for panel in front.PANELS.values():
        for name, (place, text) in panel.items():
            found = front._load(name)
            assert inspect.cleandoc(found.help), name
            assert (CLI / f"{place.partition(':')[0]}.py").is_file()
            assert not text.endswith(".") and len(text) <= 54, name  # one line of 80 columns


def test_an_option_that_several_commands_have_means_the_same() -> None:
    shared: dict[str, set[str]] = {}
    for name in COMMANDS:
        for _, option, text in options_of(name):
            if option in ("build", "as_json", "data_root", "part", "clock_period", "port_bits"):
                shared.setdefault(option, set()).add(text)
    assert len(shared) == 6
    assert {option: len(texts) for option, texts in shared.items()} == dict.fromkeys(shared, 1)


def test_help_is_shown_as_it_is_written() -> None:
    """Typer takes square brackets for markup of rich, and leaves them out."""
    for name in COMMANDS:
        for command, option, text in options_of(name):
            assert render(text or "").plain == (text or ""), (command, option)


def test_help_of_long_commands_is_in_panels(capsys: pytest.CaptureFixture[str]) -> None:
    for name, panels in {"run": 2, "build": 4}.items():
        found = front._load(name)
        own = {one.rich_help_panel for one in found.params if one.rich_help_panel}
        assert len(own) == panels
        assert fdht.main([name, "--help"]) == 0
        said = capsys.readouterr().out
        assert all(f"─ {panel} ─" in said for panel in own)
        assert "…" not in said


def test_an_experiment_is_found_by_name_by_file_or_as_it_was_trained(tmp_path: Path) -> None:
    shipped = load_experiment("motion")
    trained = {**shipped.to_json(), "name": "mine"}
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "experiment.json").write_text(json.dumps(trained))
    assert pipeline.experiment_of("mine", tmp_path).to_json() == trained
    assert pipeline.experiment_directory("mine", tmp_path).path == tmp_path / "mine"
    assert pipeline.experiment_of("motion", tmp_path) == shipped
    (tmp_path / "mine.toml").write_text((ZOO / "watch.toml").read_text())
    found = pipeline.experiment_of(str(tmp_path / "mine.toml"), tmp_path)
    assert (found.name, found.data) == ("mine", load_experiment("watch").data)


@pytest.mark.parametrize("command", ["run", "train", "data", "search"])
def test_a_build_that_is_elsewhere_is_told_of(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there" / "bespoke" / "model").mkdir(parents=True)
    given = ["--space", "space.toml"] if command == "search" else []
    elsewhere = tmp_path / "here"
    assert fdht.main([command, "bespoke", *given, "--build", str(elsewhere)]) == 2
    said = capsys.readouterr().err
    assert f"'{elsewhere}' holds no build of that name; choose one of fdht zoo" in said
    assert "say with --build where it was built" in said and said.count("\n") == 1
    assert fdht.main([command, "bespok", *given, "--build", str(tmp_path / "there")]) == 2
    assert "did you mean 'bespoke'?" in capsys.readouterr().err
    assert fdht.main([command, "moton", *given, "--build", str(elsewhere)]) == 2
    assert "did you mean 'motion'" in capsys.readouterr().err


def test_shared_options_are_spelled_in_one_module() -> None:
    names = [
        "--build",
        "--json",
        "--data-root",
        "--board",
        "--part",
        "--clock-period",
        "EXPERIMENT",
    ]
    places: dict[str, list[str]] = {name: [] for name in names}
    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("typer."):
                for given in (*node.args, *(word.value for word in node.keywords)):
                    if isinstance(given, ast.Constant) and given.value in places:
                        places[given.value].append(path.stem)
    # `build` takes several experiments, and `run` also a directory.
    assert places.pop("EXPERIMENT").count("options") == 1
    assert places == {name: ["options"] for name in places}


def test_versions_are_told() -> None:
    said, modules = loaded_by("--version")
    lines = said.splitlines()
    assert lines[0] == f"fdht {fdht.__version__}"
    assert lines[1].startswith(f"Python {sys.version.split()[0]}")
    assert any(line.startswith("numpy ") for line in lines)
    assert "numpy" not in modules


def test_the_package_is_the_program(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "fdht"]
    done = subprocess.run([*run, "bench", "--nope"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "fdht: No such option: --nope; see fdht bench --help\n"
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")
    assert "Usage: fdht [OPTIONS] COMMAND" in done.stdout


def test_a_shell_completes_commands_experiments_builds_and_boards(tmp_path: Path) -> None:
    (tmp_path / "build" / "mine" / "model").mkdir(parents=True)
    (tmp_path / "other" / "mill" / "overlay").mkdir(parents=True)
    assert completed("fdht re", tmp_path) == ["resources"]
    assert completed("fdht bench es", tmp_path) == ["estimate"]
    watch = [name for name in experiment_names() if name.startswith("watch")]
    assert watch and completed("fdht train watch", tmp_path) == watch
    assert completed("fdht run mi", tmp_path) == ["mine"]
    assert completed("fdht run --build other mi", tmp_path) == ["mill"]
    assert completed("fdht run --board ", tmp_path) == list(board_names())
    assert completed("fdht convert --clock", tmp_path) == ["--clock-period"]


def test_options_to_install_completion_are_offered() -> None:
    names = {option for one in get_command(front.app).params for option in one.opts}
    assert {"--version", "--install-completion", "--show-completion"} <= names


def modules_of_the_front_door() -> dict[str, Path]:
    root = CLI.parent
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if path.name == "__init__.py" else parts)] = path
    return found


def imports_within(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Module -> modules of the front door that it imports, wherever it does."""
    found: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= {str(node.module)} if not names & modules.keys() else set()
                found[name] |= names & modules.keys()
            elif isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & modules.keys()
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other, or []."""
    left = {name: set(targets) for name, targets in graph.items()}
    while ends := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in ends:
            del left[name]
    return sorted(left)


def test_modules_of_the_front_door_do_not_import_each_other_in_circles() -> None:
    modules = modules_of_the_front_door()
    graph = imports_within(modules)
    assert "fdht.cli.options" in graph["fdht.cli.run"]
    assert "fdht.pipeline" in graph["fdht.cli.convert"]
    # `fdht.main` opens the command line, which is what the package is for.
    graph["fdht"].discard("fdht.cli.app")
    assert circle(graph) == []
    assert not any(name.startswith("fdht.cli") for name in graph["fdht.pipeline"])
    turned = circle({**graph, "fdht.pipeline": {"fdht.cli.convert"}})
    assert {"fdht.pipeline", "fdht.cli.convert"} <= set(turned)


def test_no_module_is_longer_than_can_be_read() -> None:
    for name, path in modules_of_the_front_door().items():
        assert len(path.read_text().splitlines()) <= 400, name


def test_a_wheel_installs_five_packages_and_no_loose_modules() -> None:
    pytest.importorskip("setuptools")
    code = (
        "import json; from setuptools import Distribution as D; d = D(); d.parse_config_files(); "
        "d.set_defaults(); print(json.dumps([d.packages, d.py_modules, d.entry_points]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=CLI.parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    packages, loose, entries = json.loads(done.stdout)
    five = ["fdht", "fdht_hls", "fdht_host", "fdht_models", "fdht_overlays"]
    assert sorted(name for name in packages if "." not in name) == five
    assert "fdht.cli" in packages and not loose
    assert entries["console_scripts"] == ["fdht = fdht:main"]


@pytest.mark.parametrize("stage", [*STAGE_KEYS, "decomposed", "clips", "shard"])
def test_what_makes_a_stage_whole_again_is_a_command_that_is_there(stage, capsys):
    """A cache has none: it is made when it is needed."""
    commands = re.findall(r"\bfdht ([a-z]+)( --[a-z]+)?", again_of(stage))
    assert bool(commands) == (stage not in {"clips", "shard"})
    for name, option in commands:
        assert name in COMMANDS
        assert fdht.main([name, "--help"]) == 0
        assert option.strip() in capsys.readouterr().out
