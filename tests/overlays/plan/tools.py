"""A machine that has the tools: stand-ins for Vitis HLS and Vivado on the PATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from fdht_hls.boards import get_board
from fdht_hls.flow.build_plan import BuildPlan
from fdht_hls.schedule import default_schedule
from fdht_models.artifacts import new_stage, write_json
from fdht_models.directories import BuildDirectory
from fdht_overlays.bitfile import SYNC_WORD, BitFile
from fdht_overlays.hwh import fabric_clock, hwh_text
from fdht_overlays.plan.vitis import Options, vitis_plan
from tests.hls.vitis.rendered import render
from tests.hls.vitis.standin import COMPONENT, INTERPRETER, LOGS, cosim_rpt, csynth_xml
from tests.overlays.sample_network import ESTIMATE, sample_network
from tests.overlays.vivado.model import Effects
from tests.overlays.vivado.running import BOARD_PARTS
from tests.stage_files import estimate

#: Of a plan of Vitis HLS and Vivado without co-simulation, in their order.
STEPS = ["csim", "csynth", "export", "design", "synthesis", "implementation", "bitstream"]
ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "overlays" / "vivado" / "samples"


def write_conversion(
    directory: Path, name: str = "tiny-net", seed: int = 5, frames: str = "dense"
) -> Path:
    """What `fdht convert` leaves, with sources that nobody compiles."""
    hls = directory / "hls"
    with new_stage(hls, "hls", {}) as (temporary, extra):
        extra["estimate"] = ESTIMATE
        network = sample_network(name, seed)
        network.save(temporary / "network.json")
        schedule = default_schedule(network.recurrence).with_frames(frames)
        write_json(temporary / "schedule.json", schedule.to_json())
        project = temporary / "project"
        for folder in ("firmware", "tb_data"):
            (project / folder).mkdir(parents=True)
        for source in ("fdht_testbench.cpp", "firmware/fdht_lstm.cpp", "tb_data/frames.hex"):
            (project / source).write_text(f"// {source}\n")
        for script in ("build_core.tcl", "target.json"):
            text = render(f"{script}.j2", part="xc7z020clg400-1", clock_period=10.0)
            (project / script).write_text(text)
        (temporary / "estimate.json").write_text(json.dumps(estimate(500)))
    return directory


@dataclass
class Tools:
    """The stand-ins, and what they do.

    Args:
        directory: of their effects.
        effects: of Vivado; `save` after a change.
    """

    directory: Path
    effects: Effects

    def save(self) -> None:
        (self.directory / "vivado.json").write_text(json.dumps(asdict(self.effects)))

    def set(self, **changes: object) -> None:
        for name, value in changes.items():
            setattr(self.effects, name, value)
        self.save()

    def core(self, step: str, name: str, text: str) -> None:
        """Sets what a step of Vitis HLS does; see vitis_hls.tcl."""
        path = self.directory / "effects" / step / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def programs(self) -> Path:
        return self.directory / "bin"


def bitstream(part: str = "7z020clg400") -> str:
    """A `.bit` file as Vivado names its part; the data are made up."""
    return (
        BitFile("fdht_wrapper", part, b"\xff" * 16 + SYNC_WORD + b"data")
        .to_bytes()
        .decode("latin-1")
    )


def handoff(board: str = "sim") -> str:
    return hwh_text(get_board(board), fabric_clock(100.0))


def reports(device: str = "7z020clg400-1") -> dict[str, str]:
    """Reports of an implementation that fits and meets its clock."""
    return {
        "report_utilization": (SAMPLES / "2020.1_utilization.rpt").read_text(),
        "report_timing_summary": (SAMPLES / "2020.1_timing_summary.rpt").read_text(),
        "report_power": (SAMPLES / "2024.2_power.rpt").read_text(),
    }


def make_tools(
    directory: Path, monkeypatch: pytest.MonkeyPatch, core: str | None = "vitis_hls"
) -> Tools:
    """Puts the stand-ins on the PATH, all of whose steps succeed."""
    effects = Effects(
        board_parts=BOARD_PARTS, bitstream=bitstream(), handoff=handoff(), reports=reports()
    )
    tools = Tools(directory, effects)
    tools.programs.mkdir(parents=True)
    tools.save()
    programs = {"vivado": f'cd "$PWD" && exec "{sys.executable}" -m tests.overlays.vivado.program'}
    if core is not None:
        programs[core] = f'exec tclsh "{INTERPRETER}" {core}'
    for name, command in programs.items():
        path = tools.programs / name
        path.write_text(f'#!/bin/sh\n{command} "$@"\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools.programs}:{_path_without_tools()}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *_packages()]))
    monkeypatch.setenv("STANDIN_VIVADO", str(directory / "vivado.json"))
    monkeypatch.setenv("STANDIN_EFFECTS", str(directory / "effects"))
    monkeypatch.setenv("STANDIN_FLOW", "project")
    for step, log in LOGS.items():
        tools.core(step, "log", log)
    tools.core("csynth", "files/syn/report/csynth.xml", csynth_xml())
    tools.core("csynth", "files/syn/verilog/fdht_lstm.v", "module fdht_lstm; endmodule\n")
    tools.core("cosim", "files/sim/report/fdht_lstm_cosim.rpt", cosim_rpt())
    tools.core("export", "files/impl/ip/component.xml", COMPONENT.format(name="fdht_lstm"))
    return tools


def _packages() -> list[str]:
    return [str(ROOT / name) for name in ("models", "hls", "overlays", "host")]


def _path_without_tools() -> str:
    """The PATH without the real tools, should this machine have them."""
    return os.pathsep.join(
        entry
        for entry in os.environ["PATH"].split(os.pathsep)
        if not any((Path(entry) / name).exists() for name in ("vivado", "vitis-run", "vitis_hls"))
    )


def plan_of(directory: Path, board: str = "pynq-z2", **options: object) -> BuildPlan:
    return vitis_plan(BuildDirectory(directory).hls, get_board(board), Options(**options))  # type: ignore[arg-type]


def by_hand(directory: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs a written plan as a user without us does."""
    return subprocess.run(
        ["sh", "build.sh"], cwd=directory, capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip
