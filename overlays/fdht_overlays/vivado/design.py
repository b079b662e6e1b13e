"""The block design as data: which master uses which memory port, and what has to stand between.

    processing system -- SmartConnect -- registers of the core
    masters of the core -- (SmartConnect) -- memory ports of the processing system

A port that speaks AXI4 and can be as wide as a master is connected to it directly, a port each.
Where the protocol differs (AXI3 on the Zynq-7000) a SmartConnect is needed anyway, and one of them
serves all masters at one port: reads and writes use channels of their own, so that the results cost
the frames nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fdht_hls.boards import Board, Port
from fdht_hls.registers import WINDOW
from fdht_models.errors import ConfigError
from fdht_overlays.design import CORE, MASTER_DATA_BITS
from fdht_overlays.design import masters as master_names
from fdht_overlays.vivado.system import SYSTEMS, PortNames, SystemNames

#: Instances of the block design.
CORE_CELL, RESET_CELL, CONTROL_CELL = CORE, "reset_0", "control_0"
#: Before a master's name in the name of its address space, by the kind of the core: Vitis HLS puts
#: `Data_` there, the packager of IP nothing.
_SPACE_PREFIXES = {"hls": "Data_", "rtl": ""}


@dataclass(frozen=True)
class MemoryPath:
    """A memory port with the masters that use it.

    Args:
        port: of the processing system.
        names: what Vivado calls its parts.
        masters: that use it, by their names.
        switch: cell of the SmartConnect between them; None for a direct connection.
    """

    port: Port
    names: PortNames
    masters: tuple[str, ...]
    switch: str | None


@dataclass(frozen=True)
class BlockDesign:
    """All that the templates need.

    Args:
        board: the board.
        core: kind of the packaged core, "hls" or "rtl".
        loadable: its weights can be loaded, by a master and registers of their own.
        clock_mhz: asked of the processing system.
        paths: to memory.
    """

    board: Board
    core: str
    loadable: bool
    clock_mhz: float
    paths: tuple[MemoryPath, ...]

    @property
    def system(self) -> SystemNames:
        """The processing system's names."""
        return SYSTEMS[self.board.family]

    @property
    def control_range(self) -> int:
        """Bytes that the core's registers take in the address map."""
        return WINDOW

    @property
    def masters(self) -> tuple[str, ...]:
        """The core's AXI4 masters."""
        return master_names(self.loadable)

    def space(self, master: str) -> str:
        """Name of a master's address space below the core's cell."""
        return _SPACE_PREFIXES[self.core] + master

    @property
    def properties(self) -> Mapping[str, str]:
        """Of the processing system, without the prefix `CONFIG.`; the board's own come first."""
        found = {**self.board.processing_system.properties}
        found |= self.system.properties(self.clock_mhz)
        for path in self.paths:
            found |= path.names.properties
        return found

    @property
    def switches(self) -> Mapping[str, int]:
        """SmartConnects by the number of their masters."""
        found = {path.switch: len(path.masters) for path in self.paths if path.switch is not None}
        return {CONTROL_CELL: 1, **found}


def block_design(
    board: Board, core: str, *, loadable: bool = False, clock_mhz: float | None = None
) -> BlockDesign:
    """Places the core's masters at the board's memory ports.

    Args:
        board: a real board.
        core: "hls" or "rtl".
        loadable: the core has weights that can be loaded.
        clock_mhz: other than the board's.

    Raises:
        ConfigError: the board is simulated.
    """
    if board.simulated:
        raise ConfigError(
            "is simulated; Vivado has nothing to build for it",
            field="board",
            value=board.name,
            remedy="name a real board, or leave out --flow",
        )
    paths = _paths(board, master_names(loadable))
    return BlockDesign(board, core, loadable, clock_mhz or board.clock_mhz, paths)


def _paths(board: Board, masters: tuple[str, ...]) -> tuple[MemoryPath, ...]:
    direct = [
        port
        for port in board.ports
        if port.protocol == "AXI4" and port.width_bits >= MASTER_DATA_BITS
    ]
    if len(direct) < len(masters):
        return (_path(board, board.port, masters, "memory_0"),)
    pairs = zip(direct, masters, strict=False)
    return tuple(_path(board, port, (master,), None) for port, master in pairs)


def _path(board: Board, port: Port, masters: tuple[str, ...], switch: str | None) -> MemoryPath:
    bits = min(port.width_bits, MASTER_DATA_BITS)
    return MemoryPath(port, SYSTEMS[board.family].port(board, port, bits), masters, switch)
