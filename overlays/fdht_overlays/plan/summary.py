"""What a build says at its end: the clock, what it takes of the board, and how fast it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from fdht_hls.boards import Board
from fdht_hls.estimate import load_estimate
from fdht_models.directories import ESTIMATE, ConversionDirectory
from fdht_models.errors import ArtifactError
from fdht_overlays.manifest import BuildFacts, OverlayManifest

#: How people call the resources.
_NAMES = {"lut": "LUT", "ff": "FF", "bram36": "BRAM (36 kbit)", "dsp": "DSP"}


def summary_json(manifest: OverlayManifest) -> dict[str, Any]:
    """All figures of the table, each with its kind; the estimate beside.

    Raises:
        ArtifactError: the overlay is a simulated board's, which no tool reported on.
    """
    build = _build(manifest)
    figure = manifest.figures.estimate
    estimated = {} if figure is None else figure.value
    resources = {
        name: {
            "used": build.used[name],
            "available": build.available[name],
            "share": build.used[name] / build.available[name],
            "kind": build.counted,
            "estimated": estimated.get("resources", {}).get(name),
        }
        for name in _NAMES
    }
    cycles = manifest.cycles_per_frame
    return {
        "clock": {
            "mhz": manifest.clock_mhz,
            "met": build.timing.met,
            "slack_ns": build.timing.worst,
            "allowed_failure": build.timing.allowed_failure,
            "kind": build.timing.kind,
        },
        "resources": resources,
        "frames_per_second": {
            "value": manifest.frames_per_second,
            "cycles": cycles.cycles,
            "kind": cycles.kind,
            "estimated": manifest.clock_mhz * 1e6 / estimated["cycles_per_frame"]
            if estimated.get("cycles_per_frame")
            else None,
        },
        "power_watts": None if build.power is None else {
            "value": build.power.total,
            "confidence": build.power.confidence,
            "kind": "estimated by Vivado",
        },
        "measured_on_hardware": False,
    }  # fmt: skip


def summary_table(manifest: OverlayManifest) -> Table:
    """The same for people."""
    value = summary_json(manifest)
    made = f"{manifest.flow}, core in {_build(manifest).core}"
    table = Table(title=f"{manifest.experiment} on {manifest.board} ({made})")
    for name in ("", "report", "of the board's", "estimate", "kind of the report"):
        table.add_column(name, justify="right" if name in ("report", "estimate") else "left")
    clock, rate, power = value["clock"], value["frames_per_second"], value["power_watts"]
    met = "met" if clock["met"] else "MISSED, and that was allowed"
    slack = f"{met}, slack {clock['slack_ns']:g} ns"
    table.add_row("clock", f"{clock['mhz']:g} MHz", slack, "", clock["kind"])
    for name, title in _NAMES.items():
        row = value["resources"][name]
        of = f"{row['share']:.1%} of {row['available']:,g}"
        table.add_row(title, f"{row['used']:,g}", of, _plain(row["estimated"]), row["kind"])
    cycles = f"{rate['cycles']:,} cycles a frame"
    table.add_row(
        "frames/s", f"{rate['value']:,.0f}", cycles, _plain(rate["estimated"]), rate["kind"]
    )
    if power is not None:
        sure = f"confidence {power['confidence']}"
        table.add_row("power on chip", f"{power['value']:g} W", sure, "", power["kind"])
    return table


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"


def _build(manifest: OverlayManifest) -> BuildFacts:
    if manifest.build is None:
        raise ArtifactError("holds no report of a tool", field="overlay", value=manifest.flow)
    return manifest.build


def beyond_board(conversion: ConversionDirectory, board: Board) -> str | None:
    """What is estimated to take more than a board has, such as "344 of 220 DSP"; None: nothing.

    Raises:
        ArtifactError: the file is no estimate.
    """
    # Not compared with its digest: it refuses nothing, and no figure comes from it.
    path = conversion.path / ESTIMATE
    taken = load_estimate(path).get("resources", {}) if path.exists() else {}
    there = asdict(board.resources)
    found = [
        f"{taken[name]:,g} of {there[name]:,g} {label}"
        for name, label in _NAMES.items()
        if name in taken and taken[name] > there[name]
    ]
    return ", ".join(found) or None
