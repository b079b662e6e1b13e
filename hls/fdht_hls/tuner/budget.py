"""What a design may take: a device, a share of it, and a frame rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fdht_hls.boards import Board
from fdht_hls.estimate import FAMILIES, ResourceModel, Resources
from fdht_models.errors import ConfigError, near_matches
from fdht_models.tensor.quantized import WORD_BYTES

#: Shares of a device that a design may take: routing fails long before all LUT are used, and the
#: rest of a user's design needs block RAM.
SHARES: Mapping[str, float] = MappingProxyType(
    {"lut": 0.60, "ff": 0.60, "dsp": 0.75, "bram36": 0.25}
)


@dataclass(frozen=True)
class Budget:
    """A device and the ports that feed it.

    Args:
        name: of the board.
        lut: look-up tables.
        ff: flip-flops.
        dsp: DSP slices.
        bram36: block RAMs of 36 kbit.
        clock_mhz: the core's clock.
        port_bytes: bytes that a memory port delivers in a clock.
        ports: how many ports read frames.
        family: key of `fdht_hls.estimate.FAMILIES`.
        shares: part of each resource that a design may take.
    """

    name: str
    lut: int
    ff: int
    dsp: int
    bram36: int
    clock_mhz: float
    port_bytes: int = WORD_BYTES
    ports: int = 1
    family: str = "zynq7000"
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)

    @property
    def bytes_per_clock(self) -> int:
        """What the ports deliver in a clock."""
        return self.port_bytes * self.ports

    @property
    def model(self) -> ResourceModel:
        """Coefficients for this family of devices.

        Raises:
            ConfigError: there are none.
        """
        if self.family not in FAMILIES:
            raise ConfigError(
                "has no resource model",
                field="family",
                value=self.family,
                remedy=near_matches(self.family, FAMILIES),
            )
        return FAMILIES[self.family]

    @property
    def limits(self) -> Resources:
        """What a design may take."""
        share = self.shares
        return Resources(
            math.floor(self.lut * share["lut"]),
            math.floor(self.ff * share["ff"]),
            math.floor(self.dsp * share["dsp"]),
            math.floor(2 * self.bram36 * share["bram36"]),
        )

    def used(self, resources: Resources) -> dict[str, float]:
        """Part of the device that a design takes, by resource; without those that are unknown."""
        return {
            name: taken / getattr(self, name)
            for name, taken in resources.to_json().items()
            if taken is not None
        }

    def used_json(self, resources: Resources) -> dict[str, float | None]:
        """The same as JSON; what is unknown is null."""
        used = self.used(resources)
        return {name: round(used[name], 4) if name in used else None for name in self.shares}

    def of_allowance(self, resources: Resources) -> dict[str, float]:
        """Part of its allowance that a design takes, by resource; above 1: too much."""
        return {name: part / self.shares[name] for name, part in self.used(resources).items()}

    def strain(self, resources: Resources) -> float:
        """Largest part of its allowance that a design takes of any resource; above 1: too much."""
        return max(self.of_allowance(resources).values())

    def lacking(self, resources: Resources) -> tuple[str, ...]:
        """What a design takes more of than it may, for people; the scarcest first."""
        taken, may = resources.to_json(), self.limits.to_json()
        parts = self.of_allowance(resources)
        return tuple(
            f"{taken[name]:,.10g} of {may[name]:,.10g} {name.upper()}"
            for name in sorted(parts, key=lambda name: -parts[name])
            if parts[name] > 1
        )

    def demand(self, resources: Resources) -> float:
        """Sum of squares of the parts of its allowances that a design takes.

        Squares, so that a resource counts for more the scarcer it becomes.
        """
        return sum(part**2 for part in self.of_allowance(resources).values())

    def cycles_at(self, frames_per_second: float) -> int:
        """Clocks that a frame may take at a frame rate.

        Raises:
            ConfigError: the rate is not above 0, or there is not even one clock a frame.
        """
        if not frames_per_second > 0 or not math.isfinite(frames_per_second):
            raise ConfigError("must be above 0", field="frames-per-second", value=frames_per_second)
        cycles = math.floor(self.clock_mhz * 1e6 / frames_per_second)
        if cycles < 1:
            raise ConfigError(
                f"is more than the clock of {self.clock_mhz:g} MHz",
                field="frames-per-second",
                value=frames_per_second,
            )
        return cycles

    def rate_at(self, cycles: int) -> float:
        """Frames a second at so many clocks a frame."""
        return self.clock_mhz * 1e6 / cycles

    def told_rate(self, cycles: int) -> str:
        """The same for people, with the clock without which it says nothing."""
        return f"{self.rate_at(cycles):,.0f} frames/s at {self.clock_mhz:g} MHz"

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "board": self.name,
            "family": self.family,
            "clock_mhz": self.clock_mhz,
            "bytes_per_clock": self.bytes_per_clock,
            "device": {name: getattr(self, name) for name in SHARES},
            "shares": dict(self.shares),
            "limits": self.limits.to_json(),
        }


def board_budget(
    board: Board, shares: str | None = None, port_bytes: int | None = None, ports: int = 1
) -> Budget:
    """A board as the tuner sees it, at its clock, with what is asked for.

    Args:
        board: the device.
        shares: see `parse_shares`.
        port_bytes: that a memory port delivers in a clock; by default a word.
        ports: that read frames.

    Raises:
        ConfigError: its port is narrower, or the shares are none.
    """
    widest, there = board.port.width_bits // 8, board.resources
    if port_bytes is not None and port_bytes > widest:
        raise ConfigError(
            f"a port of {board.name} delivers {widest} bytes a clock",
            field="port-bytes",
            value=port_bytes,
            remedy=f"use {widest}, or more --ports",
        )
    return Budget(
        board.name,
        there.lut,
        there.ff,
        there.dsp,
        there.bram36,
        board.clock_mhz,
        port_bytes or WORD_BYTES,
        ports,
        board.family,
        parse_shares(shares),
    )


def parse_shares(text: str | None) -> Mapping[str, float]:
    """Shares from the command line: "0.7" for all, or "lut=0.6,dsp=0.8" for some.

    Raises:
        ConfigError: it is neither, or a share is not above 0 and at most 1.
    """
    if not text:
        return SHARES
    if "=" not in text:
        return dict.fromkeys(SHARES, _share("budget", text))
    given: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name not in SHARES:
            raise ConfigError(
                "is no resource", field="budget", value=name, remedy=near_matches(name, SHARES)
            )
        if name in given:
            raise ConfigError("is given twice", field="budget", value=name, remedy="name it once")
        given[name] = _share(f"budget {name}", value)
    return {**SHARES, **given}


def _share(field: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise ConfigError(
            "must be a part of the device, above 0 and at most 1",
            field=field,
            value=text,
            remedy="for example --budget 0.75, or --budget lut=0.6,dsp=0.75",
        )
    return value
