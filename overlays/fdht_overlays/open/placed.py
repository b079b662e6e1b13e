"""What nextpnr-xilinx says of a design: sites used, and a clock that is no sign-off.

The log gives a clock twice for each net: after placement, an estimate, and after routing. Only the
last counts. Neither times PS7, block RAM and DSP slices.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from fdht_models.errors import ToolError

#: Of every figure here.
KIND = "placed and routed (nextpnr-xilinx)"
_PROGRAM = "nextpnr-xilinx"
_USED = re.compile(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%$", re.M)
_CLOCK = re.compile(r"^Info: Max frequency for clock\s+'([^']+)': ([\d.]+) MHz", re.M)
_ROUTED = re.compile(r"^Info:\s+iter=\d+ wires=\d+ overused=(\d+)\b", re.M)


@dataclass(frozen=True)
class Placed:
    """A placed and routed design.

    Args:
        used: (sites used, sites of the device) by kind, of those that are used at all. A
            `SLICE_LUTX` is half a LUT of six inputs.
        max_mhz: of the slowest clock, after routing.
    """

    used: dict[str, tuple[int, int]]
    max_mhz: float

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        used = {name: {"used": used, "of": of} for name, (used, of) in self.used.items()}
        return {"kind": KIND, "used": used, "max_mhz": self.max_mhz, "sign_off": False}


def read_placed(log: str) -> Placed:
    """Reads a log of nextpnr-xilinx.

    Raises:
        ToolError: it tells of no placed design, or of one whose wires still cross.
    """
    used = {name: (int(count), int(of)) for name, count, of in _USED.findall(log)}
    clocks = {name: float(mhz) for name, mhz in _CLOCK.findall(log)}
    overused = _ROUTED.findall(log)
    if not used or not clocks or not overused:
        raise ToolError("its log tells of no placed and routed design", field=_PROGRAM)
    if overused[-1] != "0":
        raise ToolError(f"left {overused[-1]} wires that cross others", field=_PROGRAM)
    return Placed(
        {name: counts for name, counts in used.items() if counts[0]}, min(clocks.values())
    )


def check_clock(placed: Placed, clock_mhz: float) -> None:
    """Refuses a design that is too slow even by a figure which knows nothing of its blocks.

    Raises:
        ToolError: so it is.
    """
    if placed.max_mhz < clock_mhz:
        raise ToolError(
            f"the design reaches {placed.max_mhz:g} of {clock_mhz:g} MHz ({KIND})",
            field="flow open",
            remedy="tune it for less: fdht tune --budget lut=0.15",
        )
