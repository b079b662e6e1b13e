"""What `fdht tune` writes: build/<name>/tune/<board>/ with schedule, front and plot."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from fdht_hls.tuner.cores import CoreKind, model_of
from fdht_hls.tuner.plot import plot_front
from fdht_hls.tuner.tune import Tuning
from fdht_models.artifacts import digest_of, write_json
from fdht_models.directories import (
    ESTIMATE,
    FRONT,
    NETWORK,
    PLOT,
    SCHEDULE,
    ModelDirectory,
    TuningDirectory,
)
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


def result_json(tuning: Tuning, source: str, core: CoreKind = "hls") -> dict[str, Any]:
    """What `front.json` holds."""
    return {
        "kind": "estimated",
        "core": core,
        "model": model_of(core, tuning.budget.family),
        "experiment": tuning.core.design.name,
        "source": source,
        "budget": tuning.budget.to_json(),
        "asked": {
            "cycles_per_frame": tuning.limits.cycles,
            "fill_latency_cycles": tuning.limits.latency,
        },
        "assumed": [name for name, yes in asdict(tuning.core.engine).items() if yes],
        "left_out": list(tuning.left_out),
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
        extra["kind"] = "estimated"
        with suppress(Exception):  # the tuning is worth more than its picture
            picture = plot_front(tuning)
            if picture is not None:
                (temporary / PLOT).write_bytes(picture)
