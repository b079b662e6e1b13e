"""What `fdht bench deadzone` shows and writes: a table, a page and a plot."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from fdht_models.artifacts import write_json, write_text
from fdht_models.benchmarks.deadzone import share_of
from fdht_models.drawing import drawing, plain_logarithms
from fdht_models.tensor.quantized import WORD_BYTES
from fdht_models.versions import required_module

#: Files of a sweep.
RESULT, PAGE, PLOT = "deadzone.json", "deadzone.md", "deadzone.svg"
#: Accuracies of a row, in the plot's words.
_CURVES = {"as_trained": ("trained without", "o--"), "tuned": ("trained on with it", "o-")}


def write_sweep(result: Mapping[str, Any], directory: Path) -> None:
    """Writes the result, a page in Markdown and a plot.

    Raises:
        ToolError: matplotlib is not installed; result and page are written all the same.
        ArtifactError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / RESULT, result)
    write_text(directory / PAGE, markdown(result))
    write_text(directory / PLOT, plot(result))


def _columns(result: Mapping[str, Any]) -> list[str]:
    sizes = list(result["rows"][0]["blocks"])
    steps = result["setting"]["steps"]
    return [
        "dead zone",
        "as trained",
        *([f"after {steps} steps"] if steps else []),
        "loss",
        f"words of {WORD_BYTES} bytes",
        *(f"blocks of {int(size):,}" for size in sizes[:-1]),
        "frames",
    ]


def _lines(result: Mapping[str, Any]) -> Iterator[list[str]]:
    for row in result["rows"]:
        shares = [row["words"], *row["blocks"].values()]
        yield [
            str(row["dead_zone"]),
            share_of(row["as_trained"]),
            *([share_of(row["tuned"])] if result["setting"]["steps"] else []),
            "" if row["loss"] is None else f"{100 * row['loss']:.1f}",
            *(f"{share:.1%}" for share in shares),
        ]


def markdown(result: Mapping[str, Any]) -> str:
    """The result as a page that says how it came about."""
    setting, columns = result["setting"], _columns(result)
    return "\n".join(
        (
            "<!-- Written by `fdht bench deadzone`; do not edit. -->",
            "",
            f"| {' | '.join(columns)} |",
            "|" + "---:|" * len(columns),
            *(f"| {' | '.join(line)} |" for line in _lines(result)),
            "",
            "![Accuracy over the words that are left](deadzone.svg)",
            "",
            "All figures are *measured*, by",
            "",
            f"    {_command(result)}",
            "",
            f"on {setting['test_clips']:,} test clips, the same for all (standard error of an "
            f"accuracy at most {result['standard_error']:.1%}). *As trained* is the checkpoint of "
            f"`{setting['experiment']}`, which never saw a dead zone.{_after(setting)} The loss is "
            "against the best accuracy without one, in points. The other columns say how many of "
            "the words, of the blocks of values that become one vector of a later stage (the last "
            "mode, the last two modes, ..), and of the frames hold anything but zeros.",
            "",
            f"The largest dead zone before one that loses more than {100 * setting['tolerance']:g} "
            f"points is {result['chosen']['dead_zone']}.{_trained_with(result)}",
            "",
        )
    )


def _command(result: Mapping[str, Any]) -> str:
    setting, trained = result["setting"], result["trained_with"]
    words = [
        f"fdht bench deadzone {setting['experiment']} --steps {setting['steps']}",
        f"--clips {setting['test_clips']} --tolerance {setting['tolerance']:g}",
        *(f"--zone {zone}" for zone in setting["zones"]),
        *([] if trained is None else [f"--trained {trained['experiment']}"]),
    ]
    return " ".join(words)


def _after(setting: Mapping[str, Any]) -> str:
    if not setting["steps"]:
        return ""
    return (
        f" *After {setting['steps']} steps* is the same network trained on "
        f"{setting['train_clips']:,} clips with the dead zone, of 0 too."
    )


def _trained_with(result: Mapping[str, Any]) -> str:
    found = result["trained_with"]
    if found is None:
        return ""
    whole = result["rows"][0]["as_trained"]
    told = f"{share_of(found['accuracy'])} with it"
    if found["accuracy"] is not None and whole is not None:
        more = found["accuracy"] - whole
        told += f", {100 * abs(more):.1f} points {'less' if more < 0 else 'more'} than"
        told += f" `{result['setting']['experiment']}` without"
    return (
        " That is of so short a training, which costs a little by itself, and of none. The "
        f"checkpoint of `{found['experiment']}`, which was trained with a dead zone of "
        f"{found['dead_zone']} from the beginning, reaches {told} (measured on the same clips)."
    )


def table(result: Mapping[str, Any]) -> Table:
    """The result for people."""
    shown = Table(title=f"Dead zones of {result['setting']['experiment']} (measured)")
    for column in _columns(result):
        shown.add_column(column, justify="right")
    for line in _lines(result):
        shown.add_row(*line)
    return shown


def plot(result: Mapping[str, Any]) -> str:
    """Accuracy over the share of words that are left; SVG text.

    Raises:
        ToolError: matplotlib is not installed.
    """
    figures = required_module("matplotlib.figure", "install it: pip install matplotlib")
    style = {"svg.fonttype": "none", "svg.hashsalt": "deadzone", "font.size": 9}
    with drawing(**style):
        figure = figures.Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        for key, (label, line) in _CURVES.items():
            if key == "tuned" and not result["setting"]["steps"]:
                continue
            rows = [row for row in result["rows"] if row[key] is not None]
            places = [100 * row["words"] for row in rows]
            axes.plot(places, [100 * row[key] for row in rows], line, label=label)
        for row in result["rows"]:
            if row["as_trained"] is None:  # its training gave no result
                continue
            where = (100 * row["words"], 100 * row["as_trained"])
            axes.annotate(str(row["dead_zone"]), where, (0, 6), textcoords="offset points")
        if (found := result["trained_with"]) is not None:
            share = {row["dead_zone"]: row["words"] for row in result["rows"]}
            if found["dead_zone"] in share:
                place = 100 * share[found["dead_zone"]]
                label = f"checkpoint of {found['experiment']}"
                axes.plot(place, 100 * found["accuracy"], "D", label=label)
        axes.set_xscale("log")
        plain_logarithms(axes.xaxis)
        axes.set_xlabel(f"words of {WORD_BYTES} bytes that are not zero, in % (measured)")
        axes.set_ylabel("accuracy on unseen clips in % (measured)")
        axes.grid(alpha=0.3)
        axes.legend(title="numbers: the dead zone")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
