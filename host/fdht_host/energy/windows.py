"""Runs idle and active windows in random order while a meter records.

A run measures the board and, beside it, this host's CPU.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import NANOSECONDS, Clock, clock_of
from fdht_host.energy.evaluation import (
    EnergyResult,
    EnergySettings,
    Kind,
    Window,
    WithinNoiseError,
    evaluate,
)
from fdht_host.energy.workload import Workload
from fdht_host.power.finding import find_meter
from fdht_host.power.meter import PowerMeter, PowerTrace, Sensor
from fdht_host.power.rapl import POWERCAP, rapl_meter
from fdht_models.console import Show
from fdht_models.errors import MeasurementError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

if TYPE_CHECKING:
    from fdht_hls.boards import Board
    from fdht_host.accelerator import Accelerator

#: Frames that a window of a board runs again and again; bounded by its memory.
_ENERGY_BLOCK = 32


class StalledError(MeasurementError):
    """The sensor left out so much of a window that its energy is not known."""


def board_energy(
    accelerator: Accelerator, board: Board, network: QuantizedNetwork, progress: Show
) -> EnergyResult:
    """Energy per frame of a board, which runs a block of frames that stays in memory.

    Raises:
        MeasurementError: no sensor can be read, or the core did not run what it was asked to.
    """
    meter = find_meter(board, accelerator.device)
    load = board_workload(accelerator, network, progress)
    found = measure(load.run_frames, load.frames_done, meter, load.clock)
    return replace(found, explanation=f"{found.explanation} {load.note}".strip())


def board_workload(accelerator: Accelerator, network: QuantizedNetwork, progress: Show) -> Workload:
    """A block of frames that stays in memory, to be run again and again.

    A core of sparse frames gets such with as many words as it has run so far, on average.
    """
    words, block = _energy_block(accelerator, network)
    run = 0
    if accelerator.manifest.input.frames_before:  # there may be no frame to go on from
        accelerator.infer(block[:2], reset=True)

    def run_frames(count: int) -> None:
        nonlocal run
        for start in range(0, count, _ENERGY_BLOCK):
            accelerator.infer(block[: min(_ENERGY_BLOCK, count - start)], reset=False)
        run += count
        progress("energy windows", run, 0)

    def frames_done() -> int:
        return accelerator.driver.identity().frames_done

    note = f"Frames of {words} words that are not zero, as many as those that were run."
    clock = clock_of(accelerator.device)
    return Workload(run_frames, frames_done, clock, "" if words is None else note)


def _energy_block(
    accelerator: Accelerator, network: QuantizedNetwork
) -> tuple[int | None, npt.NDArray[Any]]:
    """Frames to run, codes [n, inputs], and how many of their words are not zero.

    That is None where it does not matter: a core of dense frames reads all.
    """
    generator, layout = np.random.default_rng(0), accelerator.manifest.input
    block = generator.integers(0, 64, (_ENERGY_BLOCK, network.inputs)).astype(layout.dtype)
    form, times = layout.sparse_format, accelerator.times
    if form is None or not times.frames:
        return None, block
    mean = round(times.words / times.frames)
    words = min(max(mean - 1 - form.blocks, 0), form.frame_words)
    kept = generator.permuted(np.tile(np.arange(form.frame_words) < words, (len(block), 1)), axis=1)
    block |= (block == 0).astype(block.dtype)
    block *= np.repeat(kept, form.word_bytes, axis=1)[:, : network.inputs].astype(block.dtype)
    return words, block


def cpu_energy(network: QuantizedNetwork, progress: Show) -> EnergyResult:
    """Energy per frame of this host's CPU, which runs the reference; see `measure_cpu`."""
    model = ReferenceModel(network)
    frame = np.random.default_rng(0).integers(0, 64, (1, network.inputs)).astype(np.uint8)
    codes = frame.view(np.int8) if network.input_format.signed else frame

    def run_frames(count: int) -> None:
        for _ in range(count):
            model.run(codes)

    progress("CPU energy", 0, 0)
    return measure_cpu(run_frames)


def measure(
    run_frames: Callable[[int], None],
    frames_done: Callable[[], int],
    meter: PowerMeter,
    clock: Clock,
    settings: EnergySettings | None = None,
) -> EnergyResult:
    """Measures energy per frame; see `fdht_host.energy.evaluation` for the formulas.

    Args:
        run_frames: runs that many frames on the accelerator and returns when they are done.
        frames_done: the core's own counter of frames.
        meter: of the power.
        clock: the meter's clock - `time`, or the simulated board's.
        settings: how to measure.

    Returns:
        The result; "refused" where active and idle power differ by no more than the noise, or
        where the sensor left gaps; "unmeasured" where the sensor failed for good.

    Raises:
        MeasurementError: the core did not run the frames it was asked to run.
    """
    load = Workload(run_frames, frames_done, clock)
    run = _Run(load, meter.sensor, settings or EnergySettings())
    plan = run.calibrate()
    try:
        meter.start()
    except MeasurementError as error:
        return without_value("unmeasured", error, meter.sensor)
    try:
        markers = run.windows(plan)
    except BaseException:
        with contextlib.suppress(MeasurementError):  # the first error is the one to tell
            meter.stop()
        raise
    try:
        trace = meter.stop()
    except MeasurementError as error:
        return without_value("unmeasured", error, meter.sensor)
    try:
        windows = tuple(window_of(trace, *marker) for marker in markers)
    except StalledError as error:
        return without_value("refused", error, meter.sensor)
    return result_of(windows, trace, run.settings.repeats)


