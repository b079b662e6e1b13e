"""A stand-in for the tool: the strict Tcl interpreter as a program, and what its steps leave."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fdht_hls.vitis.core_steps import Target
from fdht_hls.vitis.synthesis import Synthesis, synthesize
from fdht_models.artifacts import new_stage
from fdht_models.console import Show
from fdht_models.directories import ConversionDirectory
from fdht_models.tensor.quantized import QuantizedNetwork
from tests.hls.vitis.rendered import render
from tests.models.strategies import build_network

HERE = Path(__file__).parent
SAMPLES = HERE / "samples"
INTERPRETER = HERE / "vitis_hls.tcl"
PART = "xc7z020clg400-1"

needs_tclsh = pytest.mark.skipif(
    shutil.which("tclsh") is None,
    reason="NOT TESTED: the scripts for Vitis HLS; tclsh is missing (apt-get install tcl)",
)

BENCH = "10 frames in calls of 4 and 6, 0 words differ of 20"
#: What the tool prints in a step that succeeds; see samples/README.md.
LOGS = {
    "csim": f"""INFO: [SIM 211-2] *************** CSIM start ***************
INFO: [SIM 211-4] CSIM will launch GCC as the compiler.
{BENCH}
INFO: [SIM 211-1] CSim done with 0 errors.
INFO: [SIM 211-3] *************** CSIM finish ***************
""",
    "csynth": """INFO: [HLS 200-10] Analyzing design file 'firmware/fdht_lstm.cpp' ...
INFO: [HLS 200-789] **** Estimated Fmax: 136.99 MHz
""",
    "cosim": f"""INFO: [COSIM 212-302] Starting C TB testing ...
{BENCH}
INFO: [COSIM 212-12] Generating RTL test bench ...
INFO: [COSIM 212-316] Starting C post checking ...
{BENCH}
INFO: [COSIM 212-1000] *** C/RTL co-simulation finished: PASS ***
""",
    "export": "INFO: [HLS 200-802] Generated output file fdht_core/solution/impl/export.zip\n",
    "impl": "INFO: [IMPL 213-8] Exporting RTL as a Vivado IP.\n",
}

#: Clocks of the processes of `csynth_xml`.
CYCLES = {
    "read_frame_8u_8u_s": 51,
    "contract_fibre_config4_array_ap_uint_8_5u_array_ap_int_10_s": 70,
    "contract_mode_array_array_ap_fixed_10_5_5_3_0_config5_s": 96,
    "contract_mode_array_array_ap_fixed_10_5_5_3_0_config12_s": 64,
    "lstm_cell_config9_array_array_ap_fixed_8_1_5_3_0_s": 88,
    "dense_array_array_ap_fixed_8_1_5_3_0_ap_fixed_32_16_5_3_0_config3_s": 20,
    "write_result_2u_array_ap_fixed_3u_s": 9,
}
#: Stages of these processes.
STAGES = ("read frame", "input.C3", "input.C2", "input.C1", "cell", "head", "write result")

_MODULE = """  <Module>
   <Name>{name}</Name>
   <PerformanceEstimates>
    <SummaryOfTimingAnalysis>
     <EstimatedClockPeriod>6.100</EstimatedClockPeriod>
    </SummaryOfTimingAnalysis>
    <SummaryOfOverallLatency>
     <Worst-caseLatency>{cycles}</Worst-caseLatency>
     <PipelineInitiationInterval>{cycles}</PipelineInitiationInterval>
     <PipelineType>{kind}</PipelineType>
    </SummaryOfOverallLatency>
   </PerformanceEstimates>
   <AreaEstimates>
    <Resources><BRAM_18K>1</BRAM_18K><DSP>4</DSP><FF>300</FF><LUT>200</LUT></Resources>
   </AreaEstimates>
  </Module>
"""


def csynth_xml(
    cycles: Mapping[str, int | str] = CYCLES,
    *,
    top: str = "fdht_lstm",
    part: str = "xc7z020-clg400-1",
    estimated: str = "7.200",
) -> str:
    """A report of our core in the tool's layout; the figures are made up."""
    region = "dataflow_in_loop_Frames"
    known = [int(value) for value in cycles.values() if str(value).isdigit()]
    modules = [_MODULE.format(name=name, cycles=value, kind="no") for name, value in cycles.items()]
    pace = max(known) + 1 if len(known) == len(cycles) else "undef"
    modules.append(_MODULE.format(name=region, cycles=pace, kind="dataflow"))
    instances = "".join(
        f"<Instance><InstName>{name}_U0</InstName><ModuleName>{name}</ModuleName></Instance>"
        for name in cycles
    )
    return f"""<profile>
 <ReportVersion><Version>2024.1</Version></ReportVersion>
 <UserAssignments>
  <Part>{part}</Part><TopModelName>{top}</TopModelName>
  <TargetClockPeriod>10.00</TargetClockPeriod><ClockUncertainty>2.70</ClockUncertainty>
 </UserAssignments>
 <PerformanceEstimates>
  <PipelineType>no</PipelineType>
  <SummaryOfTimingAnalysis><EstimatedClockPeriod>{estimated}</EstimatedClockPeriod>
  </SummaryOfTimingAnalysis>
  <SummaryOfOverallLatency>
   <Worst-caseLatency>99000</Worst-caseLatency><Interval-max>99001</Interval-max>
  </SummaryOfOverallLatency>
 </PerformanceEstimates>
 <AreaEstimates>
  <Resources><BRAM_18K>14</BRAM_18K><DSP>60</DSP><FF>9000</FF><LUT>8000</LUT></Resources>
  <AvailableResources><BRAM_18K>280</BRAM_18K><DSP>220</DSP><FF>106400</FF><LUT>53200</LUT>
  </AvailableResources>
 </AreaEstimates>
 <RTLDesignHierarchy><TopModule><ModuleName>{top}</ModuleName><InstancesList>
  <Instance><InstName>{region}_U0</InstName><ModuleName>{region}</ModuleName>
   <InstancesList>{instances}</InstancesList></Instance>
 </InstancesList></TopModule></RTLDesignHierarchy>
 <ModuleInformation>
{"".join(modules)} </ModuleInformation>
</profile>
"""


