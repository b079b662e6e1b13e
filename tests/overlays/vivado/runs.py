"""The stand-in for Vivado: its commands on runs, their reports and the bitstream."""

from __future__ import annotations

from pathlib import Path

from tests.overlays.vivado.session_state import STEPS, SessionState
from tests.overlays.vivado.table import Call, RefusalError, handle


class RunCommands(SessionState):
    """Synthesis and implementation."""

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
        step = call.options.get("-to_step", STEPS[run][-1])
        if step not in STEPS[run]:
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
