"""What there is one way to do is done in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: Who imports what. Each has a place of its own; more need a reason.
ROOMS = {
    ("rich.console", "Console"): {"models/fdht_models/console.py"},
    ("rich.progress", ""): {"models/fdht_models/console.py"},
    ("rich", "progress"): {"models/fdht_models/console.py"},
    ("jinja2", ""): {"models/fdht_models/rendering.py"},
    ("subprocess", ""): {"models/fdht_models/process.py"},
    ("multiprocessing", ""): set(),
    ("serial", ""): {"host/fdht_host/power/outside/line_port.py"},
    ("asyncssh", ""): {"hls/fdht_hls/flow/ssh.py"},
}
#: What starts a program without the module above.
_STARTERS = {"system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    """All modules of the packages and of the front door, by path."""
    folders = ("models", "hls", "overlays", "host", "fdht")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    for path in (*found, *ROOT.glob("fdht*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_bytes())


def imported(module: ast.Module) -> Iterator[tuple[str, str]]:
    """(module, name) of each import that runs; those for type checkers alone do not."""
    for node in running(module):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, ""
            yield from ((node.module, alias.name) for alias in node.names)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """A tree's nodes without those below `if TYPE_CHECKING`."""
    yield node
    for child in ast.iter_child_nodes(node):
        test = child.test if isinstance(child, ast.If) else None
        if not (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"):
            yield from running(child)


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    found = dict(sources())
    assert len(found) > 300
    return found


def test_no_program_is_started_by_another_way(modules):
    found = [
        (path, node.attr)
        for path, module in modules.items()
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("os", "asyncio")
        and (node.attr in _STARTERS or node.attr.startswith(("exec", "spawn", "create_subprocess")))
    ]
    assert found == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: ".".join(filter(None, room)))
def test_what_has_a_room_is_used_there_alone(modules, room):
    users = {path for path, module in modules.items() if room in set(imported(module))}
    # The rooms of rich.progress are two spellings of one import.
    assert users == ROOMS[room] or (room[0].startswith("rich") and users < ROOMS[room])
