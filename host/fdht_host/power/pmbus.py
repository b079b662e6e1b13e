"""Power rails that pynq reads through libsensors, such as the ZCU104's 12 V input."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fdht_host.power.hwmon import metered
from fdht_host.power.sampling import Reading, SamplingMeter
from fdht_models.errors import MeasurementError

if TYPE_CHECKING:
    from fdht_hls.boards import PowerSensor

# An assumption: shunt tolerance of 1 %, beside which the INA226's own 0.1 % does not count.
_GAIN_ERROR = 0.01


def pynq_rails() -> Mapping[str, Any]:
    """Returns pynq's rails by name; empty where libsensors is missing.

    Raises:
        MeasurementError: pynq is missing, or fails on what libsensors finds.
    """
    try:
        from pynq import pmbus

        with warnings.catch_warnings():
            # Without libsensors.so pynq warns and returns nothing; `pmbus_meter` says what to do.
            warnings.simplefilter("ignore")
            return dict(pmbus.get_rails() or {})
    except Exception as error:  # a label that is NULL or no text, a library that cannot be loaded
        raise MeasurementError(
            f"pynq cannot list them ({type(error).__name__}: {error})",
            field="power rails",
            remedy="check them with the program sensors",
        ) from error


def _power_sensor(rail: Any) -> Any:
    """The power sensor of a rail; None: it has none, as one with a voltage only."""
    return getattr(rail, "power", None)


def _fresh(sensor: Any) -> float:
    """A sensor's value in watts.

    `pynq.pmbus.Sensor` drops libsensors' error code and returns what lay in its buffer before: the
    last reading, or 0. So the buffer is filled first with what no sensor gives.

    Raises:
        ValueError: libsensors gave no value.
    """
    buffer = getattr(sensor, "_value", None)
    if buffer is not None:
        buffer[0] = math.nan
    value = float(sensor.value)
    if not math.isfinite(value):
        raise ValueError(f"{getattr(sensor, 'name', 'a rail')} gave no value")
    return value


def pmbus_meter(
    board_sensor: PowerSensor, available: Mapping[str, Any] | None = None
) -> SamplingMeter:
    """Returns the meter of a sensor's rails, which are added up and kept apart as well.

    Args:
        board_sensor: none of its rails may feed another, or energy would count twice; what is not
            known of it is found out by polling.
        available: rails by name; pynq's by default.

    Raises:
        MeasurementError: a rail is missing or has no power sensor.
    """
    rails = board_sensor.rails
    available = pynq_rails() if available is None else available
    for name in rails:
        if _power_sensor(available.get(name)) is None:
            names = ", ".join(key for key, rail in available.items() if _power_sensor(rail))
            raise MeasurementError(
                "is not among the rails with a power sensor",
                field="rail",
                value=name,
                remedy=f"there are {names}" if names else "install libsensors-dev (libsensors.so)",
            )
    sensors = [_power_sensor(available[name]) for name in rails]

    def read() -> Reading:
        found = tuple(_fresh(sensor) for sensor in sensors)
        return found if len(found) > 1 else found[0]

    return metered(board_sensor, "pmbus " + "+".join(rails), read, _GAIN_ERROR)
