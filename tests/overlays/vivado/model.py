"""The stand-in for Vivado: its commands on a project, a block design and a packaged core.

It is test material and simulates nothing: what runs and reports "do" comes from `Effects`. What it
does is refuse: commands and options that the guides do not list, objects that were never made,
orders that do not work.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.overlays.vivado.blocks import BLOCKS, Cell, core_block
from tests.overlays.vivado.diagram import Diagram
from tests.overlays.vivado.packager import Packager, read_component
from tests.overlays.vivado.table import TABLE, Call, RefusalError, handle, need, parse

#: Steps of a run and the status that it has when it stopped there.
_STEPS = {"synth_1": ("synth_design",), "impl_1": ("place_design", "route_design")}
#: Properties of the project's objects that our scripts touch.
_PROPERTIES = {
    "project": {"board_part", "ip_repo_paths", "DIRECTORY"},
    "fileset": {"top"},
    "file": {"synth_checkpoint_mode"},
    "run": {"STATUS", "PROGRESS", "DIRECTORY", "STATS.WNS", "STATS.WHS", "STATS.TPWS"},
}


@dataclass
class Effects:
    """What happens where the real tool would work.

    Args:
        version: that Vivado tells.
        board_parts: that are installed.
        status: run -> its status at the end, instead of success.
        log: run -> text of its runme.log.
        stats: of the implementation.
        reports: command -> text of the report.
        errors: command -> message that it fails with.
        sleep: command -> seconds that it takes.
        files: paths written by write_bitstream and the generation of targets.
    """

    version: str = "2024.1"
    board_parts: tuple[str, ...] = ()
    status: dict[str, str] = field(default_factory=dict)
    log: dict[str, str] = field(default_factory=dict)
    stats: dict[str, str] = field(
        default_factory=lambda: {"WNS": "0.412", "WHS": "0.021", "TPWS": "3.750"}
    )
    reports: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    sleep: dict[str, float] = field(default_factory=dict)
    bitstream: str = "bits"
    handoff: str = "<EDKSYSTEM/>"


class Vivado:
    """One session.

    Args:
        effects: see there.
        puts: takes a line of output.
    """

    def __init__(self, effects: Effects, puts: Callable[[str], None] = print) -> None:
        self.effects, self.puts = effects, puts
        self.project: dict[str, Any] | None = None
        self.diagram: Diagram | None = None
        self.packager: Packager | None = None
        self.catalogue = {block["vlnv"]: block for block in BLOCKS.values()}
        self.open = ""
        self.calls: list[str] = []

    def call(self, command: str, words: list[str]) -> str:
        """Does a command.

        Raises:
            RefusalError: see the module.
        """
        call = parse(command, words)
        self.calls.append(" ".join([command, *words]))
        time.sleep(self.effects.sleep.get(command, 0))
        if command in self.effects.errors:
            self.puts(self.effects.errors[command])
            raise RefusalError(self.effects.errors[command])
        method = getattr(self, "_" + command.replace("::", "_"))
        result = method(call)
        return "" if result is None else str(result)

    # --- project ------------------------------------------------------------------------------

    def _version(self, call: Call) -> str:
        if not call.flag("-short"):
            return f"Vivado v{self.effects.version} (64-bit)"
        return self.effects.version

    def _create_project(self, call: Call) -> None:
        if self.project is not None:
            raise RefusalError("create_project: a project is open")
        name, directory = (*call.arguments, ".")[:2]
        if "-part" not in call.options:
            raise RefusalError("create_project: without -part, an old default part is used")
        path = Path(directory)
        if path.exists() and any(path.iterdir()) and not call.flag("-force"):
            raise RefusalError(f"create_project: '{directory}' is there; -force overwrites it")
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        self.project = {
            "name": name,
            "directory": directory,
            "part": call.options["-part"],
            "files": [],
            "top": None,
            "board_part": None,
            "runs": dict.fromkeys(_STEPS, "Not started"),
        }
        self._save()

    def _open_project(self, call: Call) -> None:
        path = Path(call.arguments[0])
        if self.project is not None:
            raise RefusalError("open_project: a project is open")
        if not path.is_file():
            raise RefusalError(f"open_project: '{path}' does not exist")
        self.project = json.loads(path.read_text())

    def _close_project(self, call: Call) -> None:
        self._save()
        self.project, self.diagram, self.packager, self.open = None, None, None, ""

    def _save(self) -> None:
        project = self._need_project("save")
        path = Path(project["directory"]) / f"{project['name']}.xpr"
        path.write_text(json.dumps(project))

    def _need_project(self, command: str) -> dict[str, Any]:
        if self.project is None:
            raise RefusalError(f"{command}: no project is open")
        return self.project

    def _current_project(self, call: Call) -> str:
        return handle("project", self._need_project(call.command)["name"])

    def _current_fileset(self, call: Call) -> str:
        self._need_project(call.command)
        return handle("fileset", "sources_1")

    def _add_files(self, call: Call) -> None:
        project, path = self._need_project(call.command), call.arguments[0]
        if not Path(path).is_file():
            raise RefusalError(f"add_files: '{path}' does not exist")
        project["files"].append(path)

    def _get_files(self, call: Call) -> str:
        project = self._need_project(call.command)
        for path in project["files"]:
            if fnmatch.fnmatch(Path(path).name, call.arguments[0]):
                return handle("file", path)
        return self._none(call, f"no file matches '{call.arguments[0]}'")

    def _update_compile_order(self, call: Call) -> None:
        if call.options.get("-fileset") != "sources_1":
            raise RefusalError("update_compile_order: there is no such fileset")

    def _get_board_parts(self, call: Call) -> str:
        pattern = call.arguments[0] if call.arguments else "*"
        return " ".join(fnmatch.filter(self.effects.board_parts, pattern))

    def _none(self, call: Call, message: str) -> str:
        if call.flag("-quiet"):
            return ""
        raise RefusalError(f"{call.command}: {message}")

    # --- properties ---------------------------------------------------------------------------

    def _set_property(self, call: Call) -> None:
        if "-dict" in call.options:
            (target,) = call.arguments
            words = _tcl_words(call.options["-dict"])
            if len(words) % 2:
                raise RefusalError("set_property: -dict has a name without a value")
            pairs = list(zip(words[::2], words[1::2], strict=True))
        else:
            if len(call.arguments) != 3:
                raise RefusalError("set_property: name, value and object are due")
            name, value, target = call.arguments
            pairs = [(name, value)]
        for name, value in pairs:
            self._set(target, name, value)

    def _set(self, target: str, name: str, value: str) -> None:
        kind, separator, thing = target.partition("::")
        if not separator:
            raise RefusalError(f"set_property: '{target}' is no object")
        if kind == "cell":
            if not name.startswith("CONFIG."):
                raise RefusalError(f"set_property: a cell has no property '{name}'")
            self._diagram("set_property").cell(thing).set(name.removeprefix("CONFIG."), value)
            return
        if kind in ("ip", "block", "register"):
            self._package("set_property").set(kind, thing, name, value)
            return
        if name not in _PROPERTIES.get(kind, ()):
            raise RefusalError(f"set_property: a {kind} has no property '{name}'")
        project = self._need_project("set_property")
        if name == "board_part" and value not in self.effects.board_parts:
            raise RefusalError(f"set_property: no board part '{value}'")
        if name == "synth_checkpoint_mode" and value not in ("None", "Hierarchical", "Singular"):
            raise RefusalError(f"set_property: '{value}' is no value of '{name}'")
        project[name] = value

    def _get_property(self, call: Call) -> str:
        name, target = call.arguments
        kind, separator, thing = target.partition("::")
        if not separator or name not in _PROPERTIES.get(kind, ()):
            raise RefusalError(f"get_property: '{target}' has no property '{name}'")
        project = self._need_project(call.command)
        if kind != "run":
            return str({"DIRECTORY": project["directory"]}.get(name, project.get(name)))
        if name.startswith("STATS."):
            return self.effects.stats.get(name.removeprefix("STATS."), "")
        if name == "DIRECTORY":
            return str(self._run_directory(thing))
        return str(project["runs"][thing])

    # --- block design -------------------------------------------------------------------------

    def _diagram(self, command: str) -> Diagram:
        if self.diagram is None:
            raise RefusalError(f"{command}: no block design is open")
        return self.diagram

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
        words = _tcl_words(call.options.get("-config", ""))
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

    # --- runs ---------------------------------------------------------------------------------

    def _run(self, command: str, word: str) -> str:
        name = word.partition("::")[2] if word.startswith("run::") else word
        if name not in self._need_project(command)["runs"]:
            raise RefusalError(f"{command}: there is no run '{name}'")
        return name

    def _run_directory(self, run: str) -> Path:
        project = self._need_project("run")
        return Path(project["directory"]) / f"{project['name']}.runs" / run

    def _get_runs(self, call: Call) -> str:
        return handle("run", self._run(call.command, call.arguments[0]))

    def _reset_runs(self, call: Call) -> None:
        run = self._run(call.command, call.arguments[0])
        self._need_project(call.command)["runs"][run] = "Not started"

    def _launch_runs(self, call: Call) -> None:
        project, run = self._need_project(call.command), self._run(call.command, call.arguments[0])
        if run == "synth_1" and "-to_step" in call.options:
            raise RefusalError("launch_runs: '-to_step' is for implementation only (UG835)")
        step = call.options.get("-to_step", _STEPS[run][-1])
        if step not in _STEPS[run]:
            raise RefusalError(f"launch_runs: {run} has no step '{step}'")
        if project["runs"][run] != "Not started":
            raise RefusalError(f"launch_runs: {run} has run; reset it first")
        if not project["top"] or project["top"] != project.get("wrapper"):
            raise RefusalError("launch_runs: the wrapper is not the top")
        if run == "impl_1" and project["runs"]["synth_1"] != "synth_design Complete!":
            raise RefusalError("launch_runs: impl_1 before synth_1")
        project["runs"][run] = self.effects.status.get(run, f"{step} Complete!")
        self._run_directory(run).mkdir(parents=True, exist_ok=True)
        if run in self.effects.log:
            (self._run_directory(run) / "runme.log").write_text(self.effects.log[run])
        project["launched"] = run
        self._save()

    def _wait_on_runs(self, call: Call) -> None:
        run = self._run(call.command, call.arguments[0])
        if self._need_project(call.command).get("launched") != run:
            raise RefusalError(f"wait_on_runs: {run} was not launched")
        # Vivado prints the run's log while it waits.
        self.puts(self.effects.log.get(run, ""))

    def _open_run(self, call: Call) -> None:
        run = self._run(call.command, call.arguments[0])
        if "Complete" not in self._need_project(call.command)["runs"][run]:
            raise RefusalError(f"open_run: {run} is not complete")
        self.open = run

    def _report(self, call: Call) -> None:
        if not self.open:
            raise RefusalError(f"{call.command}: no run is open")
        if "-file" not in call.options:
            raise RefusalError(f"{call.command}: without -file it is lost")
        Path(call.options["-file"]).write_text(self.effects.reports.get(call.command, "report\n"))

    _report_utilization = _report_timing_summary = _report_power = _report

    def _write_bitstream(self, call: Call) -> None:
        if self.open != "impl_1":
            raise RefusalError("write_bitstream: no routed design is open")
        path = Path(call.arguments[0])
        if path.exists() and not call.flag("-force"):
            raise RefusalError(f"write_bitstream: '{path}' is there; -force overwrites it")
        path.write_bytes(self.effects.bitstream.encode("latin-1"))

    # --- packaging ----------------------------------------------------------------------------

    def _package(self, command: str) -> Packager:
        if self.packager is None:
            raise RefusalError(f"{command}: no core is open")
        return self.packager

    def _ipx_package_project(self, call: Call) -> None:
        project = self._need_project(call.command)
        if not project["top"]:
            raise RefusalError("ipx::package_project: the project has no top")
        self.packager = Packager(project["files"], project["top"], call)

    def _ipx_current_core(self, call: Call) -> str:
        self._package(call.command)
        return handle("ip", "core")

    def _packaging(self, call: Call) -> str:
        return self._package(call.command).call(call)

    for _command in TABLE:
        if _command.startswith("ipx::") and _command not in (
            "ipx::package_project",
            "ipx::current_core",
        ):
            locals()["_" + _command.replace("::", "_")] = _packaging


def _tcl_words(text: str) -> list[str]:
    """Words of a Tcl list that has braces and quotes, but no nesting."""
    found = re.findall(r"\{([^{}]*)\}|\"([^\"]*)\"|(\S+)", text)
    return [next((part for part in parts if part), "") for parts in found]
