"""The plot of a comparison of formats. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fdht_models.drawing import drawing, plain_logarithms

_AXES = (("parameters_lstm", "parameters of the layer"), ("macs_lstm", "MACs a frame"))
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "formats", "font.size": 9}


def accuracy_plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy over parameters and over MACs: quantised filled, float hollow; SVG text."""
    with drawing(**_STYLE):
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        for axes, (key, label) in zip(figure.subplots(1, 2, sharey=True), _AXES, strict=True):
            _draw(axes, rows, key)
            axes.set_xlabel(f"{label} (exact)")
        figure.axes[0].set_ylabel("accuracy on unseen clips in % (measured)")
        figure.suptitle("filled: quantised; hollow: float")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _draw(axes: Axes, rows: Sequence[Mapping[str, Any]], key: str) -> None:
    for number, row in enumerate(rows):
        colour = f"C{number % 10}"
        levels = [100 * row["quantized"], 100 * row["float"]]
        axes.plot([row[key]] * 2, levels, color=colour, linewidth=0.8)
        axes.plot(row[key], levels[0], "o", color=colour)
        axes.plot(row[key], levels[1], "o", color=colour, fillstyle="none")
        name = row["format"] if row["cell"] == "lstm" else f"{row['format']} {row['cell']}"
        axes.annotate(name, (row[key], levels[0]), (5, -3), textcoords="offset points")
    axes.set_xscale("log")
    plain_logarithms(axes.xaxis)
    axes.margins(x=0.12)  # room for the names
    axes.tick_params(axis="x", which="minor", labelsize=6)
    axes.grid(alpha=0.3)
