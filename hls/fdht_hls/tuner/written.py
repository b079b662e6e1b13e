"""What `fdht tune` writes: build/<name>/tune/<board>/ with schedule, front and plot."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from fdht_hls.tuner.cores import CoreKind, model_of
from fdht_hls.tuner.sparse_core import SparseCoreModel
from fdht_hls.tuner.tune import Tuning
from fdht_models.artifacts import digest_of, write_json
from fdht_models.directories import (
    ESTIMATE,
    FRONT,
    NETWORK,
    PLOT,
    PROFILE,
    SCHEDULE,
    ModelDirectory,
    TuningDirectory,
)
from fdht_models.drawing import drawing
from fdht_models.errors import ArtifactError
from fdht_models.experiment import Experiment
from fdht_models.tensor.quantized import QuantizedNetwork

#: Where the shapes and formats came from.
TRAINED, DECLARED = "trained network", "declared widths, not trained"


def network_to_tune(
    model: ModelDirectory, experiment: Experiment | None
) -> tuple[QuantizedNetwork, str]:
    """The trained network, or else the experiment's shapes and widths.

    Returns:
        The network, and `TRAINED` or `DECLARED`.

    Raises:
        ArtifactError: there is no experiment, and no trained network or a damaged one.
        NumericError: with the declared widths a sum does not fit an accumulator.
    """
    from fdht_hls.tuner.untrained import untrained_network

    try:
        path = model.find_file(NETWORK)
        if path is not None or experiment is None:
            return QuantizedNetwork.load(path or model.path / NETWORK), TRAINED
    except ArtifactError:
        if experiment is None:
            raise
    return untrained_network(experiment), DECLARED


def result_json(
    tuning: Tuning, source: str, core: CoreKind = "hls", planned_for: str = ""
) -> dict[str, Any]:
    """What `front.json` holds; `planned_for`: see `FramesAtHand.line`."""
    clips = tuning.estimate.clips
    return {
        "kind": "estimated",
        "core": core,
        "model": model_of(core, tuning.budget.family),
        "experiment": tuning.core.design.name,
        "source": source,
        "budget": tuning.budget.to_json(),
        # Of a design; `clips` has those of a full frame beside it.
        "planned_for": planned_for or None,
        "cycles_of": "mean of the clips" if clips else "every frame",
        "asked": {
            "cycles_per_frame": tuning.limits.cycles,
            "fill_latency_cycles": tuning.limits.latency,
        },
        "assumed": [name for name, yes in asdict(tuning.core.engine).items() if yes],
        "left_out": list(tuning.left_out),
        "clips": clips.to_json() if clips else None,
        "chosen": {**tuning.row(tuning.chosen), "latency": dict(tuning.estimate.latency)},
        "front": [tuning.row(design) for design in tuning.front],
    }


def write_tuning(directory: TuningDirectory, tuning: Tuning, result: Mapping[str, Any]) -> None:
    """Writes a tuning, atomically.

    The plot needs matplotlib, which the extra `board` installs; without it, or where it cannot be
    drawn, it is left out.

    Raises:
        ArtifactError: it cannot be written.
    """
    inputs = {
        "network": f"{tuning.core.design.design_id:016x}",
        "budget": digest_of(tuning.budget.to_json()),
    }
    with directory.write(inputs) as (temporary, extra):
        write_json(temporary / SCHEDULE, tuning.chosen.schedule.to_json())
        write_json(temporary / FRONT, dict(result))
        write_json(temporary / ESTIMATE, tuning.estimate.to_json())
        if isinstance(tuning.core, SparseCoreModel):
            write_json(temporary / PROFILE, tuning.core.timing.profile.to_json())
        extra["kind"] = "estimated"
        with suppress(Exception):  # the tuning is worth more than its picture
            picture = plot_front(tuning)
            if picture is not None:
                (temporary / PLOT).write_bytes(picture)


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
