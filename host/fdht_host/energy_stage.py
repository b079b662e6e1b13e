"""The stage `energy`: build/<name>/overlay/... -> build/<name>/energy/<time>/.

`energy.json` has the result with all that it follows from but the readings, which are in
`samples.csv`; `windows.csv` has the windows. From the three, all can be computed again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from fdht_hls.boards import Board, get_board
from fdht_host.accelerator import Accelerator
from fdht_host.energy.aligned import aligned_energy
from fdht_host.energy.evaluation import EnergyResult, EnergySettings
from fdht_host.energy.metered_load import MeteredLoad, run_load
from fdht_host.energy.published import beside
from fdht_host.energy.windows import board_energy, cpu_energy
from fdht_host.power.meter import PowerMeter, PowerTrace
from fdht_host.power.outside.naming import OutsideMeter, require_real
from fdht_models.artifacts import OVERLAY, check_place, write_json
from fdht_models.console import Show
from fdht_models.directories import (
    ENERGY,
    SAMPLES,
    WINDOWS,
    EnergyDirectory,
    OverlayDirectory,
    network_in,
)
from fdht_models.errors import ConfigError, MeasurementError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.versions import package_versions
from fdht_overlays.manifest import load_manifest

SCHEMA = 1


@dataclass(frozen=True)
class EnergyRequest:
    """What to measure.

    Args:
        settings: of the windows.
        rate: frames a second in the busy windows; None: as fast as they run.
        meter: that the user named, in place of the board's own.
        cpu: measure this host's CPU as well, where it can be.
    """

    settings: EnergySettings
    rate: float | None = None
    meter: OutsideMeter | None = None
    cpu: bool = True


def energy_stage(
    overlay: OverlayDirectory, place: Path, request: EnergyRequest, progress: Show
) -> tuple[Path, dict[str, Any]]:
    """Measures energy per frame of an overlay on its board.

    Args:
        overlay: what `fdht build` wrote.
        place: where the result gets a directory of its own.
        request: what to measure.
        progress: told how far it has come.

    Returns:
        The directory written, and the content of its energy.json.

    Raises:
        FdhtError: something is missing or refused; nothing is written.
    """
    manifest, stage = load_manifest(overlay.path), overlay.open()
    board, network = get_board(manifest.board), network_in(stage)
    live = _answering(request, board)
    check_place(place / ENERGY)
    started = datetime.now(timezone.utc)
    with Accelerator.open(overlay.path) as accelerator:
        found, load = _measured(accelerator, board, network, request, live, progress)
    cpu = _cpu(network, request, progress)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "experiment": manifest.experiment,
        "design_id": manifest.design_id,
        "board": {"name": board.name, "title": board.title, "simulated": board.simulated},
        "started": started.isoformat(timespec="seconds"),
        "settings": asdict(request.settings),
        "order": ["busy" if one.frames else "idle" for one in found.windows],
        "energy": _without_trace(found),
        "cpu": _without_trace(cpu),
        "published": [asdict(row) for row in beside(found, cpu, board.title)],
        "meter": None if request.meter is None else request.meter.to_json(),
        "versions": package_versions("fdht", "pynq", "numpy"),
    }
    inputs = {OVERLAY: manifest.design_id}
    with EnergyDirectory.write_dated(place, started, inputs) as (directory, temporary, extra):
        write_json(temporary / ENERGY, report)
        _write_rows(temporary / SAMPLES, _samples(found))
        _write_rows(temporary / WINDOWS, _windows(found))
        if load is not None:
            load.write(temporary)
        extra["experiment"] = manifest.experiment
    return directory, report


def _answering(request: EnergyRequest, board: Board) -> PowerMeter | None:
    """The meter that the user named, if it is read from here, once it has answered.

    Raises:
        ConfigError, MeasurementError: it cannot be used.
    """
    meter = request.meter
    if meter is None:
        return None
    if request.rate is not None:
        raise ConfigError(
            "goes with the board's own sensor only", field="rate", remedy="leave out --meter"
        )
    require_real(meter, board.simulated)
    if meter.kind == "csv" and meter.log is None and not board.simulated:
        raise ConfigError(
            "names no log",
            field="meter",
            value="csv",
            remedy="name the file that the log will be in when the run has ended, csv:FILE; or "
            "fdht run --meter csv, and then fdht align",
        )
    return meter.live()


def _measured(
    accelerator: Accelerator,
    board: Board,
    network: QuantizedNetwork,
    request: EnergyRequest,
    live: PowerMeter | None,
    progress: Show,
) -> tuple[EnergyResult, MeteredLoad | None]:
    """The board's energy, and the load of an outside meter."""
    settings = request.settings
    if request.meter is None:
        return board_energy(accelerator, board, network, progress, settings, request.rate), None
    load = run_load(accelerator, board, network, request.meter, live, progress, settings)
    if load.modelled is not None:
        return aligned_energy(load.record, load.modelled), load
    found = load.energy(request.meter)
    # Of a trace that is refused as well, all readings are kept.
    return (found if found.trace is not None else replace(found, trace=load.trace)), load


def _cpu(network: QuantizedNetwork, request: EnergyRequest, progress: Show) -> EnergyResult:
    """The energy of this host's CPU; "unmeasured", with the reason, where it cannot be told."""
    if not request.cpu:
        return EnergyResult("unmeasured", "not asked for")
    try:
        return cpu_energy(network, progress)
    except MeasurementError as error:
        return EnergyResult("unmeasured", str(error))


def _without_trace(found: EnergyResult) -> dict[str, Any]:
    """A result for JSON; the readings are in a file of their own."""
    return replace(found, trace=None, step_trace=None).to_json() | {
        "sensor_details": None if found.trace is None else found.trace.sensor.to_json(),
        "windows": [asdict(window) for window in found.windows],
    }


def _samples(found: EnergyResult) -> Iterator[Sequence[object]]:
    """All readings; the parts are recordings of their own."""
    rails = () if found.trace is None or found.trace.by_rail is None else found.trace.sensor.rails
    yield ("part", "time_ns", "watts", "joules", *rails)
    parts: Mapping[str, PowerTrace | None] = {
        "step response": found.step_trace,
        "windows": found.trace,
    }
    for part, trace in parts.items():
        if trace is None:
            continue
        joules = [""] * len(trace.watts) if trace.joules is None else trace.joules.tolist()
        by_rail = np.empty((len(trace.watts), 0)) if trace.by_rail is None else trace.by_rail
        for time, watts, count, each in zip(
            trace.timestamps_ns.tolist(),
            trace.watts.tolist(),
            joules,
            by_rail.tolist(),
            strict=True,
        ):
            yield (part, time, watts, count, *each)


def _windows(found: EnergyResult) -> Iterator[Sequence[object]]:
    yield ("state", "start_ns", "end_ns", "frames", "joules", "watts", "spread_watts")
    for one in found.windows:
        state = "busy" if one.frames else "idle"
        yield state, one.start_ns, one.end_ns, one.frames, one.joules, one.watts, one.spread_watts


def _write_rows(path: Path, rows: Iterator[Sequence[object]]) -> None:
    with contextlib.closing(path.open("w", encoding="utf-8")) as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in rows)
