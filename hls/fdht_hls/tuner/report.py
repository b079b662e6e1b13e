"""What `fdht tune` prints: the front, the chosen design by process, and where the time goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from fdht_hls.tuner.cores import CoreKind, model_of
from fdht_hls.tuner.search import Design
from fdht_hls.tuner.tune import Tuning

#: Designs of the front that are shown; all of them are in front.json.
_SHOWN = 16


def some_of(front: Sequence[Design], chosen: Design, most: int = _SHOWN) -> list[Design]:
    """Designs spread evenly over the front, the chosen one and both ends among them."""
    places = {round(at * (len(front) - 1) / max(1, most - 1)) for at in range(most)}
    shown = [front[place] for place in sorted(places) if place < len(front)]
    return shown if chosen in shown else sorted([*shown, chosen], key=lambda one: one.objectives)


def front_table(tuning: Tuning) -> Table:
    """The front, thinned out."""
    shown = some_of(tuning.front, tuning.chosen)
    table = Table(
        title=f"Pareto front, {len(shown)} of {len(tuning.front)} designs (estimated)",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    rate = f"frames/s\nat {tuning.budget.clock_mhz:g} MHz"
    for column in ("clocks\na frame", rate, "last pixel\nto result"):
        table.add_column(column, justify="right")
    for name, share in tuning.budget.shares.items():
        table.add_column(f"{name.upper()}\n<= {share:.0%}", justify="right")
    table.add_column("")
    for design in shown:
        used, taken = tuning.budget.used(design.resources), design.resources.to_json()
        table.add_row(
            f"{design.cycles:,}",
            f"{tuning.budget.rate_at(design.cycles):,.0f}",
            f"{design.latency:,}" if tuning.latency_known else "?",
            *(
                f"{taken[name]:,g} {used[name]:4.0%}" if name in used else "?"
                for name in tuning.budget.shares
            ),
            "<- chosen" if design == tuning.chosen else "",
        )
    return table


def design_table(tuning: Tuning) -> Table:
    """The chosen design, process by process."""
    found = tuning.estimate
    table = Table(
        title="Chosen design (estimated)", title_justify="left", box=None, padding=(0, 1, 0, 0)
    )
    table.add_column("process")
    clocks = "clocks,\nfull frame" if found.clips else "clocks"
    for column in (clocks, "MACs", "vector x\noutputs", "of", "LUT", "FF", "DSP", "BRAM36"):
        table.add_column(column, justify="right")
    table.add_column("adds to\nlatency", justify="right")
    names = [design.name for design in tuning.core.design.stages]
    schedules = tuning.chosen.schedule.stages
    chosen = dict(zip(names, schedules, strict=True))
    for row in found.stages:
        own, taken, made_of = chosen.get(row.name), row.resources, ""
        if own:
            made_of = "adders" if own.weights == "adders" else own.multipliers.upper()
        table.add_row(
            row.name,
            "" if row.cycles is None else f"{row.cycles:,}",
            f"{row.macs:,}" if row.macs else "",
            f"{own.vector} x {own.outputs}" if own else "",
            made_of,
            f"{taken.lut:,}",
            "?" if taken.ff is None else f"{taken.ff:,}",
            f"{taken.dsp:,}",
            f"{taken.bram36:g}",
            f"{found.latency[row.name]:,}" if row.name in found.latency else "",
        )
    return table


def frames_table(tuning: Tuning) -> Table | None:
    """What the chosen design takes for the frames that it was tuned for; None: for any."""
    clips = tuning.estimate.clips
    if clips is None:
        return None
    table = Table(
        title=f"Clocks of the chosen design for {clips.whose} (estimated)",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    table.add_column("process")
    for column in ("mean", "median", "95th\npercentile", "worst", "full\nframe", "limits"):
        table.add_column(column, justify="right")
    for name, own in clips.clocks.items():
        spread = own.spread
        table.add_row(
            name,
            *(f"{value:,.0f}" for value in (spread.mean, spread.median, spread.p95, spread.worst)),
            f"{own.full:,}",
            "" if own.limits is None else f"{own.limits:.0%} of frames",
        )
    return table


def lines(
    tuning: Tuning,
    source: str,
    core_kind: CoreKind = "hls",
    planned_for: str = "",
) -> Iterator[str]:
    """What stands above the tables; `planned_for`: see `FramesAtHand.line`."""
    budget, core = tuning.budget, tuning.core
    yield (
        f"{core.design.name} ({source}) on {budget.name}: {budget.clock_mhz:g} MHz, "
        f"{budget.bytes_per_clock} bytes a clock from memory"
    )
    yield f"estimates {model_of(core_kind, budget.family)}"
    if core.engine.int8_pairs:
        text = "two 8-bit products in a DSP slice"
        yield f"assumed, and not what today's kernels do: {text}"
    if budget.bytes_per_clock != 8:
        yield "assumed, and not what today's kernels do: they read one port of 8 bytes a clock"
    if planned_for:
        yield planned_for
    for text in tuning.left_out:
        yield f"not considered: {text}"
