"""What would fit where: every experiment against every board, from the estimator alone.

Nothing is built: each row is the planner's answer, the design that `fdht tune` and `fdht convert`
choose for that board. Every figure is `estimated`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from fdht_hls.boards import Board
from fdht_hls.engine import check_feature
from fdht_hls.estimate import CoreModel
from fdht_hls.tuner.board_plan import BoardPlan, plan_of
from fdht_hls.tuner.budget import Budget, board_budget
from fdht_hls.tuner.cores import CoreKind, core_to_tune
from fdht_hls.tuner.training_frames import frames_at_hand
from fdht_hls.tuner.written import network_to_tune
from fdht_models.artifacts import check_place, write_bytes
from fdht_models.directories import BuildDirectory
from fdht_models.drawing import drawing, plain_logarithms
from fdht_models.errors import ConfigError, FdhtError, ShapeError, ToolError
from fdht_models.experiment import load_experiment
from fdht_models.records import JsonRecord
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork
from fdht_models.zoo import rows as zoo_rows


@dataclass(frozen=True)
class Row(JsonRecord):
    """One experiment on one board; all figures are estimated.

    Args:
        experiment: its name.
        board: its name.
        source: "trained network", or "declared widths, not trained".
        core: "hls" or "rtl".
        fits: within the shares of the device that a design may take.
        frames_per_second: at `clock_mhz`; None if nothing fits or can be built.
        cycles: clocks a frame; of a core that skips zeros a full one.
        limiting: what holds it back: the memory port, a stage, or what the smallest design takes
            too much of, such as "344 of 165 DSP".
        used: part of the device, by resource; None where it is not known.
        memory_share: part of the memory's peak bandwidth that the frames take.
        clock_mhz: of the core, at which the rate is.
        model: whose figures these are, in words.
        note: why there is no figure.
    """

    experiment: str
    board: str
    source: str
    core: CoreKind
    fits: bool
    frames_per_second: float | None
    cycles: int | None
    limiting: str | None
    used: dict[str, float | None]
    memory_share: float | None = None
    clock_mhz: float | None = None
    model: str = ""
    note: str = ""
    kind: str = "estimated"


def zoo_names() -> list[str]:
    """Every experiment of the zoo."""
    return [str(row["name"]) for row in zoo_rows()]


def what_if(
    names: Sequence[str],
    boards: Sequence[Board],
    build: Path,
    core: CoreKind = "hls",
    budgets: Callable[[Board], Budget] = board_budget,
    clock_mhz: float | None = None,
    show: Callable[[str], object] = lambda text: None,
) -> list[Row]:
    """A row for each experiment and board.

    Args:
        names: experiments, by name or file.
        boards: to try.
        build: directory in which trained networks are looked for.
        core: that would be built.
        budgets: what a design may take of a board.
        clock_mhz: in place of each board's.
        show: told which experiment is looked at.

    Raises:
        ConfigError: an experiment does not exist.
    """
    rows: list[Row] = []
    for name in names:
        recipe = load_experiment(name)
        show(recipe.name)
        try:
            network, source = network_to_tune(BuildDirectory(build / recipe.name).model, recipe)
            if recipe.core.reads == "raw":
                check_feature(network, WORD_BYTES)
        except FdhtError as error:
            # A linear map has no hardware of ours, and some widths need wider sums.
            reason = "no recurrence" if isinstance(error, ShapeError) else error.problem
            rows += [Row(recipe.name, board.name, "", core, False, None, None, None, {},
                         note=reason) for board in boards]  # fmt: skip
            continue
        # One core each family of devices: the costs of its stages are kept from board to board.
        made: dict[str, CoreModel] = {}
        for board in boards:
            budget = budgets(board)
            budget = replace(budget, clock_mhz=clock_mhz or budget.clock_mhz)
            frames = recipe.core.reads
            if board.family not in made:
                directory = BuildDirectory(build / recipe.name)
                known = frames_at_hand(network, budget, core, frames, directory, recipe)
                made[board.family] = core_to_tune(
                    network,
                    budget,
                    core,
                    frames=frames,
                    profile=known.profile,
                    contexts=recipe.core.contexts,
                )
            own = made[board.family]
            found = plan_of(own, budget, core)
            rows.append(replace(_row(source, found, network, board), experiment=recipe.name))
    return rows


def _row(source: str, found: BoardPlan, network: QuantizedNetwork, board: Board) -> Row:
    resources = found.estimate.resources
    used = found.budget.used(resources)
    limiting = found.estimate.limited_by
    rate = found.frames_per_second if found.fits else None
    moved = network.frame_bytes + network.result_bytes
    return Row(
        network.name,
        board.name,
        source,
        found.core,
        found.fits,
        rate,
        found.estimate.cycles_per_frame if found.fits else None,
        limiting if found.fits else found.lacking[0],
        {name: used.get(name) for name in found.budget.shares},
        None if rate is None else moved * rate / (board.ddr.peak_gigabytes_per_second * 1e9),
        clock_mhz=found.budget.clock_mhz,
        model=found.model,
    )


def _clocks(rows: Sequence[Row]) -> dict[str, float]:
    """The clock in MHz at which the rates on a board are, where there are any."""
    return {row.board: row.clock_mhz for row in rows if row.clock_mhz is not None}


def table(rows: Sequence[Row]) -> Table:
    """A line an experiment, a column a board: frames a second and what holds it back."""
    clocks = _clocks(rows)
    boards = list(dict.fromkeys(row.board for row in rows))
    models = ", ".join(dict.fromkeys(row.model for row in rows if row.model))
    made = Table(title=f"frames/s, and what limits them (estimated; nothing was built)\n{models}")
    made.add_column("experiment", no_wrap=True)
    for board in boards:
        at = f"\nat {clocks[board]:g} MHz" if board in clocks else ""
        made.add_column(f"{board}{at}", justify="right")
    for name in dict.fromkeys(row.experiment for row in rows):
        cells = {row.board: _cell(row) for row in rows if row.experiment == name}
        made.add_row(name, *(cells[board] for board in boards))
    return made


def _cell(row: Row) -> str:
    if row.note:
        return row.note
    if row.frames_per_second is None:
        return f"no: {row.limiting}"
    return f"{row.frames_per_second:,.0f} ({row.limiting})"


def check_picture(path: Path) -> None:
    """Refuses a place for a picture before the work, not after it.

    Raises:
        ConfigError: the picture's kind is not .svg, .png or .pdf.
        ArtifactError: it cannot be written there.
    """
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise ConfigError("must end in .svg, .png or .pdf", field="plot", value=str(path))
    check_place(path)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draws the rates as a dot each board, on a logarithmic axis.

    Raises:
        ToolError: matplotlib is not installed.
        As `check_picture`.
    """
    check_picture(path)
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
        clocks = _clocks(rows)
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
                label=f"{board}, {clocks[board]:g} MHz" if board in clocks else board,
                alpha=0.7,
                markersize=5,
            )
        axes.set_xscale("log")
        plain_logarithms(axes.xaxis)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.invert_yaxis()
        axes.grid(alpha=0.3)
        axes.set_xlabel("frames a second at that clock (estimated; nothing was built)")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
        data = io.BytesIO()
        figure.savefig(data, format=path.suffix[1:], metadata=_metadata(path))
    write_bytes(path, data.getvalue())


def _metadata(path: Path) -> dict[str, None]:
    # The time of drawing would make equal pictures differ.
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
