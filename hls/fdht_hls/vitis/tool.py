"""Finds Vitis HLS and says how it is called.

`vitis-run` came with 2023.2; `vitis_hls` is deprecated since 2024 and gone from 2025.1 (UG1702,
"vitis-run Command"; UG1399, "vitis_hls Command"). Only `vitis_hls` passes arguments on to a script,
so that ours reads a settings file in place of arguments.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from fdht_models.errors import ToolError

#: Programs by preference, and their arguments before the script's name.
SPELLINGS: dict[str, Sequence[str]] = {
    "vitis-run": ("--mode", "hls", "--tcl"),
    "vitis_hls": ("-f",),
}
_VERSION = re.compile(
    r"(?:C\+\+ and OpenCL|HLS Build|vitis-run|Vitis HLS)\s+v(\d{4}\.\d+(?:\.\d+)?)"
)


@dataclass(frozen=True)
class Tool:
    """A program that runs scripts of Vitis HLS.

    Args:
        name: `vitis-run` or `vitis_hls`.
        path: where it is.
    """

    name: str
    path: str

    def command(self, script: str) -> list[str]:
        """The command line that runs a script."""
        return [self.path, *SPELLINGS[self.name], script]


def find_tool() -> Tool:
    """The program on the PATH.

    Raises:
        ToolError: there is none.
    """
    for name in SPELLINGS:
        path = shutil.which(name)
        if path is not None:
            return Tool(name, path)
    raise ToolError(
        "neither vitis-run nor vitis_hls is on the PATH",
        field="Vitis HLS",
        remedy="install AMD Vitis 2022.2 or later from amd.com and source its settings64.sh "
        "(fdht doctor shows what is found)",
    )


def version_in(log: str) -> str | None:
    """The version that the tool states at the top of its log, such as "2024.1"."""
    found = _VERSION.search(log)
    return found[1] if found else None
