"""The plan of the flow `vitis`: Vitis HLS or our Verilog for the core, Vivado for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fdht_hls.boards import Board
from fdht_hls.engine import lower
from fdht_hls.flow.build_plan import STEPS, BuildPlan, Phase, Step, plan_name
from fdht_hls.flow.failure import Ended, check_step
from fdht_hls.flow.needs import Need
from fdht_hls.flow.running import Shared
from fdht_hls.schedule import load_schedule
from fdht_hls.vitis.core_steps import DEFAULT_STEPS, Target, core_directory, core_files, core_steps
from fdht_hls.vitis.log import end_marker
from fdht_hls.vitis.step_results import IP, TOP, VITIS_HLS, judge_core
from fdht_models.artifacts import digest_of
from fdht_models.directories import (
    LOADABLE,
    NETWORK,
    PROJECT,
    SCHEDULE,
    ConversionDirectory,
    network_in,
)
from fdht_models.errors import ConfigError
from fdht_models.stages import Stage
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.vivado.design import BlockDesign, block_design
from fdht_overlays.vivado.scripts import CAUSES, VIVADO, steps_of, vivado_scripts

FLOW = "vitis"
CORES = ("hls", "rtl")
_VIVADO = Need(
    "vivado", "vivado", ("vivado",), "source the settings64.sh of Vivado 2022.2 or later"
)
#: The shell script of a step of Vivado's.
_COMMAND = "exec vivado -mode batch -nojournal -nolog -notrace -source vivado/{}.tcl\n"
#: Steps of Vitis HLS.
CORE_STEPS = DEFAULT_STEPS
#: Seconds that Vivado's steps may take.
_TIMEOUTS = {
    "package": 3600.0,
    "design": 3600.0,
    "synthesis": 14400.0,
    "implementation": 28800.0,
    "bitstream": 3600.0,
}
#: Files of Vivado's results, by step.
RESULTS: Mapping[str, tuple[str, ...]] = {
    "implementation": (
        "results/utilization.rpt",
        "results/utilization_hierarchical.rpt",
        "results/timing_summary.rpt",
        "results/power.rpt",
    ),
    "bitstream": ("results/fdht.bit", "results/fdht.hwh"),
}
#: Words of Vivado's logs (as public logs of 2020 to 2024 have them) and what they mean.
_PHASES: Mapping[str, tuple[Phase, ...]] = {
    "synthesis": (
        Phase("Starting RTL Elaboration", "elaborating"),
        Phase("Start Cross Boundary and Area Optimization", "optimising"),
        Phase("Start Technology Mapping", "mapping"),
        Phase("Writing Synthesis Report", "reporting"),
    ),
    "implementation": (
        Phase("Starting Logic Optimization Task", "optimising"),
        Phase("Starting Placer Task", "placing"),
        Phase("Starting Routing Task", "routing"),
        Phase("Running report commands", "reporting"),
    ),
    "bitstream": (Phase("Creating bitmap", "writing the bitstream"),),
}


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Args:
        core: "hls": C++ through Vitis HLS; "rtl": our Verilog.
        clock_mhz: in place of the board's.
        cosim: simulate the Verilog that Vitis HLS makes; takes hours for large frames.
        allow_timing_failure: package what misses its clock, and say so in the manifest.
    """

    core: str = "hls"
    clock_mhz: float | None = None
    cosim: bool = True
    allow_timing_failure: bool = False

    def __post_init__(self) -> None:
        if self.core not in CORES:
            raise ConfigError("must be hls or rtl", field="core", value=self.core)
        if self.clock_mhz is not None and not 1 <= self.clock_mhz <= 1000:
            raise ConfigError(
                "must lie between 1 and 1000 MHz", field="clock", value=self.clock_mhz
            )

    @property
    def variant(self) -> str:
        """The flow with its core: what has directories of its own."""
        return f"{FLOW}-{self.core}"

    @property
    def core_steps(self) -> tuple[str, ...]:
        """Steps of Vitis HLS."""
        if self.core == "rtl":
            return ()
        return tuple(step for step in CORE_STEPS if step != "cosim" or self.cosim)


