"""The course of a measurement: the sensor's step response, what follows from it, the windows."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fdht_host.energy.evaluation import EnergySettings
from fdht_host.energy.integration import Marker
from fdht_host.energy.order import draw_order
from fdht_host.energy.step_response import StepResponse, Stretch, fit_response
from fdht_host.energy.workload import Workload
from fdht_host.power.meter import PowerMeter, PowerTrace, Sensor
from fdht_models.errors import MeasurementError

Work = TypeVar("Work")
#: Stretches in which the core runs, so twice as many edges; their length in updates of the sensor
#: and in frames at least, and how often it is doubled at most.
_STRETCHES, _STRETCH_UPDATES, _STRETCH_FRAMES, _DOUBLED = 4, 16, 8, 3
#: Of a window's least length, for each stretch.
_STRETCH_SHARE = 0.25
#: Stretches are drawn between these shares of the nominal length, so that edges fall on all phases
#: of the sensor.
_SHORTEST, _LONGEST = 0.75, 1.25
#: Lengths of what the sensor averages over that a window spans at least.
_WINDOW_AVERAGES = 4.0
#: By how much of a window's length the time before it is drawn longer, at most.
_JITTER = 1.0


class SensorFailedError(MeasurementError):
    """The sensor, and not the core, failed."""


@dataclass(frozen=True)
class Plan:
    """Seconds of a window, and of the same state before it."""

    seconds: float
    settle_seconds: float


def recorded(meter: PowerMeter, work: Callable[[], Work]) -> tuple[Work, PowerTrace]:
    """Does work while a meter records.

    Raises:
        SensorFailedError: the meter failed.
    """
    try:
        meter.start()
    except MeasurementError as error:
        raise SensorFailedError(str(error)) from error
    try:
        done = work()
    except BaseException:
        with contextlib.suppress(MeasurementError):  # the first error is the one to tell
            meter.stop()
        raise
    try:
        return done, meter.stop()
    except MeasurementError as error:
        raise SensorFailedError(str(error)) from error


def measure_response(
    load: Workload, meter: PowerMeter, seconds_per_frame: float, settings: EnergySettings
) -> tuple[StepResponse, PowerTrace]:
    """Measures a sensor's step response, with longer stretches until it is over within one.

    Raises:
        SensorFailedError: the meter failed.
        MeasurementError: the core did not run the frames that it was asked to.
    """
    interval = meter.sensor.update_interval_seconds
    length = max(
        _STRETCH_UPDATES * interval,
        _STRETCH_FRAMES * seconds_per_frame,
        _STRETCH_SHARE * settings.minimum_seconds,
    )
    generator = random.Random(f"stretches of {settings.seed}")
    for attempt in range(_DOUBLED + 1):
        step = length * 2**attempt
        lengths = [step * generator.uniform(_SHORTEST, _LONGEST) for _ in range(2 * _STRETCHES + 1)]
        stretches, trace = recorded(meter, lambda: _steps(load, lengths, seconds_per_frame))  # noqa: B023
        response = fit_response(trace, stretches, step, settings.assumed_updates * interval)
        if response.resolved:
            break
    return response, trace


def plan_of(response: StepResponse, sensor: Sensor, settings: EnergySettings) -> Plan:
    """Sizes windows and settling from how the sensor follows a step.

    A window's own readings tell of its state alone from `settle_seconds` of that state on, and one
    interval more for a reading that is held.
    """
    interval = sensor.update_interval_seconds
    seconds = max(
        settings.minimum_updates * interval,
        settings.minimum_seconds,
        _WINDOW_AVERAGES * response.averaging_seconds,
    )
    return Plan(seconds, response.settle_seconds + interval)


def run_windows(
    load: Workload, plan: Plan, seconds_per_frame: float, settings: EnergySettings
) -> list[Marker]:
    """Runs all windows in the order of the seed; returns (start_ns, end_ns, frames) of each.

    Raises:
        MeasurementError: the core did not run the frames that it was asked to.
    """
    frames = max(1, math.ceil(plan.seconds / seconds_per_frame))
    # A stream of its own: when windows are must not depend on their order.
    generator = random.Random(f"pauses of {settings.seed}")
    # The trace must begin before the first window and end after the last.
    load.clock.sleep(plan.settle_seconds)
    markers: list[Marker] = []
    for busy in draw_order(settings.repeats, settings.seed):
        # Windows at a steady pace would be in step with whatever else has that pace.
        settle = plan.settle_seconds + generator.uniform(0, _JITTER * plan.seconds)
        if busy:
            load.run(max(1, math.ceil(settle / seconds_per_frame)))
            markers.append((*load.run(frames), frames))
        else:
            load.clock.sleep(settle)
            start = load.clock.monotonic_ns()
            load.clock.sleep(plan.seconds)
            markers.append((start, load.clock.monotonic_ns(), 0))
    load.clock.sleep(plan.settle_seconds)
    return markers


def _steps(load: Workload, lengths: list[float], seconds_per_frame: float) -> list[Stretch]:
    """Idles and runs in turn, beginning and ending idle."""
    stretches = []
    load.clock.sleep(lengths[0])
    for busy, idle in zip(lengths[1::2], lengths[2::2], strict=True):
        stretches.append(Stretch(*load.run(max(1, round(busy / seconds_per_frame)))))
        load.clock.sleep(idle)
    return stretches
