"""The log of a meter that records by itself, such as a USB meter's, as CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import numpy as np

from fdht_host.clocks import NANOSECONDS
from fdht_host.power.meter import PowerTrace
from fdht_host.power.outside.quantities import (
    Decimal,
    MeterOptions,
    Unit,
    decimals_of,
    number_of,
    require_power,
    scale,
)
from fdht_models.csv_lines import csv_lines
from fdht_models.errors import ConfigError, DataError
from fdht_models.files import read_text_file

_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}
#: Shares of the lines that may lack a number, repeat a time, or have negative power.
_MOST_BAD = 0.02
#: Intervals without a reading that count as a gap.
_GAP = 5.0
_CLOCK = re.compile(r"([0-9]{1,3}):([0-5][0-9]):([0-5][0-9](?:[.,][0-9]{1,9})?)")
_DAY = 86_400.0
#: Of the log of a simulated board: time in seconds, and power.
LOG_COLUMNS = ("time", "modelled watts")
#: Lines that may stand above the header.
_MOST_ABOVE = 100


@dataclass(frozen=True)
class CsvOptions(MeterOptions):
    """How a log is read.

    Args:
        time: name of the column of time; "": there is none, and `interval` is between two lines.
        time_format: "seconds", "milliseconds", "microseconds", "clock" (hours:minutes:seconds) or
            "iso" (date and time).
        volts, amperes, watts: names of columns: of watts, or of both others.
        volts_unit, amperes_unit, watts_unit: prefix of each unit.
        separator: of columns; "auto": the one with which the header has all of them.
        decimal: sign of decimals.

    Raises:
        ConfigError: columns are named twice or lack, or signs clash.
    """

    time: str = ""
    time_format: Literal["seconds", "milliseconds", "microseconds", "clock", "iso"] = "seconds"
    volts: str = ""
    amperes: str = ""
    watts: str = ""
    volts_unit: Unit = ""
    amperes_unit: Unit = ""
    watts_unit: Unit = ""
    separator: Literal["auto", "comma", "semicolon", "tab"] = "auto"
    decimal: Decimal = "point"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_power(self.volts, self.amperes, self.watts, "the name of the column")
        if len(set(self.columns)) != len(self.columns):
            raise ConfigError("name one column twice", field="time, watts, volts, amperes")
        if not self.time and not self.interval:
            raise ConfigError(
                "is missing",
                field="time",
                remedy="state time=COLUMN, or interval=SECONDS between two lines",
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that are read, time first."""
        power = (self.watts,) if self.watts else (self.volts, self.amperes)
        return (self.time, *power) if self.time else power


@dataclass(frozen=True)
class LogNotes:
    """What was found wrong with a log that can be used.

    Args:
        missing: lines without a number where one should be.
        repeated: lines with the time of the one before.
        negative: lines of less than no power.
        gaps: places where more than five intervals lack.
    """

    missing: int = 0
    repeated: int = 0
    negative: int = 0
    gaps: int = 0

    def told(self) -> str:
        """A sentence, or "" where there is nothing to tell."""
        counts = [
            (self.missing, "lines without a number"),
            (self.repeated, "lines that repeat a time"),
            (self.negative, "lines of negative power"),
            (self.gaps, "gaps"),
        ]
        found = [f"{count} {what}" for count, what in counts if count]
        return f"Of the log, {', '.join(found)} were left out or bridged." if found else ""


def read_log(path: Path, options: CsvOptions) -> tuple[PowerTrace, LogNotes]:
    """Reads a log.

    Few lines that lack a number, repeat a time or have negative power are left out and counted.

    Returns:
        The trace on the meter's own clock, and what is to be told of it.

    Raises:
        DataError: it is no such log, time runs backwards, or too many lines cannot be used.
    """
    header, lines = _table(path, options)
    places = [header.index(name) for name in options.columns]
    seconds_of, first = _clock_of(options), lines[0][0] if lines else 0
    times: list[float] = []
    watts: list[float] = []
    steps: list[float] = []
    missing = repeated = negative = 0
    for number, fields in lines:
        found = [fields[place] if place < len(fields) else "" for place in places]
        moment = seconds_of(found[0]) if options.time else (number - first) * options.interval
        power = _power(found[1:] if options.time else found, options)
        if moment is None or power is None:
            missing += 1
        elif times and moment < times[-1]:
            raise DataError(
                f"time runs backwards, from {times[-1]:.6g} s to {moment:.6g} s",
                field=f"{path}: line {number}",
                remedy="cut the log to the part of the run; check time_format",
            )
        elif times and moment == times[-1]:
            repeated += 1
        elif power[0] < 0:
            negative += 1
        else:
            times.append(moment)
            watts.append(power[0])
            steps.append(power[1])
    _require_few(path, len(lines), missing, repeated, negative)
    if len(times) < 2:
        raise DataError("has fewer than two readings", field=str(path), remedy="record for longer")
    stamps = np.rint((np.array(times) - times[0]) * NANOSECONDS).astype(np.int64)
    apart = np.diff(stamps) / NANOSECONDS
    interval = float(np.median(apart))
    gaps = int(np.count_nonzero(apart > _GAP * interval))
    if np.any(apart <= 0):
        raise DataError("times are too close together", field=str(path), remedy="check time_format")
    sensor = options.sensor(path.name, float(np.median(steps)), interval)
    trace = PowerTrace(stamps, np.array(watts), sensor, missed=missing + repeated + negative)
    return trace, LogNotes(missing, repeated, negative, gaps)


