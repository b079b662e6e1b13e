"""Reads Vivado's reports: utilisation, timing summary, power. Numbers or a clear refusal.

All are text (UG835, `report_utilization`, `report_timing_summary`, `report_power`); what is read of
them has kept its form from 2020.1 to 2024.2, which the tests read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fdht_models.errors import ArtifactError
from fdht_overlays.manifest import PowerFacts

#: Rows of the report of utilisation; the first word differs between the families.
_ROWS: Mapping[str, tuple[str, ...]] = {
    "lut": ("Slice LUTs", "CLB LUTs"),
    "ff": ("Slice Registers", "CLB Registers"),
    "dsp": ("DSPs",),
    "bram36": ("Block RAM Tile",),
}
_MET = "All user specified timing constraints are met."
_MISSED = "Timing constraints are not met."
#: A report is a few megabytes at most.
_LARGEST = 64 << 20


@dataclass(frozen=True)
class Utilisation:
    """Resources of a device: used and available, each lut, ff, dsp, bram36."""

    device: str
    used: Mapping[str, float]
    available: Mapping[str, float]

    def share(self, name: str) -> float:
        """Part of a resource that is used."""
        return self.used[name] / self.available[name]


@dataclass(frozen=True)
class Timing:
    """The design's timing, in nanoseconds.

    Args:
        device: that the report names.
        setup: worst slack against setup (WNS).
        hold: worst slack against hold (WHS).
        pulse: worst slack of pulse widths (WPWS).
        failing: endpoints that fail any of the three.
    """

    device: str
    setup: float
    hold: float
    pulse: float
    failing: int

    @property
    def met(self) -> bool:
        """No slack is negative."""
        return min(self.setup, self.hold, self.pulse) >= 0 and not self.failing

    @property
    def worst(self) -> float:
        """The least slack of the three."""
        return min(self.setup, self.hold, self.pulse)


def read_utilisation(path: Path) -> Utilisation:
    """Reads a report of utilisation.

    Raises:
        ArtifactError: it cannot be read, is cut off, or is no such report.
    """
    text, device = _read(path, "Utilization Design Information")
    used: dict[str, float] = {}
    available: dict[str, float] = {}
    for name, titles in _ROWS.items():
        cells = _row(path, text, titles)
        # Used, fixed, (prohibited, from 2021 on,) available, per cent.
        if len(cells) not in (4, 5):
            raise _error(path, f"has {len(cells)} columns in its row {titles[0]!r}")
        used[name] = _number(path, cells[0])
        available[name] = _number(path, cells[-2])
        if not available[name]:
            raise _error(path, f"says that the device has no {titles[0]}")
    return Utilisation(device, used, available)


def read_timing(path: Path) -> Timing:
    """Reads a summary of timing.

    Raises:
        ArtifactError: it cannot be read, is cut off, contradicts itself, or is no such report.
    """
    text, device = _read(path, "Design Timing Summary")
    found = re.search(r"^\s*WNS\(ns\)[^\n]*\n[\s-]+\n(?P<row>[^\n]+)\n", text, re.MULTILINE)
    if found is None:
        raise _error(path, "has no row of slacks")
    cells = found["row"].split()
    if len(cells) != 12:
        raise _error(path, f"has {len(cells)} figures in its row of slacks where 12 are due")
    if "NA" in (cells[0], cells[4], cells[8]):
        raise _error(path, "knows no slack: is the clock constrained?")
    numbers = [_number(path, cell) for cell in cells]
    failing = int(numbers[2] + numbers[6] + numbers[10])
    timing = Timing(device, numbers[0], numbers[4], numbers[8], failing)
    verdict = {True: _MET in text, False: _MISSED in text}
    if not verdict[timing.met] or verdict[not timing.met]:
        raise _error(path, "contradicts itself: its slacks say one thing and its verdict another")
    return timing


def read_power(path: Path) -> PowerFacts:
    """Reads a report of power: an estimate without activity of a simulation unless it says so.

    Raises:
        ArtifactError: it cannot be read, is cut off, or is no such report.
    """
    text, _ = _read(path, "Power Report")
    total, dynamic, static = (
        _number(path, _row(path, text, (title,))[0])
        for title in ("Total On-Chip Power (W)", "Dynamic (W)", "Device Static (W)")
    )
    confidence = _row(path, text, ("Confidence Level",))[0]
    return PowerFacts(total, dynamic, static, confidence)


def _read(path: Path, title: str) -> tuple[str, str]:
    """A report and the device that it names."""
    try:
        if path.stat().st_size > _LARGEST:
            raise _error(path, "is too large for a report")
        text = path.read_text(errors="replace")
    except OSError as error:
        raise _error(path, f"cannot be read ({error.strerror})") from error
    if title not in text:
        raise _error(path, f"is not the report that is due: it has no {title!r}")
    version = re.search(r"^\| Tool Version\s*: Vivado v\.?\d{4}\.\d+", text, re.MULTILINE)
    device = re.search(r"^\| Device\s*: (.*?)\s*\|?$", text, re.MULTILINE)
    if version is None or device is None:
        raise _error(path, "does not say of which Vivado and device it is")
    return text, device[1]


def _row(path: Path, text: str, titles: tuple[str, ...]) -> list[str]:
    """Cells of the first row with one of the titles, without the title."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0] in titles and len(cells) > 1:
            return cells[1:]
    raise _error(path, f"has no row {titles[0]!r}")


def _number(path: Path, text: str) -> float:
    # "<0.001" is what Vivado writes of what it would round to nothing.
    try:
        return float(text.removeprefix("<"))
    except ValueError as error:
        raise _error(path, f"has {text!r} where a number is due") from error


def _error(path: Path, problem: str) -> ArtifactError:
    return ArtifactError(
        problem, field=str(path), remedy="delete it and run the step implementation again"
    )
