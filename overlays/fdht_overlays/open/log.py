"""What logs of the open tools say: versions, the clock that was reached, causes of failures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fdht_models.errors import ArtifactError
from fdht_overlays.plan.failure import GENERAL, Cause

_VERSION = re.compile(r"^FDHT: ([a-z][\w-]*) (\S+)$", re.MULTILINE)
#: Nothing before it is a figure of the routed design.
_ROUTED = "Routing complete."
#: nextpnr's figure (common/timing.cc of nextpnr-xilinx e22bcf69): once after placing, as an
#: estimate, and again after routing, there as a warning if it is missed.
_CLOCK = re.compile(
    r"Max frequency for clock\s+'(?P<name>[^']*)': (?P<mhz>\d+(?:\.\d+)?) MHz "
    r"\((?:PASS|FAIL) at (?P<target>\d+(?:\.\d+)?) MHz\)"
)

#: A row of what nextpnr has packed (common/design_utils.cc).
_PLACED = re.compile(
    r"^Info:\s+(?P<name>\w+):\s+(?P<used>\d+)/\s*(?P<there>\d+)\s+\d+%", re.MULTILINE
)

#: What a sentence tells of the cause, first match first.
CAUSES: Sequence[Cause] = (
    Cause(
        r"no Bels remaining of type|at utilisation limit|check constraints and utilisation",
        "needs more than the device has",
        "use a schedule that takes less (fdht tune --budget lut=0.25,dsp=0.13)",
    ),
    Cause(
        r"Cannot pack unsupported primitive|[Uu]nsupported (?:cell|primitive)",
        "does not know a primitive of the netlist",
        "this is a limit of this nextpnr-xilinx: please report it with the log",
    ),
    Cause(
        r"is needed, and .* is ",
        "is of another version",
        "yosys 0.64 is the version that was tried; later ones stop half-way without an error",
    ),
    *GENERAL,
)


@dataclass(frozen=True)
class Clock:
    """What nextpnr says that a clock reaches; no sign-off, since it does not time all ports.

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


def versions_in(text: str) -> dict[str, str]:
    """Versions of tools that a step's log names, by tool."""
    return dict(_VERSION.findall(text))


def slowest_clock(log: str, source: str) -> Clock:
    """The clock with the least slack, after routing.

    Args:
        log: of nextpnr-xilinx.
        source: where it lies, for messages.

    Raises:
        ArtifactError: it names none.
    """
    clocks = [
        Clock(found["name"], float(found["mhz"]), float(found["target"]))
        for found in _CLOCK.finditer(log.rpartition(_ROUTED)[2] if _ROUTED in log else "")
        if float(found["mhz"]) > 0
    ]
    if not clocks:
        raise ArtifactError("tells no maximal frequency", field=source, remedy="build again")
    return min(clocks, key=lambda clock: clock.slack)


def placed_cells(log: str) -> dict[str, dict[str, int]]:
    """What nextpnr packed, by its names of sites: `used` of `available`; carry chains and all."""
    return {
        found["name"]: {"used": int(found["used"]), "available": int(found["there"])}
        for found in _PLACED.finditer(log)
        if int(found["used"])
    }
