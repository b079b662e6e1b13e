"""The command `fdht build`: overlays of simulated and real boards, and what would fit where."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdht.cli.estimate import check_flow, core_of, print_estimate
from fdht.cli.options import BUILD, AsJson, BoardName, Build, CoreName, complete_experiment
from fdht.cli.output import emit, tell
from fdht_models.artifacts import command_on, recover
from fdht_models.console import output, progress
from fdht_models.errors import ArtifactError, ConfigError, shortened

if TYPE_CHECKING:
    from fdht_hls.boards import Board
    from fdht_hls.flow.build_plan import BuildPlan
    from fdht_hls.flow.running import Shared
    from fdht_models.directories import BuildDirectory, OverlayDirectory, StageDirectory
    from fdht_overlays.manifest import OverlayManifest
    from fdht_overlays.plan.vitis import Options


#: Panels of options in the command's help.
_REAL, _CLOCK = "Real boards", "Clock of a real board"
_ELSEWHERE, _ESTIMATE = "On another machine", "Estimates"


def build(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Its name, or a TOML file; several with --estimate.",
            autocompletion=complete_experiment,
        ),
    ] = None,
    board: BoardName = "sim",
    flow: Annotated[
        str | None,
        typer.Option(
            metavar="vitis|open",
            rich_help_panel=_REAL,
            help="AMD's tools, or open ones: for PYNQ-Z1 and Z2, experimental.",
        ),
    ] = None,
    core: CoreName = None,
    clock: Annotated[
        float | None, typer.Option(rich_help_panel=_CLOCK, help="MHz, in place of the board's.")
    ] = None,
    cosim: Annotated[
        bool,
        typer.Option(
            rich_help_panel=_REAL, help="Simulate the Verilog of Vitis HLS; may take hours."
        ),
    ] = True,
    allow_timing_failure: Annotated[
        bool,
        typer.Option(
            "--allow-timing-failure",
            rich_help_panel=_CLOCK,
            help="Package what misses its clock.",
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=1.0, rich_help_panel=_REAL, help="Seconds a step; with --host, in all."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="USER@HOST:PORT",
            rich_help_panel=_ELSEWHERE,
            help="Build there over SSH; user and port may be left out.",
        ),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_ELSEWHERE, help="Only write the plan here (.tar.gz), to build there."
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--import", rich_help_panel=_ELSEWHERE, help="Take the results of such a build."
        ),
    ] = None,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate",
            rich_help_panel=_ESTIMATE,
            help="Build nothing: what would fit, and how fast.",
        ),
    ] = False,
    all_boards: Annotated[
        bool, typer.Option("--all-boards", rich_help_panel=_ESTIMATE, help="For all boards.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(rich_help_panel=_ESTIMATE, help="Draw it here (.svg, .png).")
    ] = None,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Builds an overlay: of a simulated board at once, of a real one with AMD's or open tools."""
    from fdht import pipeline
    from fdht_hls.boards import get_board
    from fdht_overlays.manifest import load_manifest
    from fdht_overlays.open.tools import FLOW as OPEN
    from fdht_overlays.plan.vitis import Options

    places = {"archive": archive, "import": results, "host": host}
    given = [name for name, value in places.items() if value is not None]
    if estimate or all_boards:
        if not estimate:
            raise ConfigError(
                "builds nothing", field="all-boards", remedy="add --estimate, or name one --board"
            )
        if given:
            raise ConfigError(
                "builds something",
                field=given[0],
                value=str(places[given[0]]),
                remedy="leave out --estimate",
            )
        chosen = None if all_boards else board
        print_estimate(experiments or [], chosen, flow, core, clock, plot, build, as_json)
        return
    if plot is not None:
        raise ConfigError("belongs to --estimate", field="plot", value=str(plot))
    if experiments is None or len(experiments) != 1:
        raise ConfigError(
            "must be one", field="EXPERIMENT", value=experiments or None, remedy="or use --estimate"
        )
    found = get_board(board)
    check_flow(found, flow)
    if found.simulated and given:
        raise ConfigError("has no effect for a simulated board", field=given[0])
    if len(given) > 1:
        raise ConfigError(f"cannot go with --{given[1]}", field=given[0])
    name = experiments[0]
    directory = pipeline.experiment_directory(name, build)
    if found.simulated:
        overlay, fresh = pipeline.build_into(directory, board)
        told = {"directory": str(overlay.path), "fresh": fresh}
        tell(told, as_json, lambda _: [_place_line(overlay, fresh)])
        _note_left_out(load_manifest(overlay.path))
        return
    if flow == OPEN:
        core_of(flow, core)
        work = _open_work(directory, found, clock, allow_timing_failure)
    else:
        work = _vitis_work(
            directory, found, Options(core or "hls", clock, cosim, allow_timing_failure)
        )
    if archive is not None:
        _write_archive(work.plan, archive, _again(name, found, work, core, clock, cosim), as_json)
        return
    place = directory.work(found.name, work.variant)
    _bring_up_to_date(work, place, results, host, timeout)
    _package(work, place, as_json)


