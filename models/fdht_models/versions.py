"""Versions of Python packages and of programs, for manifests, cache keys and the doctor."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path
from typing import Any

from fdht_models.errors import ToolError
from fdht_models.process import run_tool

#: Seconds in which a program must tell its version.
_TIMEOUT = 20.0


def package_version(name: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def required_module(name: str, remedy: str) -> Any:
    """A module of a package that not everybody installs.

    Args:
        name: of the module.
        remedy: how it is installed.

    Raises:
        ToolError: it, or what it needs itself, is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ToolError(f"{error.name or name} is not installed", remedy=remedy) from error


def package_versions(*names: str) -> dict[str, str]:
    """Package -> version, of those that are installed."""
    found = {name: package_version(name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def foreign_package(module: str, package: str) -> tuple[str, str] | None:
    """Who else brings an importable package, so that it is not, or not only, that of `package`.

    Files of two distributions that go by one name overwrite each other, and pip says nothing.

    Args:
        module: what is imported; it is not imported here.
        package: the distribution that it should be of.

    Returns:
        (what is wrong, as a clause; remedy), or None if it is of `package` only, or not there.
    """
    spec = importlib.util.find_spec(module)
    if spec is None:
        return None
    owners = _distributions_of(module)
    others = sorted(name for name in owners if name and _normal(name) != _normal(package))
    if others:
        names = " and ".join(others)
        return (
            f"is overwritten by {names}, with files of the same names",
            f"pip uninstall {' '.join(others)} {package}, then pip install fdht[train]",
        )
    if spec.origin is not None and owners:
        # Of one that is installed for editing, there is no such file.
        own = Path(str(importlib.metadata.distribution(package).locate_file(module)))
        if own.is_dir() and not Path(spec.origin).resolve().is_relative_to(own.resolve()):
            return (f"is found at {spec.origin}, which pip did not install", "remove that")
    return None


def _distributions_of(module: str) -> set[str]:
    """Names of the distributions that bring a top-level module.

    As `importlib.metadata.packages_distributions` tells, which reads every file's entry of every
    distribution, and so takes as long as all else that the doctor does.
    """
    found = set()
    for one in importlib.metadata.distributions():
        declared = (one.read_text("top_level.txt") or "").split()
        record = one.read_text("RECORD")
        if declared:
            owned = module in declared
        elif record is not None:
            owned = re.search(rf"^{re.escape(module)}[/.]", record, re.MULTILINE) is not None
        else:
            owned = any(path.parts[0].split(".")[0] == module for path in one.files or ())
        if owned:
            found.add(one.metadata["Name"])
    return found


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def version_text(program: str | Path) -> str:
    """What a program says of its version, on either output.

    Raises:
        ToolError: it cannot be run, or does not end within 20 s.
    """
    command = (str(program), "--version")
    return run_tool(Path(program).name, command, Path(), _TIMEOUT)[1]
