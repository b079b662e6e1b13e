"""The plan of the flow `vitis`: Vitis HLS or our Verilog for the core, Vivado for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fdht_hls.boards import Board
from fdht_hls.schedule import check_schedule, load_schedule
from fdht_hls.vitis.log import end_marker
from fdht_hls.vitis.project import TOP, source_files
from fdht_hls.vitis.runner import TIMEOUTS
from fdht_hls.vitis.tool import SPELLINGS
from fdht_models.artifacts import digest_of
from fdht_models.directories import (
    LOADABLE,
    NETWORK,
    PROJECT,
    SCHEDULE,
    ConversionDirectory,
    network_in,
)
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.stages import Stage
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.plan.needs import Need
from fdht_overlays.plan.plan import STEPS, BuildPlan, Phase, Step, plan_name
from fdht_overlays.vivado.design import BlockDesign, block_design, core_names, masters_of
from fdht_overlays.vivado.log import VITIS_HLS, VIVADO
from fdht_overlays.vivado.scripts import REPOSITORIES, core_scripts, steps_of, vivado_scripts

FLOW = "vitis"
CORES = ("hls", "rtl")
_VIVADO = Need(
    "vivado", "vivado", ("vivado",), "source the settings64.sh of Vivado 2022.2 or later"
)
_VITIS_HLS = Need(
    "vitis_hls",
    " or ".join(SPELLINGS),
    tuple(SPELLINGS),
    "source the settings64.sh of Vitis 2022.2 or later",
)
#: Steps of Vitis HLS, and those without its long simulation of the Verilog.
CORE_STEPS = ("csim", "csynth", "cosim", "export")
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
#: What Vitis HLS leaves, by step.
_REPORTS = {
    "csynth": "core/fdht_core/*/syn/report/csynth.xml",
    "cosim": f"core/fdht_core/*/sim/report/{TOP}_cosim.rpt",
    "export": REPOSITORIES["hls"] + "/component.xml",
}
#: Words of the tools' logs (as public logs of 2020 to 2024 have them) and what they mean.
_PHASES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "csynth": (
        ("Analyzing design file", "compiling"),
        ("Starting hardware synthesis", "synthesising"),
        ("Generating all RTL models", "writing Verilog"),
    ),
    "cosim": (
        ("Starting C TB testing", "running the C++"),
        ("Starting XSIM", "simulating the Verilog"),
        ("Starting C post checking", "comparing"),
    ),
    "synthesis": (
        ("Starting RTL Elaboration", "elaborating"),
        ("Start Cross Boundary and Area Optimization", "optimising"),
        ("Start Technology Mapping", "mapping"),
        ("Writing Synthesis Report", "reporting"),
    ),
    "implementation": (
        ("Starting Logic Optimization Task", "optimising"),
        ("Starting Placer Task", "placing"),
        ("Starting Routing Task", "routing"),
        ("Running report commands", "reporting"),
    ),
    "bitstream": (("Creating bitmap", "writing the bitstream"),),
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
    masters = masters_of(stage.holds(LOADABLE))
    design = block_design(board, core_names(options.core, masters), options.clock_mhz)
    core = _core_files(stage, network, design, options)
    scripts = vivado_scripts(
        design, network.name, allow_timing_failure=options.allow_timing_failure
    )
    files = {**core, **{f"vivado/{name}": text.encode() for name, text in scripts.items()}}
    names = (*options.core_steps, *steps_of(design))
    files |= {f"{STEPS}/{name}.sh": _command(name, options).encode() for name in names}
    steps = tuple(_step(name, sorted(core), options) for name in names)
    name = plan_name(network.name, board.name, options.variant)
    return BuildPlan(name, _facts(stage, network, board, design, options), files, steps)


def _facts(
    hls: Stage, network: QuantizedNetwork, board: Board, design: BlockDesign, options: Options
) -> dict[str, Any]:
    return {
        "experiment": network.name,
        "design_id": f"{network.design_id:016x}",
        "network": hls.files[NETWORK],
        "weights": hls.files[LOADABLE] if design.core.loadable else None,
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
    """Sources of the core, below `core/`."""
    if options.core == "rtl":
        # Not above: Amaranth is an extra.
        from fdht_hls.rtl.emit import emit_verilog

        schedule = load_schedule(hls.file(SCHEDULE))
        check_schedule(network.recurrence, schedule)
        return {f"core/{TOP}.v": emit_verilog(network, schedule).encode()}
    # What is built is what was proven equal: all of the project that the tools read.
    hls.check(PROJECT)
    project = hls.directory / PROJECT
    files = {f"core/{path.relative_to(project)}": _contents(path) for path in source_files(project)}
    scripts = core_scripts(design, options.core_steps)
    return {**files, **{f"core/{name}": text.encode() for name, text in scripts.items()}}


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            "cannot be read", field=str(path), value=error.strerror, remedy="run fdht convert again"
        ) from error


def _command(name: str, options: Options) -> str:
    """The shell script of a step."""
    if name not in CORE_STEPS:
        return f"exec vivado -mode batch -nojournal -nolog -notrace -source vivado/{name}.tcl\n"
    lines = ["cd core || exit 1"]
    for program, arguments in SPELLINGS.items():
        command = " ".join([program, *arguments, f"{name}.tcl"])
        lines.append(f"command -v {program} >/dev/null 2>&1 && exec {command}")
    return "\n".join([*lines, "exit 127", ""])


def _step(name: str, core: list[str], options: Options) -> Step:
    if name in CORE_STEPS:
        shared = [f"core/{step}.tcl" for step in CORE_STEPS if step != name]
        inputs = tuple(path for path in core if path not in shared)
        report = _REPORTS.get(name)
        after = () if name in ("csim", "csynth") else ("csynth",)
        wrote = () if report is None else (report,)
        return _made(name, _VITIS_HLS, inputs, after, wrote, wrote, TIMEOUTS[name])
    inputs = ("vivado/common.tcl", f"vivado/{name}.tcl")
    if name == "package":
        return _made(name, _VIVADO, (*inputs, *core), (), ("core/ip/component.xml",))
    before = {
        "design": "package" if options.core == "rtl" else "export",
        "synthesis": "design",
        "implementation": "synthesis",
        "bitstream": "implementation",
    }[name]
    outputs = RESULTS.get(name, ("project/fdht.xpr",))
    return _made(name, _VIVADO, inputs, (before,), outputs, RESULTS.get(name, ()))


def _made(
    name: str,
    need: Need,
    inputs: tuple[str, ...],
    after: tuple[str, ...],
    outputs: tuple[str, ...],
    returns: tuple[str, ...] = (),
    timeout: float | None = None,
) -> Step:
    phases = tuple(Phase(text, label) for text, label in _PHASES.get(name, ()))
    seconds = _TIMEOUTS[name] if timeout is None else timeout
    success = (end_marker(name),)
    tool = VITIS_HLS if need is _VITIS_HLS else VIVADO
    return Step(name, tool, (need,), inputs, after, outputs, returns, seconds, success, phases)
