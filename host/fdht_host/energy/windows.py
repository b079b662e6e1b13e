"""Energy per frame of a board, and of this host's CPU beside it, by windows of each state."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import Clock, clock_of
from fdht_host.energy.evaluation import EnergyResult, EnergySettings
from fdht_host.energy.integration import StalledError, result_of, windows_of, without_value
from fdht_host.energy.pacing import Pace
from fdht_host.energy.protocol import (
    Plan,
    SensorFailedError,
    measure_response,
    plan_of,
    recorded,
    run_windows,
)
from fdht_host.energy.step_response import StepResponse
from fdht_host.energy.workload import Workload
from fdht_host.power.finding import find_meter
from fdht_host.power.meter import PowerMeter
from fdht_host.power.rapl import POWERCAP, rapl_meter
from fdht_models.console import Show
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

if TYPE_CHECKING:
    from fdht_hls.boards import Board
    from fdht_host.accelerator import Accelerator

#: Frames that a window of a board runs again and again; bounded by its memory.
_ENERGY_BLOCK = 32
#: Of a window on hardware, at least.
_WINDOW_SECONDS = 1.0
#: Frames of a window at a rate, at least.
_PACED_FRAMES = 10


def board_energy(
    accelerator: Accelerator,
    board: Board,
    network: QuantizedNetwork,
    progress: Show,
    settings: EnergySettings | None = None,
    rate: float | None = None,
) -> EnergyResult:
    """Energy per frame of a board, which runs a block of frames that stays in memory.

    Args:
        accelerator: that is measured.
        board: that it is on.
        network: that it runs.
        progress: told how far it has come.
        settings: how to measure; None: of a real board five windows of each state of a second or
            more; of a simulated one, as long as its sensor needs, in the same order each time.
        rate: see `measure`.

    Raises:
        MeasurementError: no sensor can be read, or the core did not run what it was asked to.
    """
    meter = find_meter(board, accelerator.device)
    load = board_workload(accelerator, network, progress)
    if settings is None:
        simulated = EnergySettings(seed=0)
        settings = simulated if board.simulated else EnergySettings(minimum_seconds=_WINDOW_SECONDS)
    found = measure(load.run_frames, load.frames_done, meter, load.clock, settings, rate)
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
    rate: float | None = None,
) -> EnergyResult:
    """Measures energy per frame; see `protocol` for the course, `estimating` for the formulas.

    Args:
        run_frames: runs that many frames on the accelerator and returns when they are done.
        frames_done: the core's own counter of frames.
        meter: of the power.
        clock: the meter's clock - `time`, or the simulated board's.
        settings: how to measure.
        rate: frames a second in the busy windows; None: as fast as they run.

    Returns:
        The result; "refused" where busy and idle power differ by no more than the noise, or
        where the sensor left gaps; "unmeasured" where the sensor failed for good.

    Raises:
        MeasurementError: the core did not run the frames it was asked to run.
        ConfigError: it cannot run so many frames a second.
    """
    settings = settings or EnergySettings()
    load, sensor = Workload(run_frames, frames_done, clock), meter.sensor
    trial = max(settings.minimum_updates * sensor.update_interval_seconds, settings.minimum_seconds)
    per_frame = load.seconds_per_frame(trial, settings.calibration_frames)
    pace = None if rate is None else Pace(load, rate, per_frame)
    try:
        response, steps = measure_response(load, meter, per_frame, settings)
        plan = plan_of(response, sensor, settings)
        if pace is not None:
            plan = replace(plan, seconds=max(plan.seconds, _PACED_FRAMES / pace.rate))
        windows_load, seconds = (load, per_frame) if pace is None else (pace.load, 1 / pace.rate)
        markers, trace = recorded(meter, lambda: run_windows(windows_load, plan, seconds, settings))
    except SensorFailedError as error:
        return without_value("unmeasured", error, sensor)
    try:
        found = result_of(windows_of(trace, markers), trace, total_only=pace is not None)
    except StalledError as error:  # the readings tell what was wrong
        found = replace(without_value("refused", error, sensor), trace=trace)
    return replace(
        found,
        explanation=f"{found.explanation} {_told(response, plan)}",
        seed=settings.seed,
        response={**response.to_json(), **vars(plan)},
        pace={} if pace is None else pace.to_json(found),
        step_trace=steps,
    )


def _told(response: StepResponse, plan: Plan) -> str:
    """What the sensor's step response means for the measurement, for people."""
    if not response.seen:
        return (
            f"The sensor's step response was not seen in stretches of "
            f"{response.stretch_seconds:.3g} s; that it settles in {plan.settle_seconds:.3g} s is "
            "an assumption."
        )
    filtered = "averages over" if response.shape == "mean" else "has a time constant of"
    return (
        f"By its step response the sensor {filtered} {response.averaging_seconds:.3g} s and is "
        f"{response.latency_seconds:.3g} s late; so each window has {plan.settle_seconds:.3g} s of "
        f"its state before it and lasts {plan.seconds:.3g} s."
    )


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
