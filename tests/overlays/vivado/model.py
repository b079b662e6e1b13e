"""The stand-in for Vivado: its commands on a project, a block design and a packaged core.

It is test material and simulates nothing: what runs and reports "do" comes from `Effects`. What it
does is refuse: commands and options that the guides do not list, objects that were never made,
orders that do not work.
"""

from __future__ import annotations

import fnmatch
import json
import shutil
import time
from pathlib import Path

from tests.overlays.vivado.designing import DesignCommands
from tests.overlays.vivado.packager import Packager
from tests.overlays.vivado.runs import RunCommands
from tests.overlays.vivado.session_state import STEPS, Effects
from tests.overlays.vivado.table import TABLE, Call, RefusalError, handle, parse, tcl_words

__all__ = ["Effects", "Vivado"]

#: Properties of the project's objects that our scripts touch.
_PROPERTIES = {
    "project": {"board_part", "ip_repo_paths", "DIRECTORY"},
    "fileset": {"top"},
    "file": {"synth_checkpoint_mode"},
    "run": {"STATUS", "PROGRESS", "DIRECTORY", "STATS.WNS", "STATS.WHS", "STATS.TPWS"},
}


class Vivado(DesignCommands, RunCommands):
    """One session: its project and the packaged core; see `SessionState`."""

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
            "runs": dict.fromkeys(STEPS, "Not started"),
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

    # --- properties ---------------------------------------------------------------------------

    def _set_property(self, call: Call) -> None:
        if "-dict" in call.options:
            (target,) = call.arguments
            words = tcl_words(call.options["-dict"])
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

    # --- packaging ----------------------------------------------------------------------------

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
