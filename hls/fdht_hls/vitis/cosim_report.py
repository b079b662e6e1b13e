"""Reads what C/RTL co-simulation reports: `solution/sim/report/<top>_cosim.rpt`.

A table with a line a language. Latencies are those of a transaction, which is a call of the core;
the test bench makes two, of different numbers of frames, so that the clocks of a frame are what the
longer call takes more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fdht_models.errors import ArtifactError, ToolError

_HEAD = "Total Execution Time"
#: | Verilog | Pass | min | avg | max | min | avg | max | total |; Vivado HLS had no total.
_ROW = re.compile(r"^\|\s*(VHDL|Verilog)\s*\|(.*)\|\s*$", re.MULTILINE | re.IGNORECASE)
#: The lines above and below the table, which are equal.
_BORDER = re.compile(r"^\+-[-+]*-\+$", re.MULTILINE)


@dataclass(frozen=True)
class CosimReport:
    """A co-simulation that passed.

    Args:
        language: of the simulated RTL.
        least: clocks of the shortest call; None where it is unknown.
        most: clocks of the longest.
        total: clocks of the whole simulation.
    """

    language: str
    least: int | None
    most: int | None
    total: int | None

    def clocks_per_frame(self, calls: tuple[int, int]) -> float | None:
        """Clocks between two frames in steady state.

        Args:
            calls: frames in each of two calls.

        Returns:
            What one frame more takes; None if the calls were equally long.
        """
        if calls[0] == calls[1] or self.most is None or self.least is None:
            return None
        return (self.most - self.least) / abs(calls[1] - calls[0])

    def fill(self, calls: tuple[int, int]) -> float | None:
        """Clocks of a call beyond those of its frames."""
        pace = self.clocks_per_frame(calls)
        if pace is None or self.least is None:
            return None
        return self.least - pace * min(calls)


def read_cosim(path: Path) -> CosimReport:
    """Reads a report of co-simulation.

    Raises:
        ArtifactError: it cannot be read, is cut off, or is no such report.
        ToolError: the co-simulation failed, or none was run.
    """
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise _error(path, f"cannot be read ({error.strerror})") from error
    if _HEAD not in text:
        raise _error(path, f"is not a report of co-simulation: it has no {_HEAD!r}")
    borders = _BORDER.findall(text)
    if len(borders) < 3 or not text.rstrip().endswith(borders[0]):
        raise _error(path, "is cut off: its table has no end")
    rows = {
        found[1]: [cell.strip() for cell in found[2].split("|")] for found in _ROW.finditer(text)
    }
    run = {language: cells for language, cells in rows.items() if cells[0].upper() != "NA"}
    if not run:
        raise ToolError(
            "no RTL was simulated", field="co-simulation", remedy=f"read the log beside {path}"
        )
    for language, cells in run.items():
        if cells[0].lower() != "pass":
            raise ToolError(
                f"{language}: {cells[0]}",
                field="co-simulation",
                remedy=f"the RTL differs from the C++ or stopped; read the log beside {path}",
            )
    language, cells = next(iter(run.items()))
    if len(cells) != 8:
        raise _error(path, f"has {len(cells)} columns in its table where 8 are due")
    numbers = [_number(path, cell) for cell in cells[1:]]
    # Least, average and most of the latency, the same of the interval, and the total.
    return CosimReport(language, numbers[0], numbers[2], numbers[6])


def _number(path: Path, text: str) -> int | None:
    if text in {"NA", "x", "-", ""}:
        return None
    if not text.isdecimal():
        raise _error(path, f"has {text!r} where a number of clocks is due")
    return int(text)


def _error(path: Path, problem: str) -> ArtifactError:
    return ArtifactError(problem, field=str(path), remedy="delete it and run the step cosim again")
