"""The plan of the flow `open`: from Verilog to a bitstream with open tools.

    yosys -> nextpnr-xilinx -> fasm2frames -> xc7frames2bit

Three habits of these tools are met here, all seen in the source of nextpnr-xilinx (openXC7, commit
e22bcf69): it refuses memories of LUTs with a single port, so that the synthesis makes dual-port
ones of them; it puts shift registers, which always shift, into slices of memories, which share
their write enable, and then its router never ends, so that the synthesis makes none; and it leaves
the INMODE, ALUMODE and OPMODE pins of a DSP slice at the wrong level, which later versions call
silent junk. So the flow uses no DSP slice unless it is told to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from fdht_hls.boards import Board
from fdht_hls.engine import lower
from fdht_hls.flow.build_plan import STEPS, BuildPlan, Phase, Step, plan_name
from fdht_hls.flow.failure import check_step
from fdht_hls.rtl.core import Core, verilog_of
from fdht_hls.rtl.simulation.compiling import render_bench
from fdht_hls.rtl.yosys_count import VERSION as YOSYS_VERSION
from fdht_hls.schedule import Schedule
from fdht_models.artifacts import digest_of
from fdht_models.directories import SCHEDULE
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.hwh import fabric_clock
from fdht_overlays.open import tools
from fdht_overlays.open.shell import TOP, Shell
from fdht_overlays.open.tools import CAUSES, FLOW

#: The clock of the flow: the tools do not time what they cannot, see docs/open-flow.md.
CLOCK_MHZ = 50.0
#: DSP slices that a design may have where they are used at all: more hung the placer.
MOST_DSP = 30
#: What the steps leave.
NETLIST, STATISTICS = f"results/{TOP}.json", "results/stat.json"
FEATURES, FRAMES, BITSTREAM = (f"results/{TOP}.{kind}" for kind in ("fasm", "frames", "bit"))
#: The step whose log tells sites and clock.
PLACE_AND_ROUTE = "place-and-route"
_VERILOG, _CONSTRAINTS = f"{TOP}.v", f"{TOP}.xdc"
_SCRIPT, _LUTRAM = "fdht_synthesis.ys", "fdht_lutram.v"
_TEMPLATES = Path(__file__).with_name("templates")
#: Words of the tools' logs and what they mean: yosys 0.64, nextpnr-xilinx e22bcf69.
_PHASES: Mapping[str, tuple[Phase, ...]] = {
    "synthesis": (
        Phase("Executing SYNTH_XILINX pass", "elaborating"),
        Phase("Executing MEMORY_LIBMAP pass", "mapping memories"),
        Phase("Executing ABC pass", "mapping logic"),
        Phase("Executing JSON backend", "writing the netlist"),
    ),
    PLACE_AND_ROUTE: (
        Phase("Packing ", "packing"),
        Phase("Creating initial analytic placement", "placing"),
        Phase("Running router2", "routing"),
        Phase("Running router1", "checking the routes"),
    ),
}


def check_board(board: Board) -> None:
    """Refuses a board that the flow does not serve.

    Raises:
        ConfigError: its device is not a Zynq-7020 in the package of the PYNQ-Z1 and PYNQ-Z2.
    """
    if board.simulated or board.part.device != "xc7z020" or board.part.package != "clg400":
        raise ConfigError(
            f"has the part {board.part.name}, and the open flow serves xc7z020clg400 alone",
            field="board",
            value=board.name,
            remedy="use --flow vitis, or --board pynq-z1 or pynq-z2",
        )


def open_plan(
    network: QuantizedNetwork,
    schedule: Schedule,
    board: Board,
    *,
    dsp: bool = False,
    clock_mhz: float = CLOCK_MHZ,
) -> BuildPlan:
    """The plan for a network on a board.

    Args:
        network: the integers.
        schedule: parallelism of its stages; multipliers "lut" suit this flow.
        board: PYNQ-Z1 or PYNQ-Z2.
        dsp: let yosys use DSP slices; see above.
        clock_mhz: of everything in the fabric; the nearest below it that the divisors make.

    Raises:
        ConfigError: the board is another one, the schedule is of another network, or the clock is
            out of reach.
        ConversionError: the emitter cannot do the plan.
        ToolError: Amaranth finds no yosys.
    """
    check_board(board)
    clock = fabric_clock(clock_mhz).mhz
    verilog = verilog_of(Shell(Core(lower(network, schedule))), TOP)
    facts = {
        "experiment": network.name,
        "design_id": f"{network.design_id:016x}",
        "network": digest_of(network.to_json()),
        "board": board.name,
        "board_digest": digest_of(asdict(board)),
        "flow": FLOW,
        "variant": FLOW,
        "core": "rtl",
        "part": board.part.name,
        "clock_mhz": clock,
        "dsp": dsp,
        "schedule": schedule.to_json(),
    }
    files = _files(verilog, board.part.name, clock, dsp)
    name = plan_name(network.name, board.name, FLOW)
    # Beside the tools' files, for `fdht cosim --schedule`.
    files[SCHEDULE] = json.dumps(facts["schedule"], indent=1) + "\n"
    contents = {path: text.encode() for path, text in files.items()}
    return BuildPlan(name, facts, contents, _steps(), partial(check_step, causes=CAUSES))


def _files(verilog: str, part: str, clock_mhz: float, dsp: bool) -> dict[str, str]:
    values: dict[str, Any] = {
        "top": TOP,
        "dsp": dsp,
        "part": part,
        "clock": f"{clock_mhz:g}",
        "version": YOSYS_VERSION,
        "script": _SCRIPT,
        "lutram": _LUTRAM,
        "constraints": _CONSTRAINTS,
        "statistics": STATISTICS,
        "netlist": NETLIST,
        "features": FEATURES,
        "frames": FRAMES,
        "bitstream": BITSTREAM,
    }
    constraints = "# No pins: the processing system's are fixed, and the clock comes from it.\n"
    scripts = render_bench([f"{step.name}.sh" for step in _steps()], values, _TEMPLATES)
    return {
        _VERILOG: verilog,
        _CONSTRAINTS: constraints,
        **render_bench((_SCRIPT, _LUTRAM), values, _TEMPLATES),
        **{f"{STEPS}/{name}": text for name, text in scripts.items()},
    }


def _steps() -> tuple[Step, ...]:
    """Time-outs in seconds; a design of 11,000 LUTs took 5 to 6 minutes in all."""
    return (
        Step(
            "synthesis",
            tools.YOSYS.name,
            (tools.YOSYS,),
            7200.0,
            inputs=(_VERILOG, _SCRIPT, _LUTRAM),
            outputs=(STATISTICS, NETLIST),
            returns=(STATISTICS,),
            # Its exit code is 0 even where it stops half-way.
            success=("End of script",),
            phases=_PHASES["synthesis"],
        ),
        Step(
            PLACE_AND_ROUTE,
            tools.NEXTPNR.name,
            (tools.NEXTPNR, tools.CHIP),
            14400.0,
            inputs=(_CONSTRAINTS,),
            after=("synthesis",),
            outputs=(FEATURES,),
            returns=(FEATURES,),
            success=(
                *("Device utilisation:", "Routing complete."),
                "Running post-routing legalisation",
            ),
            phases=_PHASES[PLACE_AND_ROUTE],
        ),
        Step(
            "frames",
            tools.FASM2FRAMES.name,
            (tools.FASM2FRAMES, tools.PART),
            1800.0,
            after=(PLACE_AND_ROUTE,),
            outputs=(FRAMES,),
        ),
        Step(
            "bitstream",
            tools.XC7FRAMES2BIT.name,
            (tools.XC7FRAMES2BIT, tools.PART),
            600.0,
            after=("frames",),
            outputs=(BITSTREAM,),
            returns=(BITSTREAM,),
        ),
    )
