"""Which figures a report has: each drawn, or a line that says why it could not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from markupsafe import Markup

from fdht_host.report import figures
from fdht_host.report.clip_rows import SHOWN_SOURCES
from fdht_host.report.contents import PHASES

_UNDRAWN = Markup('<p class="quiet">The figure {} could not be drawn ({}).</p>')


def drawn_plots(report: Mapping[str, Any]) -> dict[str, Markup]:
    """The figures of a report that `build_report` made, by name, to be put into the page."""
    return {name: _drawn(name, draw) for name, draw in _plots(report)}


def _drawn(name: str, draw: Callable[[], str]) -> Markup:
    try:
        return Markup(draw())
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
    bars = [
        ("quantised", accuracy["quantized"], True),
        ("float", accuracy["float"], True),
        *_baselines(accuracy),
    ]
    known = [bar for bar in bars if bar[1] is not None]
    if known:
        yield "accuracy", lambda: figures.accuracy_plot(known)
    if accuracy.get("confusion"):
        yield (
            "confusion",
            lambda: figures.confusion_plot(accuracy["confusion"], accuracy["classes"]),
        )
    others = [
        source["accuracy"]
        for source in report["sources"]
        if source["kind"] != "test" and source["accuracy"] is not None
    ]
    for place, found in enumerate(others[:SHOWN_SOURCES]):
        name = f"confusion-{place}"
        yield (
            name,
            partial(figures.confusion_plot, found["confusion"], found["classes"], name),
        )
    throughput = report["throughput"]
    phases = [
        (name, throughput[name]["seconds_per_frame"], throughput[name]["kind"]) for name in PHASES
    ]
    ran = [phase for phase in phases if phase[1] is not None]
    if ran:
        yield "throughput", lambda: figures.throughput_plot(ran)
    for name in ("energy", "cpu_energy"):
        energy = report[name]
        if energy.get("trace"):
            kind = (energy.get("sensor_details") or {}).get("kind", energy["kind"])
            yield (
                name,
                partial(figures.power_plot, energy["trace"], energy["windows"], kind, name),
            )
