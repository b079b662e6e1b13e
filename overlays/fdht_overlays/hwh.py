"""The hardware hand-off (`.hwh`) of a design with one `fdht_lstm` core on a Zynq-7000.

PYNQ learns from it which cores exist, where they sit, which registers they have and at what clock
they run. Vivado writes such a file for the designs that it builds; this module writes it for
those that Vivado does not build: the simulated board and the open flow. Names and addresses come
from `design`, the register map from `fdht_hls.registers`, so that neither can drift from the core.

It holds what pynq reads (`pynqmetadata`, HwhFrontend): modules with their parameters, buses, memory
maps and registers, and the ports of clock, reset and interrupt. Single signals of a bus are left
out. pynq hands out an interrupt only where an AXI interrupt controller stands between a core and
the processing system; here, as in designs of Vivado without one, it goes straight to IRQ_F2P.
"""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fdht_hls.boards import Board
from fdht_hls.registers import REGISTERS, VLNV, WINDOW, Register
from fdht_models.errors import ConfigError
from fdht_overlays.design import (
    CLOCK,
    CONTROL,
    CONTROL_ADDRESS_BITS,
    CONTROL_ID_BITS,
    CONTROL_MASTER,
    CORE,
    CORE_ADDRESS,
    FABRIC_CLOCK,
    FABRIC_INTERRUPT,
    FABRIC_RESET,
    INTERRUPT,
    MASTER_ADDRESS_BITS,
    MASTER_DATA_BITS,
    MEMORY_ID_BITS,
    PROCESSING_SYSTEM,
    RESET,
    masters,
)

#: Output of the IO PLL on the boards of this family that PYNQ supports (50 MHz x 20).
IO_PLL_MHZ = 1000.0
#: The two divisors of a fabric clock have six bits each (UG585, register FPGA0_CLK_CTRL).
_LARGEST_DIVISOR = 63
_READ_ONLY_FIELDS = ("AP_DONE", "AP_IDLE", "AP_READY")


@dataclass(frozen=True)
class FabricClock:
    """FCLK0: its divisors from the IO PLL and the frequency that they give."""

    divisor0: int
    divisor1: int
    mhz: float


def fabric_clock(clock_mhz: float) -> FabricClock:
    """The fastest clock from the IO PLL that is not faster than asked.

    Raises:
        ConfigError: it is out of the divisors' reach.
    """
    slowest = IO_PLL_MHZ / _LARGEST_DIVISOR**2
    if not slowest <= clock_mhz <= 250.0:
        raise ConfigError(
            f"must lie between {slowest:.2f} and 250 MHz",
            field="clock_mhz",
            value=clock_mhz,
            remedy="choose another clock",
        )
    divisors = range(1, _LARGEST_DIVISOR + 1)
    # 1e-6: 1000 / 3 written with six digits must still find the divisor 3.
    mhz, divisor0, divisor1 = max(
        (IO_PLL_MHZ / (first * second), first, second)
        for first, second in itertools.product(divisors, divisors)
        if second <= first and IO_PLL_MHZ / (first * second) <= clock_mhz * (1 + 1e-6)
    )
    return FabricClock(divisor0, divisor1, mhz)


def hwh_text(
    board: Board, clock: FabricClock, design: str = "fdht", *, loadable: bool = False
) -> str:
    """The hand-off file as text.

    Args:
        board: its part is named in the file.
        clock: of the core, by `fabric_clock`.
        design: name of the block design.
        loadable: the core has weights that can be loaded, and so a port that reads them.

    Raises:
        ConfigError: the board's processing system is not a Zynq-7000's.
    """
    if board.family != "zynq7000":
        raise ConfigError(
            "has no processing_system7",
            field="board",
            value=board.name,
            remedy="use the .hwh that Vivado writes for this board",
        )
    root = ElementTree.Element("EDKSYSTEM", EDWVERSION="1.2", VIVADOVERSION="none (fdht)")
    ElementTree.SubElement(
        root,
        "SYSTEMINFO",
        ARCH="zynq",
        DEVICE=board.part.device.removeprefix("xc"),
        NAME=design,
        PACKAGE=board.part.package,
        SPEEDGRADE=board.part.speed,
    )
    ElementTree.SubElement(root, "EXTERNALPORTS")
    ElementTree.SubElement(root, "EXTERNALINTERFACES")
    modules = ElementTree.SubElement(root, "MODULES")
    _processing_system(modules, board, clock)
    _core(modules, board, clock, masters(loadable))
    ElementTree.indent(root)
    declaration = '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
    return declaration + ElementTree.tostring(root, encoding="unicode") + "\n"


