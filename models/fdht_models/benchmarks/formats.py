"""`fdht bench formats`: accuracy against parameters against multiply-accumulates, format by format.

Every format is trained on the same clips with the same recipe: the files motion-*-*.toml of the
zoo differ in nothing but the format and its ranks, and so do digits-*-*.toml. An interrupted
comparison goes on where it was.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from fdht_models.artifacts import write_json, write_text
from fdht_models.console import say
from fdht_models.data import SPLITS
from fdht_models.drawing import drawing, plain_logarithms
from fdht_models.errors import ConfigError, NumericError, require_known
from fdht_models.experiment import Experiment, load_experiment, without_roots
from fdht_models.training.model_stage import train_stage
from fdht_models.versions import required_module
from fdht_models.zoo import row as zoo_row

#: Version of the result's layout.
SCHEMA = 2
#: The experiments that are compared, the dense one apart: it takes ten times as long.
EXPERIMENTS = (
    "motion-fdht-lstm",
    "motion-fdht-gru",
    "motion-ht-lstm",
    "motion-tt-lstm",
    "motion-tr-lstm",
    "motion-bt-lstm",
    "motion-tucker-lstm",
    "motion-cp-lstm",
    "motion-kcp-lstm",
)
DENSE = "motion-dense-lstm"
#: The spoken digits, the dense one with them: with a short frame it takes no longer than others.
DIGITS = (*(name.replace("motion", "digits") for name in EXPERIMENTS), "digits-dense-lstm")
#: What is compared, and the name of its files, by the name of the set.
SETS = {"motion": (EXPERIMENTS, "formats"), "digits": (DIGITS, "digits")}
#: Sections that are a recipe.
_RECIPE = ("training", "augmentation")
#: What a row takes over from the zoo.
_FIGURES = (
    "format",
    "cell",
    "integrated",
    "ranks",
    "parameters_lstm",
    "dense_lstm",
    "ratio_lstm",
    "macs_lstm",
    "peak_buffer",
)


def compare_formats(
    directory: Path,
    experiments: Sequence[Experiment],
    cache: Path | None = None,
) -> dict[str, Any]:
    """Trains what is not trained yet, and collects the figures.

    Args:
        directory: where each experiment gets a directory of its own.
        experiments: those to compare; they share data, widths and recipe.
        cache: directory of generated clips; by default `directory`/data.

    Returns:
        A JSON object: `rows`, one an experiment, accuracies `measured` on clips that no training
        saw, counts exact; or with `reason` if its training diverged. `clips` are those that were
        trained on and scored, and `standard_error` is that of an accuracy of one half over so many,
        the largest there is: sqrt(1/4 / clips).

    Raises:
        ConfigError: an experiment differs in data, widths or recipe from the first one.
        FdhtError: what `train_stage` raises, but for a training that diverged.
    """
    _check_alike(experiments)
    cache = directory / "data" if cache is None else cache
    rows = []
    for number, experiment in enumerate(experiments, 1):
        say(f"{number}/{len(experiments)}  {experiment.name}")
        rows.append(_row(experiment, directory / experiment.name, cache))
    first = experiments[0]
    clips = {split: len(first.source.load(split, cache)) for split in SPLITS}
    return {
        "schema": SCHEMA,
        "benchmark": "formats",
        "kind": "measured",
        "setting": {
            "data": without_roots(first.to_json()["data"]),
            **{key: first.to_json()[key] for key in _RECIPE},
        },
        "clips": clips,
        "standard_error": math.sqrt(0.25 / clips["test"]),
        "rows": rows,
    }


def compared_set(name: str) -> tuple[tuple[str, ...], str]:
    """The experiments of a comparison, and the name of its files.

    Raises:
        ConfigError: there is none on that set.
    """
    require_known(name, SETS, "set", "has no experiments in all formats")
    return SETS[name]


def compared_experiment(name: str, data_root: Path | None = None) -> Experiment:
    """One of `EXPERIMENTS` or `DIGITS`, or `DENSE`.

    Raises:
        ConfigError: it is another, or its clips come from no folder and one is given.
    """
    known = (*EXPERIMENTS, DENSE, *DIGITS)
    require_known(name, known, "format", "is not among the formats that are compared")
    experiment = load_experiment(name)
    return experiment if data_root is None else experiment.with_data_root(data_root)


def _check_alike(experiments: Sequence[Experiment]) -> None:
    first = experiments[0].to_json()
    for experiment in experiments[1:]:
        for section in ("data", "quantization", *_RECIPE):
            if experiment.to_json()[section] != first[section]:
                raise ConfigError(
                    f"differs from {experiments[0].name}; a comparison needs the same for all",
                    field=f"{experiment.name}.{section}",
                    remedy="make the files alike",
                )


def _row(experiment: Experiment, directory: Path, cache: Path) -> dict[str, Any]:
    counts = zoo_row(experiment)
    row = {"name": experiment.name, **{key: counts[key] for key in _FIGURES}}
    try:
        metrics = train_stage(experiment, directory, cache=cache, baselines=False)
    except NumericError as error:
        return {**row, "reason": str(error)}
    accuracy = metrics["accuracy"]
    return {**row, "float": accuracy["float"], "quantized": accuracy["quantized"]}


def write_comparison(result: Mapping[str, Any], directory: Path, stem: str = "formats") -> None:
    """Writes the result, a table in Markdown and a plot: `stem`.json, .md and .svg.

    Raises:
        ToolError: matplotlib is not installed; result and table are written all the same.
        ArtifactError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / f"{stem}.json", result)
    write_text(directory / f"{stem}.md", markdown(result))
    trained = [row for row in result["rows"] if "reason" not in row]
    write_text(directory / f"{stem}.svg", accuracy_plot(trained))


