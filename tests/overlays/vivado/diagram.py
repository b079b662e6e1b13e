"""The stand-in's block design: cells, nets and addresses, and what validation refuses."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.overlays.vivado.blocks import Cell, Interface, Pin
from tests.overlays.vivado.table import RefusalError

#: Protocols that a SmartConnect turns into each other (PG247); direct connections need equal ones.
_ANY = "any"


@dataclass
class Diagram:
    """A block design under construction."""

    cells: dict[str, Cell] = field(default_factory=dict)
    nets: dict[str, list[str]] = field(default_factory=dict)
    wires: list[tuple[str, str]] = field(default_factory=list)
    external: set[str] = field(default_factory=set)
    addresses: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict)
    excluded: dict[str, set[str]] = field(default_factory=dict)
    valid: bool = False

    def cell(self, name: str) -> Cell:
        if name not in self.cells:
            raise RefusalError(f"there is no cell '{name}'")
        return self.cells[name]

    def pin(self, path: str) -> Pin:
        cell, _, name = path.partition("/")
        pins = self.cell(cell).pins()
        if name not in pins:
            raise RefusalError(f"there is no pin '{path}'")
        return pins[name]

    def interface(self, path: str) -> Interface:
        cell, _, name = path.partition("/")
        interfaces = self.cell(cell).interfaces()
        if name not in interfaces:
            raise RefusalError(f"there is no interface '{path}'")
        return interfaces[name]

    def connect(self, net: str | None, pins: list[str]) -> None:
        self.valid = False
        for path in pins:
            self.pin(path)
            for other, members in self.nets.items():
                if path in members:
                    raise RefusalError(f"pin '{path}' is connected to net '{other}' already")
        if net is None and len(pins) < 2:
            raise RefusalError(f"pin '{pins[0]}' alone makes no net")
        if net is not None and net not in self.nets and len(pins) < 2:
            raise RefusalError(f"there is no net '{net}' to connect '{pins[0]}' to")
        members = self.nets.setdefault(net or pins[0].replace("/", "_"), [])
        members += pins
        drivers = [path for path in members if self.pin(path).drives]
        if len(drivers) > 1:
            raise RefusalError(f"net has two drivers, '{drivers[0]}' and '{drivers[1]}'")
        if not drivers:
            raise RefusalError(f"net of '{members[0]}' has no driver")
        roles = {self.pin(path).role for path in members}
        if len(roles) > 1:
            raise RefusalError(f"net joins a {' and a '.join(sorted(roles))}: {' '.join(members)}")

    def wire(self, first: str, second: str) -> None:
        self.valid = False
        ends = {self.interface(path).mode: path for path in (first, second)}
        if len(ends) < 2:
            raise RefusalError(f"'{first}' and '{second}' are both {next(iter(ends))}s")
        for path in (first, second):
            if any(path in wire for wire in self.wires):
                raise RefusalError(f"interface '{path}' is connected already")
        master, slave = self.interface(ends["master"]), self.interface(ends["slave"])
        if _ANY not in (master.protocol, slave.protocol):
            if master.protocol != slave.protocol:
                raise RefusalError(
                    f"'{ends['master']}' speaks {master.protocol} and '{ends['slave']}' "
                    f"{slave.protocol}"
                )
            if master.width != slave.width:
                raise RefusalError(
                    f"'{ends['master']}' has {master.width} bits and '{ends['slave']}' "
                    f"{slave.width}"
                )
        self.wires.append((ends["master"], ends["slave"]))

    def spaces(self) -> dict[str, tuple[int, int]]:
        return {
            f"{cell.name}/{name}": reach
            for cell in self.cells.values()
            for name, reach in cell.spaces().items()
        }

    def segments(self) -> dict[str, tuple[str, int, int]]:
        """Path of a segment -> path of its slave, offset and size."""
        return {
            f"{cell.name}/{name}": (f"{cell.name}/{interface.name}", offset, size)
            for cell in self.cells.values()
            for interface in cell.interfaces().values()
            for name, offset, size in interface.segments
        }

    def reachable(self, space: str) -> list[str]:
        """Segments behind the wires of an address space's masters."""
        cell_name, _, name = space.partition("/")
        cell = self.cell(cell_name)
        starts = [
            f"{cell_name}/{interface.name}"
            for interface in cell.interfaces().values()
            if interface.mode == "master" and (interface.space == name or "space" in cell.block)
        ]
        slaves: set[str] = set()
        while starts:
            master = starts.pop()
            for one, other in self.wires:
                if one != master or other in slaves:
                    continue
                slaves.add(other)
                switch = self.cell(other.partition("/")[0])
                if self.interface(other).protocol == _ANY:
                    starts += [
                        f"{switch.name}/{found.name}"
                        for found in switch.interfaces().values()
                        if found.mode == "master"
                    ]
        return [path for path, (slave, _, _) in self.segments().items() if slave in slaves]

    def assign(self, space: str, segment: str, offset: int, size: int) -> None:
        self.valid = False
        if segment not in self.reachable(space):
            raise RefusalError(f"'{space}' does not reach segment '{segment}'")
        if size < 1 << 7 or size & (size - 1):
            raise RefusalError(f"range {size:#x} of '{segment}' is no power of two")
        if offset % size:
            raise RefusalError(f"offset {offset:#x} of '{segment}' is no multiple of its range")
        _, start, most = self.segments()[segment]
        if size > most:
            raise RefusalError(f"range {size:#x} of '{segment}' is more than its {most:#x}")
        if start and offset != start:
            raise RefusalError(f"'{segment}' lies at {start:#x}, not at {offset:#x}")
        low, reach = self.spaces()[space]
        if offset < low or offset + size > low + reach:
            raise RefusalError(f"'{space}' ends before {offset + size:#x} or begins after")
        for other, begin, length in self.addresses.get(space, []):
            if offset < begin + length and begin < offset + size:
                raise RefusalError(f"'{segment}' overlaps '{other}' in '{space}'")
        self.addresses.setdefault(space, []).append((segment, offset, size))

    def exclude(self, space: str, segment: str) -> None:
        if segment not in self.reachable(space):
            raise RefusalError(f"'{space}' does not reach segment '{segment}'")
        self.excluded.setdefault(space, set()).add(segment)

    def validate(self) -> None:
        """Refuses what is not connected, not clocked together, or has no address."""
        for cell in self.cells.values():
            for name in cell.external():
                if f"{cell.name}/{name}" not in self.external:
                    raise RefusalError(f"interface '{cell.name}/{name}' does not leave the device")
            for pin in cell.pins().values():
                path = f"{cell.name}/{pin.name}"
                if pin.kind in ("clock in", "reset in", "interrupt out") and not self._net(path):
                    raise RefusalError(f"pin '{path}' is not connected")
            for interface in cell.interfaces().values():
                path = f"{cell.name}/{interface.name}"
                if not any(path in wire for wire in self.wires):
                    raise RefusalError(f"interface '{path}' is not connected")
        for wire in self.wires:
            clocks = [
                self._net(f"{path.split('/')[0]}/{self.interface(path).clock}") for path in wire
            ]
            if clocks[0] != clocks[1]:
                raise RefusalError(f"'{wire[0]}' and '{wire[1]}' have different clocks")
        for space in self.spaces():
            known = {segment for segment, _, _ in self.addresses.get(space, [])}
            for segment in self.reachable(space):
                if segment not in known | self.excluded.get(space, set()):
                    raise RefusalError(f"segment '{segment}' has no address in '{space}'")
        self.valid = True

    def _net(self, path: str) -> str | None:
        return next((net for net, members in self.nets.items() if path in members), None)
