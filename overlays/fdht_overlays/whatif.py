"""What would fit where: every experiment against every board, from the estimator alone.

Nothing is built and nothing is tuned: a design's stages are each given the least parallelism that
keeps the same pace, and the fastest pace that fits is taken, port pace first, then half of it and
so on. `fdht tune` finds better designs and takes its time. Every figure is `estimated`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.table import Table

from fdht_hls.boards import Board
from fdht_hls.engine import PortPlan, design_engine
from fdht_hls.estimate import FAMILIES, Core, Estimate
from fdht_hls.schedule import Schedule, StageSchedule, choices
from fdht_hls.tuner.budget import SHARES
from fdht_hls.tuner.stage import network_to_tune
from fdht_models.artifacts import write_bytes
from fdht_models.directories import BuildDirectory
from fdht_models.drawing import drawing, plain_logarithms
from fdht_models.errors import ConfigError, FdhtError, ShapeError, ToolError
from fdht_models.experiment import load_experiment
from fdht_models.zoo import rows as zoo_rows
from fdht_overlays.budget import budget_of

#: Slowest pace that is tried, as a multiple of the port's.
_SLOWEST = 64
#: Most parallel design of a stage that is looked at; more would not fit any board here.
_MOST_PARALLEL = 4096


@dataclass(frozen=True)
class Row:
    """One experiment on one board; all figures are estimated.

    Args:
        experiment: its name.
        board: its name.
        source: "trained network", or "declared widths, not trained".
        fits: within the shares of the device that a design may take.
        frames_per_second: at the board's clock; None if nothing fits or can be built.
        cycles: clocks a frame.
        limiting: what holds it back: the memory port, a stage, or the resource that does not fit.
        used: part of the device, by resource.
        memory_share: part of the memory's peak bandwidth that the frames take.
        note: why there is no figure.
    """

    experiment: str
    board: str
    source: str
    fits: bool
    frames_per_second: float | None
    cycles: int | None
    limiting: str
    used: dict[str, float]
    memory_share: float | None = None
    note: str = ""
    kind: str = "estimated"

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


def zoo_names() -> list[str]:
    """Every experiment of the zoo."""
    return [str(row["name"]) for row in zoo_rows()]


def what_if(names: Sequence[str], boards: Sequence[Board], build: Path) -> list[Row]:
    """A row for each experiment and board.

    Args:
        names: experiments, by name or file.
        boards: to try.
        build: directory in which trained networks are looked for.

    Raises:
        ConfigError: an experiment does not exist.
    """
    rows: list[Row] = []
    for name in names:
        recipe = load_experiment(name)
        try:
            network, source = network_to_tune(BuildDirectory(build / recipe.name).model, recipe)
        except FdhtError as error:
            # A linear map has no hardware of ours, and some widths need wider sums.
            reason = "no recurrence" if isinstance(error, ShapeError) else error.problem
            rows += [Row(recipe.name, board.name, "", False, None, None, "-", {}, note=reason)
                     for board in boards]  # fmt: skip
            continue
        # One core each family of devices: what it finds is kept from board to board.
        cores = {
            family: _Paced(Core(design_engine(network), FAMILIES[family])) for family in FAMILIES
        }
        rows += [_row(recipe.name, source, cores[board.family], board) for board in boards]
    return rows


@dataclass(frozen=True, eq=False)
class _Paced:
    """A core's estimates at one pace or another, each made once."""

    core: Core

    @cached_property
    def _known(self) -> dict[int, Estimate]:
        return {}

    @cached_property
    def _stages(self) -> list[list[tuple[int, int, StageSchedule]]]:
        """For each stage its choices as (parallel, clocks, choice), least parallel first."""
        return [
            sorted(
                (
                    (choice.parallel, self.core.stage_cycles(design, choice), choice)
                    for choice in choices(design.shape)
                    if choice.parallel <= _MOST_PARALLEL
                ),
                key=lambda found: found[:2],
            )
            for design in (*self.core.input, *self.core.hidden)
        ]

    def at(self, cycles: int) -> Estimate:
        """The design whose stages each keep to so many clocks a frame, or come nearest to it."""
        if cycles not in self._known:
            chosen = [
                next((one for _, clocks, one in found if clocks <= cycles), found[-1][2])
                for found in self._stages
            ]
            cut = len(self.core.input)
            schedule = Schedule(tuple(chosen[:cut]), tuple(chosen[cut:]))
            self._known[cycles] = self.core.estimate(schedule)
        return self._known[cycles]