def _processing_system(modules: ElementTree.Element, board: Board, clock: FabricClock) -> None:
    module = _module(
        modules, PROCESSING_SYSTEM, "xilinx.com:ip:processing_system7:5.5", IS_PL="FALSE"
    )
    memory_port = board.port.interface
    parameters: dict[str, object] = {}
    for index in range(4):
        parameters[f"PCW_FPGA_FCLK{index}_ENABLE"] = int(index == 0)
        parameters[f"PCW_FCLK{index}_PERIPHERAL_CLKSRC"] = "IO PLL"
        parameters[f"PCW_FCLK{index}_PERIPHERAL_DIVISOR0"] = clock.divisor0
        parameters[f"PCW_FCLK{index}_PERIPHERAL_DIVISOR1"] = clock.divisor1
        parameters[f"PCW_ACT_FPGA{index}_PERIPHERAL_FREQMHZ"] = f"{clock.mhz:.6f}"
    for used in (CONTROL_MASTER, memory_port):
        parameters[f"PCW_USE_{used}"] = parameters[f"C_USE_{used}"] = 1
    parameters[f"C_{CONTROL_MASTER}_ID_WIDTH"] = CONTROL_ID_BITS
    parameters[f"C_{memory_port}_ID_WIDTH"] = MEMORY_ID_BITS
    parameters[f"C_{memory_port}_DATA_WIDTH"] = board.port.width_bits
    parameters["PCW_USE_FABRIC_INTERRUPT"] = parameters["PCW_IRQ_F2P_INTR"] = 1
    _named(ElementTree.SubElement(module, "PARAMETERS"), "PARAMETER", parameters)
    ports = ElementTree.SubElement(module, "PORTS")
    clocked = (f"{CONTROL_MASTER}_ACLK", f"{memory_port}_ACLK")
    own = [(PROCESSING_SYSTEM, name) for name in clocked]
    frequency = str(round(clock.mhz * 1e6))
    _port(ports, FABRIC_CLOCK, "O", "clk", [(CORE, CLOCK), *own], CLKFREQUENCY=frequency)
    for name in clocked:
        source = [(PROCESSING_SYSTEM, FABRIC_CLOCK)]
        _port(ports, name, "I", "clk", source, CLKFREQUENCY=frequency)
    _port(ports, FABRIC_RESET, "O", "rst", [(CORE, RESET)], POLARITY="ACTIVE_LOW")
    wire = [(CORE, INTERRUPT)]
    _port(ports, FABRIC_INTERRUPT, "I", "INTERRUPT", wire, SENSITIVITY="LEVEL_HIGH")
    buses = ElementTree.SubElement(module, "BUSINTERFACES")
    _bus(buses, CONTROL_MASTER, "MASTER", 32)
    _bus(buses, memory_port, "SLAVE", board.port.width_bits)
    memory = ElementTree.SubElement(module, "MEMORYMAP")
    _range(memory, CORE, CORE_ADDRESS, WINDOW, CONTROL_MASTER, CONTROL, "Reg", "REGISTER")
    peripherals = ElementTree.SubElement(module, "PERIPHERALS")
    ElementTree.SubElement(peripherals, "PERIPHERAL", INSTANCE=CORE)


def _core(
    modules: ElementTree.Element, board: Board, clock: FabricClock, names: tuple[str, ...]
) -> None:
    module = _module(modules, CORE, VLNV)
    blocks = ElementTree.SubElement(module, "ADDRESSBLOCKS")
    block = ElementTree.SubElement(
        blocks,
        "ADDRESSBLOCK",
        ACCESS="read-write",
        INTERFACE=CONTROL,
        NAME="Reg",
        RANGE=str(WINDOW),
        USAGE="register",
    )
    registers = ElementTree.SubElement(block, "REGISTERS")
    for register in REGISTERS:
        _register(registers, register)
    _named(ElementTree.SubElement(module, "PARAMETERS"), "PARAMETER", _core_parameters(names))
    ports = ElementTree.SubElement(module, "PORTS")
    frequency = str(round(clock.mhz * 1e6))
    clocked = [(PROCESSING_SYSTEM, FABRIC_CLOCK)]
    _port(ports, CLOCK, "I", "clk", clocked, CLKFREQUENCY=frequency)
    _port(ports, RESET, "I", "rst", [(PROCESSING_SYSTEM, FABRIC_RESET)], POLARITY="ACTIVE_LOW")
    wire = [(PROCESSING_SYSTEM, FABRIC_INTERRUPT)]
    _port(ports, INTERRUPT, "O", "INTERRUPT", wire, SENSITIVITY="LEVEL_HIGH")
    buses = ElementTree.SubElement(module, "BUSINTERFACES")
    _bus(buses, CONTROL, "SLAVE", 32)
    memory = ElementTree.SubElement(module, "MEMORYMAP")
    for master in names:
        _bus(buses, master, "MASTER", MASTER_DATA_BITS)
        size = board.ddr.size_mib << 20
        interface = board.port.interface
        region = f"{interface.removeprefix('S_AXI_')}_DDR_LOWOCM"
        _range(memory, PROCESSING_SYSTEM, 0, size, master, interface, region, "MEMORY")


