"""Power sensors of the Linux kernel's hwmon tree, such as the KV260's INA260."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fdht_host.power.meter import Sensor
from fdht_host.power.sampling import SamplingMeter, characterise
from fdht_models.errors import MeasurementError

HWMON = Path("/sys/class/hwmon")
# An assumption: twice what the INA260's data sheet bounds for current and voltage gain over
# temperature, taken together.
_GAIN_ERROR = 0.01


def find_power_file(name: str, root: Path = HWMON) -> Path:
    """Returns `power1_input` (microwatts) of the sensor called `name`.

    Raises:
        MeasurementError: there is none.
    """
    found = []
    for folder in sorted(root.glob("hwmon*")):
        try:
            label = (folder / "name").read_text().strip()
        except OSError:
            continue  # a sensor that went away meanwhile
        found.append(label)
        if label == name and (folder / "power1_input").is_file():
            return folder / "power1_input"
    raise MeasurementError(
        f"is not among the sensors in {root}",
        field="power sensor",
        value=name,
        remedy="there are " + ", ".join(found) if found else "there are none",
    )


def hwmon_meter(
    name: str,
    rails: tuple[str, ...],
    *,
    update_interval_seconds: float | None = None,
    resolution_watts: float | None = None,
    root: Path = HWMON,
) -> SamplingMeter:
    """Returns the meter of a hwmon sensor; what is not known of it is found out by polling.

    Raises:
        MeasurementError: there is no such sensor, or it cannot be read.
    """
    path = find_power_file(name, root)

    def read() -> float:
        return int(path.read_text()) * 1e-6

    return metered(name, rails, read, update_interval_seconds, resolution_watts, _GAIN_ERROR)


def metered(
    name: str,
    rails: tuple[str, ...],
    read: Callable[[], float],
    update_interval_seconds: float | None,
    resolution_watts: float | None,
    gain_error: float,
) -> SamplingMeter:
    """Makes a meter of a function that returns watts; unknown properties are found by polling.

    Raises:
        MeasurementError: it cannot be read, or its properties cannot be found.
    """
    try:
        read()
        if update_interval_seconds is None or resolution_watts is None:
            interval, step = characterise(read)
            update_interval_seconds = update_interval_seconds or interval
            resolution_watts = resolution_watts or step
    except (OSError, ValueError) as error:
        raise MeasurementError(
            f"cannot be read ({error})", field="power sensor", value=name
        ) from error
    sensor = Sensor(name, "measured", rails, resolution_watts, gain_error, update_interval_seconds)
    return SamplingMeter(sensor, read)