def _row(name: str, source: str, paced: _Paced, board: Board) -> Row:
    budget = budget_of(board)
    least = paced.core.port_cycles
    factor, found = 1, paced.at(least)
    while budget.strain(found.resources) > 1 and factor < _SLOWEST:
        factor *= 2
        found = paced.at(least * factor)
    used = budget.used(found.resources)
    scarce = max(used, key=lambda key: used[key] / budget.shares[key])
    if budget.strain(found.resources) > 1:
        return Row(name, board.name, source, False, None, None, scarce, used)
    rate = budget.rate_at(found.cycles_per_frame)
    limiting = scarce if factor > 1 else found.limited_by
    share = _memory_share(paced.core.design.port, rate, board)
    return Row(name, board.name, source, True, rate, found.cycles_per_frame, limiting, used, share)


def _memory_share(port: PortPlan, rate: float, board: Board) -> float:
    moved = (port.frame_bytes + port.result_bytes) * rate
    return moved / (board.ddr.peak_gigabytes_per_second * 1e9)


def table(rows: Sequence[Row]) -> Table:
    """A line an experiment, a column a board: frames a second and what holds it back."""
    boards = list(dict.fromkeys(row.board for row in rows))
    made = Table(title="frames/s, and what limits them (estimated; nothing was built)")
    made.add_column("experiment", no_wrap=True)
    for board in boards:
        made.add_column(board, justify="right")
    for name in dict.fromkeys(row.experiment for row in rows):
        cells = {row.board: _cell(row) for row in rows if row.experiment == name}
        made.add_row(name, *(cells[board] for board in boards))
    return made


def _cell(row: Row) -> str:
    if row.note:
        return row.note
    if row.frames_per_second is None:
        return f"no: {row.limiting} {row.used[row.limiting]:.0%} > {SHARES[row.limiting]:.0%}"
    return f"{row.frames_per_second:,.0f} ({row.limiting})"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draws the rates as a dot each board, on a logarithmic axis.

    Raises:
        ConfigError: the picture's kind is not .svg, .png or .pdf.
        ToolError: matplotlib is not installed.
        ArtifactError: the picture cannot be written.
    """
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise ConfigError("must end in .svg, .png or .pdf", field="plot", value=str(path))
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ToolError(
            "is not installed", field="matplotlib", remedy="pip install 'fdht[board]'"
        ) from error
    import io

    names = list(dict.fromkeys(row.experiment for row in rows))
    # Equal rows give an equal file.
    with drawing(**{"svg.hashsalt": "fdht"}):
        figure = Figure(figsize=(9, 1.5 + 0.22 * len(names)), layout="constrained")
        axes = figure.subplots()
        for board in dict.fromkeys(row.board for row in rows):
            fitting = [
                (row.frames_per_second, names.index(row.experiment))
                for row in rows
                if row.board == board and row.frames_per_second is not None
            ]
            axes.plot(
                [rate for rate, _ in fitting],
                [place for _, place in fitting],
                "o",
                label=board,
                alpha=0.7,
                markersize=5,
            )
        axes.set_xscale("log")
        plain_logarithms(axes.xaxis)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.invert_yaxis()
        axes.grid(alpha=0.3)
        axes.set_xlabel("frames a second at the board's clock (estimated; nothing was built)")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
        data = io.BytesIO()
        figure.savefig(data, format=path.suffix[1:], metadata=_metadata(path))
    write_bytes(path, data.getvalue())


def _metadata(path: Path) -> dict[str, None]:
    # The time of drawing would make equal pictures differ.
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