@dataclass(frozen=True)
class _Work:
    """A plan, where it is run, and how its results become an overlay.

    Args:
        plan: what to run.
        directory: of the experiment.
        board: the board.
        package: called with the directories of the plan and of the overlay; False if the overlay
            was there already.
        note: for the last line.
        schedule: for the line before; None: it is the conversion's as a matter of course.
        shared: steps that `fdht synthesize` does, too.
    """

    plan: BuildPlan
    directory: BuildDirectory
    board: Board
    package: Callable[[Path, OverlayDirectory], bool]
    note: str
    schedule: str | None = None
    shared: Shared | None = None

    @property
    def variant(self) -> str:
        """The part of paths that keeps flows and cores apart."""
        return str(self.plan.facts["variant"])


def _vitis_work(directory: BuildDirectory, board: Board, options: Options) -> _Work:
    from fdht_overlays.plan.collect import collect
    from fdht_overlays.plan.vitis import shared_core, vitis_plan

    _refuse_without(directory, "converted", "convert", directory.hls)
    _warn_if_too_large(directory, board)
    plan = vitis_plan(directory.hls, board, options)

    def package(work: Path, overlay: OverlayDirectory) -> bool:
        return collect(plan, work, directory.hls, directory.cosim, overlay, board)

    shared = shared_core(plan, directory.synthesis, board)
    return _Work(plan, directory, board, package, "not run on hardware", shared=shared)


def _open_work(
    directory: BuildDirectory, board: Board, clock: float | None, allow_timing_failure: bool
) -> _Work:
    from fdht_hls.rtl.experiments import load_design, users_schedule
    from fdht_hls.tuner.training_frames import FramesAtHand, frames_at_hand
    from fdht_models.directories import SCHEDULE
    from fdht_overlays.figures import origin_of
    from fdht_overlays.open.flow import CLOCK_MHZ, check_board, open_plan
    from fdht_overlays.open.overlay import collect_open
    from fdht_overlays.open.parallelism import open_budget, schedule_of_flow
    from fdht_overlays.open.tools import FLOW

    check_board(board)
    _refuse_without(directory, "trained", "train", directory.hls, directory.model)
    network, design = load_design(directory, None)
    converted = users_schedule(directory, network)
    with progress() as shown:
        shown("chooses a schedule", 0)
        known = FramesAtHand()
        if converted is None:
            budget = open_budget(board)
            known = frames_at_hand(network, budget, "rtl", design.frames, directory)
        schedule = schedule_of_flow(
            network, converted, board, design.frames, design.contexts, known.profile
        )
    plan = open_plan(network, schedule, board, clock_mhz=clock or CLOCK_MHZ)

    origin = origin_of(f"{network.design_id:016x}", directory.hls, directory.model)

    def package(work: Path, overlay: OverlayDirectory) -> bool:
        return collect_open(
            plan,
            network,
            work,
            origin,
            directory.cosim,
            overlay,
            board,
            allow_timing_failure=allow_timing_failure,
        )

    note = "experimental (docs/open-flow.md), and not run on hardware"
    whose = "that of the conversion" if schedule == converted else "chosen for this flow"
    whose += f", {known.line}" if known.line else ""
    told = f"schedule: {whose}; {directory.work(board.name, FLOW) / SCHEDULE}"
    return _Work(plan, directory, board, package, note, told)