def cosim_rpt(status: str = "Pass", least: str = "404", most: str = "598") -> str:
    """A report of co-simulation: a real one with other figures."""
    text = (SAMPLES / "2024.1_cosim.rpt").read_text()
    old = "Pass|            269|            426|            616|"
    assert old in text
    return text.replace(old, f"{status}|{least:>15}|{'501':>15}|{most:>15}|")


COMPONENT = """<?xml version="1.0" encoding="UTF-8"?>
<spirit:component xmlns:spirit="http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009">
  <spirit:vendor>fdht</spirit:vendor>
  <spirit:library>hls</spirit:library>
  <spirit:name>{name}</spirit:name>
  <spirit:version>1.0</spirit:version>
</spirit:component>
"""


@dataclass
class StandIn:
    """A directory with a program called as the tool is, and a converted experiment.

    Args:
        directory: of everything.
        network: of the experiment.
    """

    directory: Path
    network: QuantizedNetwork

    @property
    def hls(self) -> Path:
        return self.directory / "build" / "small" / "hls"

    @property
    def synthesis(self) -> Path:
        return self.directory / "build" / "small" / "synthesis"

    @property
    def work(self) -> Path:
        """Directory of the plan."""
        return self.synthesis / PART / "work"

    @property
    def verilog(self) -> Path:
        return self.work / "core/fdht_core/solution/syn/verilog/fdht_lstm.v"

    def effect(self, step: str, name: str, text: str) -> None:
        """Sets what a step does; see vitis_hls.tcl."""
        path = self.directory / "effects" / step / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def log(self, step: str, old: str, new: str) -> None:
        """Changes what a step prints."""
        assert old in LOGS[step]
        self.effect(step, "log", LOGS[step].replace(old, new))

    def run(
        self,
        steps: Sequence[str],
        target: Target | None = None,
        timeout: float | None = None,
        show: Show | None = None,
    ) -> Synthesis:
        """Runs steps with a time-out that no test needs."""
        return synthesize(
            ConversionDirectory(self.hls), self.synthesis, steps, target, timeout or 60, show
        )

    def calls(self, step: str) -> list[str]:
        """Commands that the step gave the tool."""
        text = (self.work / "logs" / f"{step}.log").read_text()
        mark = "INFO: [HLS 200-1510] Running: "
        lines = [line.strip() for line in text.splitlines()]
        return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


def make_stand_in(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str = "vitis_hls",
    flow: str = "project",
) -> StandIn:
    """Puts a program of the tool's name on the PATH, all of whose steps succeed."""
    program = directory / "bin" / name
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec tclsh "{INTERPRETER}" {name} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{_path_without_vitis()}")
    monkeypatch.setenv("STANDIN_EFFECTS", str(directory / "effects"))
    monkeypatch.setenv("STANDIN_FLOW", flow)
    made = StandIn(directory, build_network())
    for step, log in LOGS.items():
        made.effect(step, "log", log)
    made.effect("csynth", "files/syn/report/csynth.xml", csynth_xml())
    made.effect("csynth", "files/syn/verilog/fdht_lstm.v", "module fdht_lstm; endmodule\n")
    made.effect("cosim", "files/sim/report/fdht_lstm_cosim.rpt", cosim_rpt())
    made.effect("export", "files/impl/ip/component.xml", COMPONENT.format(name="fdht_lstm"))
    made.effect(
        "impl",
        "files/impl/report/verilog/export_impl.xml",
        (SAMPLES / "2023.2_export_impl.xml").read_text(),
    )
    _write_conversion(made)
    return made


def _path_without_vitis() -> str:
    """The PATH without directories that hold the real tool, should this machine have it."""
    return os.pathsep.join(
        entry
        for entry in os.environ["PATH"].split(os.pathsep)
        if not any((Path(entry) / name).exists() for name in ("vitis-run", "vitis_hls"))
    )


def _write_conversion(made: StandIn) -> None:
    """A stage directory as `fdht convert` writes it, with sources that nobody compiles."""
    with new_stage(made.hls, "hls", {}) as (directory, _):
        made.network.save(directory / "network.json")
        project = directory / "project"
        for name in ("firmware/ap_types", "tb_data"):
            (project / name).mkdir(parents=True)
        for name in ("fdht_testbench.cpp", "firmware/fdht_lstm.cpp", "firmware/ap_types/ap_int.h"):
            (project / name).write_text(f"// {name}\n")
        (project / "tb_data" / "frames.hex").write_text("00\n")
        for name in ("build_core.tcl", "target.json"):
            text = render(f"{name}.j2", part=PART, clock_period=10.0)
            (project / name).write_text(text)
