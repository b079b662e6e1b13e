"""Which outside meter a user names: `KIND:PLACE`, and its options as `KEY=VALUE`."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fdht_host.power.meter import PowerMeter
from fdht_host.power.outside.csv_log import CsvOptions
from fdht_host.power.outside.quantities import MeterOptions, number_of
from fdht_host.power.outside.scpi import ScpiOptions, scpi_meter
from fdht_host.power.outside.serial_stream import SerialOptions, serial_meter
from fdht_host.power.outside.xadc import XadcOptions, xadc_meter
from fdht_models.errors import ConfigError, MeasurementError, require_known
from fdht_models.records import read_record

#: Kind -> its options, and what makes the meter of a place; None: a log that is read later.
_KINDS: Mapping[str, tuple[type[MeterOptions], Callable[[str, Any], PowerMeter] | None]] = {
    "csv": (CsvOptions, None),
    "scpi": (ScpiOptions, scpi_meter),
    "serial": (SerialOptions, serial_meter),
    "xadc": (XadcOptions, xadc_meter),
}
_HOW = "give csv, csv:FILE, scpi:HOST[:PORT], scpi:/dev/..., serial:/dev/... or xadc:CHANNEL"


@dataclass(frozen=True)
class OutsideMeter:
    """A meter that the user named.

    Args:
        kind: "csv", "scpi", "serial" or "xadc".
        place: where it is; of "csv", the file, or "".
        options: of its kind; of "csv" without a file only those of the run.
    """

    kind: str
    place: str
    options: MeterOptions

    def to_json(self) -> dict[str, Any]:
        """What a report tells of it."""
        return {"name": self.kind, "place": self.place, **vars(self.options)}

    @property
    def log(self) -> Path | None:
        """The file of a log that is there when the run has ended."""
        return Path(self.place) if self.kind == "csv" and self.place else None

    def live(self) -> PowerMeter | None:
        """The meter, to be recorded while the run lasts; None: it records by itself.

        Raises:
            MeasurementError: it does not answer as it should.
        """
        make = _KINDS[self.kind][1]
        if make is None:
            return None
        meter = make(self.place, self.options)
        try_once = getattr(meter, "try_once", None)
        if try_once is not None:
            try_once()
        return meter


def outside_meter(name: str, settings: Sequence[str] | Mapping[str, str] = ()) -> OutsideMeter:
    """The meter of a name and its options.

    Args:
        name: KIND or KIND:PLACE.
        settings: KEY=VALUE each, or by key.

    Raises:
        ConfigError: there is no such kind or option, a value does not fit, or a place is missing.
    """
    kind, _, place = name.partition(":")
    if kind not in _KINDS:
        raise ConfigError("is no meter", field="meter", value=name, remedy=_HOW)
    if not place and kind != "csv":
        raise ConfigError("does not say where it is", field="meter", value=name, remedy=_HOW)
    if kind == "serial" and not place.startswith("/"):
        raise ConfigError("is no serial line", field="meter", value=name, remedy=_HOW)
    given = dict(settings) if isinstance(settings, Mapping) else dict(map(_pair, settings))
    if len(given) != len(settings):
        raise ConfigError("names one option twice", field="meter-set", value=list(settings))
    # Columns are needed only where a log is read.
    options = MeterOptions if kind == "csv" and not place else _KINDS[kind][0]
    return OutsideMeter(kind, place, options_of(options, given))


def options_of(kind: type[MeterOptions], given: Mapping[str, str]) -> Any:
    """Options of texts, each as its field's type says.

    Raises:
        ConfigError: there is no such option, or a value does not fit.
    """
    hints, known = typing.get_type_hints(kind), [one.name for one in fields(kind)]
    table: dict[str, object] = {}
    for key, text in given.items():
        require_known(key, known, "meter-set", "is no option of this meter")
        table[key] = text
        if hints[key] in (int, float):
            number = number_of(text)
            if number is None or (hints[key] is int and number != int(number)):
                raise ConfigError("must be a number", field=key, value=text)
            table[key] = int(number) if hints[key] is int else number
    return read_record(kind, table, path="meter-set")


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ConfigError("is no KEY=VALUE", field="meter-set", value=text)
    return key.strip(), value


def require_real(meter: OutsideMeter, simulated: bool) -> None:
    """Refuses a meter of the real world for a simulated board, which draws no power.

    Raises:
        MeasurementError: it is one; of "csv" without a file the run writes a modelled log itself.
    """
    if simulated and (meter.kind != "csv" or meter.place):
        raise MeasurementError(
            "measures nothing of a simulated board",
            field="meter",
            value=f"{meter.kind}:{meter.place}",
            remedy="take --meter csv: the simulated meter's log is written beside the report",
        )
