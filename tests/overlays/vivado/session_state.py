"""A session of the stand-in for Vivado: its state, and what happens where the tool would work."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.overlays.vivado.blocks import BLOCKS
from tests.overlays.vivado.diagram import Diagram
from tests.overlays.vivado.packager import Packager
from tests.overlays.vivado.table import Call, RefusalError

#: Steps of a run and the status that it has when it stopped there.
STEPS = {"synth_1": ("synth_design",), "impl_1": ("place_design", "route_design")}


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


class SessionState:
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

    def _save(self) -> None:
        project = self._need_project("save")
        path = Path(project["directory"]) / f"{project['name']}.xpr"
        path.write_text(json.dumps(project))

    def _need_project(self, command: str) -> dict[str, Any]:
        if self.project is None:
            raise RefusalError(f"{command}: no project is open")
        return self.project

    def _none(self, call: Call, message: str) -> str:
        if call.flag("-quiet"):
            return ""
        raise RefusalError(f"{call.command}: {message}")

    def _diagram(self, command: str) -> Diagram:
        if self.diagram is None:
            raise RefusalError(f"{command}: no block design is open")
        return self.diagram

    def _package(self, command: str) -> Packager:
        if self.packager is None:
            raise RefusalError(f"{command}: no core is open")
        return self.packager
