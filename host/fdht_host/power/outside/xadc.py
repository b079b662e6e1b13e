"""The converter of a Zynq-7000 (XADC), through Linux' IIO, with a shunt on a shield.

The kernel shows a channel as `in_voltageN[_name]_raw`, with `.._scale` in millivolts a step and
perhaps `.._offset` in steps: millivolts = (raw + offset) x scale (Documentation/ABI/testing/
sysfs-bus-iio). The current is that voltage / (gain x shunt).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fdht_host.power.hwmon import folders_in, number_in
from fdht_host.power.outside.quantities import MeterOptions, number_of
from fdht_host.power.sampling import SamplingMeter
from fdht_models.arguments import positive
from fdht_models.errors import ConfigError, MeasurementError

IIO = Path("/sys/bus/iio/devices")
_CHANNEL = re.compile(r"voltage[0-9]{1,2}")


@dataclass(frozen=True)
class XadcOptions(MeterOptions):
    """What the shield is.

    Args:
        shunt_ohms: of the shunt in the supply.
        gain: of the amplifier and divider between shunt and channel.
        supply_volts: of the supply, where it is not measured.
        volts_channel: channel that measures it, as voltage10.
        divider: supply voltage for each volt at that channel.
    """

    shunt_ohms: float = 0.0
    gain: float = 1.0
    supply_volts: float = 0.0
    volts_channel: str = ""
    divider: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("shunt_ohms", "gain", "divider"):
            positive(getattr(self, name), name)
        if bool(self.supply_volts) == bool(self.volts_channel):
            raise ConfigError(
                "one of both is needed",
                field="supply_volts, volts_channel",
                remedy="state supply_volts=5, or the channel that measures it",
            )
        if self.supply_volts:
            positive(self.supply_volts, "supply_volts")


def xadc_meter(channel: str, options: XadcOptions, root: Path = IIO) -> SamplingMeter:
    """The meter of a channel, as voltage9.

    Raises:
        ConfigError: it is no channel's name.
        MeasurementError: there is no XADC, or no such channel.
    """
    device = _device(root)
    current, step = _voltage(device, channel)
    to_amperes = 1 / (options.gain * options.shunt_ohms)
    if options.volts_channel:
        volts = _voltage(device, options.volts_channel)[0]

        def supply() -> float:
            return volts() * options.divider
    else:

        def supply() -> float:
            return options.supply_volts

    try:
        resolution = options.resolution or step * to_amperes * abs(supply())
    except (OSError, ValueError) as error:
        raise MeasurementError(f"cannot be read ({error})", field=str(device)) from error
    return SamplingMeter(
        options.sensor(f"xadc {channel}", resolution),
        lambda: current() * to_amperes * supply(),
        poll_seconds=options.pace,
    )


def _device(root: Path) -> Path:
    for folder in folders_in(root, "iio:device*"):
        try:
            if (folder / "name").read_text().strip() == "xadc":
                return folder
        except (OSError, ValueError):  # noqa: PERF203 - one that cannot be read is another's
            continue
    raise MeasurementError(
        "holds no xadc", field=str(root), remedy="use a Zynq-7000 whose device tree has the XADC"
    )


def _voltage(device: Path, channel: str) -> tuple[Callable[[], float], float]:
    """A function that gives volts at a channel, and one step of them."""
    if not _CHANNEL.fullmatch(channel):
        raise ConfigError(
            "is no channel", field="xadc channel", value=channel, remedy="name one, as voltage9"
        )
    found = folders_in(device, f"in_{channel}_*raw") or folders_in(device, f"in_{channel}_raw")
    if not found:
        raise MeasurementError(
            "is not among the channels",
            field="xadc channel",
            value=channel,
            remedy="there are "
            + ", ".join(path.name[3:-4] for path in folders_in(device, "in_voltage*_raw")),
        )
    raw = found[0]
    stem = raw.name.removesuffix("raw")
    try:
        scale = number_of((device / f"{stem}scale").read_text())
        place = device / f"{stem}offset"
        offset = number_in(place) if place.is_file() else 0
    except (OSError, ValueError) as error:
        raise MeasurementError(f"cannot be read ({error})", field=str(raw)) from error
    if scale is None or scale <= 0:
        raise MeasurementError("has no scale", field=str(raw))
    return lambda: (number_in(raw) + offset) * scale * 1e-3, scale * 1e-3
