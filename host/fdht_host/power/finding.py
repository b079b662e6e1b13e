"""Which meter a board has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fdht_host.power.hwmon import HWMON, hwmon_meter
from fdht_host.power.meter import PowerMeter, Sensor
from fdht_host.power.modelled import SimulatedMeter
from fdht_host.power.pmbus import pmbus_meter
from fdht_models.errors import ConfigError, MeasurementError

if TYPE_CHECKING:
    from fdht_hls.boards import Board, PowerSensor
    from fdht_host.simulator.device import SimulatedDevice

# A choice, within what the data sheets of power monitors bound.
_MODELLED_GAIN_ERROR = 0.005


def find_meter(
    board: Board,
    device: SimulatedDevice | None = None,
    *,
    seed: int = 0,
    hwmon_root: Path = HWMON,
) -> PowerMeter:
    """The meter of the first of a board's sensors that can be read.

    Args:
        board: from `fdht_hls.boards`.
        device: the simulated device, where the board is simulated.
        seed: of the modelled sensor's errors.
        hwmon_root: the kernel's sensor tree.

    Raises:
        MeasurementError: there is none, and why: the energy is then "unmeasured".
    """
    if not board.power_sensors:
        raise MeasurementError(f"{board.title} has no power sensor; connect an external meter")
    reasons = []
    for sensor in board.power_sensors:
        try:
            return _meter(board, sensor, device, seed, hwmon_root)
        except (MeasurementError, ConfigError) as error:  # noqa: PERF203 - one after another
            reasons.append(str(error))
    raise MeasurementError("; ".join(reasons))


def _meter(
    board: Board, sensor: PowerSensor, device: SimulatedDevice | None, seed: int, root: Path
) -> PowerMeter:
    if sensor.access == "hwmon":
        return hwmon_meter(sensor, root)
    if sensor.access == "pynq.pmbus":
        return pmbus_meter(sensor)
    model = board.power_model
    if device is None or model is None:
        raise MeasurementError(
            "reads a simulated board only", field="power sensor", value=sensor.name
        )
    if sensor.update_interval_seconds is None or sensor.resolution_watts is None:
        raise MeasurementError(
            "a modelled sensor needs update_interval_seconds and resolution_watts",
            field="power sensor",
            value=sensor.name,
        )
    description = Sensor(
        name=sensor.name,
        kind="modelled",
        rails=sensor.rails,
        resolution_watts=sensor.resolution_watts,
        gain_error=_MODELLED_GAIN_ERROR,
        update_interval_seconds=sensor.update_interval_seconds,
    )
    return SimulatedMeter(
        description, model, lambda: device.activity, device.clock.monotonic_ns, seed=seed
    )
