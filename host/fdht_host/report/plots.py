"""The plots of the report, as SVG to be put into the page: each drawn, or why it could not be.

They are drawn in one sentinel colour that becomes `currentColor`, so that they follow the page's
light or dark colours. Drawn with matplotlib's object interface: no state outside a call. It is
imported where something is drawn, for a board can do without it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from fdht_host.report.contents import PHASES
from fdht_models.drawing import drawing, plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK = "#010203"  # becomes currentColor
_ACCENT = "#3b82f6"
_QUIET = "#94a3b8"
_STYLE = {
    "font.size": 9,
    "font.family": "DejaVu Sans",  # ships with matplotlib
    "svg.fonttype": "path",
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}
#: Labelled sources whose confusion is drawn.
LABELLED = 3
#: More classes than this: no counts in the cells, they would not be legible.
_LEGIBLE_CLASSES = 25
_UNDRAWN = Markup('<p class="quiet">The figure {} could not be drawn ({}).</p>')


def drawn_plots(report: Mapping[str, Any]) -> dict[str, Markup]:
    """The figures of a report that `build_report` made, by name, to be put into the page."""
    return {name: _drawn(name, draw) for name, draw in _plots(report)}


def _drawn(name: str, draw: Callable[[], str]) -> Markup:
    try:
        return Markup(draw())
    except ModuleNotFoundError as error:  # a board's image may have no matplotlib
        package = str(error.name).partition(".")[0]
        return _UNDRAWN.format(name, f"{package} is not installed")
    except Exception as error:  # whatever it is, the page is worth more than a figure of it
        return _UNDRAWN.format(name, f"{type(error).__name__}: {error}")


def _baselines(accuracy: Mapping[str, Any]) -> list[tuple[str, Any, bool]]:
    """Bars of training's table; models trained before it was there have less."""
    table = accuracy.get("baselines") or ()
    if table:
        rows = sorted(table, key=lambda row: -float(row["accuracy"]))
        return [(row["name"], row["accuracy"], False) for row in rows]
    return [
        ("best single frame", accuracy["single_frame"], False),
        ("mean over a clip", accuracy.get("mean_frame"), False),
        ("chance", accuracy["chance"], False),
    ]


def _plots(report: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], str]]]:
    accuracy = report["accuracy"]
    clips = accuracy.get("clips")  # of this run; without, the figure is training's as well
    bars = [
        (
            f"quantised, {clips:,} clips of this run" if clips else "quantised",
            accuracy["quantized"],
            True,
        ),
        ("float", accuracy["float"], True),
        *_baselines(accuracy),
    ]
    known = [bar for bar in bars if bar[1] is not None]
    if known:
        yield "accuracy", lambda: accuracy_plot(known, "others: in training" if clips else "")
    if accuracy.get("confusion"):
        yield "confusion", partial(confusion_plot, accuracy["confusion"], accuracy["classes"])
    others = [
        source["accuracy"]
        for source in report["sources"]
        if source["kind"] != "test" and source["accuracy"] is not None
    ]
    for place, found in enumerate(others[:LABELLED]):
        name = f"confusion-{place}"
        yield name, partial(confusion_plot, found["confusion"], found["classes"], name)
    throughput = report["throughput"]
    phases = [
        (name, throughput[name]["seconds_per_frame"], throughput[name]["kind"]) for name in PHASES
    ]
    ran = [phase for phase in phases if phase[1] is not None]
    if ran:
        yield "throughput", lambda: throughput_plot(ran)
    for name in ("energy", "cpu_energy"):
        energy = report[name]
        if energy.get("trace"):
            kind = (energy.get("sensor_details") or {}).get("kind", energy["kind"])
            yield name, partial(power_plot, energy["trace"], energy["windows"], kind, name)


def accuracy_plot(bars: Sequence[tuple[str, float, bool]], note: str = "") -> str:
    """Bars of (label, share of 1, ours), and what is to be known of them."""

    def draw(axes: Axes) -> None:
        names, shares, ours = zip(*bars, strict=True)
        percent = [100 * share for share in shares]
        _bars(axes, names, percent, [f"{share:.1f} %" for share in percent], ours)
        axes.set_xlim(0, 118)
        axes.set_xticks(range(0, 101, 20))
        axes.set_xlabel("clips classified correctly, %" + (f" ({note})" if note else ""))

    return _svg("accuracy", (4.7, 0.5 + 0.36 * len(bars)), draw, "Accuracy: bars")


