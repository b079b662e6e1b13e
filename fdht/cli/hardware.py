"""Commands on the hardware before a board is needed: synthesize, cosim, resources, lint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fdht.cli.options import (
    BUILD,
    AsJson,
    Build,
    ClockPeriod,
    CoreContexts,
    CoreFeature,
    CoreFrames,
    Name,
    Part,
    PortBits,
    Schedule,
    asked_frames,
    board_option,
    port_bytes_of,
)
from fdht.cli.output import emit, tell
from fdht_models.console import progress
from fdht_models.errors import ConfigError

if TYPE_CHECKING:
    from fdht_hls.boards import Board
    from fdht_hls.vitis.core_steps import Target


def synthesize(
    experiment: Name,
    board: Annotated[
        str | None,
        board_option("Whose part and clock to use; by default those of the conversion."),
    ] = None,
    part: Part = None,
    clock_period: ClockPeriod = None,
    steps: Annotated[
        str, typer.Option(help="Some of csim,csynth,cosim,export,impl.")
    ] = "csim,csynth,cosim,export",
    timeout: Annotated[
        float | None, typer.Option(min=1.0, help="Seconds for each step; by default hours.")
    ] = None,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Runs Vitis HLS on a converted experiment and reads its reports; goes on where it stopped."""
    from fdht.pipeline import experiment_directory
    from fdht_hls.vitis.core_steps import parse_steps
    from fdht_hls.vitis.report import report_lines
    from fdht_hls.vitis.synthesis import synthesize as run

    chosen, target = parse_steps(steps), _target(board, part, clock_period)
    directory = experiment_directory(experiment, build)
    with progress() as show:
        result = run(directory.hls, directory.synthesis, chosen, target, timeout, show)
    if as_json:
        emit(result.to_json())
        return
    print("\n".join(report_lines(result.results)))
    done = ", ".join(result.fresh) or "nothing had changed"
    print(f"{result.directory} ({done})")


