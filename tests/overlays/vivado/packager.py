"""The stand-in's packager of IP: interfaces are seen in the Verilog's real ports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.overlays.vivado.table import Call, RefusalError, handle, need

_INTERRUPT = "xilinx.com:signal:interrupt_rtl:1.0"
#: Properties of the packager's objects that our scripts set (UG1118).
_PROPERTIES = {
    "ip": {"name", "version", "display_name", "supported_families", "description"},
    "block": {"name", "range", "width"},
    "register": {"address_offset", "size", "access", "description"},
}


def verilog_ports(path: Path, top: str) -> list[str]:
    """Names of the ports of a module, from its declaration."""
    found = re.search(rf"^module {top}\((.*?)\);", path.read_text(), re.MULTILINE | re.DOTALL)
    if found is None:
        raise RefusalError(f"ipx::package_project: '{path}' has no module '{top}'")
    return [name.strip() for name in found[1].split(",")]


class Packager:
    """A core that is being packaged."""

    def __init__(self, files: Sequence[str], top: str, call: Call) -> None:
        for option in ("-root_dir", "-vendor", "-library"):
            if option not in call.options:
                raise RefusalError(f"ipx::package_project: without {option}")
        self.root = Path(call.options["-root_dir"])
        self.values = {key: call.options[f"-{key}"] for key in ("vendor", "library")}
        self.values |= {"name": top, "version": "1.0"}
        ports = verilog_ports(Path(files[0]), top)
        self.ports = ports
        self.buses = {name[: -len("_AWVALID")]: "" for name in ports if name.endswith("_AWVALID")}
        if "ap_clk" not in ports or "ap_rst_n" not in ports:
            raise RefusalError("ipx::package_project: no clock or reset is seen")
        self.slave = next((name for name in self.buses if name.startswith("s_axi")), "")
        self.block = "reg0"
        self.registers: dict[str, dict[str, str]] = {}
        self.checked = False

    def set(self, kind: str, thing: str, name: str, value: str) -> None:
        if name not in _PROPERTIES[kind]:
            raise RefusalError(f"set_property: a {kind} of a core has no property '{name}'")
        if kind == "ip":
            self.values[name] = value
        elif kind == "block" and name == "name":
            self.block = value
        elif kind == "register":
            self.registers[thing][name] = value
        self.checked = False

    def call(self, call: Call) -> str:
        return str(getattr(self, call.command.removeprefix("ipx::"))(call) or "")

    def get_bus_interfaces(self, call: Call) -> str:
        need(call.command, "ip", call.options.get("-of_objects", ""))
        name = call.arguments[0]
        return handle("bus", name) if name in self.buses else ""

    def infer_bus_interface(self, call: Call) -> None:
        port, kind, core = call.arguments
        need(call.command, "ip", core)
        if port not in self.ports:
            raise RefusalError(f"{call.command}: there is no port '{port}'")
        if kind != _INTERRUPT:
            raise RefusalError(f"{call.command}: '{kind}' is not known here")
        self.buses[port] = "interrupt"

    def associate_bus_interfaces(self, call: Call) -> None:
        bus, clock = call.options.get("-busif", ""), call.options.get("-clock", "")
        if bus not in self.buses or clock not in self.ports:
            raise RefusalError(f"{call.command}: no bus '{bus}' or no clock '{clock}'")
        self.buses[bus] = clock

    def get_memory_maps(self, call: Call) -> str:
        need(call.command, "ip", call.options.get("-of_objects", ""))
        if call.arguments[0] != self.slave:
            raise RefusalError(f"{call.command}: no memory map '{call.arguments[0]}'")
        return handle("map", self.slave)

    def get_address_blocks(self, call: Call) -> str:
        need(call.command, "map", call.options.get("-of_objects", ""))
        return handle("block", "0")

    def add_register(self, call: Call) -> str:
        name, block = call.arguments
        need(call.command, "block", block)
        if name in self.registers:
            raise RefusalError(f"{call.command}: there is a register '{name}'")
        self.registers[name] = {}
        return handle("register", name)

    def create_xgui_files(self, call: Call) -> None:
        pass

    def update_checksums(self, call: Call) -> None:
        pass

    def check_integrity(self, call: Call) -> None:
        unclocked = [bus for bus, clock in self.buses.items() if not clock]
        if unclocked:
            raise RefusalError(f"{call.command}: bus '{unclocked[0]}' has no clock")
        if "interrupt" in self.ports and "interrupt" not in self.buses:
            raise RefusalError(f"{call.command}: 'interrupt' is no interface")
        offsets: dict[int, str] = {}
        for name, values in self.registers.items():
            if not {"address_offset", "size"} <= set(values):
                raise RefusalError(f"{call.command}: register '{name}' has no place")
            offset = int(values["address_offset"], 0)
            if offset in offsets:
                raise RefusalError(f"{call.command}: '{name}' overlaps '{offsets[offset]}'")
            offsets[offset] = name
        self.checked = True

    def save_core(self, call: Call) -> None:
        if not self.checked:
            raise RefusalError(f"{call.command}: check_integrity comes first")
        if self.block != "Reg":
            raise RefusalError(f"{call.command}: the registers are in '{self.block}', not in Reg")
        self.root.mkdir(parents=True, exist_ok=True)
        masters = [name for name in self.buses if name.startswith("m_axi")]
        (self.root / "component.xml").write_text(component_xml(self.values, "rtl", masters))


def component_xml(values: dict[str, str], kind: str, masters: Sequence[str]) -> str:
    """A description of a core, as far as the stand-in reads it."""
    head = "".join(
        f"<spirit:{key}>{values[key]}</spirit:{key}>"
        for key in ("vendor", "library", "name", "version")
    )
    buses = "".join(
        f"<spirit:busInterface><spirit:name>{name}</spirit:name></spirit:busInterface>"
        for name in masters
    )
    return f"<spirit:component>{head}<!-- {kind} -->{buses}</spirit:component>\n"


def read_component(path: Path) -> tuple[str, str, list[str]]:
    """VLNV, kind and masters of a packaged core."""
    text = path.read_text()
    parts = []
    for key in ("vendor", "library", "name", "version"):
        found = re.search(rf"<spirit:{key}>([^<]*)</spirit:{key}>", text)
        if found is None:
            raise RefusalError(f"'{path}' has no {key}")
        parts.append(found[1])
    masters = re.findall(r"<spirit:busInterface><spirit:name>([^<]*)</spirit:name>", text)
    kind = "rtl" if "<!-- rtl -->" in text else "hls"
    return ":".join(parts), kind, masters or ["m_axi_gmem_frames", "m_axi_gmem_results"]
