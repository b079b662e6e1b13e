"""What outside meters have in common: options of a meter, units, numbers as text."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from fdht_host.power.meter import Sensor
from fdht_models.arguments import positive
from fdht_models.errors import ConfigError

#: What an outside meter covers, unless the user says otherwise.
WHOLE_BOARD = "whole board, through its supply"
_PACE = 0.1
#: One step of a reading in watts where nothing says it, and the least of one.
_RESOLUTION, _LEAST_RESOLUTION = 0.001, 1e-9
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_UNITS = {"": 1.0, "k": 1e3, "m": 1e-3, "u": 1e-6}
Decimal = Literal["point", "comma"]
Unit = Literal["", "k", "m", "u"]


@dataclass(frozen=True)
class MeterOptions:
    """Options that every outside meter has.

    Args:
        interval: seconds between two readings, for which a run's pattern is drawn; 0: a tenth of a
            second, or of a simulated meter a thousandth.
        gain_error: bound of the relative error that all readings share. An assumption where it is
            not stated: data sheets of USB meters and of bench supplies' read-back say 0.1 to 1 %.
        resolution: one step of a reading in watts; 0: as the readings show it, or 1 mW.
        covers: what the meter measures, for the report.

    Raises:
        ConfigError: an impossible value; names the option.
    """

    interval: float = 0.0
    gain_error: float = 0.01
    resolution: float = 0.0
    covers: str = WHOLE_BOARD

    def __post_init__(self) -> None:
        for name in ("interval", "gain_error", "resolution"):
            if getattr(self, name) != 0:
                positive(getattr(self, name), name)
        if not self.covers:
            raise ConfigError("must not be empty", field="covers")

    @property
    def pace(self) -> float:
        """Seconds between two readings of a real meter."""
        return self.interval or _PACE

    def sensor(
        self, name: str, resolution: float = _RESOLUTION, interval: float | None = None
    ) -> Sensor:
        """The meter that the options are of.

        Args:
            name: of the meter.
            resolution: one step of a reading in watts, where the options state none.
            interval: seconds between two readings; None: `pace`.
        """
        return Sensor(
            name=name,
            kind="measured",
            rails=(self.covers,),
            resolution_watts=self.resolution or max(resolution, _LEAST_RESOLUTION),
            gain_error=self.gain_error,
            update_interval_seconds=self.pace if interval is None else interval,
        )


def scale(unit: Unit) -> float:
    """What a number of so prefixed a unit is multiplied by."""
    return _UNITS[unit]


def number_of(text: str, decimal: Decimal = "point") -> float | None:
    """A number as meters write it; None: it is none, as "-", "OL" or nothing where one is missing.

    Only the decimal sign that is meant is one: "1,234" is no thousand.
    """
    plain = text.strip().strip('"')
    if decimal == "comma":
        if "." in plain:
            return None
        plain = plain.replace(",", ".")
    if not _NUMBER.fullmatch(plain):
        return None
    value = float(plain)
    return value if math.isfinite(value) else None


def decimals_of(text: str, decimal: Decimal = "point") -> float:
    """One step of the last digit of a number."""
    mantissa, _, exponent = text.strip().lower().partition("e")
    _, _, fraction = mantissa.partition("," if decimal == "comma" else ".")
    return float(10.0 ** (int(exponent or "0") - len(fraction)))


def require_power(volts: object, amperes: object, watts: object, what: str) -> None:
    """Refuses a meter of which it is not known, or said twice, how power is told.

    Raises:
        ConfigError: neither `watts` nor both of `volts` and `amperes`, or both.
    """
    both = bool(volts) and bool(amperes)
    if bool(watts) == both or bool(volts) != bool(amperes):
        raise ConfigError(
            f"either {what} of power or those of voltage and current are needed",
            field="watts, volts, amperes",
            remedy="state watts=.., or volts=.. and amperes=..",
        )
