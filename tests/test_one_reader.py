"""What comes from outside is read in one place, and no two modules have one name."""

from __future__ import annotations

import ast
import math
from collections import Counter
from pathlib import Path

import pytest

from fdht_models.documents import parse_json
from fdht_models.errors import ArtifactError
from tests.test_imports import ROOT, sources

#: The one module that parses JSON and TOML, and the one that parses CSV.
JSON_AND_TOML = "models/fdht_models/documents.py"
CSV = "models/fdht_models/csv_lines.py"
PARSERS = {
    "json.load": JSON_AND_TOML,
    "json.loads": JSON_AND_TOML,
    "json.JSONDecoder": JSON_AND_TOML,
    "tomllib": JSON_AND_TOML,
    "tomli": JSON_AND_TOML,
    "csv": CSV,
    "yaml": "",
}


def parsers(tree: ast.AST) -> set[str]:
    """Which of `PARSERS` a file uses."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return found & set(PARSERS)


def strays(path: Path, tree: ast.AST) -> list[str]:
    place = path.relative_to(ROOT).as_posix()
    return sorted(name for name in parsers(tree) if PARSERS[name] != place)


def test_outside_data_are_parsed_by_one_module() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in sources()
        if (names := strays(path, ast.parse(path.read_text(), str(path))))
    }
    assert not found, "read it with fdht_models.documents and fdht_models.records"


@pytest.mark.parametrize(
    "text",
    [
        "import json\njson.loads(text)",
        "from json import load",
        "import tomllib",
        "import csv",
        "def inside():\n    import tomli as tomllib",
    ],
)
def test_a_parser_elsewhere_is_found(text: str) -> None:
    assert strays(ROOT / "models" / "fdht_models" / "artifacts.py", ast.parse(text))


def test_writing_is_free() -> None:
    tree = ast.parse("import json\njson.dumps({})")
    assert not strays(ROOT / "models" / "fdht_models" / "artifacts.py", tree)


def test_what_keras_writes_and_json_has_not_is_read_where_it_is_allowed() -> None:
    how = {"error": ArtifactError, "remedy": "none"}
    assert parse_json('{"floor": -Infinity}', "model", strict=False, **how) == {"floor": -math.inf}
    with pytest.raises(ArtifactError, match="-Infinity is no number in JSON"):
        parse_json('{"floor": -Infinity}', "model", **how)


def test_no_two_modules_of_the_models_have_one_name() -> None:
    names = Counter(
        path.name
        for path in sources()
        if path.is_relative_to(ROOT / "models") and path.name != "__init__.py"
    )
    # A layer of Keras and its integers: `fdht_models.layers` and `fdht_models.tensor`.
    layers = (ROOT / "models" / "fdht_models" / "layers").glob("*.py")
    twins = {path.name for path in layers}
    assert {name for name, count in names.items() if count > 1} <= twins


def test_no_module_of_the_host_has_the_name_of_another() -> None:
    names = Counter(path.name for path in sources() if path.name != "__init__.py")
    host = {path.name for path in sources() if path.is_relative_to(ROOT / "host")} - {"__init__.py"}
    # The stage `run` and its command.
    assert {name for name in host if names[name] > 1} <= {"run.py"}


def test_no_two_classes_of_the_models_have_one_name() -> None:
    names = Counter(
        node.name
        for path in sources()
        if path.is_relative_to(ROOT / "models")
        for node in ast.parse(path.read_text(), str(path)).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    # Of the flow, a directory that is read; of a contraction, one core at work.
    assert {name for name, count in names.items() if count > 1} <= {"Stage"}
