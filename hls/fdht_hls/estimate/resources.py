"""What a design takes of a device."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resources:
    """Look-up tables, flip-flops, DSP slices and block RAM.

    Args:
        lut: 6-input look-up tables, those used as memory included.
        ff: flip-flops; None where they are not known, as of the core in RTL.
        dsp: DSP48 slices.
        bram18: block RAMs of 18 kbit; two of them are a RAMB36.
    """

    lut: int = 0
    ff: int | None = 0
    dsp: int = 0
    bram18: int = 0

    @property
    def bram36(self) -> float:
        """Block RAMs of 36 kbit; half of one is a RAMB18."""
        return self.bram18 / 2

    def __add__(self, other: Resources) -> Resources:
        ff = None if self.ff is None or other.ff is None else self.ff + other.ff
        lut, dsp = self.lut + other.lut, self.dsp + other.dsp
        return Resources(lut, ff, dsp, self.bram18 + other.bram18)

    def __mul__(self, count: int) -> Resources:
        ff = None if self.ff is None else self.ff * count
        return Resources(self.lut * count, ff, self.dsp * count, self.bram18 * count)

    def to_json(self) -> dict[str, Any]:
        """A JSON object in the units of a device's data sheet: block RAM in RAMB36."""
        return {"lut": self.lut, "ff": self.ff, "dsp": self.dsp, "bram36": self.bram36}


def total(parts: Iterable[Resources]) -> Resources:
    """The sum."""
    return sum(parts, Resources())


def luts(value: float) -> int:
    """Look-up tables of a formula: whole ones."""
    return math.ceil(value - 1e-9)
