"""Bench meters and supplies that speak SCPI, by a raw socket or a serial line.

What differs between instruments is data: `dialects.toml`. pyvisa-py is not needed for this: it
reads serial lines through pyserial as well, and a raw socket is the standard library's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fdht_host.power.outside.line_port import LinePort, open_port
from fdht_host.power.outside.port_meter import PortMeter
from fdht_host.power.outside.quantities import MeterOptions, number_of, require_power
from fdht_models.arguments import count
from fdht_models.documents import read_toml_file
from fdht_models.errors import ConfigError, MeasurementError, require_known
from fdht_models.records import read_record

DIALECTS = Path(__file__).with_name("dialects.toml")
_CONNECTION_SECONDS = 3.0


@dataclass(frozen=True)
class Dialect:
    """What an instrument is asked.

    Args:
        title: for people.
        expects: regular expression of its answer to `*IDN?`.
        setup: commands before the first reading.
        volts, amperes, watts: queries; of watts, or of both others.
        source: where the commands stand.
    """

    title: str
    expects: str
    setup: tuple[str, ...]
    source: str
    volts: str = ""
    amperes: str = ""
    watts: str = ""

    def __post_init__(self) -> None:
        require_power(self.volts, self.amperes, self.watts, "the query")
        for query in filter(None, (self.volts, self.amperes, self.watts)):
            if "?" not in query or not query.isascii() or not query.isprintable():
                raise ConfigError("is no query", field="dialect", value=query)
        try:
            re.compile(self.expects)
        except re.error as error:
            raise ConfigError("is no regular expression", field="expects") from error


@dataclass(frozen=True)
class ScpiOptions(MeterOptions):
    """How an instrument is asked.

    Args:
        dialect: a table of `dialects.toml`.
        channel: of the instrument.
        baud: of a serial line.
        volts, amperes, watts: queries in place of the dialect's.
    """

    dialect: str = "generic"
    channel: int = 1
    baud: int = 9600
    volts: str = ""
    amperes: str = ""
    watts: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        count(self.channel, "channel", 1, 99)
        count(self.baud, "baud", 300, 4_000_000)
        require_known(self.dialect, dialects(), "dialect")
        if self.volts or self.amperes or self.watts:
            require_power(self.volts, self.amperes, self.watts, "the query")

    @property
    def queries(self) -> tuple[str, ...]:
        """One for watts, or two for volts and amperes."""
        own = bool(self.volts or self.amperes or self.watts)
        said: ScpiOptions | Dialect = self if own else dialects()[self.dialect]
        found = (said.watts,) if said.watts else (said.volts, said.amperes)
        return tuple(query.replace("{channel}", str(self.channel)) for query in found)


@cache
def dialects(path: Path = DIALECTS) -> dict[str, Dialect]:
    """The dialects by name.

    Raises:
        ConfigError: the file is not as it must be.
    """
    return {
        name: read_record(Dialect, table, source=path.name, path=name)
        for name, table in read_toml_file(path).items()
    }


def scpi_meter(place: str, options: ScpiOptions) -> PortMeter:
    """A meter at HOST[:PORT] or at a serial line, asked every `interval`."""
    sensor = options.sensor(f"scpi {place}")

    def read(port: LinePort) -> float:
        watts = 1.0
        for query in options.queries:
            watts *= _asked(port, query, place)
        return watts

    return PortMeter(sensor, lambda: _connect(place, options), read, poll_seconds=options.pace)


def _connect(place: str, options: ScpiOptions) -> LinePort:
    """Opens the connection and sees to it that the instrument speaks the dialect.

    Raises:
        MeasurementError: it does not answer, or is another.
    """
    dialect = dialects()[options.dialect]
    port = open_port(place, options.baud, _CONNECTION_SECONDS)
    try:
        port.write("*IDN?")
        found = port.read()
        if not re.match(dialect.expects, found):
            raise MeasurementError(
                f"is no {dialect.title}: it says {found!r}",
                field="meter",
                value=place,
                remedy="state another dialect: " + ", ".join(dialects()),
            )
        port.write("*CLS")
        for command in dialect.setup:
            port.write(command.replace("{channel}", str(options.channel)))
        for query in options.queries:
            _asked(port, query, place)
        _require_no_error(port, place)
    except BaseException:
        port.close()
        raise
    return port


def _asked(port: LinePort, query: str, place: str) -> float:
    """The number that an instrument answers.

    Raises:
        MeasurementError: it answers otherwise, or not at all.
    """
    port.write(query)
    try:
        found = port.read()
    except MeasurementError as error:
        raise error.moved(
            problem=f"does not answer {query!r}",
            remedy="state the dialect that it speaks, or watts=QUERY",
        ) from error
    number = number_of(found)
    # 9.9E37 is how SCPI says "not a number" and infinity (SCPI-1999, volume 1, 7.2.1.4).
    if number is None or abs(number) >= 9.9e37:
        raise MeasurementError(
            f"answers {query!r} by {found!r}",
            field="meter",
            value=place,
            remedy="state the dialect that it speaks, or watts=QUERY",
        )
    return number


def _require_no_error(port: LinePort, place: str) -> None:
    port.write("SYST:ERR?")
    found = port.read()
    if not re.match(r"[+-]?0\b", found):
        raise MeasurementError(
            f"reports {found!r}",
            field="meter",
            value=place,
            remedy="state the dialect that it speaks, or watts=QUERY",
        )
