"""The experiments that ship (one TOML file each, with trained checkpoints), and their figures.

Needs no TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdht_models.documents import read_json_file

if TYPE_CHECKING:
    from rich.table import Table

    from fdht_models.experiment import Experiment

_ZOO = Path(__file__).parent
#: The figures as they were counted when an experiment last changed; see `write_figures`.
_FIGURES = _ZOO / "figures.json"


def rows() -> list[dict[str, Any]]:
    """One row of figures for each experiment that ships, JSON-serialisable; see `row`.

    They are read where they were counted from the very files that are there, for counting plans
    each network in each grouping of its cores; otherwise they are counted.
    """
    kept = read_json_file(_FIGURES, remedy="install fdht again") if _FIGURES.is_file() else {}
    if kept.get("digest") != _digest():
        return count_rows()
    return [{**row, "checkpoint": (_ZOO / f"{row['name']}.npz").is_file()} for row in kept["rows"]]


def count_rows() -> list[dict[str, Any]]:
    """The same, counted now."""
    from fdht_models.experiment import experiment_names, load_experiment

    return [row(load_experiment(name)) for name in experiment_names()]


def write_figures() -> None:
    """Keeps the figures, after an experiment that ships was changed or added.

    python -c "from fdht_models.zoo import write_figures; write_figures()"
    """
    lines = ",\n".join(map(json.dumps, count_rows()))
    _FIGURES.write_text(f'{{"digest": "{_digest()}",\n"rows": [\n{lines}\n]}}\n')


def _digest() -> str:
    """Of the names and texts of all experiments that ship."""
    found = hashlib.sha256()
    for path in sorted(_ZOO.glob("*.toml")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def row(experiment: Experiment) -> dict[str, Any]:
    """The figures of one experiment.

    Counts are exact. `parameters_matrix` is the decomposed matrix alone, as papers count it (with
    the part that meets h if that is integrated), `parameters_lstm` the whole layer, LSTM or GRU,
    with a dense W_h where that is not part of it, and the bias; `dense_*` is what they stand for,
    `ratio_*` how many times fewer. `macs` are multiply-accumulates of the decomposed matrix for a
    frame in the planned order, `macs_naive` the same in the order in which the format lists its
    cores, none of them merged, and `macs_lstm` those of the whole layer; `peak_buffer` is the
    largest number of partial sums of a stage; `constants` what the chip holds of the layer.
    """
    from fdht_models.experiment import checkpoint_path

    shape, published = experiment.shape, experiment.published
    return {
        "name": experiment.name,
        "description": experiment.description,
        "data": experiment.data.set,
        "format": experiment.model.format,
        "cell": shape.cell,
        "integrated": shape.integrated,
        "input_modes": list(shape.input_modes),
        "output_modes": list(shape.output_modes),
        "hidden_units": shape.units,
        "ranks": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in experiment.model.format_settings.items()
        },
        "parameters_matrix": shape.matrix_parameter_count,
        "parameters_lstm": shape.parameter_count,
        "dense_matrix": shape.dense_matrix_parameter_count,
        "dense_lstm": shape.dense_parameter_count,
        "ratio_matrix": shape.dense_matrix_parameter_count / shape.matrix_parameter_count,
        "ratio_lstm": shape.dense_parameter_count / shape.parameter_count,
        "macs": shape.matrix_macs,
        "macs_naive": shape.naive_matrix_macs,
        "macs_lstm": shape.macs,
        "peak_buffer": shape.input_plan.peak_buffer,
        "order": list(shape.input_cores),
        "constants": shape.constant_count,
        "published_parameters": published.parameters if published else None,
        "published_macs": published.macs if published else None,
        "published_source": published.source if published else None,
        "checkpoint": checkpoint_path(experiment.name).is_file(),
    }


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows for people, two lines each, so that a terminal of 80 columns shows all of them.

    The first line is of the decomposed matrix, the second of the whole layer.
    """
    from rich.table import Table

    shown = Table(title="Experiments", title_justify="left", box=None, padding=(0, 1, 0, 0))
    for column in ("name\nformat", "input\noutput"):
        shown.add_column(column, no_wrap=True)
    for column in ("matrix\nlayer", "times\nfewer", "MACs\non chip", "paper"):
        shown.add_column(column, justify="right", no_wrap=True)
    for one in rows:
        published = one["published_parameters"]
        shown.add_row(
            f"{one['name']}\n{one['format']} {one['cell']} {one['hidden_units']}",
            f"{_times(one['input_modes'])}\n{_times(one['output_modes'])}",
            f"{one['parameters_matrix']:,}\n{one['parameters_lstm']:,}",
            f"{one['ratio_matrix']:,.0f}\n{one['ratio_lstm']:,.0f}",
            f"{one['macs']:,}\n{one['constants']:,}",
            "-" if published is None else f"{published:,}",
        )
    return shown


def _times(modes: Sequence[int]) -> str:
    return "x".join(map(str, modes))
