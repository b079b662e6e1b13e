"""Imports run one way, and what runs on a board loads neither TensorFlow nor hls4ml."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: In the order of the imports' direction: each may import itself and those before it.
PACKAGES = {
    "fdht_models": ROOT / "models",
    "fdht_hls": ROOT / "hls",
    "fdht_overlays": ROOT / "overlays",
    "fdht_host": ROOT / "host",
    "fdht": ROOT,
}
ORDER = list(PACKAGES)
HEAVY = {"tensorflow", "tf_keras", "keras", "qkeras", "hls4ml"}
#: What of `fdht_models` and `fdht_hls` a board imports.
ON_BOARD = (
    "fdht_models.errors",
    "fdht_models.artifacts",
    "fdht_models.features",
    "fdht_models.media",
    "fdht_models.preprocessing",
    "fdht_models.tensor",
    "fdht_hls.boards",
    "fdht_hls.registers",
    "fdht_overlays",
    "fdht_host",
    "fdht",
)


def sources() -> list[Path]:
    return sorted(
        path for name, folder in PACKAGES.items() for path in (folder / name).rglob("*.py")
    )


def module_name(path: Path) -> str:
    relative = path.relative_to(PACKAGES[package_of(path)]).with_suffix("")
    parts = relative.parts[:-1] if relative.name == "__init__" else relative.parts
    return ".".join(parts)


def package_of(path: Path) -> str:
    return next(name for name, folder in PACKAGES.items() if folder in path.parents)


def imported(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Absolute names of all modules that a file imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                kept = len(parents) - node.level + int(is_package)
                base = ".".join([*parents[:kept], *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def wrong_way(path: Path) -> list[str]:
    allowed = ORDER[: ORDER.index(package_of(path)) + 1]
    tree = ast.parse(path.read_text(), str(path))
    found = imported(tree, module_name(path), path.name == "__init__.py")
    # `fdht` itself and any other module of the front door is for nobody below it.
    roots = {name: name.split(".")[0] for name in found}
    return [
        name
        for name, root in roots.items()
        if (root == "fdht" or root.startswith("fdht_")) and root not in allowed
    ]


def test_there_are_files_of_every_package():
    names = [package_of(path) for path in sources()]
    for name in ORDER:
        assert names.count(name) >= 2, name
    assert ROOT / "models" / "fdht_models" / "tensor" / "plan.py" in sources()


@pytest.mark.parametrize("package", ORDER)
def test_imports_run_one_way(package):
    """fdht -> host -> overlays -> hls -> models: nobody imports the front door."""
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in sources()
        if package_of(path) == package and (found := wrong_way(path))
    }
    assert wrong == {}


def test_the_check_sees_every_kind_of_import(tmp_path):
    text = (
        "import fdht_host.driver\n"
        "def late():\n"
        "    from fdht_overlays import manifest as m\n"
        "    if m:\n"
        "        from . import sibling\n"
        "        from .deep import thing\n"
    )
    found = list(imported(ast.parse(text), "fdht_models.tensor.plan", False))
    assert found == [
        "fdht_host.driver",
        "fdht_overlays",
        "fdht_overlays.manifest",
        "fdht_models.tensor",
        "fdht_models.tensor.sibling",
        "fdht_models.tensor.deep",
        "fdht_models.tensor.deep.thing",
    ]


def heavy_after_importing(modules: list[str], heavy: Iterable[str] = HEAVY) -> dict[str, list[str]]:
    """Module -> heavy packages loaded once it is imported, in a fresh interpreter."""
    script = (
        "import importlib, json, sys\n"
        "names, heavy = json.loads(sys.argv[1])\n"
        "seen = {}\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "    seen[name] = sorted({m.split('.')[0] for m in sys.modules} & set(heavy))\n"
        "print(json.dumps(seen))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps([modules, sorted(heavy)])],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_what_runs_on_a_board_loads_neither_tensorflow_nor_hls4ml():
    modules = [
        name
        for name in map(module_name, sources())
        if any(name == part or name.startswith(part + ".") for part in ON_BOARD)
        and not name.endswith("__main__")
    ]
    assert len(modules) >= 15
    assert set(ON_BOARD) <= set(modules)
    assert {name: found for name, found in heavy_after_importing(modules).items() if found} == {}


def test_the_front_door_opens_without_them():
    """`fdht --help` on a board."""
    assert heavy_after_importing(["fdht"]) == {"fdht": []}


def test_the_check_sees_what_was_loaded():
    """As it would see TensorFlow, whose import takes too long to be shown here."""
    assert heavy_after_importing(["json.tool"], {"argparse", "wave"}) == {"json.tool": ["argparse"]}


#: Names of files that stages hand to each other, and of the directories that they stand in.
FILES = {
    *("manifest.json", "network.json", "experiment.json", "metrics.json", "history.json"),
    *("weights.npz", "schedule.json", "estimate.json", "equality.json", "csim.so", "csim_exact.so"),
    *("weights.json", "golden.npz", "front.json", "front.svg", "report.json"),
    "pattern.json",
}
STAGES = {"model", "hls", "tune", "explore", "overlay", "run", "decomposed"}
BESIDE = {"cosim", "resources", "synthesis"}
#: What takes the name of a stage.
OF_STAGES = {"Stage", "new_stage", "is_current", "read_manifest"}


def names_of_directories(tree: ast.AST) -> Iterator[str]:
    """File names, parts of paths and names of stages that are written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in FILES:
            yield node.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            part = getattr(node.right, "value", None)
            yield from {part} & (STAGES | BESIDE) if isinstance(part, str) else ()
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given = node.args if name in OF_STAGES else []
            yield from (one.value for one in given if isinstance(one, ast.Constant))


def test_names_in_a_build_stand_once():
    """Whoever reads or writes a stage asks `fdht_models.directories` where it is."""
    found = [
        (name, path.name)
        for path in [*sources(), *(ROOT / "fdht").rglob("*.py")]
        for name in names_of_directories(ast.parse(path.read_text(), str(path)))
    ]
    places = ("directories.py", "artifacts.py")
    assert [(name, file) for name, file in found if file not in places] == []
    assert sorted(name for name, _ in found) == sorted(FILES | BESIDE)


def test_the_check_of_names_sees_each_way_to_write_one():
    text = (
        "path = build / name / 'hls'\n"
        "read_manifest(path, 'model')\n"
        "artifacts.new_stage(path, stage='run')\n"
        "read_json(path / 'estimate.json', 'hls')\n"
        "REPORT = 'report.json'\n"
    )
    assert sorted(names_of_directories(ast.parse(text))) == [
        "estimate.json", "hls", "model", "report.json"
    ]  # fmt: skip
