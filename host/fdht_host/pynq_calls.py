"""All that the host asks of pynq, and the one place where pynq's errors become a `DeviceError`.

pynq has no family of errors. A failure is whatever the lowest library raised: RuntimeError (no
device, no memory, a buffer that cannot be synchronised), OSError (no root, no file, a bitstream
that the kernel refuses), ValueError (clocks), KeyError and ElementTree.ParseError (a hand-off file
that pynqmetadata cannot read), AttributeError (a device that is None). All are taken here.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_host import _pynq
from fdht_models.errors import DeviceError, FdhtError

_OPEN_AGAIN = "close the accelerator and open it again"
_BUFFERS = "free other programs' buffers, or open it with a smaller batch"


class PynqErrors:
    """Turns what pynq raises within a block into a DeviceError; errors of ours pass.

    Args:
        field: what was being done, or with what.
        problem: what then has gone wrong; pynq's own words follow in brackets.
        remedy: what the user can do about it.
    """

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        self._field, self._problem, self._remedy = field, problem, remedy

    def __enter__(self) -> None:
        """Nothing to begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, FdhtError):
            raise DeviceError(
                f"{self._problem} ({_words(error)})", field=self._field, remedy=self._remedy
            ) from error


def _words(error: Exception) -> str:
    """What an error says; a KeyError says its key only, and some say nothing."""
    said = str(error)
    plain = said and not isinstance(error, LookupError | AttributeError | TypeError)
    return said if plain else f"{type(error).__name__}: {said}".rstrip(": ")


#: Around what is asked of registers and buffers.
REGISTERS = PynqErrors("registers", "cannot be reached", _OPEN_AGAIN)
SYNCHRONISED = PynqErrors("buffer", "cannot be synchronised", _OPEN_AGAIN)
FREED = PynqErrors("buffer", "cannot be freed", "end this program")


def active_device() -> Any:
    """The board that pynq finds.

    Raises:
        DeviceError: there is none.
    """
    remedy = "run as root on the board it was built for, or build for --board sim"
    with PynqErrors("board", "cannot be found", remedy):
        device = _pynq.Device.active_device
    if device is None:
        raise DeviceError("pynq has no active device", field="board", remedy=remedy)
    return device


def load_overlay(bitstream: Path, device: Any) -> Any:
    """Loads a bitstream, and the `.hwh` beside it: a pynq `Overlay`.

    Raises:
        DeviceError: pynq or the kernel refuses it.
    """
    remedy = "run as root on the board it was built for, or build for --board sim"
    with PynqErrors(str(bitstream), "cannot be loaded", remedy):
        return _pynq.Overlay(str(bitstream), device=device)


def bound_driver(overlay: Any, driver: type) -> Any:
    """The one core of an overlay that pynq binds a driver to, as that driver.

    Raises:
        DeviceError: there is no such core, or there are several, or its registers are out of reach.
    """
    remedy = "build the overlay again"
    with PynqErrors(str(overlay.bitfile_name), "holds a core that cannot be driven", remedy):
        # An entry without driver is one of pynq's that it does not complete: memories, hierarchies.
        names = [
            name
            for name, block in (overlay.ip_dict or {}).items()
            if block is not None and block.get("driver") is driver
        ]
        if len(names) != 1:
            raise DeviceError(
                f"has {len(names)} cores that this driver is bound to, not one",
                field=str(overlay.bitfile_name),
                remedy=remedy,
            )
        return getattr(overlay, names[0])


def is_loaded(overlay: Any) -> bool:
    """False once pynq has loaded another overlay on the same device, in this process."""
    with PynqErrors(str(overlay.bitfile_name), "cannot be told to be loaded", _OPEN_AGAIN):
        return bool(overlay.is_loaded())


def record_of_other_programs(device: Any) -> tuple[int, ...] | None:
    """Changes when any program loads another bitstream into a board through pynq.

    pynq 3.1 keeps a file of what is loaded, beside its own sources (`pl_server/global_state.py`),
    and writes it for a real board only. None: there is no such file.
    """
    path = _pynq.state_file(device)
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


def allocate(shape: tuple[int, ...], dtype: npt.DTypeLike, device: Any) -> Any:
    """A `PynqBuffer` in a device's memory.

    Raises:
        DeviceError: there is too little of it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    with PynqErrors(f"buffer of {size} bytes", "cannot be allocated", _BUFFERS):
        return _pynq.allocate(shape, dtype, target=device)
