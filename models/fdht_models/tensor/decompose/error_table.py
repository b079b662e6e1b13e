"""Errors of a decomposed layer, rank by rank: as data, and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from fdht_models.errors import ConfigError
from fdht_models.tensor.decompose.recurrent_weights import CellDecomposition
from fdht_models.tensor.recurrent import RecurrentShape

#: Largest multiple of ranks to try.
_MOST = 1024.0


def parse_factors(text: str) -> tuple[float, ...]:
    """Multiples of ranks from text such as "1,2,4".

    Raises:
        ConfigError: it is something else.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < factor <= _MOST for factor in found):
        raise ConfigError(
            f"must be multiples of the experiment's ranks, above 0 and at most {_MOST:g}",
            field="ranks",
            value=text,
            remedy="for example 1,2,4,8",
        )
    return found


def row(found: CellDecomposition, factor: float) -> dict[str, Any]:
    """Ranks, parameters and errors of one decomposition, JSON-serialisable.

    `parameters_matrix` and `ratio_matrix` are those of the decomposed matrix alone. Errors are
    relative, in the Frobenius norm, and measured; see `CellDecomposition`. `bound` is of the whole
    decomposed matrix; see `Decomposition`.
    """
    shape = found.shape
    return {
        "factor": factor,
        "ranks": ranks_of(shape),
        "parameters_matrix": shape.matrix_parameter_count,
        "ratio_matrix": shape.dense_matrix_parameter_count / shape.matrix_parameter_count,
        "error": found.error,
        "error_input": found.error_input,
        "error_hidden": found.error_hidden,
        "bound": found.decomposition.bound,
        "kind": "measured",
    }


def ranks_of(shape: RecurrentShape) -> dict[str, Any]:
    """The format's settings without its name."""
    return {key: value for key, value in shape.format.to_json().items() if key != "name"}


def rank_text(ranks: Mapping[str, Any]) -> str:
    """Ranks on one line."""
    shown = {
        key: "x".join(map(str, value)) if isinstance(value, list | tuple) else value
        for key, value in ranks.items()
        if key not in ("tree", "multiplication")
    }
    return ", ".join(f"{key} {value}" for key, value in shown.items()) or "none"


def table(result: Mapping[str, Any]) -> Table:
    """What `decompose_stage` returns, for people."""
    hidden = result["integrated"]
    title = f"{result['layer']} as {result['format']} {result['cell']}: relative errors, measured"
    shown = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    shown.add_column("ranks", no_wrap=True)
    columns = ["matrix", "ratio", "error", *(("W_x", "W_h") if hidden else ()), "bound"]
    for column in columns:
        shown.add_column(column, justify="right", no_wrap=True)
    for one in result["rows"]:
        parts = (one["error_input"], one["error_hidden"]) if hidden else ()
        shown.add_row(
            f"x {one['factor']:g}: {rank_text(one['ranks'])}",
            f"{one['parameters_matrix']:,}",
            f"{one['ratio_matrix']:,.1f}",
            *(f"{error:.2%}" for error in (one["error"], *parts)),
            "-" if one["bound"] is None else f"{one['bound']:.2%}",
        )
    return shown
