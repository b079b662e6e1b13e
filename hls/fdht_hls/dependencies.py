"""Which files of this package a module depends on, by its imports: for digests of what it makes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from fdht_models.artifacts import digest_file, digest_of


def sources_digest(module: str, package: Path) -> str:
    """Digest of the files of a package that a module depends on; see `sources_of`."""
    files = sources_of(module, package)
    return digest_of({str(path.relative_to(package)): digest_file(path) for path in files})


def sources_of(module: str, package: Path) -> list[Path]:
    """The files of a package that a module depends on.

    These are its own, those of all modules that it imports, directly or through others and wherever
    in a file; the templates and tables (TOML) that one of them, or a template of theirs, calls by
    name; and all kernels, since every project gets a copy of each.

    Args:
        module: its full name.
        package: directory of the package.
    """
    found: set[Path] = set()
    waiting = {module}
    while waiting:
        path = _file(waiting.pop(), package)
        if path is not None and path not in found:
            found.add(path)
            waiting.update(_imported(path, package))
    others = {*(package / "templates").glob("*.j2"), *package.rglob("*.toml")}
    named = set(found)
    while named:
        texts = [path.read_text() for path in named]
        named = {path for path in others if any(path.name in text for text in texts)} - found
        found |= named
    return sorted(found | set((package / "include").glob("*.h")))


def _file(module: str, package: Path) -> Path | None:
    """The file of a module of the package; None for what is none, such as a name in a module."""
    root, *parts = module.split(".")
    if root != package.name:
        return None
    place = package.joinpath(*parts)
    candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
    return next((path for path in candidates if path.is_file()), None)


def _imported(path: Path, package: Path) -> Iterator[str]:
    """Full names of what a file imports, and of the packages that this imports too."""
    place = (package.name, *path.relative_to(package).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            near = place[: -node.level] if node.level else ()
            base = ".".join((*near, *([node.module] if node.module else [])))
            names = [f"{base}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