def write_log(path: Path, trace: PowerTrace) -> None:
    """Writes a trace as the log of a simulated board's USB meter, in `LOG_COLUMNS`."""
    origin = int(trace.timestamps_ns[0])
    rows = [
        f"{(int(moment) - origin) / NANOSECONDS:.6f},{power:.4f}"
        for moment, power in zip(trace.timestamps_ns, trace.watts, strict=True)
    ]
    path.write_text("\n".join([",".join(LOG_COLUMNS), *rows]) + "\n", encoding="utf-8")


def _table(path: Path, options: CsvOptions) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, which has all columns, and the lines below it."""
    text = read_text_file(path, remedy="name the log of the meter, saved as UTF-8")
    names = ["comma", "semicolon", "tab"] if options.separator == "auto" else [options.separator]
    heads: list[str] = []
    for name in names:
        lines = list(csv_lines(text, str(path), _SEPARATORS[name]))
        for place, (_, fields) in enumerate(lines[:_MOST_ABOVE]):
            header = [field.strip() for field in fields]
            if set(options.columns) <= set(header):
                if len(set(header)) != len(header) and any(
                    header.count(one) > 1 for one in options.columns
                ):
                    raise DataError("has a column twice", field=str(path), remedy="rename one")
                return header, lines[place + 1 :]
            heads = max(heads, header, key=len)
    raise DataError(
        "has no header with " + ", ".join(map(repr, options.columns)),
        field=str(path),
        remedy="name columns as the log does: " + ", ".join(map(repr, heads[:12])),
    )


def _power(fields: Sequence[str], options: CsvOptions) -> tuple[float, float] | None:
    """Watts, and one step of them, of the fields of a line; None: a number is missing."""
    values = [number_of(field, options.decimal) for field in fields]
    if any(value is None for value in values):
        return None
    found = [float(value or 0.0) for value in values]
    steps = [decimals_of(field, options.decimal) for field in fields]
    if options.watts:
        unit = scale(options.watts_unit)
        return found[0] * unit, steps[0] * unit
    volts, amperes = scale(options.volts_unit), scale(options.amperes_unit)
    unit = volts * amperes
    step = abs(found[0]) * steps[1] + abs(found[1]) * steps[0]
    return found[0] * found[1] * unit, step * unit


def _clock_of(options: CsvOptions) -> Callable[[str], float | None]:
    """Makes seconds of the field of time; None: it holds none."""
    factors = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6}
    if options.time_format in factors:
        factor = factors[options.time_format]

        def counted(text: str) -> float | None:
            value = number_of(text, options.decimal)
            return None if value is None else value * factor

        return counted
    return _iso if options.time_format == "iso" else _DayClock()


def _iso(text: str) -> float | None:
    plain = text.strip().strip('"').replace(",", ".").removesuffix("Z")
    # Python 3.10 takes three or six decimals only.
    whole, dot, part = plain.partition(".")
    try:
        moment = datetime.fromisoformat(whole)
        if dot and not part.isdecimal():
            return None
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp() + (float(f"0.{part}") if dot else 0.0)


class _DayClock:
    """Hours, minutes and seconds, on through midnight."""

    def __init__(self) -> None:
        self._former, self._days = -1.0, 0

    def __call__(self, text: str) -> float | None:
        found = _CLOCK.fullmatch(text.strip().strip('"'))
        if found is None:
            return None
        seconds = int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3].replace(",", "."))
        if seconds < self._former - _DAY / 2:
            self._days += 1
        self._former = seconds
        return seconds + self._days * _DAY


def _require_few(path: Path, lines: int, missing: int, repeated: int, negative: int) -> None:
    """Refuses a log of which too many lines cannot be used."""
    remedies = {
        "lack a number": (missing, "check the decimal sign, the separator and time_format"),
        "repeat the time of the line before": (
            repeated,
            "name a column of finer time, or leave time out and state interval=SECONDS",
        ),
        "have negative power": (negative, "turn the meter round"),
    }
    for what, (count, remedy) in remedies.items():
        if count > max(_MOST_BAD * lines, 1):
            raise DataError(f"{count} of {lines} lines {what}", field=str(path), remedy=remedy)
