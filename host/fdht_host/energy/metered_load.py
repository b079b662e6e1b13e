"""A load on an accelerator with a meter that the user named: driven, kept, and evaluated."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fdht_host.energy.aligned import aligned_energy
from fdht_host.energy.evaluation import EnergyResult, EnergySettings
from fdht_host.energy.load_driver import LoadIdentity, drive
from fdht_host.energy.load_pattern import LoadRecord, PatternSettings
from fdht_host.energy.windows import board_workload
from fdht_host.power.finding import find_meter
from fdht_host.power.meter import PowerMeter, PowerTrace
from fdht_host.power.outside.csv_log import CsvOptions, read_log, write_log
from fdht_host.power.outside.naming import OutsideMeter
from fdht_models.artifacts import write_json
from fdht_models.console import Show
from fdht_models.directories import LOAD
from fdht_models.errors import MeasurementError
from fdht_models.tensor.quantized import QuantizedNetwork

if TYPE_CHECKING:
    from fdht_hls.boards import Board
    from fdht_host.accelerator import Accelerator

#: The log of a simulated board's meter; seconds between two readings; how fast its clock is.
MODELLED_LOG = "modelled-meter.csv"
_MODELLED_SECONDS, _MODELLED_PPM = 0.001, 200.0
#: Of stretches and windows of a real board, whatever the meter.
_STRETCH_SECONDS, _WINDOW_SECONDS = 0.1, 1.0


@dataclass(frozen=True)
class MeteredLoad:
    """A load that was run, and what was recorded meanwhile.

    Args:
        record: of the load.
        trace: of a meter that was read; None of one that records by itself.
        modelled: what a simulated board's own meter would have logged, on that one's clock.
    """

    record: LoadRecord
    trace: PowerTrace | None
    modelled: PowerTrace | None

    def energy(self, meter: OutsideMeter) -> EnergyResult:
        """Energy per frame, or what is left to do for it.

        Raises:
            DataError: the log that was named cannot be used.
        """
        if self.trace is not None:
            return aligned_energy(self.record, self.trace)
        if meter.log is None:
            log = MODELLED_LOG if self.modelled is not None else "LOG"
            return EnergyResult(
                "unmeasured",
                f"The meter records by itself: fdht align RUN {log} puts the {LOAD} of this run "
                "and the log together.",
            )
        assert isinstance(meter.options, CsvOptions)
        return log_energy(self.record, meter.log, meter.options)

    def write(self, directory: Path) -> None:
        """Writes the record, and the log of a simulated meter."""
        write_json(directory / LOAD, self.record.to_json())
        if self.modelled is not None:
            write_log(directory / MODELLED_LOG, self.modelled)


def log_energy(record: LoadRecord, log: Path, options: CsvOptions) -> EnergyResult:
    """Energy per frame of a load from a log.

    Raises:
        DataError: the log cannot be used.
    """
    trace, notes = read_log(log, options)
    found = aligned_energy(record, trace)
    return replace(found, explanation=f"{found.explanation} {notes.told()}".strip())


def run_load(
    accelerator: Accelerator,
    board: Board,
    network: QuantizedNetwork,
    meter: OutsideMeter,
    live: PowerMeter | None,
    progress: Show,
    settings: EnergySettings | None = None,
) -> MeteredLoad:
    """Runs a load while a meter records.

    Args:
        accelerator: that is to be measured.
        board: that it is on.
        network: that it runs.
        meter: as the user named it.
        live: the meter, where it is read from here.
        progress: told how far it has come.
        settings: of the windows; None: five of each state, of a second or more on hardware.

    Raises:
        MeasurementError: the meter or the core failed.
    """
    manifest, simulated = accelerator.manifest, board.simulated
    identity = LoadIdentity(manifest.experiment, manifest.design_id, board.name, simulated)
    load = board_workload(accelerator, network, progress)
    stated = meter.options.interval
    interval = stated or (_MODELLED_SECONDS if simulated else meter.options.pace)
    # The coins must not be foreseen; of a simulated board, a run can be had again.
    seed = 0 if simulated else secrets.randbits(31)
    pattern = PatternSettings(minimum_seconds=0.0 if simulated else _STRETCH_SECONDS, seed=seed)
    if settings is None:
        settings = EnergySettings(minimum_seconds=0.0 if simulated else _WINDOW_SECONDS, seed=seed)
    recording = _modelled(accelerator, board, interval) if simulated else live
    if recording is not None:
        recording.start()
    try:
        record = drive(load, identity, interval, pattern, settings)
    except BaseException:
        if recording is not None:
            with contextlib.suppress(MeasurementError):  # the first error is the one to tell
                recording.stop()
        raise
    if recording is None:
        return MeteredLoad(record, None, None)
    trace = recording.stop()
    if simulated:
        stamps = np.rint(trace.timestamps_ns * (1 + _MODELLED_PPM * 1e-6)).astype(np.int64)
        return MeteredLoad(record, None, replace(trace, timestamps_ns=stamps))
    since = trace.timestamps_ns - record.origin_ns  # as the moments of the load
    return MeteredLoad(record, replace(trace, timestamps_ns=since), None)


def _modelled(accelerator: Accelerator, board: Board, interval: float) -> PowerMeter:
    """The meter of a simulated board with another interval."""
    sensors = tuple(
        replace(sensor, update_interval_seconds=interval) for sensor in board.power_sensors
    )
    return find_meter(replace(board, power_sensors=sensors), accelerator.device)
