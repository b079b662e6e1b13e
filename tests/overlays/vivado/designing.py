"""The stand-in for Vivado: its commands on a block design."""

from __future__ import annotations

import fnmatch
from pathlib import Path

from tests.overlays.vivado.blocks import Cell, core_block
from tests.overlays.vivado.diagram import Diagram
from tests.overlays.vivado.packager import read_component
from tests.overlays.vivado.session_state import SessionState
from tests.overlays.vivado.table import Call, RefusalError, handle, need, tcl_words


class DesignCommands(SessionState):
    """Cells, nets, addresses, and what is generated of them."""

    def _get_ipdefs(self, call: Call) -> str:
        pattern = call.arguments[0] if call.arguments else "*"
        return " ".join(fnmatch.filter(self.catalogue, pattern))

    def _update_ip_catalog(self, call: Call) -> None:
        for path in self._need_project(call.command).get("ip_repo_paths", "").split():
            for component in sorted(Path(path).rglob("component.xml")):
                vlnv, kind, masters = read_component(component)
                self.catalogue[vlnv] = core_block(kind, vlnv, masters)

    def _create_bd_design(self, call: Call) -> None:
        project = self._need_project(call.command)
        if self.diagram is not None:
            raise RefusalError("create_bd_design: there is one already")
        name = call.arguments[0]
        self.diagram = Diagram()
        path = Path(project["directory"]) / f"{project['name']}.srcs/sources_1/bd/{name}/{name}.bd"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        project["files"].append(str(path))

    def _create_bd_cell(self, call: Call) -> str:
        diagram, name = self._diagram(call.command), call.arguments[0]
        vlnv = call.options.get("-vlnv", "")
        if vlnv not in self.catalogue:
            raise RefusalError(f"create_bd_cell: the catalogue has no '{vlnv}'")
        if name in diagram.cells:
            raise RefusalError(f"create_bd_cell: there is a cell '{name}'")
        diagram.cells[name] = Cell(name, self.catalogue[vlnv])
        return handle("cell", name)

    def _apply_bd_automation(self, call: Call) -> None:
        diagram = self._diagram(call.command)
        cell = diagram.cell(need(call.command, "cell", call.arguments[0]))
        if call.options.get("-rule") != f"xilinx.com:bd_rule:{cell.block.get('rule')}":
            raise RefusalError(f"{call.command}: rule '{call.options.get('-rule')}' is not its own")
        words = tcl_words(call.options.get("-config", ""))
        config = dict(zip(words[::2], words[1::2], strict=True))
        known = {"make_external", "apply_board_preset", "Master", "Slave"}
        if unknown := sorted(set(config) - (known if cell.external() else {"apply_board_preset"})):
            raise RefusalError(f"{call.command}: -config knows no '{unknown[0]}'")
        if config.get("apply_board_preset") == "1" and not self._need_project("")["board_part"]:
            raise RefusalError(f"{call.command}: a board preset without a board part")
        for name in config.get("make_external", "").split(","):
            if name.strip():
                if name.strip() not in cell.external():
                    raise RefusalError(f"{call.command}: '{name.strip()}' is no such interface")
                diagram.external.add(f"{cell.name}/{name.strip()}")

    def _get_bd_cells(self, call: Call) -> str:
        return handle("cell", self._diagram(call.command).cell(call.arguments[0]).name)

    def _get_bd_pins(self, call: Call) -> str:
        self._diagram(call.command).pin(call.arguments[0])
        return handle("pin", call.arguments[0])

    def _get_bd_intf_pins(self, call: Call) -> str:
        self._diagram(call.command).interface(call.arguments[0])
        return handle("interface", call.arguments[0])

    def _connect_bd_net(self, call: Call) -> None:
        pins = [need(call.command, "pin", word) for word in call.arguments]
        self._diagram(call.command).connect(call.options.get("-net"), pins)

    def _connect_bd_intf_net(self, call: Call) -> None:
        ends = [need(call.command, "interface", word) for word in call.arguments]
        self._diagram(call.command).wire(*ends)

    def _get_bd_addr_spaces(self, call: Call) -> str:
        if call.arguments[0] not in self._diagram(call.command).spaces():
            raise RefusalError(f"there is no address space '{call.arguments[0]}'")
        return handle("space", call.arguments[0])

    def _get_bd_addr_segs(self, call: Call) -> str:
        if call.arguments[0] not in self._diagram(call.command).segments():
            raise RefusalError(f"there is no segment '{call.arguments[0]}'")
        return handle("segment", call.arguments[0])

    def _assign_bd_address(self, call: Call) -> None:
        if not {"-offset", "-range", "-target_address_space"} <= set(call.options):
            raise RefusalError("assign_bd_address: offset, range and address space are due")
        self._diagram(call.command).assign(
            need(call.command, "space", call.options["-target_address_space"]),
            need(call.command, "segment", call.arguments[0]),
            int(call.options["-offset"], 0),
            int(call.options["-range"], 0),
        )

    def _exclude_bd_addr_seg(self, call: Call) -> None:
        space = need(call.command, "space", call.options.get("-target_address_space", ""))
        segment = need(call.command, "segment", call.arguments[0])
        self._diagram(call.command).exclude(space, segment)

    def _validate_bd_design(self, call: Call) -> None:
        self._diagram(call.command).validate()

    def _save_bd_design(self, call: Call) -> None:
        self._diagram(call.command)

    def _generate_target(self, call: Call) -> None:
        if call.arguments[0] != "all":
            raise RefusalError(f"generate_target: no target '{call.arguments[0]}'")
        path = Path(need(call.command, "file", call.arguments[1]))
        if not self._diagram(call.command).valid:
            raise RefusalError("generate_target: the block design is not validated")
        project = self._need_project(call.command)
        made = Path(project["directory"]) / f"{project['name']}.gen/sources_1/bd/{path.stem}"
        (made / "hw_handoff").mkdir(parents=True, exist_ok=True)
        (made / "hw_handoff" / f"{path.stem}.hwh").write_text(self.effects.handoff)

    def _make_wrapper(self, call: Call) -> str:
        path = Path(need(call.command, "file", call.options.get("-files", "")))
        if not self._diagram(call.command).valid:
            raise RefusalError("make_wrapper: the block design is not validated")
        project = self._need_project(call.command)
        made = Path(project["directory"]) / f"{project['name']}.gen/sources_1/bd/{path.stem}/hdl"
        made.mkdir(parents=True, exist_ok=True)
        wrapper = made / f"{path.stem}_wrapper.v"
        wrapper.write_text(f"module {path.stem}_wrapper; endmodule\n")
        project["wrapper"] = wrapper.stem
        return str(wrapper)
