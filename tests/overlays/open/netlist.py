"""What lies at the data ports of the blocks of a netlist of yosys (`write_json`)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

#: Cells whose outputs come from a clock edge, and whose inputs wait for one.
REGISTERS = frozenset({"FDRE", "FDSE", "FDCE", "FDPE", "SRL16E", "SRLC32E"})
#: Data ports of blocks that the open tools do not time -> the parameter that says how many
#: registers of the block's own are behind the port; None: there are none (UG473, UG479).
PORTS: dict[str, dict[str, str | None]] = {
    **{
        memory: {
            **dict.fromkeys(("ADDRARDADDR", "ADDRBWRADDR")),
            **dict.fromkeys(("DIADI", "DIPADIP", "DIBDI", "DIPBDIP")),
            **dict.fromkeys(("DOADO", "DOPADOP"), "DOA_REG"),
            **dict.fromkeys(("DOBDO", "DOPBDOP"), "DOB_REG"),
        }
        for memory in ("RAMB18E1", "RAMB36E1")
    },
    # Cascades (PCIN and the like) are wires between slices.
    "DSP48E1": {"A": "AREG", "B": "BREG", "C": "CREG", "D": "DREG", "P": "PREG"},
}


def logic_at_ports(module: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """Which data ports of memory blocks and DSP slices have logic beside them.

    Args:
        module: of a netlist.

    Returns:
        (cell, port) -> types of the neighbours that are no registers; constants are none.
    """
    cells = module["cells"]
    driver, users = _neighbours(cells)
    found = {}
    for name, cell in cells.items():
        for port, own in PORTS.get(cell["type"], {}).items():
            if own and int(cell["parameters"].get(own, "0"), 2):
                continue
            bits = [bit for bit in cell["connections"].get(port, ()) if isinstance(bit, int)]
            drives = cell["port_directions"].get(port) == "output"
            beside = {
                kind for bit in bits for kind in (users[bit] if drives else {driver.get(bit, "?")})
            }
            if beside - REGISTERS:
                found[name, port] = beside - REGISTERS
    return found


def _neighbours(cells: dict[str, Any]) -> tuple[dict[int, str], dict[int, set[str]]]:
    """Bit -> the type of the cell that drives it; bit -> types of those that use it.

    What comes out of a register of a block counts as a register.
    """
    driver: dict[int, str] = {}
    users: dict[int, set[str]] = defaultdict(set)
    for cell in cells.values():
        for port, bits in cell["connections"].items():
            own = PORTS.get(cell["type"], {}).get(port)
            registered = own is not None and int(cell["parameters"].get(own, "0"), 2) > 0
            kind = "FDRE" if registered else cell["type"]
            for bit in bits:
                if not isinstance(bit, int):
                    continue
                if cell["port_directions"][port] == "output":
                    driver[bit] = kind
                else:
                    users[bit].add(kind)
    return driver, users
