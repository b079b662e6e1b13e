"""The command `fdht build`: overlays of simulated and real boards, and what would fit where."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fdht.cli.options import BUILD, AsJson, BoardName, Build, CoreName, complete_experiment
from fdht.cli.output import emit
from fdht_models.artifacts import recover
from fdht_models.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from fdht_hls.boards import Board
    from fdht_hls.tuner.cores import CoreKind
    from fdht_overlays.plan.plan import BuildPlan
    from fdht_overlays.plan.running import Progress as StepProgress
    from fdht_overlays.plan.vitis import Options

#: Characters of a tool's line that are shown while it runs.
_SHOWN = 70
#: Columns of tables where standard output is no terminal.
_WIDTH = 150


@dataclass(frozen=True)
class _Asked:
    """Where a real board's overlay is built, and how long that may take."""

    archive: Path | None
    results: Path | None
    host: str | None
    timeout: float | None


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
            help="'vitis' for real boards, 'open' for PYNQ-Z1 and Z2, 'csim' for simulated ones."
        ),
    ] = None,
    core: CoreName = None,
    clock: Annotated[float | None, typer.Option(help="MHz, in place of the board's.")] = None,
    cosim: Annotated[
        bool, typer.Option(help="Simulate the Verilog of Vitis HLS; may take hours.")
    ] = True,
    allow_timing_failure: Annotated[
        bool, typer.Option("--allow-timing-failure", help="Package what misses its clock.")
    ] = False,
    archive: Annotated[
        Path | None, typer.Option(help="Only write the plan here (.tar.gz), to build elsewhere.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--import", help="Take the results of such a build.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Build over SSH on [user@]host[:port].")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=1.0, help="Seconds a step; with --host, in all.")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Build nothing: what would fit, and how fast.")
    ] = False,
    all_boards: Annotated[
        bool, typer.Option("--all-boards", help="With --estimate: all boards.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="With --estimate: draw it here (.svg, .png).")
    ] = None,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Builds an overlay: of a simulated board at once, of a real one with AMD's or open tools."""
    from fdht import pipeline
    from fdht_hls.boards import get_board
    from fdht_overlays.open.tools import FLOW as OPEN
    from fdht_overlays.plan.vitis import Options

    if estimate or all_boards:
        if not estimate:
            raise ConfigError(
                "builds nothing", field="all-boards", remedy="add --estimate, or name one --board"
            )
        for name, value in {"archive": archive, "import": results, "host": host}.items():
            if value is not None:
                raise ConfigError(
                    "builds something", field=name, value=str(value), remedy="leave out --estimate"
                )
        chosen = None if all_boards else board
        _estimate(experiments or [], chosen, (flow, core, clock), plot, build, as_json)
        return
    if plot is not None:
        raise ConfigError("belongs to --estimate", field="plot", value=str(plot))
    if len(experiments or []) != 1:
        raise ConfigError(
            "must be one", field="EXPERIMENT", value=experiments or None, remedy="or use --estimate"
        )
    asked = _Asked(archive, results, host, timeout)
    found = get_board(board)
    _check_flow(found, flow, asked)
    name = (experiments or [""])[0]
    if found.simulated:
        _simulated(name, build, board, as_json)
        return
    directory = pipeline.experiment_directory(name, build)
    if flow == OPEN:
        _core_of(flow, core)
        work = _open_work(directory, found, clock, allow_timing_failure)
    else:
        work = _vitis_work(
            directory, found, Options(core or "hls", clock, cosim, allow_timing_failure)
        )
    _real(work, asked, _again(name, found, work, core, clock, cosim), as_json)


def _core_of(flow: str | None, core: str | None) -> CoreKind:
    """The core that a flow builds.

    Raises:
        ConfigError: the core is not known, or not for that flow.
    """
    from fdht_hls.tuner.cores import checked_core
    from fdht_overlays.open.tools import FLOW as OPEN

    if flow == OPEN:
        if core not in (None, "rtl"):
            raise ConfigError("is not for --flow open", field="core", value=core, remedy="use rtl")
        return "rtl"
    return checked_core(core or "hls")


def _check_flow(board: Board, flow: str | None, asked: _Asked) -> None:
    from fdht_overlays.manifest import SIMULATION_FLOW
    from fdht_overlays.open.tools import FLOW as OPEN
    from fdht_overlays.plan.vitis import FLOW

    flows = (SIMULATION_FLOW,) if board.simulated else (FLOW, OPEN)
    if flow not in (None, *flows):
        raise ConfigError(
            f"is not for {board.title}",
            field="flow",
            value=flow,
            remedy=f"use {' or '.join(flows)}",
        )
    given = {"archive": asked.archive, "import": asked.results, "host": asked.host}
    chosen = [name for name, value in given.items() if value is not None]
    if board.simulated and chosen:
        raise ConfigError("has no effect for a simulated board", field=chosen[0])
    if len(chosen) > 1:
        raise ConfigError(f"cannot go with --{chosen[1]}", field=chosen[0])


def _simulated(name: str, build: Path, board: str, as_json: bool) -> None:
    from fdht import pipeline

    directory, fresh = pipeline.build(name, build, board)
    if as_json:
        emit({"directory": str(directory), "fresh": fresh})
    else:
        print(f"{directory} ({'built' if fresh else 'nothing had changed'})")


@dataclass(frozen=True)
class _Work:
    """A plan, where it is run, and how its results become an overlay.

    Args:
        plan: what to run.
        directory: build/<name>.
        board: the board.
        package: called with the directories of the plan and of the overlay; False if the overlay
            was there already.
        note: for the last line.
        schedule: for the line before; None: it is the conversion's as a matter of course.
    """

    plan: BuildPlan
    directory: Path
    board: Board
    package: Callable[[Path, Path], bool]
    note: str
    schedule: str | None = None

    @property
    def variant(self) -> str:
        """The part of paths that keeps flows and cores apart."""
        return str(self.plan.facts["variant"])


def _vitis_work(directory: Path, board: Board, options: Options) -> _Work:
    from fdht_overlays.plan.collect import collect
    from fdht_overlays.plan.vitis import vitis_plan

    _refuse_without(directory, "converted", "convert", "hls/manifest.json")
    _warn_if_too_large(directory, board)
    plan = vitis_plan(directory, board, options)

    def package(work: Path, overlay: Path) -> bool:
        return collect(plan, work, directory, overlay, board)

    return _Work(plan, directory, board, package, "not run on hardware")


def _open_work(
    directory: Path, board: Board, clock: float | None, allow_timing_failure: bool
) -> _Work:
    from fdht_hls.rtl.stage import load_design, users_schedule
    from fdht_overlays.open.flow import CLOCK_MHZ, SCHEDULE, check_board, open_plan
    from fdht_overlays.open.overlay import collect_open
    from fdht_overlays.open.parallelism import schedule_of_flow
    from fdht_overlays.open.tools import FLOW

    check_board(board)
    _refuse_without(directory, "trained", "train", "hls/network.json", "model/network.json")
    network, _ = load_design(directory, None)
    converted = users_schedule(directory, network)
    with Console(stderr=True).status("chooses a schedule", spinner="line"):
        schedule = schedule_of_flow(network, converted, board)
    plan = open_plan(network, schedule, board, clock_mhz=clock or CLOCK_MHZ)

    def package(work: Path, overlay: Path) -> bool:
        return collect_open(
            plan,
            network,
            work,
            directory,
            overlay,
            board,
            allow_timing_failure=allow_timing_failure,
        )

    note = "experimental (docs/open-flow.md), and not run on hardware"
    whose = "that of the conversion" if schedule == converted else "chosen for this flow"
    told = f"schedule: {whose}; {directory / 'work' / board.name / FLOW / SCHEDULE}"
    return _Work(plan, directory, board, package, note, told)


def _warn_if_too_large(directory: Path, board: Board) -> None:
    """An estimate can be wrong, so it refuses nothing; but the tools take hours to find out."""
    from fdht_overlays.plan.summary import beyond_board

    beyond = beyond_board(directory / "hls", board)
    if beyond is not None:
        print(
            f"fdht: warning: {directory.name} is estimated to take {beyond} of {board.title}; "
            f"run fdht convert {directory.name} --board {board.name}",
            file=sys.stderr,
        )


def _refuse_without(directory: Path, done: str, command: str, *files: str) -> None:
    """Refuses an experiment for which an earlier command is due."""
    for stage in ("model", "hls"):
        recover(directory / stage)
    if not any((directory / file).is_file() for file in files):
        raise ArtifactError(
            f"has not been {done}",
            field=str(directory),
            remedy=f"run fdht {command} {directory.name} first",
        )


def _real(work: _Work, asked: _Asked, again: str, as_json: bool) -> None:
    from fdht_overlays.manifest import load_manifest
    from fdht_overlays.plan.archive import write_archive
    from fdht_overlays.plan.summary import summary_json, summary_table

    plan = work.plan
    if asked.archive is not None:
        write_archive(plan, asked.archive)
        told = {"archive": str(asked.archive), "plan": plan.digest, "files": len(plan.files)}
        if as_json:
            emit(told)
        else:
            print("\n".join(_archive_lines(plan, asked.archive, again)))
        return
    place = work.directory / "work" / work.board.name / work.variant
    _bring_up_to_date(plan, place, asked)
    overlay = work.directory / "overlay" / work.board.name / work.variant
    fresh = work.package(place, overlay)
    manifest = load_manifest(overlay)
    if as_json:
        told = {"directory": str(overlay), "fresh": fresh}
        emit({**told, **summary_json(manifest, work.directory / "hls")})
        return
    _console().print(summary_table(manifest, work.directory / "hls"))
    print(f"{overlay} ({'built' if fresh else 'nothing had changed'})")
    if work.schedule is not None:
        print(work.schedule)
    print(f"{work.note}: copy that directory to the board, see docs/board-user.md")


def _bring_up_to_date(plan: BuildPlan, work: Path, asked: _Asked) -> None:
    from fdht_overlays.plan.archive import import_results
    from fdht_overlays.plan.remote import parse_host, run_remotely
    from fdht_overlays.plan.running import run_plan

    if asked.results is not None:
        import_results(plan, asked.results, work)
        return
    with _shown(plan) as show:
        if asked.host is not None:
            run_remotely(plan, work, parse_host(asked.host), show, asked.timeout)
        else:
            run_plan(plan, work, show, asked.timeout)


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


def _archive_lines(plan: BuildPlan, path: Path, again: str) -> list[str]:
    tools = ", ".join(need.name for need in plan.needs)
    return [
        f"{path}: {len(plan.files)} files, {len(plan.steps)} steps, needs {tools}",
        f"there:      tar xzf {path.name} && sh {plan.name}/build.sh",
        f"then here:  {again}",
    ]


def _estimate(
    experiments: list[str],
    board: str | None,
    asked: tuple[str | None, str | None, float | None],
    plot: Path | None,
    build: Path,
    as_json: bool,
) -> None:
    """What would fit a board, or all real ones: with the core, the flow's budget and the clock."""
    from fdht_hls.boards import board_names, get_board
    from fdht_hls.tuner.budget import board_budget
    from fdht_overlays.open.flow import check_board
    from fdht_overlays.open.parallelism import open_budget
    from fdht_overlays.open.tools import FLOW as OPEN
    from fdht_overlays.plan.vitis import Options
    from fdht_overlays.whatif import check_picture, draw, table, what_if, zoo_names

    flow, core, clock = asked
    kind = _core_of(flow, core)
    if plot is not None:
        check_picture(plot)
    Options(kind, clock)  # as strict as a build
    boards = [get_board(name) for name in ([board] if board else board_names())]
    if board is None:
        boards = [one for one in boards if not one.simulated]
    elif flow is not None:
        _check_flow(boards[0], flow, _Asked(None, None, None, None))
    if flow == OPEN:
        if board is None:
            boards = [one for one in boards if one.family == "zynq7000"]
        for one in boards:
            check_board(one)
    budgets = open_budget if flow == OPEN else board_budget
    with Console(stderr=True).status("", spinner="line") as status:
        rows = what_if(
            experiments or zoo_names(), boards, build, kind, budgets, clock, status.update
        )
    if as_json:
        emit([row.to_json() for row in rows])
    else:
        _console().print(table(rows))
    if plot is not None:
        draw(rows, plot)
        if not as_json:
            print(plot)


def _console() -> Console:
    console = Console(highlight=False, soft_wrap=False, markup=False)
    # A pipe has no width; a table cut off there would be of no use.
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH, markup=False)


class _Steps:
    """All steps as one bar, with the phase of the one that runs and its last line."""

    def __init__(self, progress: Progress, plan: BuildPlan) -> None:
        self._progress, self._plan = progress, plan
        self._task: TaskID | None = None

    def __call__(self, found: StepProgress) -> None:
        """Shows how far a step is."""
        names = [step.name for step in self._plan.steps]
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("", total=len(names), line="")
        part = max(found.done - 0.5, 0) / found.total if found.total else 0.0
        label = f"{found.step}{': ' + found.label if found.label else ''}"
        self._progress.update(
            self._task,
            description=label,
            completed=names.index(found.step) + part,
            line=found.line.strip()[:_SHOWN],
        )

    def close(self) -> None:
        """Removes the bar."""
        if self._task is not None:
            self._progress.stop()


@contextmanager
def _shown(plan: BuildPlan) -> Iterator[_Steps]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        # What a tool writes is no markup of ours.
        TextColumn("{task.fields[line]}", markup=False),
    )
    console = Console(stderr=True, highlight=False)
    # Where nobody watches, the log says it all, and errors stay one line.
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    shown = _Steps(progress, plan)
    try:
        yield shown
    finally:
        shown.close()
