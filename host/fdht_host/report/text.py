"""Figures as text, and how many of them a page holds.

A run may have thousands of clips; the page shows some of them, and says where the others are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: What stands for a value that there is none of.
NOT_RUN = "not run"
#: Rows of the page at most: of clips, blocks of a clip, clips whose blocks are shown, classes of a
#: source, labelled sources, and files that cannot be used.
MOST = {"clips": 200, "blocks": 40, "several": 5, "classes": 101, "labelled": 3, "problems": 20}


def clip_name(clip: Mapping[str, Any]) -> str:
    """What people call a clip: its file, and the frame at which it begins if that holds several."""
    return clip["clip"] if clip["start"] is None else f"{clip['clip']} from frame {clip['start']}"


def percent(share: float | None) -> str:
    """0.9123 -> 91.2 %."""
    return NOT_RUN if share is None else f"{100 * share:.1f} %"


def number(value: float | None, unit: str = "", digits: int = 3) -> str:
    """Three significant digits, thousands apart; integers as they are."""
    if value is None:
        return NOT_RUN
    if isinstance(value, int):
        text = f"{value:,}"
    elif value == 0 or 1e-3 <= abs(value) < 1e6:
        decimals = 0 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{decimals}f}"
    else:
        text = f"{value:.{digits}g}"
    return f"{text} {unit}".strip()


def with_uncertainty(value: float | None, uncertainty: float | None, unit: str) -> str:
    """Two significant digits of the uncertainty, and the value to the same place."""
    if value is None:
        return NOT_RUN
    if not uncertainty:
        return number(value, unit)
    decimals = max(0, 1 - math.floor(math.log10(uncertainty)))
    return f"{value:,.{decimals}f} ± {uncertainty:,.{decimals}f} {unit}"


def duration(seconds: float | None) -> str:
    """In milliseconds, or microseconds below 0.1 ms."""
    if seconds is None:
        return NOT_RUN
    return number(1e3 * seconds, "ms") if seconds >= 1e-4 else number(1e6 * seconds, "µs")
