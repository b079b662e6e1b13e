"""The Pareto front as a picture: LUT against DSP, one colour a latency."""

from __future__ import annotations

import io

from fdht_hls.tuner.tune import Tuning
from fdht_models.drawing import drawing


def plot_front(tuning: Tuning) -> bytes | None:
    """An SVG picture of the front, or None if matplotlib is not installed."""
    try:
        from matplotlib import figure as figures
    except ImportError:
        return None

    budget = tuning.budget
    # Text as text, and nothing that differs from run to run.
    with drawing(**{"svg.fonttype": "none", "svg.hashsalt": "fdht"}):
        figure = figures.Figure(figsize=(7.5, 5), layout="constrained")
        axes = figure.add_subplot()
        points = axes.scatter(
            [100 * design.resources.dsp / budget.dsp for design in tuning.front],
            [100 * design.resources.lut / budget.lut for design in tuning.front],
            c=[design.latency for design in tuning.front],
            s=18,
            cmap="viridis",
        )
        chosen = tuning.chosen.resources
        axes.scatter(
            [100 * chosen.dsp / budget.dsp],
            [100 * chosen.lut / budget.lut],
            s=140,
            marker="o",
            facecolors="none",
            edgecolors="tab:red",
            linewidths=1.8,
            label="chosen",
        )
        axes.axvline(100 * budget.shares["dsp"], color="grey", linestyle=":", label="budget")
        axes.axhline(100 * budget.shares["lut"], color="grey", linestyle=":")
        axes.set_xlabel(f"DSP slices, % of {budget.dsp:,}")
        axes.set_ylabel(f"LUT, % of {budget.lut:,}")
        axes.set_title(f"{tuning.core.design.name} on {budget.name}: Pareto front (estimated)")
        axes.legend(loc="best")
        figure.colorbar(points, label="last pixel to result, clocks")
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()
