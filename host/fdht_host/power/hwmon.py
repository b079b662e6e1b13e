"""Power sensors of the Linux kernel's hwmon tree, such as the KV260's INA260."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fdht_host.power.meter import Sensor
from fdht_host.power.sampling import Reading, SamplingMeter, characterise
from fdht_models.errors import FdhtError, MeasurementError

if TYPE_CHECKING:
    from fdht_hls.boards import PowerSensor

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
    for folder in folders_in(root, "hwmon*"):
        try:
            label = (folder / "name").read_text().strip()
            readable = (folder / "power1_input").is_file()
        except (OSError, ValueError):
            continue  # a sensor that went away meanwhile, or that is not for this user or of text
        found.append(label or "one without a name")
        if label == name and readable:
            return folder / "power1_input"
    raise MeasurementError(
        f"is not among the sensors in {root}",
        field="power sensor",
        value=name,
        remedy="there are " + ", ".join(found) if found else "there are none",
    )


def hwmon_meter(sensor: PowerSensor, root: Path = HWMON) -> SamplingMeter:
    """Returns the meter of a hwmon sensor; what is not known of it is found out by polling.

    Raises:
        MeasurementError: there is no such sensor, or it cannot be read.
    """
    path = find_power_file(sensor.name, root)
    return metered(sensor, sensor.name, lambda: number_in(path) * 1e-6, _GAIN_ERROR)


def folders_in(root: Path, pattern: str) -> list[Path]:
    """The entries of a directory of the kernel's, in order; none where there is no directory.

    Raises:
        MeasurementError: it cannot be listed.
    """
    try:
        return sorted(root.glob(pattern))
    except OSError as error:
        raise MeasurementError(f"cannot be listed ({error})", field=str(root)) from error


def number_in(path: Path) -> int:
    """The whole number that is all there is in a file of the kernel's.

    Raises:
        OSError: it cannot be read, as where a sensor does not answer.
        ValueError: it holds anything else; Python itself takes "1_000" and other scripts' digits.
    """
    found = path.read_text()
    if not re.fullmatch(r"-?[0-9]+\n?", found):
        raise ValueError(f"{path.name} holds {found[:20]!r} and no number")
    return int(found)


def metered(
    board_sensor: PowerSensor, name: str, read: Callable[[], Reading], gain_error: float
) -> SamplingMeter:
    """Makes a meter of a function that returns watts; unknown properties are found by polling.

    Raises:
        MeasurementError: it cannot be read, or its properties cannot be found.
    """

    def finite() -> float:
        found = read()
        watts = math.fsum(found) if isinstance(found, tuple) else float(found)
        if not math.isfinite(watts):
            raise ValueError(f"reading is {watts}")
        return watts

    interval, step = board_sensor.update_interval_seconds, board_sensor.resolution_watts
    try:
        finite()
        if interval is None or step is None:
            found_interval, found_step = characterise(finite)
            interval, step = interval or found_interval, step or found_step
    except FdhtError:
        raise
    except Exception as error:  # a library may raise anything, as pynq's sensors do
        raise MeasurementError(
            f"cannot be read ({type(error).__name__}: {error})",
            field="power sensor",
            value=name,
            remedy="check it with a program of the system's, such as sensors",
        ) from error
    sensor = Sensor(name, "measured", board_sensor.rails, step, gain_error, interval)
    return SamplingMeter(sensor, read)
