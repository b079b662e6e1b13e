"""What a log of Vivado says: its version, and the causes of failures."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fdht_hls.flow.failure import GENERAL, Cause
from fdht_hls.vitis.log import NO_LICENCE

#: The tool as steps name it.
VIVADO = "Vivado"
_VERSION = re.compile(r"^FDHT: vivado (\S+)$|\bVivado v(\d{4}\.\d+(?:\.\d+)?)", re.MULTILINE)

#: What a sentence tells of the cause, first match first.
CAUSES: Sequence[Cause] = (
    NO_LICENCE,
    Cause(
        r"timing not met",
        "does not meet its timing",
        "use a slower --clock or a schedule with less in parallel; see timing_summary.rpt, "
        "or --allow-timing-failure",
    ),
    Cause(
        r"Place 30-640|Place 30-487|DRC UTLZ-1|DRC UTLZ|more \S+ cells than are available"
        r"|over-?utili[sz]ed",
        "needs more than the device has",
        "use a schedule that takes less (fdht tune), or a larger board",
    ),
    Cause(
        r"is too old",
        "is too old",
        "install Vivado 2022.2 or later and source its settings64.sh",
    ),
    Cause(
        r"has no board file",
        "lacks a board file",
        'install it, or set preset = "properties" in a board file of your own',
    ),
    *GENERAL,
)


def version_of(text: str) -> str | None:
    """The version of Vivado that a log names."""
    found = _VERSION.search(text)
    return None if found is None else found[1] or found[2]
