"""The experiments that ship (one TOML file each, with trained checkpoints), and their figures.

Needs no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from fdht_models.experiment import Experiment, checkpoint_path, experiment_names, load_experiment


def rows() -> list[dict[str, Any]]:
    """One row of figures for each experiment that ships, JSON-serialisable; see `row`."""
    return [row(load_experiment(name)) for name in experiment_names()]


def row(experiment: Experiment) -> dict[str, Any]:
    """The figures of one experiment.

    Counts are exact. `parameters_matrix` is the decomposed matrix [4 H, inputs + H] alone,
    `parameters_lstm` adds the bias; `dense_*` is what they stand for, `ratio_*` how many times
    fewer. `macs` are multiply-accumulates of the LSTM's contractions a frame, `constants` what
    the chip holds of the LSTM (merged chain cores and bias).
    """
    shape, published = experiment.shape, experiment.published
    matrix = shape.network.parameter_count
    dense_matrix = 4 * shape.units * (shape.input_size + shape.units)
    return {
        "name": experiment.name,
        "description": experiment.description,
        "data": experiment.data.set,
        "format": experiment.model.format,
        "cell": "lstm",
        "input_modes": list(shape.input_modes),
        "output_modes": list(shape.output_modes),
        "hidden_units": shape.units,
        "ranks": {
            "leaf": [shape.network.sizes[f"r{k}"] for k in range(1, len(shape.input_modes) + 1)],
            "inner": shape.inner_rank,
        },
        "parameters_matrix": matrix,
        "parameters_lstm": shape.parameter_count,
        "dense_matrix": dense_matrix,
        "dense_lstm": shape.dense_parameter_count,
        "ratio_matrix": dense_matrix / matrix,
        "ratio_lstm": shape.dense_parameter_count / shape.parameter_count,
        "macs": shape.input_plan.macs + shape.hidden_plan.macs,
        "constants": shape.constant_count,
        "published_parameters": published.parameters if published else None,
        "published_source": published.source if published else None,
        "checkpoint": checkpoint_path(experiment.name).is_file(),
    }


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows for people, two lines each, so that a terminal of 80 columns shows all of them."""
    shown = Table(title="Experiments", title_justify="left", box=None, padding=(0, 1, 0, 0))
    for column in ("name\nformat", "input\noutput", "H", "leaf\ninner"):
        shown.add_column(column, no_wrap=True)
    for column in ("parameters\nof dense", "ratio", "MACs\na frame", "on\nchip", "paper"):
        shown.add_column(column, justify="right", no_wrap=True)
    for one in rows:
        published = one["published_parameters"]
        shown.add_row(
            f"{one['name']}\n{one['format']} {one['cell']}",
            f"{_times(one['input_modes'])}\n{_times(one['output_modes'])}",
            str(one["hidden_units"]),
            f"{','.join(map(str, one['ranks']['leaf']))}\n{one['ranks']['inner']}",
            f"{one['parameters_lstm']:,}\n{one['dense_lstm']:,}",
            f"{one['ratio_lstm']:,.0f}",
            f"{one['macs']:,}",
            f"{one['constants']:,}",
            "-" if published is None else f"{published:,}",
        )
    return shown


def _times(modes: Sequence[int]) -> str:
    return "x".join(map(str, modes))
