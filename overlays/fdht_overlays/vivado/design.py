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
from fdht_hls.registers import VLNV, WINDOW
from fdht_models.errors import ConfigError
from fdht_overlays.design import (
    CLOCK,
    CONTROL,
    CORE,
    INTERRUPT,
    MASTER_DATA_BITS,
    RESET,
    WEIGHTS_MASTER,
)
from fdht_overlays.design import masters as master_names
from fdht_overlays.vivado.system import SYSTEMS, PortNames, SystemNames

#: Instances of the block design.
CORE_CELL, RESET_CELL, CONTROL_CELL = CORE, "reset_0", "control_0"


@dataclass(frozen=True)
class Master:
    """An AXI4 master port of the core.

    Args:
        name: of the port.
        data_bits: width of a word.
    """

    name: str
    data_bits: int = MASTER_DATA_BITS


@dataclass(frozen=True)
class CoreNames:
    """A packaged core, as a block design sees it.

    Args:
        kind: "hls" or "rtl".
        space_prefix: before a master's name in the name of its address space: Vitis HLS puts
            `Data_` there, the packager of IP nothing.
        masters: its AXI4 masters.
        control: its AXI4-Lite slave, whose registers are the segment `Reg`.
    """

    kind: str
    space_prefix: str
    masters: tuple[Master, ...]
    control: str = CONTROL
    vlnv: str = VLNV
    clock: str = CLOCK
    reset: str = RESET
    interrupt: str = INTERRUPT

    @property
    def loadable(self) -> bool:
        """Its weights can be loaded, by a master and registers of their own."""
        return any(master.name == WEIGHTS_MASTER for master in self.masters)

    def space(self, master: Master) -> str:
        """Name of a master's address space below the core's cell."""
        return self.space_prefix + master.name


def masters_of(loadable: bool) -> tuple[Master, ...]:
    """The masters of a core, with or without weights that can be loaded."""
    return tuple(Master(name) for name in master_names(loadable))


#: The masters of a core whose weights are constants.
MASTERS = masters_of(False)
SPACE_PREFIXES = {"hls": "Data_", "rtl": ""}


def core_names(kind: str, masters: tuple[Master, ...] = MASTERS) -> CoreNames:
    """The names of a core of a kind.

    Raises:
        ConfigError: there is no such kind.
    """
    if kind not in SPACE_PREFIXES:
        raise ConfigError("must be hls or rtl", field="core", value=kind)
    return CoreNames(kind, SPACE_PREFIXES[kind], masters)


@dataclass(frozen=True)
class MemoryPath:
    """A memory port with the masters that use it.

    Args:
        port: of the processing system.
        names: what Vivado calls its parts.
        bits: width that it is set to.
        masters: that use it.
        switch: cell of the SmartConnect between them; None for a direct connection.
    """

    port: Port
    names: PortNames
    bits: int
    masters: tuple[Master, ...]
    switch: str | None


@dataclass(frozen=True)
class BlockDesign:
    """All that the templates need.

    Args:
        board: the board.
        core: the core.
        clock_mhz: asked of the processing system.
        paths: to memory.
    """

    board: Board
    core: CoreNames
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


def block_design(board: Board, core: CoreNames, clock_mhz: float | None = None) -> BlockDesign:
    """Places the core's masters at the board's memory ports.

    Args:
        board: a real board.
        core: with its masters.
        clock_mhz: other than the board's.

    Raises:
        ConfigError: the board is simulated, or two masters share a name.
    """
    if board.simulated:
        raise ConfigError(
            "is simulated; Vivado has nothing to build for it",
            field="board",
            value=board.name,
            remedy="name a real board, or leave out --flow",
        )
    names = [master.name for master in core.masters]
    if len(set(names)) != len(names) or not names:
        raise ConfigError("need names of their own", field="masters", value=names)
    return BlockDesign(board, core, clock_mhz or board.clock_mhz, _paths(board, core.masters))


def _paths(board: Board, masters: tuple[Master, ...]) -> tuple[MemoryPath, ...]:
    direct = [port for port in board.ports if _direct(port, masters)]
    if len(direct) < len(masters):
        port = board.port
        bits = min(port.width_bits, max(master.data_bits for master in masters))
        return (_path(board, port, bits, masters, "memory_0"),)
    return tuple(
        _path(board, port, master.data_bits, (master,), None)
        for port, master in zip(direct, masters, strict=False)
    )


def _direct(port: Port, masters: tuple[Master, ...]) -> bool:
    """Can the port be connected to any of the masters with nothing in between?"""
    return port.protocol == "AXI4" and all(
        master.data_bits in (32, 64, 128) and master.data_bits <= port.width_bits
        for master in masters
    )


def _path(
    board: Board, port: Port, bits: int, masters: tuple[Master, ...], switch: str | None
) -> MemoryPath:
    return MemoryPath(port, SYSTEMS[board.family].port(board, port, bits), bits, masters, switch)