def _cells(row: Mapping[str, Any]) -> list[str]:
    accuracy = [
        f"{row[key]:.1%}" if key in row else row["reason"].splitlines()[0]
        for key in ("quantized", "float")
    ]
    counts = [f"{row[key]:,}" for key in ("parameters_lstm", "macs_lstm", "peak_buffer")]
    name = f"{row['format']}{'' if row['integrated'] else ', dense W_h'}"
    return [name, row["cell"], *accuracy, *counts]


_AXES = (("parameters_lstm", "parameters of the layer"), ("macs_lstm", "MACs a frame"))
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "formats", "font.size": 9}
_COLUMNS = ("format", "cell", "quantised", "float", "parameters", "MACs a frame", "partial sums")


def markdown(result: Mapping[str, Any]) -> str:
    """The result as a page that says how it came about."""
    data, training = result["setting"]["data"], result["setting"]["training"]
    clips = result["clips"]
    chosen = " --set digits" if data["set"] == "folders" else ""
    unseen = ""
    if data["test_groups"]:
        unseen = f" (those of {', '.join(data['test_groups'])})"
    lines = [
        f"<!-- Written by `fdht bench formats{chosen}`; do not edit. -->",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|---|---|{'---:|' * (len(_COLUMNS) - 2)}",
        *(f"| {' | '.join(_cells(row))} |" for row in result["rows"]),
        "",
        f"Accuracies are measured on {clips['test']:,} clips of `{data['set']}`{unseen} that no "
        f"training saw (standard error at most {result['standard_error']:.1%}), after "
        f"{training['float_epochs']} float and {training['quantized_epochs']} quantised epochs on "
        f"{clips['train']:,} clips, once, with one seed. Counts are exact: the whole "
        "layer's parameters, multiply-accumulates and the largest number of partial sums of a "
        "stage.",
        "",
    ]
    return "\n".join(lines)


def table(result: Mapping[str, Any]) -> Table:
    """The result for people."""
    shown = Table(title="Formats on the same clips, with the same recipe (accuracy measured)")
    for column in _COLUMNS:
        shown.add_column(column, justify="left" if column in ("format", "cell") else "right")
    for row in result["rows"]:
        shown.add_row(*_cells(row))
    return shown


def accuracy_plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy over parameters and over MACs: quantised filled, float hollow; SVG text.

    Raises:
        ToolError: matplotlib is not installed.
    """
    figures = required_module("matplotlib.figure", "install it: pip install matplotlib")
    with drawing(**_STYLE):
        figure = figures.Figure(figsize=(10, 4.2), layout="constrained")
        for axes, (key, label) in zip(figure.subplots(1, 2, sharey=True), _AXES, strict=True):
            _draw(axes, rows, key)
            axes.set_xlabel(f"{label} (exact)")
        figure.axes[0].set_ylabel("accuracy on unseen clips in % (measured)")
        figure.suptitle("filled: quantised; hollow: float")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _draw(axes: Any, rows: Sequence[Mapping[str, Any]], key: str) -> None:
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