def _warn_if_too_large(directory: BuildDirectory, board: Board) -> None:
    """An estimate can be wrong, so it refuses nothing; but the tools take hours to find out."""
    from fdht_overlays.plan.summary import beyond_board

    beyond = beyond_board(directory.hls, board)
    if beyond is not None:
        print(
            f"fdht: warning: {directory.name} is estimated to take {beyond} of {board.title}; "
            f"run {command_on(directory.path, 'convert', f'--board {board.name}')}",
            file=sys.stderr,
        )


def _refuse_without(
    directory: BuildDirectory, done: str, command: str, *stages: StageDirectory
) -> None:
    """Refuses an experiment for which an earlier command is due."""
    from fdht_models.directories import NETWORK

    for stage in stages:
        recover(stage.path)
        _refuse_older_recipe(stage)
    if not any((stage.path / NETWORK).is_file() for stage in stages):
        raise ArtifactError(
            f"has not been {done}",
            field=str(directory.path),
            remedy=f"run {command_on(directory.path, command)} first",
        )


def _refuse_older_recipe(directory: StageDirectory) -> None:
    """An overlay carries the recipe: of an earlier version, it could never be run."""
    from fdht_models.directories import EXPERIMENT, experiment_in

    stage = directory.find()
    if stage is not None and stage.holds(EXPERIMENT):
        experiment_in(stage)


def _bring_up_to_date(
    work: _Work, place: Path, results: Path | None, host: str | None, timeout: float | None
) -> None:
    """Takes the results of a build elsewhere, or runs what of the plan has not been run."""
    from fdht_hls.flow.archive import import_results
    from fdht_hls.flow.remote import run_remotely
    from fdht_hls.flow.running import run_plan
    from fdht_hls.flow.ssh import parse_host

    if results is not None:
        import_results(work.plan, results, place)
        return
    with progress() as shown:
        if host is not None:
            run_remotely(work.plan, place, parse_host(host), shown, timeout)
        else:
            run_plan(work.plan, place, shown, timeout, work.shared)


def _package(work: _Work, place: Path, as_json: bool) -> None:
    from fdht_overlays.manifest import load_manifest
    from fdht_overlays.plan.summary import summary_json, summary_table

    overlay = work.directory.overlay(work.board.name, work.variant)
    fresh = work.package(place, overlay)
    manifest = load_manifest(overlay.path)
    _note_left_out(manifest)
    if as_json:
        emit({"directory": str(overlay.path), "fresh": fresh, **summary_json(manifest)})
        return
    output().print(summary_table(manifest))
    print(_place_line(overlay, fresh))
    if work.schedule is not None:
        print(work.schedule)
    print(f"{work.note}: `fdht deploy` brings it to the board, see docs/board-user.md")


def _note_left_out(manifest: OverlayManifest) -> None:
    """A report of a run would lack them: it is said while they can still be found."""
    line = manifest.figures.left_out_line()
    if line is not None:
        print(f"fdht: note: {shortened(line, 380)}", file=sys.stderr)


def _place_line(overlay: OverlayDirectory, fresh: bool) -> str:
    return f"{overlay.path} ({'built' if fresh else 'nothing had changed'})"


def _again(
    name: str, board: Board, work: _Work, core: str | None, clock: float | None, cosim: bool
) -> str:
    """The command that takes the results of this very plan."""
    words = ["fdht build", name, "--board", board.name, "--flow", str(work.plan.facts["flow"])]
    words += ["--core", core] if core is not None else []
    words += ["--clock", f"{clock:g}"] if clock is not None else []
    words += [] if cosim else ["--no-cosim"]
    words += ["--allow-timing-failure"] if work.plan.facts.get("allow_timing_failure") else []
    return " ".join([*words, "--import results.tar.gz"])


def _write_archive(plan: BuildPlan, path: Path, again: str, as_json: bool) -> None:
    from fdht_hls.flow.archive import write_archive

    write_archive(plan, path)
    tools = ", ".join(need.name for need in plan.needs)
    lines = [
        f"{path}: {len(plan.files)} files, {len(plan.steps)} steps, needs {tools}",
        f"there:      tar xzf {path.name} && sh {plan.name}/build.sh",
        f"then here:  {again}",
    ]
    told = {"archive": str(path), "plan": plan.digest, "files": len(plan.files)}
    tell(told, as_json, lambda _: lines)