def vitis_plan(conversion: ConversionDirectory, board: Board, options: Options) -> BuildPlan:
    """The plan for a converted experiment.

    Args:
        conversion: what `fdht convert` wrote.
        board: a real board.
        options: see there.

    Raises:
        ArtifactError: the experiment is not converted, or a file of it is missing.
        ConfigError: the board is simulated.
        ConversionError, ToolError: the Verilog cannot be made.
    """
    stage = conversion.open()
    network = network_in(stage)
    schedule = load_schedule(stage.file(SCHEDULE)) if stage.holds(SCHEDULE) else None
    design = block_design(
        board,
        options.core,
        loadable=stage.holds(LOADABLE),
        frames=schedule.frames if schedule else "dense",
        contexts=schedule.contexts if schedule else 1,
        clock_mhz=options.clock_mhz,
    )
    core = _core_files(stage, network, design, options)
    scripts = vivado_scripts(
        design, network.name, allow_timing_failure=options.allow_timing_failure
    )
    files = {**core, **{f"vivado/{name}": text.encode() for name, text in scripts.items()}}
    names = steps_of(design)
    files |= {f"{STEPS}/{name}.sh": _COMMAND.format(name).encode() for name in names}
    steps = tuple(_step(name, sorted(core), options) for name in names)
    name = plan_name(network.name, board.name, options.variant)
    facts = _facts(stage, network, board, design, options)
    judge = partial(_judge, part=board.part.name)
    return BuildPlan(name, facts, files, (*core_steps(files, options.core_steps), *steps), judge)


def _facts(
    hls: Stage, network: QuantizedNetwork, board: Board, design: BlockDesign, options: Options
) -> dict[str, Any]:
    return {
        "experiment": network.name,
        "design_id": f"{network.design_id:016x}",
        "network": hls.files[NETWORK],
        "weights": hls.files[LOADABLE] if design.loadable else None,
        "board": board.name,
        # Of its data, so that a board that was corrected makes older results stale.
        "board_digest": digest_of(asdict(board)),
        "flow": FLOW,
        "variant": options.variant,
        **asdict(options),
        "clock_mhz": design.clock_mhz,
    }


def _core_files(
    hls: Stage, network: QuantizedNetwork, design: BlockDesign, options: Options
) -> dict[str, bytes]:
    """Sources of the core, below `core/`, and the scripts of its steps."""
    if options.core == "rtl":
        # Not above: Amaranth is an extra.
        from fdht_hls.rtl.core import emit_verilog

        schedule = load_schedule(hls.file(SCHEDULE))
        return {f"core/{TOP}.v": emit_verilog(lower(network, schedule)).encode()}
    # What is built is what was proven equal: all of the project that the tools read.
    hls.check(PROJECT)
    target = Target(design.board.part.name, 1000 / design.clock_mhz)
    return core_files(hls.directory / PROJECT, target, options.core_steps)


def shared_core(plan: BuildPlan, synthesis: Path, board: Board) -> Shared:
    """Where the steps of the core are done: where `fdht synthesize` does them.

    Args:
        plan: of this flow.
        synthesis: build/<name>/synthesis.
        board: the board.
    """
    steps = tuple(step.name for step in plan.steps if step.name in CORE_STEPS)
    return Shared(core_directory(synthesis, board.part.name), steps, (f"{IP}/**/*",))


def _judge(ended: Ended, *, part: str) -> None:
    if ended.step.tool == VITIS_HLS:
        judge_core(ended, part=part)
    else:
        check_step(ended, CAUSES)


def _step(name: str, core: list[str], options: Options) -> Step:
    made = ("core/ip/component.xml",) if name == "package" else ("project/fdht.xpr",)
    before = {
        "package": (),
        "design": ("package" if options.core == "rtl" else "export",),
        "synthesis": ("design",),
        "implementation": ("synthesis",),
        "bitstream": ("implementation",),
    }
    return Step(
        name,
        VIVADO,
        (_VIVADO,),
        _TIMEOUTS[name],
        inputs=("vivado/common.tcl", f"vivado/{name}.tcl", *(core if name == "package" else ())),
        after=before[name],
        outputs=RESULTS.get(name, made),
        returns=RESULTS.get(name, ()),
        success=(end_marker(name),),
        phases=_PHASES.get(name, ()),
    )
