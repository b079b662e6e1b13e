"""A meter that sends lines of numbers by itself over a serial line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fdht_host.power.outside.line_port import LinePort, open_port
from fdht_host.power.outside.port_meter import PortMeter
from fdht_host.power.outside.quantities import (
    Decimal,
    MeterOptions,
    Unit,
    number_of,
    require_power,
    scale,
)
from fdht_models.arguments import count
from fdht_models.errors import ConfigError, MeasurementError

_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": None}
#: Seconds between the end of a line and waiting for the next.
_POLL_SECONDS = 1e-4
_LINE_SECONDS = 3.0


@dataclass(frozen=True)
class SerialOptions(MeterOptions):
    """How lines are read.

    Args:
        baud: of the line.
        separator: of the numbers in a line; "space" is any white space.
        decimal: sign of decimals.
        volts, amperes, watts: which field of a line, from 1: watts, or both others.
        volts_unit, amperes_unit, watts_unit: prefix of each unit.
    """

    baud: int = 115200
    separator: Literal["comma", "semicolon", "tab", "space"] = "comma"
    decimal: Decimal = "point"
    volts: int = 0
    amperes: int = 0
    watts: int = 0
    volts_unit: Unit = ""
    amperes_unit: Unit = ""
    watts_unit: Unit = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        count(self.baud, "baud", 300, 4_000_000)
        for name in ("volts", "amperes", "watts"):
            count(getattr(self, name), name, 0, 999)
        require_power(self.volts, self.amperes, self.watts, "the number of the field")
        if self.separator == "comma" and self.decimal == "comma":
            raise ConfigError("cannot be that of decimals, too", field="separator", value="comma")

    @property
    def fields(self) -> tuple[tuple[int, float], ...]:
        """Which fields are multiplied, and each one's unit."""
        if self.watts:
            return ((self.watts, scale(self.watts_unit)),)
        return (
            (self.volts, scale(self.volts_unit)),
            (self.amperes, scale(self.amperes_unit)),
        )


def serial_meter(place: str, options: SerialOptions) -> PortMeter:
    """A meter at a serial line; a line that holds no such numbers is a reading that failed."""
    sensor = options.sensor(f"serial {place}")

    def connect() -> LinePort:
        port = open_port(place, options.baud, _LINE_SECONDS)
        port.read()  # it may have begun in the middle of a line
        return port

    def read(port: LinePort) -> float:
        line = port.read()
        parts = line.split(_SEPARATORS[options.separator])
        watts = 1.0
        for number, unit in options.fields:
            value = number_of(parts[number - 1], options.decimal) if number <= len(parts) else None
            if value is None:
                raise MeasurementError(
                    f"field {number} is no number",
                    field=f"line of {place}",
                    value=line,
                    remedy="state which fields have volts and amperes, or watts; and the separator",
                )
            watts *= value * unit
        return watts

    return PortMeter(sensor, connect, read, poll_seconds=_POLL_SECONDS, at_arrival=True)
