"""A drawing of one frame's way through the engine: which stage is busy, starved or blocked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.rtl.cosim import KIND, Timeline
from fdht_models.artifacts import write_bytes
from fdht_models.drawing import drawing
from fdht_models.errors import ConfigError, ToolError

#: Intervals along the time axis at most; each shows shares of its clocks. Shorter ones would beat
#: with the turns of a stage, which take some 20 clocks.
_INTERVALS = 200
_STATES = {"b": ("busy", "#2a78b5"), "o": ("blocked", "#c8442b"), "s": ("starved", "#dddddd")}
_FORMATS = ("svg", "png", "pdf")


def shares(
    states: str, intervals: int = _INTERVALS
) -> tuple[npt.NDArray[Any], dict[str, npt.NDArray[Any]]]:
    """What share of each interval a stage spends how.

    Args:
        states: a letter a clock; see `Timeline`.
        intervals: at most so many.

    Returns:
        (first clock of each interval and the end, share by letter [intervals]).
    """
    letters = np.array(list(states))
    count = min(intervals, len(letters))
    edges = np.linspace(0, len(letters), count + 1).astype(int)
    found = {
        letter: np.add.reduceat(letters == letter, edges[:-1], dtype=int) / np.diff(edges)
        for letter in _STATES
    }
    return edges, found


def picture_format(path: Path) -> str:
    """The format that a file's name asks for.

    Raises:
        ConfigError: it is none of those that can be drawn.
    """
    kind = path.suffix[1:].lower()
    if kind not in _FORMATS:
        raise ConfigError(f"must end in .{', .'.join(_FORMATS)}", field="gantt", value=str(path))
    return kind


def draw_gantt(timeline: Timeline, title: str, path: Path) -> None:
    """Draws a row a stage, in which the height of a colour is its share of the time.

    Rows run downwards, as data do; in each, what a stage is busy with stands on its lower edge.

    Raises:
        ArtifactError: the file cannot be written.
        ConfigError: its name ends in no format of pictures, or nothing was noted.
        ToolError: matplotlib is not installed.
    """
    kind = picture_format(path)
    if not timeline.states or not timeline.states[0]:
        raise ConfigError("nothing was noted of this frame", field="timeline")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ToolError(
            "is not installed", field="matplotlib", remedy="pip install matplotlib"
        ) from error
    with drawing():
        stages = len(timeline.stages)
        figure = Figure(figsize=(11, 1.2 + 0.42 * stages), layout="constrained")
        axes = figure.subplots()
        for row, states in enumerate(timeline.states):
            edges, found = shares(states)
            below = np.full(len(edges) - 1, row + 0.9)
            for letter, (label, colour) in _STATES.items():
                above = below - 0.8 * found[letter]
                axes.fill_between(
                    edges,
                    np.append(below, below[-1]),
                    np.append(above, above[-1]),
                    step="post",
                    color=colour,
                    linewidth=0,
                    label=label if row == 0 else None,
                )
                below = above
        axes.axvline(timeline.last_word, color="black", linewidth=0.8, linestyle="--")
        axes.annotate(
            "last pixel",
            (timeline.last_word, 0),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )
        axes.set_yticks(np.arange(stages) + 0.5, timeline.stages)
        axes.set_ylim(stages, 0)
        axes.set_xlim(0, len(timeline.states[0]))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel(f"clocks since the frame's first word ({KIND})")
        axes.set_title(f"{title}; height: share of the time", loc="left", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower right", ncols=len(_STATES), frameon=False)
        picture = io.BytesIO()
        figure.savefig(picture, format=kind, metadata={"Date": None} if kind == "svg" else None)
    write_bytes(path, picture.getvalue())
