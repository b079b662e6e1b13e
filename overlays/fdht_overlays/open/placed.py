"""What nextpnr-xilinx says of a design: sites used, and a clock that is no sign-off.

Its log gives a clock of each net twice: after placing, an estimate, and after routing, there as a
warning if it is missed (common/timing.cc at e22bcf69). Only the last counts. Neither times PS7,
block RAM and DSP slices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fdht_models.errors import ArtifactError, ToolError

PROGRAM = "nextpnr-xilinx"
#: Of every figure here.
KIND = f"placed and routed ({PROGRAM})"
#: Nothing before it is a figure of the routed design.
_ROUTED = "Routing complete."
#: A row of what is packed (common/design_utils.cc).
_USED = re.compile(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%$", re.M)
_CLOCK = re.compile(
    r"Max frequency for clock\s+'(?P<name>[^']*)': (?P<mhz>\d+(?:\.\d+)?) MHz "
    r"\((?:PASS|FAIL) at (?P<target>\d+(?:\.\d+)?) MHz\)"
)
#: A round of the router (common/router2.cc).
_ROUND = re.compile(r"^Info:\s+iter=\d+ wires=\d+ overused=(\d+)\b", re.M)


@dataclass(frozen=True)
class Clock:
    """What a clock reaches; no sign-off, since not all ports are timed.

    Args:
        name: of its net.
        mhz: that is reached.
        target_mhz: that was asked for.
    """

    name: str
    mhz: float
    target_mhz: float

    @property
    def slack(self) -> float:
        """Nanoseconds that are left in a period."""
        return 1e3 / self.target_mhz - 1e3 / self.mhz


@dataclass(frozen=True)
class Placed:
    """A placed and routed design.

    Args:
        used: (sites used, sites of the device) by kind, of those that are used at all. A
            `SLICE_LUTX` is half a LUT of six inputs.
        clock: the one with the least slack.
    """

    used: Mapping[str, tuple[int, int]]
    clock: Clock

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "kind": KIND,
            "used": {name: {"used": used, "of": of} for name, (used, of) in self.used.items()},
            "clock": {
                "net": self.clock.name,
                "mhz": self.clock.mhz,
                "target_mhz": self.clock.target_mhz,
                "sign_off": False,
            },
        }


def read_placed(log: str, source: str) -> Placed:
    """Reads a log of nextpnr-xilinx.

    Args:
        log: the text.
        source: where it lies, for messages.

    Raises:
        ArtifactError: it tells of no placed and routed design.
        ToolError: of one whose wires still cross.
    """
    used = {name: (int(count), int(of)) for name, count, of in _USED.findall(log) if int(count)}
    rounds = _ROUND.findall(log)
    clocks = [
        Clock(found["name"], float(found["mhz"]), float(found["target"]))
        for found in _CLOCK.finditer(log.rpartition(_ROUTED)[2] if _ROUTED in log else "")
        if float(found["mhz"]) > 0
    ]
    if not used or not clocks or not rounds:
        lacking = "sites used" if not used else "rounds of routing" if not rounds else "clock"
        raise ArtifactError(
            f"tells of no placed and routed design ({lacking} missing)",
            field=source,
            remedy="build again",
        )
    if rounds[-1] != "0":
        raise ToolError(
            f"left {rounds[-1]} wires that cross others",
            field=PROGRAM,
            remedy="use a schedule that takes less (fdht tune --budget lut=0.15)",
        )
    return Placed(used, min(clocks, key=lambda clock: clock.slack))