def _core_parameters(names: tuple[str, ...]) -> dict[str, object]:
    """Those of a core from Vitis HLS, by the names of its ports."""
    control = f"C_{CONTROL.upper()}"
    parameters: dict[str, object] = {
        f"{control}_ADDR_WIDTH": CONTROL_ADDRESS_BITS,
        f"{control}_DATA_WIDTH": 32,
    }
    for master in names:
        parameters[f"C_{master.upper()}_ADDR_WIDTH"] = MASTER_ADDRESS_BITS
        parameters[f"C_{master.upper()}_DATA_WIDTH"] = MASTER_DATA_BITS
    parameters[f"{control}_BASEADDR"] = f"0x{CORE_ADDRESS:08X}"
    parameters[f"{control}_HIGHADDR"] = f"0x{CORE_ADDRESS + WINDOW - 1:08X}"
    return parameters


def _register(registers: ElementTree.Element, register: Register) -> None:
    """One entry a 32-bit word: Vitis splits an address into `name_1` and `name_2`."""
    for place, offset in enumerate(register.words, 1):
        name = register.name if register.width == 32 else f"{register.name}_{place}"
        element = ElementTree.SubElement(registers, "REGISTER", NAME=name)
        properties = {
            "DESCRIPTION": register.description,
            "ADDRESS_OFFSET": offset,
            "SIZE": 32,
            "ACCESS": register.access,
            "IS_ENABLED": "true",
            "RESET_VALUE": 0,
        }
        _named(element, "PROPERTY", properties)
        fields = ElementTree.SubElement(element, "FIELDS")
        ranges = [(field.name, field.low, field.width) for field in register.fields]
        for field, low, width in ranges or [(name, 0, 32)]:
            properties = {
                "DESCRIPTION": f"{register.description}: {field}",
                "ACCESS": "read-only" if field in _READ_ONLY_FIELDS else register.access,
                "BIT_OFFSET": low,
                "BIT_WIDTH": width,
            }
            _named(ElementTree.SubElement(fields, "FIELD", NAME=field), "PROPERTY", properties)


def _module(
    modules: ElementTree.Element, instance: str, vlnv: str, **extra: str
) -> ElementTree.Element:
    _, _, name, version = vlnv.split(":")
    attributes = {
        "COREREVISION": "1",
        "FULLNAME": f"/{instance}",
        "HWVERSION": version,
        "INSTANCE": instance,
        "IPTYPE": "PERIPHERAL",
        "IS_ENABLE": "1",
        "MODCLASS": "PERIPHERAL",
        "MODTYPE": name,
        "VLNV": vlnv,
        **extra,
    }
    return ElementTree.SubElement(modules, "MODULE", attributes)


def _named(parent: ElementTree.Element, tag: str, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        ElementTree.SubElement(parent, tag, NAME=name, VALUE=str(value))


def _port(
    ports: ElementTree.Element,
    name: str,
    direction: str,
    signal: str,
    connections: Iterable[tuple[str, str]],
    **extra: str,
) -> None:
    attributes = {"DIR": direction, "NAME": name, "SIGIS": signal, "SIGNAME": name, **extra}
    port = ElementTree.SubElement(ports, "PORT", attributes)
    parent = ElementTree.SubElement(port, "CONNECTIONS")
    for instance, other in connections:
        ElementTree.SubElement(parent, "CONNECTION", INSTANCE=instance, PORT=other)


def _bus(buses: ElementTree.Element, name: str, kind: str, width: int) -> None:
    bus = ElementTree.SubElement(
        buses,
        "BUSINTERFACE",
        BUSNAME=name,
        DATAWIDTH=str(width),
        NAME=name,
        TYPE=kind,
        VLNV="xilinx.com:interface:aximm:1.0",
    )
    ElementTree.SubElement(bus, "PORTMAPS")


def _range(
    memory: ElementTree.Element,
    instance: str,
    base: int,
    size: int,
    master: str,
    slave: str,
    block: str,
    kind: str,
) -> None:
    prefix = f"C_{slave.upper()}" if kind == "REGISTER" else "C"
    ElementTree.SubElement(
        memory,
        "MEMRANGE",
        ADDRESSBLOCK=block,
        BASENAME=f"{prefix}_BASEADDR",
        BASEVALUE=f"0x{base:08X}",
        HIGHNAME=f"{prefix}_HIGHADDR",
        HIGHVALUE=f"0x{base + size - 1:08X}",
        INSTANCE=instance,
        IS_DATA="TRUE",
        IS_INSTRUCTION="TRUE",
        MASTERBUSINTERFACE=master,
        MEMTYPE=kind,
        SLAVEBUSINTERFACE=slave,
    )