def confusion_plot(
    confusion: Sequence[Sequence[int]], classes: Sequence[str], name: str = "confusion"
) -> str:
    """The confusion matrix: rows truth, columns prediction, shaded by share of the row."""
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size, names = len(classes), [plain_text(name) for name in classes]
    side = min(2.2 + 0.22 * size, 9.0)

    def draw(axes: Axes) -> None:
        from matplotlib.patches import Rectangle

        for row, column in zip(*np.nonzero(counts), strict=True):
            share = float(shares[row, column])
            color = _ACCENT if row == column else "#f97316"
            cell = Rectangle(
                (column - 0.5, row - 0.5), 1, 1, facecolor=color, alpha=share**0.7, linewidth=0
            )
            axes.add_patch(cell)
            if size <= _LEGIBLE_CLASSES:
                ink = "white" if share > 0.55 else _INK
                axes.text(
                    column,
                    row,
                    str(counts[row, column]),
                    ha="center",
                    va="center",
                    color=ink,
                    size=7.5,
                )
        axes.set_xlim(-0.5, size - 0.5)
        axes.set_ylim(size - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.set_xticks(range(size), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(size), names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.tick_params(length=0)

    return _svg(name, (side, side), draw, "Confusion matrix")


def throughput_plot(phases: Sequence[tuple[str, float, str]]) -> str:
    """Bars of (phase, seconds per frame, kind)."""

    def draw(axes: Axes) -> None:
        names, seconds, kinds = zip(*phases, strict=True)
        milliseconds = [1e3 * each for each in seconds]
        labels = [f"{value:.3g} ms  ({1e3 / value:,.0f} frames/s)" for value in milliseconds]
        _bars(axes, names, milliseconds, labels, [kind == "measured" for kind in kinds])
        axes.set_xlim(0, 1.75 * max(milliseconds))
        axes.set_xlabel("milliseconds a frame")

    return _svg("throughput", (4.7, 0.6 + 0.36 * len(phases)), draw, "Time a frame by phase")


def power_plot(
    trace: Mapping[str, Any], windows: Sequence[Mapping[str, Any]], kind: str, name: str = "power"
) -> str:
    """The power trace with its idle and active windows shaded, and each window's mean."""

    def draw(axes: Axes) -> None:
        labelled: set[str] = set()
        for window in windows:
            state = window["kind"]
            axes.axvspan(
                window["start_seconds"],
                window["end_seconds"],
                facecolor=_ACCENT if state == "active" else _QUIET,
                alpha=0.22,
                linewidth=0,
                label=None if state in labelled else f"{state} window",
            )
            labelled.add(state)
            span = [window["start_seconds"], window["end_seconds"]]
            axes.plot(span, [window["watts"]] * 2, color=_INK, linewidth=1.4)
        axes.plot(trace["seconds"], trace["watts"], color="#f97316", linewidth=0.8, label="reading")
        axes.margins(x=0.01)
        axes.set_xlabel("seconds")
        axes.set_ylabel(f"watts ({kind})")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncol=3, frameon=False, borderpad=0.1)

    return _svg(name, (8.6, 2.9), draw, f"Power over time, {kind}, with its windows")


def _bars(
    axes: Axes,
    names: Sequence[str],
    lengths: Sequence[float],
    labels: Sequence[str],
    accents: Sequence[bool],
) -> None:
    colors = [_ACCENT if accent else _QUIET for accent in accents]
    drawn = axes.barh(range(len(names)), lengths, color=colors, height=0.62)
    axes.bar_label(drawn, labels, padding=4)
    axes.set_yticks(range(len(names)), [plain_text(name) for name in names])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _svg(name: str, size: tuple[float, float], draw: Any, label: str) -> str:
    from matplotlib.figure import Figure

    stream = io.StringIO()
    with drawing(**_STYLE, **{"svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained", facecolor="none")
        draw(figure.add_subplot())
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(stream.getvalue(), name, label)


def _inline(svg: str, name: str, label: str) -> str:
    """Makes an SVG file part of a page: no prologue, no metadata, ids of its own."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = svg.replace(_INK, "currentColor")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
