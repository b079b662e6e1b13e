"""The script that tries lower bounds: what it takes for one, and what it lets pass."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def lowest() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lowest", ROOT / ".ci" / "lowest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def project() -> dict[str, object]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize(
    ("requirement", "pinned"),
    [
        ("numpy>=1.24,<2.3", "numpy==1.24"),
        ("pycparser<3,>=2.21", "pycparser==2.21"),
        ("yosys==0.64", "yosys==0.64"),
        ("tomli>=2,<3; python_version < '3.11'", "tomli==2 ; python_version < '3.11'"),
        ("amaranth[builtin-yosys]>=0.5,<0.6", "amaranth==0.5"),
    ],
)
def test_a_lower_bound_becomes_the_version(lowest: ModuleType, requirement: str, pinned: str):
    assert lowest.lowest(requirement) == pinned


def test_a_requirement_without_a_lower_bound_is_refused(lowest: ModuleType):
    with pytest.raises(SystemExit, match="'pycparser<3' has no lower bound"):
        lowest.lowest("pycparser<3")


def test_all_that_a_board_installs_has_a_lower_bound(lowest: ModuleType):
    own = project()
    lines = lowest.requirements(own)
    named = {re.split("[<>=]", line)[0] for line in lines}
    assert {"numpy", "rich", "typer", "pynq", "pynqmetadata", "pycparser", "av"} < named
    assert len(lines) == len(own["dependencies"]) + len(
        own["optional-dependencies"]["board"]
    ) + len(lowest.TOOLS) + len(lowest.IMAGE)


def test_the_versions_that_are_pinned_are_allowed():
    """A pin outside of a bound is found by pip only when somebody sets up anew."""
    from packaging.requirements import Requirement

    own = project()
    pins = dict(line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().split())
    extras = own["optional-dependencies"]
    every = [*own["dependencies"], *(text for name in extras for text in extras[name])]
    wrong = [
        text
        for text in every
        if not Requirement(text).specifier.contains(pins[Requirement(text).name.lower()])
    ]
    assert wrong == []


def test_what_is_left_out_is_there(lowest: ModuleType):
    for place in (*lowest.TESTED, *lowest.LEFT_OUT):
        path, _, name = place.partition("::")
        assert (ROOT / path).exists() and name in ((ROOT / path).read_text() if name else name)


@pytest.mark.parametrize(
    ("passed", "skipped", "code"), [(700, [], 0), (3, [], 1), (700, ["a test: no av"], 1)]
)
def test_few_tests_or_unexplained_skips_fail(
    lowest: ModuleType, monkeypatch: pytest.MonkeyPatch, passed: int, skipped: list[str], code: int
):
    def run(arguments: list[str], plugins: list[object]) -> int:
        (counted,) = plugins
        counted.passed, counted.skipped = passed, skipped
        return 0

    monkeypatch.setattr(pytest, "main", run)
    assert lowest.test([]) == code


def test_skips_of_whole_files_count_too(lowest: ModuleType):
    counted = lowest.Counted()
    report = SimpleNamespace(
        passed=False, skipped=True, nodeid="tests/x.py", longrepr=("x.py", 1, "Skipped: no av")
    )
    counted.pytest_collectreport(report)
    assert counted.skipped == ["tests/x.py: Skipped: no av"]