def cosim(
    experiment: Name,
    frames: Annotated[int, typer.Option(min=5, help="Consecutive frames of its data.")] = 24,
    latency: Annotated[int, typer.Option(min=0, help="Clocks until the memory answers.")] = 0,
    jitter: Annotated[int, typer.Option(min=0, help="Up to so many more, at random.")] = 0,
    back_pressure: Annotated[
        float, typer.Option(help="Share of clocks in which a channel of AXI is held up.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of frames and memory.")] = 0,
    board: Annotated[
        str | None, board_option("Plan the design for this board; by default as converted.")
    ] = None,
    schedule: Schedule = None,
    port_bits: PortBits = 64,
    core_frames: CoreFrames = None,
    feature: CoreFeature = None,
    contexts: CoreContexts = None,
    trace: Annotated[Path | None, typer.Option(help="Write waveforms here (.fst).")] = None,
    gantt: Annotated[
        Path | None, typer.Option(help="Draw here what the stages do in a frame (.svg, .png).")
    ] = None,
    count: Annotated[
        bool, typer.Option("--resources", help="Count the resources, too; takes long.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1.0, help="Seconds of the simulation.")] = 1800.0,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Simulates the core's Verilog clock by clock on a clip and compares it with the reference."""
    from fdht.pipeline import core_of, experiment_directory
    from fdht_hls.boards import get_board
    from fdht_hls.rtl.cosim import report_lines
    from fdht_hls.rtl.experiments import cosim_experiment, count_experiment
    from fdht_hls.rtl.gantt import draw_gantt, picture_format
    from fdht_hls.rtl.simulation.runner import RunSettings
    from fdht_models.artifacts import check_place
    from fdht_models.directories import SCHEDULE

    if board is not None and schedule is not None:
        raise ConfigError("is planned for by no --schedule", field="board", value=board)
    core_frames = asked_frames(core_frames, feature)
    planned_for = None if board is None else get_board(board)
    directory = experiment_directory(experiment, build)
    settings = RunSettings(latency, jitter, back_pressure, seed, timeout=timeout, trace=trace)
    if gantt is not None:
        picture_format(gantt)  # rather now than after the simulation
    for file in (gantt, trace):
        if file is not None:
            check_place(file)
    port_bytes = port_bytes_of(port_bits, planned_for)
    if schedule is None and directory.hls.find_file(SCHEDULE) is None:
        said = core_of(experiment, build)
        core_frames, contexts = core_frames or said.reads, contexts or said.contexts
    result = cosim_experiment(
        directory, frames, schedule, settings, port_bytes, planned_for, core_frames, contexts
    )
    told = {"experiment": directory.name, **result.to_json()}
    if not as_json:
        print("\n".join(report_lines(result)))
    try:
        if gantt is not None:
            draw_gantt(result.timeline, f"{directory.name}: one frame", gantt)
        if count:
            counted = count_experiment(
                directory,
                schedule,
                port_bytes=port_bytes,
                board=planned_for,
                frames=core_frames,
                contexts=contexts,
            )
            told["resources"] = counted.to_json()
            if not as_json:
                print(_resource_line(told["resources"], None))
    finally:  # the simulation has taken its time
        if as_json:
            emit(told)


def resources(
    experiment: Name,
    board: Annotated[str, board_option("Whose device to compare with.")] = "pynq-z2",
    schedule: Schedule = None,
    port_bits: PortBits = 64,
    timeout: Annotated[float, typer.Option(min=1.0, help="Seconds.")] = 7200.0,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Synthesises the core with yosys and counts what it takes of a 7-series device."""
    from fdht.pipeline import experiment_directory
    from fdht_hls.boards import get_board
    from fdht_hls.rtl.experiments import count_experiment

    found = get_board(board)
    if found.family != "zynq7000":
        raise ConfigError(
            "is not of the 7 series, for which yosys counts", field="board", value=board
        )
    directory = experiment_directory(experiment, build)
    value = count_experiment(directory, schedule, timeout, port_bytes_of(port_bits, None)).to_json()
    told = {"experiment": directory.name, **value}
    tell(told, as_json, lambda _: [_resource_line(value, found)])


def _resource_line(value: dict[str, Any], board: Board | None) -> str:
    """LUTs with those used as memory, and so on; with a board, also their share of its device."""
    used = {
        "lut": value["lut"] + value["lutram"],
        **{name: value[name] for name in ("ff", "dsp", "bram36")},
    }

    def shown(name: str) -> str:
        of = f" ({used[name] / getattr(board.resources, name):.0%})" if board else ""
        return f"{name} {used[name]:g}{of}"

    device = f" of {board.part.device}" if board else ""
    return f"{', '.join(map(shown, used))}{device} ({value['kind']})"


def lint(
    project: Annotated[
        Path, typer.Argument(metavar="PROJECT_DIRECTORY", help="With firmware/fdht_lstm.cpp.")
    ],
    as_json: AsJson = False,
) -> None:
    """Looks for what Vitis HLS would refuse or ignore in a core; exits with 1 if there is any."""
    from fdht_hls.lint import RULES, lint_project

    findings = lint_project(project)
    if as_json:
        emit({"rules": len(RULES), "findings": [finding.to_json() for finding in findings]})
    else:
        for finding in findings:
            print(finding)
        print(f"{len(findings)} findings under {len(RULES)} rules")
    if findings:
        raise typer.Exit(1)


def _target(board: str | None, part: str | None, clock_period: float | None) -> Target | None:
    """Part and clock of a board, or what takes their place; None: those of the conversion."""
    from fdht_hls.boards import board_of
    from fdht_hls.vitis.core_steps import Target

    if board is None and part is None and clock_period is None:
        return None
    found = board_of(board, part)
    return Target(part or found.part.name, clock_period or 1000 / found.clock_mhz)
