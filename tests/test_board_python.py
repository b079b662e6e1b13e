"""What a board imports is Python 3.10, which its image has: syntax, and the standard library's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdht_host.deploy.own_wheel import PACKAGES
from tests.test_imports import imported, module_name, sources

#: The image's Python.
IMAGE = (3, 10)
#: Modules of the standard library that came later, and names in modules that were there.
LATER = {
    "tomllib",
    *(f"typing.{name}" for name in ("Self", "Never", "LiteralString", "NotRequired", "Required")),
    *(f"typing.{name}" for name in ("assert_never", "assert_type", "reveal_type", "override")),
    *("asyncio.timeout", "asyncio.TaskGroup", "asyncio.Runner", "datetime.UTC", "enum.StrEnum"),
    *("enum.verify", "contextlib.chdir", "hashlib.file_digest", "itertools.batched", "math.cbrt"),
    *("math.exp2", "math.sumprod", "operator.call", "re.NOFLAG", "warnings.deprecated"),
    "inspect.getmembers_static",
    "logging.getLevelNamesMapping",
}
#: Names that are built in since then.
BUILT_IN_LATER = {"ExceptionGroup", "BaseExceptionGroup", "PythonFinalizationError"}
#: Methods that came later and that nothing older has.
METHODS_LATER = {"add_note", "walk_up", "is_junction"}
#: Reads TOML by the standard library where it can, and by a package where it cannot.
ASKS_FIRST = {"models/fdht_models/documents.py": {"tomllib"}}


def later(tree: ast.AST, module: str) -> Iterator[str]:
    """What of Python 3.11 and later a file uses."""
    named = set(imported(tree, module, False))
    yield from named & LATER
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in BUILT_IN_LATER:
            yield node.id
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if f"{owner}.{node.attr}" in LATER or node.attr in METHODS_LATER:
                yield f"{owner}.{node.attr}"


@pytest.mark.parametrize("package", PACKAGES)
def test_each_module_is_python_of_the_image(package: str) -> None:
    found = {}
    root = Path(__file__).parent.parent
    for path in sources():
        name = path.relative_to(root).as_posix()
        if module_name(path).split(".")[0] != package:
            continue
        tree = ast.parse(path.read_text(), str(path), feature_version=IMAGE)
        if used := set(later(tree, module_name(path))) - ASKS_FIRST.get(name, set()):
            found[name] = sorted(used)
    assert found == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import tomllib", {"tomllib"}),
        ("from typing import Self", {"typing.Self"}),
        ("import asyncio\nasync def f():\n async with asyncio.timeout(3): pass",
         {"asyncio.timeout"}),
        ("import datetime\ndatetime.UTC", {"datetime.UTC"}),
        ("raise ExceptionGroup('', [])", {"ExceptionGroup"}),
        ("error.add_note('x')", {"error.add_note"}),
        ("from datetime import timezone", set()),
    ],
)  # fmt: skip
def test_the_check_sees_what_came_later(text: str, names: set[str]) -> None:
    assert set(later(ast.parse(text), "module")) == names


@pytest.mark.parametrize("text", ["try:\n pass\nexcept* OSError:\n pass", "type X = int"])
def test_the_check_refuses_later_syntax(text: str) -> None:
    with pytest.raises(SyntaxError):
        ast.parse(text, feature_version=IMAGE)
