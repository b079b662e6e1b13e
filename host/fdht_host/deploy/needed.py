"""Which Python packages a board's image lacks, and their wheels.

What the image has is left as it is. numpy, matplotlib and pynq are the image's alone: for a 32-bit
Zynq there are no newer wheels, and what replaced pynq would not know its board.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fdht_host.deploy.board_image import BoardImage
from fdht_models.errors import ToolError
from fdht_models.process import run_tool
from fdht_models.versions import package_version

if TYPE_CHECKING:
    from packaging.requirements import Requirement

#: Never installed on a board.
IMAGE_OWN = ("numpy", "matplotlib", "pynq", "pynqmetadata", "pycparser")
#: What a board can do without, and what it then cannot do.
OPTIONAL = {
    "av": "no videos and no sound can be read there; arrays and test clips can",
    "matplotlib": "reports have no figures",
}
_EXTRA = "board"
#: Seconds in which wheels must be there.
_TIMEOUT = 300.0


@dataclass(frozen=True)
class Needed:
    """What an image lacks.

    Args:
        required: packages to send, as pip takes them.
        optional: likewise, but it works without them.
        notes: what the board cannot do.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    notes: tuple[str, ...]


def needed_on(image: BoardImage, name: str, requires: Sequence[str] | None = None) -> Needed:
    """Compares what this package needs on a board with what is there.

    Args:
        image: of the board.
        name: of the board, for messages.
        requires: as in the metadata of a wheel; None: those of this package.

    Raises:
        ToolError: `packaging` is missing here, or the image lacks what only an image can have.
    """
    if requires is None:
        requires = importlib.metadata.requires("fdht") or ()
    there = {_plain(one): version for one, version in image.packages.items()}
    found: dict[str, list[str]] = {"required": [], "optional": [], "notes": []}
    for requirement in _all(requires, image, there):
        package, version = _plain(requirement.name), there.get(_plain(requirement.name))
        if version is not None and requirement.specifier.contains(version, prereleases=True):
            continue
        if package in IMAGE_OWN and package not in OPTIONAL:
            raise ToolError(
                f"has no {requirement}" + (f", but {version}" if version else ""),
                field=f"image of {name}",
                remedy="use a PYNQ image 3.0.1 or 3.1, or name its Python with --python",
            )
        if package in IMAGE_OWN:
            found["notes"].append(f"{package} is not there, or too old: {OPTIONAL[package]}")
        else:
            kind = "optional" if package in OPTIONAL else "required"
            found[kind].append(_asked(requirement, kind))
    return Needed(*(tuple(dict.fromkeys(found[kind])) for kind in found))


def _asked(requirement: Requirement, kind: str) -> str:
    """A requirement for pip: of what a board must have the version that runs here, if it will do.

    For what that needs itself was read here.
    """
    here = package_version(requirement.name)
    if kind == "required" and here is not None and requirement.specifier.contains(here):
        return f"{requirement.name}=={here}"
    return f"{requirement.name}{requirement.specifier}"


def _all(
    requires: Sequence[str], image: BoardImage, there: dict[str, str]
) -> Iterator[Requirement]:
    """Requirements that hold on a board, and those of each package that is not there.

    They are read from what is installed here; a package that is not is taken to need nothing.
    """
    try:
        from packaging.requirements import Requirement
    except ImportError as error:
        raise ToolError(
            "is not installed", field="packaging", remedy="pip install 'fdht[remote]'"
        ) from error
    environment = {
        "python_version": ".".join(map(str, image.python)),
        "python_full_version": ".".join(map(str, (*image.python, 0))),
        "platform_machine": image.machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    waiting, seen = [(Requirement(text), _EXTRA) for text in requires], set()
    while waiting:
        one, extra = waiting.pop(0)
        if one.marker is not None and not one.marker.evaluate({**environment, "extra": extra}):
            continue
        yield one
        package = _plain(one.name)
        if package in IMAGE_OWN or package in there or package in seen:
            continue
        seen.add(package)
        with suppress(importlib.metadata.PackageNotFoundError):
            further = importlib.metadata.requires(one.name) or ()
            waiting += [(Requirement(text), "") for text in further]  # without any extra


def fetch_wheels(needed: Needed, image: BoardImage, wheels: Path | None, into: Path) -> list[str]:
    """Gets wheels for a board by pip: from a directory, or from pip's index.

    Args:
        needed: what to get.
        image: whose Python and architecture they must fit.
        wheels: a directory of wheels; None: pip's index.
        into: where they are put.

    Returns:
        What the board cannot do, of packages that it can do without and that have no wheel.

    Raises:
        ToolError: there is no wheel of a package that it cannot do without.
    """
    if needed.required:
        code, said = _download(needed.required, image, wheels, into)
        if code:
            lines = [line for line in said.splitlines() if "ERROR" in line] or [f"exit code {code}"]
            raise ToolError(
                f"there are no wheels for {image.machine}, Python "
                f"{'.'.join(map(str, image.python))}: {lines[-1].removeprefix('ERROR: ')}",
                field=", ".join(needed.required),
                remedy="put them into a directory, and name it with --wheels",
            )
    return [
        f"{one}: no wheel for {image.machine}, so {OPTIONAL[_name_of(one)]}"
        for one in needed.optional
        if _download((one,), image, wheels, into)[0]
    ]


def _download(
    packages: Sequence[str], image: BoardImage, wheels: Path | None, into: Path
) -> tuple[int, str]:
    version = "".join(map(str, image.python))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-deps", "--only-binary", ":all:", "--dest", str(into)]
    command += ["--python-version", version, "--implementation", "cp"]
    command += ["--abi", f"cp{version}", "--abi", "abi3", "--abi", "none"]
    for platform in _platforms(image):
        command += ["--platform", platform]
    if wheels is not None:
        command += ["--no-index", "--find-links", str(wheels.absolute())]
    return run_tool("pip", [*command, *packages], into, _TIMEOUT, remedy="name --wheels")


def _platforms(image: BoardImage) -> list[str]:
    """Tags of wheels that the image can load, the newest first."""
    machine = image.machine
    parts = image.libc.split(".")
    # The first library of each architecture for which wheels are made is 2.17.
    newest = int(parts[1]) if len(parts) > 1 and parts[0] == "2" and parts[1].isdigit() else 17
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(newest, 16, -1)]
    return [*tags, f"manylinux2014_{machine}", f"linux_{machine}"]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _name_of(requirement: str) -> str:
    from packaging.requirements import Requirement

    return _plain(Requirement(requirement).name)
