"""What a board's image has, and whether that is enough."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from fdht_hls.boards import Board
from fdht_models.errors import DeviceError, ToolError

#: The oldest Python that this package runs on.
LEAST_PYTHON = (3, 10)
#: What the processors of a family call themselves, under a 64-bit kernel and a 32-bit one.
_MACHINES = {"zynq7000": ("armv7l",), "zynqmp": ("aarch64",)}
#: Machine of an ELF file's header -> what the kernel calls it.
_ELF = {40: "armv7l", 62: "x86_64", 183: "aarch64"}
#: Free space for each byte that is sent: it lies there packed, unpacked and installed.
_SPACE = 6


@dataclass(frozen=True)
class BoardImage:
    """What `board_probe` tells.

    Args:
        python: version of the image's Python, (major, minor).
        machine: the processor's architecture as the kernel calls it.
        libc: version of the GNU C library; empty: it has another.
        place: absolute path to install into.
        free_bytes: of the disk there.
        writable: this user may write there.
        root: this user is root.
        pip: there is a pip.
        packages: name -> version of all Python packages that are installed.
        notebooks: directory of its Jupyter server; None: there is none.
    """

    python: tuple[int, int]
    machine: str
    libc: str
    place: str
    free_bytes: int
    writable: bool
    root: bool
    pip: bool
    packages: dict[str, str]
    notebooks: str | None

    def check(self, name: str, board: Board, library: Path | None) -> None:
        """Refuses an image on which the overlay cannot run.

        Args:
            name: of the machine, for messages.
            board: that the overlay is for.
            library: the C simulation of a simulated board.

        Raises:
            ToolError: its Python is too old, has no pip or no pynq, or this user may not write.
            DeviceError: it has another architecture.
        """
        version = ".".join(map(str, self.python))
        if self.python < LEAST_PYTHON:
            raise ToolError(
                f"is too old, {version}",
                field=f"Python of {name}",
                remedy="PYNQ images from 3.0.1 on have 3.10; or name another with --python",
            )
        machines = _MACHINES.get(board.family or "", ())
        if library is not None:
            machines = (_machine_of(library),)
        if machines and self.machine not in machines:
            raise DeviceError(
                f"has a processor of another kind, {self.machine}; "
                f"the overlay of {board.title} is for {' or '.join(machines)}",
                field=name,
                remedy="name the board that the overlay was built for",
            )
        if not self.pip:
            raise ToolError("has no pip", field=f"Python {version} of {name}",
                            remedy="apt-get install python3-pip there")  # fmt: skip
        if not self.writable:
            raise ToolError("cannot be written by this user", field=f"{name}: {self.place}",
                            remedy="name another --place, or another user")  # fmt: skip

    def check_space(self, name: str, sent: int) -> None:
        """Refuses a disk that has no room for so many bytes, packed.

        Raises:
            ToolError: it has none.
        """
        needed = _SPACE * sent
        if self.free_bytes < needed:
            raise ToolError(
                f"has no space: {self.free_bytes / 1e6:.0f} MB are free, "
                f"{needed / 1e6:.0f} MB are needed",
                field=f"disk of {name}",
                remedy="free some, or name another --place",
            )


def _machine_of(library: Path) -> str:
    """The architecture of a shared library, by its ELF header."""
    header = library.read_bytes()[:20]
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return "another"
    kind = struct.unpack("<H", header[18:20])[0]
    return _ELF.get(kind, f"ELF machine {kind}")
