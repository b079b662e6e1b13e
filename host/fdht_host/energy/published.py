"""Figures of others that are shown beside a measured one, and what each of them counts."""

from __future__ import annotations

from dataclasses import dataclass

from fdht_host.energy.evaluation import EnergyResult


@dataclass(frozen=True)
class PublishedFigure:
    """A row of the table.

    Args:
        what: the network and the hardware.
        figure: as it was published, or measured.
        millijoules: of a frame or time step, where that can be told.
        counts: what is in it.
        source: who says so.
    """

    what: str
    figure: str
    millijoules: float | None
    counts: str
    source: str


PUBLISHED = (
    PublishedFigure(
        "EdgeDRNN on a MiniZed",
        "about 0.5 ms a time step, 2.42 W",
        0.5 * 2.42,
        "the whole board, at the plug; another network, which skips small changes; the product of "
        "both figures is worked out here",
        "EdgeDRNN",
    ),
    PublishedFigure(
        "LSTM on a small embedded FPGA",
        "11.89 GOP/s/W",
        None,
        "operations of another network a joule; not to be turned into frames of this one",
        "arXiv 2604.19293",
    ),
    PublishedFigure(
        "FDHT accelerator, LSTM-Youtube and LSTM-UCF",
        "2.41 and 1.83 times the energy efficiency of TIE",
        None,
        "an ASIC beside another ASIC; no joules",
        "arXiv 2212.02046",
    ),
)


def beside(board: EnergyResult, cpu: EnergyResult, title: str) -> tuple[PublishedFigure, ...]:
    """The table: this board, this host's CPU, and what others published."""
    rails = ", ".join(board.rails) or "nothing"
    return (
        _own(f"this network on {title}", board, f"{rails}; busy and idle parts together"),
        _own("this network's integer reference on this host's CPU", cpu, "the CPU's packages"),
        *PUBLISHED,
    )


def _own(what: str, found: EnergyResult, counts: str) -> PublishedFigure:
    value = found.value_mj_per_frame
    figure = found.kind if value is None else f"{value:.4g} mJ a frame"
    return PublishedFigure(what, figure, value, counts, f"this run, {found.kind}")
