"""Numbers as text."""

from __future__ import annotations

import math

#: What stands for a value that there is none of.
NOT_RUN = "not run"


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
