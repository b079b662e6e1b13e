"""The block design as data: which master uses which memory port, and what has to stand between.

    processing system -- SmartConnect -- registers of the core
    masters of the core -- (SmartConnect) -- memory ports of the processing system

A port that speaks AXI4 and can be as wide as a master is connected to it directly, a port each.
Where the protocol differs (AXI3 on the Zynq-7000) a SmartConnect is needed anyway, and one of them
serves all masters at one port: reads and writes use channels of their own, so that the results cost
the frames nothing.

The names of the processing systems' ports, pins and properties are those of Vivado's blocks
`processing_system7` (PG082) and `zynq_ultra_ps_e` (PG201), as public block designs use them (PYNQ
v3.1, Kria-PYNQ).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fdht_hls.boards import Board, Port
from fdht_models.errors import ConfigError
from fdht_overlays.design import (
    CONTROL_MASTER,
    CORE,
    CORE_ADDRESS,
    FABRIC_CLOCK,
    FABRIC_INTERRUPT,
    FABRIC_RESET,
    MASTER_DATA_BITS,
    PROCESSING_SYSTEM,
)
from fdht_overlays.design import masters as master_names

#: Instances of the block design.
CORE_CELL, RESET_CELL, CONTROL_CELL = CORE, "reset_0", "control_0"
#: Before a master's name in the name of its address space, by the kind of the core: Vitis HLS puts
#: `Data_` there, the packager of IP nothing.
_SPACE_PREFIXES = {"hls": "Data_", "rtl": ""}


@dataclass(frozen=True)
class Segment:
    """A stretch of memory that a port of the processing system offers.

    Args:
        name: below the processing system's cell, as `S_AXI_HP0/HP0_DDR_LOWOCM`.
        offset: where a master sees it, in bytes.
        size: in bytes; 0 if the masters are kept away from it.
    """

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class PortNames:
    """What Vivado calls the parts of a memory port.

    Args:
        clock: pin of its clock.
        properties: that bring it out, without the prefix `CONFIG.`.
        segments: of memory behind it.
    """

    clock: str
    properties: Mapping[str, str]
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class SystemNames:
    """What Vivado calls the parts of a processing system.

    Args:
        ip: name of the block in the library `xilinx.com:ip`.
        cell: name of the one instance.
        external: interfaces that leave the device, which automation makes external.
        control: AXI master that reaches the core's registers.
        control_clock: pin of its clock.
        control_address: where it sees the core.
        clock: pin of the clock that the logic gets.
        reset: pin of its reset, active low.
        interrupt: pin that takes interrupts.
        properties: of the block for a clock in MHz, without the prefix `CONFIG.`.
        port: names of a memory port that is used with so many bits.
    """

    ip: str
    cell: str
    external: tuple[str, ...]
    control: str
    control_clock: str
    control_address: int
    clock: str
    reset: str
    interrupt: str
    properties: Callable[[float], Mapping[str, str]]
    port: Callable[[Board, Port, int], PortNames]


_MIB = 1 << 20
#: Below this address a Zynq UltraScale+ sees 2 GB of its memory, above the next the rest (UG1085,
#: "System Addresses").
_LOW_BYTES, _HIGH_ADDRESS = 2048 * _MIB, 0x8_0000_0000


def _zynq7000_properties(clock_mhz: float) -> Mapping[str, str]:
    return {
        "PCW_USE_M_AXI_GP0": "1",
        "PCW_EN_CLK0_PORT": "1",
        "PCW_EN_RST0_PORT": "1",
        "PCW_FPGA0_PERIPHERAL_FREQMHZ": f"{clock_mhz:g}",
        "PCW_USE_FABRIC_INTERRUPT": "1",
        "PCW_IRQ_F2P_INTR": "1",
    }


def _zynq7000_port(board: Board, port: Port, bits: int) -> PortNames:
    short = port.interface.removeprefix("S_AXI_")
    size = board.ddr.size_mib * _MIB
    return PortNames(
        f"{port.interface}_ACLK",
        {f"PCW_USE_{port.interface}": "1", f"PCW_{port.interface}_DATA_WIDTH": str(bits)},
        (Segment(f"{port.interface}/{short}_DDR_LOWOCM", 0, size),),
    )


def _zynqmp_properties(clock_mhz: float) -> Mapping[str, str]:
    return {
        "PSU__USE__M_AXI_GP0": "1",
        "PSU__USE__M_AXI_GP1": "0",
        "PSU__USE__M_AXI_GP2": "0",
        # The registers are 32 bits wide: no conversion on the way.
        "PSU__MAXIGP0__DATA_WIDTH": "32",
        "PSU__FPGA_PL0_ENABLE": "1",
        "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": f"{clock_mhz:g}",
        "PSU__USE__IRQ0": "1",
    }


def _zynqmp_port(board: Board, port: Port, bits: int) -> PortNames:
    kind, index = re.fullmatch(r"S_AXI_(HPC?)(\d)_FPD", port.interface).groups()  # type: ignore[union-attr]
    # SAXIGP0 and 1 are the coherent ones, 2 to 5 the others.
    group = f"SAXIGP{int(index) + (0 if kind == 'HPC' else 2)}"
    short = f"{kind}{index}"
    size = board.ddr.size_mib * _MIB
    segments = [Segment(f"{group}/{short}_DDR_LOW", 0, min(size, _LOW_BYTES))]
    if size > _LOW_BYTES:
        segments.append(Segment(f"{group}/{short}_DDR_HIGH", _HIGH_ADDRESS, size - _LOW_BYTES))
    # Flash and on-chip memory are none of the core's business.
    segments += [Segment(f"{group}/{short}_{name}", 0, 0) for name in ("QSPI", "LPS_OCM")]
    return PortNames(
        f"saxi{short.lower()}_fpd_aclk",
        {f"PSU__USE__S_AXI_{group[4:]}": "1", f"PSU__{group}__DATA_WIDTH": str(bits)},
        tuple(segments),
    )


SYSTEMS: Mapping[str, SystemNames] = {
    "zynq7000": SystemNames(
        "processing_system7",
        PROCESSING_SYSTEM,
        ("FIXED_IO", "DDR"),
        CONTROL_MASTER,
        f"{CONTROL_MASTER}_ACLK",
        CORE_ADDRESS,
        FABRIC_CLOCK,
        FABRIC_RESET,
        FABRIC_INTERRUPT,
        _zynq7000_properties,
        _zynq7000_port,
    ),
    "zynqmp": SystemNames(
        "zynq_ultra_ps_e",
        "zynq_ultra_ps_e_0",
        (),
        "M_AXI_HPM0_FPD",
        "maxihpm0_fpd_aclk",
        0xA000_0000,
        "pl_clk0",
        "pl_resetn0",
        "pl_ps_irq0",
        _zynqmp_properties,
        _zynqmp_port,
    ),
}


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
        frames: which it takes; they may come with registers of their own.
        contexts: states that it keeps; several: likewise.
    """

    board: Board
    core: str
    loadable: bool
    clock_mhz: float
    paths: tuple[MemoryPath, ...]
    frames: str = "dense"
    contexts: int = 1

    @property
    def system(self) -> SystemNames:
        """The processing system's names."""
        return SYSTEMS[self.board.family]

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
    board: Board,
    core: str,
    *,
    loadable: bool = False,
    frames: str = "dense",
    contexts: int = 1,
    clock_mhz: float | None = None,
) -> BlockDesign:
    """Places the core's masters at the board's memory ports.

    Args:
        board: a real board.
        core: "hls" or "rtl".
        loadable: the core has weights that can be loaded.
        frames: which it takes, "dense", "sparse" or "raw".
        contexts: states that it keeps.
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
    clock = clock_mhz or board.clock_mhz
    return BlockDesign(board, core, loadable, clock, paths, frames, contexts)


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
