"""What logs of the open tools say: versions, and causes of failures."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fdht_hls.flow.failure import GENERAL, Cause

_VERSION = re.compile(r"^FDHT: ([a-z][\w-]*) (\S+)$", re.MULTILINE)
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


def versions_in(text: str) -> dict[str, str]:
    """Versions of tools that a step's log names, by tool."""
    return dict(_VERSION.findall(text))
