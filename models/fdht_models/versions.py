"""Versions of Python packages and of programs, for manifests, cache keys and the doctor."""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path

#: Seconds in which a program must tell its version.
_TIMEOUT = 20.0


def package_version(name: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def package_versions(*names: str) -> dict[str, str]:
    """Package -> version, of those that are installed."""
    found = {name: package_version(name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def version_text(program: str | Path) -> str:
    """What a program says of its version, on either output.

    Raises:
        OSError: it cannot be run.
        subprocess.TimeoutExpired: it says nothing for 20 s.
    """
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )
    return done.stdout + done.stderr