def measure_cpu(
    run_frames: Callable[[int], None],
    settings: EnergySettings | None = None,
    *,
    root: Path = POWERCAP,
) -> EnergyResult:
    """Measures energy per frame of this host's CPU running `run_frames`, by RAPL.

    The packages' whole energy counts, whoever else uses the CPU: the idle windows, in which this
    process sleeps, are the reference for the net value.

    Args:
        run_frames: computes that many frames on the CPU.
        settings: how to measure; by default windows of at least 1 second.
        root: the kernel's powercap tree.

    Raises:
        MeasurementError: there is no RAPL, or it may not be read.
    """
    meter = rapl_meter(root)
    done = 0

    def counted(frames: int) -> None:
        nonlocal done
        run_frames(frames)
        done += frames

    settings = settings or EnergySettings(minimum_seconds=1.0, calibration_frames=1)
    return measure(counted, lambda: done, meter, time, settings)


@dataclass(frozen=True)
class _Plan:
    """Frames and seconds of a window, and of the settling before it."""

    seconds: float
    settle_seconds: float
    frames: int
    settle_frames: int


_Marker = tuple[int, int, int]


@dataclass(frozen=True)
class _Run:
    load: Workload
    sensor: Sensor
    settings: EnergySettings

    def calibrate(self) -> _Plan:
        """Learns how fast frames run and sizes the windows from the sensor's update interval."""
        settings, interval = self.settings, self.sensor.update_interval_seconds
        seconds = max(settings.minimum_updates * interval, settings.minimum_seconds)
        settle = settings.settle_updates * interval
        per_frame = self.load.seconds_per_frame(seconds, settings.calibration_frames)
        frames = max(1, math.ceil(seconds / per_frame))
        settle_frames = max(1, math.ceil(settle / per_frame))
        return _Plan(seconds, settle, frames, settle_frames)

    def windows(self, plan: _Plan) -> list[_Marker]:
        """Runs all windows in random order; returns (start_ns, end_ns, frames) of each."""
        order = [True, False] * self.settings.repeats
        random.Random(self.settings.seed).shuffle(order)
        # The trace must begin before the first window and end after the last.
        self.load.clock.sleep(plan.settle_seconds)
        markers: list[_Marker] = []
        for active in order:
            if active:
                # In the state to be measured before the marker: the first readings after it still
                # tell of the time before it.
                self.load.run(plan.settle_frames)
                markers.append((*self.load.run(plan.frames), plan.frames))
            else:
                self.load.clock.sleep(plan.settle_seconds)
                start = self.load.clock.monotonic_ns()
                self.load.clock.sleep(plan.seconds)
                markers.append((start, self.load.clock.monotonic_ns(), 0))
        self.load.clock.sleep(plan.settle_seconds)
        return markers


def window_of(trace: PowerTrace, start_ns: int, end_ns: int, frames: int) -> Window:
    """A window's energy, unless readings are missing for more than a quarter of it or at its end.

    Shorter gaps are bridged by a straight line, as any two readings are.
    """
    times = trace.timestamps_ns
    gap = trace.longest_gap_ns(start_ns, end_ns)
    if gap > (end_ns - start_ns) / 4 or not times[0] <= start_ns < end_ns <= times[-1]:
        missed = f", {trace.missed} readings having failed," if trace.missed else ""
        raise StalledError(
            f"gave no reading for {gap / NANOSECONDS:.3g} s{missed} of a window of "
            f"{(end_ns - start_ns) / NANOSECONDS:.3g} s",
            field=f"sensor {trace.sensor.name}",
            remedy="measure with longer windows, or stop what keeps the processor busy",
        )
    return Window(start_ns, end_ns, frames, trace.energy(start_ns, end_ns))


def without_value(kind: Kind, reason: MeasurementError, sensor: Sensor) -> EnergyResult:
    """A result that says why there is no figure."""
    return EnergyResult(kind, str(reason), sensor=sensor.name, rails=sensor.rails)


def result_of(windows: tuple[Window, ...], trace: PowerTrace, repeats: int) -> EnergyResult:
    """Energy per frame of windows; "refused" where the difference is within the noise."""
    sensor = trace.sensor
    try:
        found = evaluate(windows, sensor)
    except WithinNoiseError as error:
        return EnergyResult(
            "refused",
            str(error),
            sensor=sensor.name,
            rails=sensor.rails,
            repeats=repeats,
            windows=windows,
            trace=trace,
        )
    source = "a power model, not hardware" if sensor.kind == "modelled" else "a sensor"
    return EnergyResult(
        kind=sensor.kind,
        explanation=(
            f"Readings of {sensor.name} ({source}) over the rails {', '.join(sensor.rails)}; "
            f"{repeats} idle and {repeats} active windows in random order; "
            "uncertainties at about 95 % coverage."
            + (f" {trace.missed} readings failed and are bridged." if trace.missed else "")
        ),
        value_mj_per_frame=found.total * 1e3,
        net_mj_per_frame=found.net * 1e3,
        uncertainty_mj=found.total_uncertainty * 1e3,
        net_uncertainty_mj=found.net_uncertainty * 1e3,
        sensor=sensor.name,
        rails=sensor.rails,
        repeats=repeats,
        idle_watts=found.idle_watts,
        active_watts=found.active_watts,
        seconds_per_frame=found.seconds_per_frame,
        components_mj={name: value * 1e3 for name, value in found.components.items()},
        windows=windows,
        trace=trace,
    )
