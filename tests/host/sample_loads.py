"""Loads as `fdht_host.energy.load_driver` records them, and traces of meters with other clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fdht_host.energy.load_pattern import (
    Chip,
    LoadRecord,
    LoadWindow,
    PatternSettings,
    draw_chips,
)
from fdht_host.energy.order import draw_order
from fdht_host.power.meter import PowerTrace, Sensor

SECOND = 1_000_000_000
#: Seconds that a frame takes, and power of the idle board.
FRAME, IDLE = 0.001, 2.0


def sample_load(seed: int, stretch: float, *, repeats: int = 5, **changes: Any) -> LoadRecord:
    """A load of frames of 1 ms, whose chips have stretches of so many seconds."""
    chips, busy, windows = [], [], []
    settle = round(stretch * SECOND)
    moment = settle
    planned = draw_chips(PatternSettings(seed=seed), stretch)

    def run(some: Any) -> None:
        nonlocal moment
        for chip in some:
            middle = moment + round(chip.first_seconds * SECOND)
            end = middle + round(chip.second_seconds * SECOND)
            busy.append((moment, middle) if chip.on_first else (middle, end))
            chips.append(Chip(moment, middle, end, chip.on_first))
            moment = end

    run(planned[: len(planned) // 2])
    for active in draw_order(repeats, seed):
        start, end = moment + settle, moment + settle + 2 * round(stretch * SECOND)
        frames = round((end - start) / SECOND / FRAME)
        windows.append(LoadWindow(start, end, frames if active else 0))
        if active:
            busy.append((moment, end + settle))
        moment = end + settle
    run(planned[len(planned) // 2 :])
    fields: dict[str, Any] = {
        "schema": 1, "experiment": "tiny-net", "design_id": "0" * 16, "board": "pynq-z2",
        "simulated": False, "started": "2026-01-01T00:00:00.000+00:00", "seed": seed,
        "settle_ns": settle, "chips": tuple(chips), "busy": tuple(busy),
        "windows": tuple(windows), "note": "", "origin_ns": 0,
    }  # fmt: skip
    return LoadRecord(**{**fields, **changes})


def sample_trace(
    load: LoadRecord,
    rate: float,
    *,
    offset: float = 3.0,
    ppm: float = 200.0,
    step: float = 0.4,
    noise: float = 0.01,
    resolution: float = 0.01,
    averaging: float | None = None,
    latency: float = 0.0,
    drift: float = 0.02,
    drop: float = 0.0,
    lead: float = 5.0,
    jump: float = 0.0,
    seed: int = 0,
) -> tuple[PowerTrace, Callable[[int], float]]:
    """What a meter reads, and the host's moment (s) that a time stamp of its is of.

    A reading is the mean over `averaging` seconds (None: its interval; 0: of the moment) that ended
    `latency` seconds ago; its clock shows `offset` more at the load's middle, runs faster by `ppm`,
    and jumps by `jump` seconds there: forwards, or back over readings that are lost.
    """
    random = np.random.default_rng(seed + 10_000)
    interval = 1 / rate
    averaging = interval if averaging is None else averaging
    start, end = load.span_ns
    middle = load.middle_ns / SECOND
    half = (end - start) / 2 / SECOND + lead
    host = np.arange(-half, half, interval / (1 + ppm * 1e-6)) + random.uniform(0, interval)
    edges = (np.array(load.busy).reshape(-1) - load.middle_ns) / SECOND
    ran = np.concatenate([[0.0], np.cumsum(np.diff(edges) * (np.arange(len(edges) - 1) % 2 == 0))])
    told = host - latency
    if averaging:
        share = np.interp(told, edges, ran) - np.interp(told - averaging, edges, ran)
        share /= averaging
    else:
        share = (np.searchsorted(edges, told, side="right") % 2).astype(float)
    slow = drift * np.sin(2 * np.pi * host / 60 + random.uniform(0, 2 * np.pi))
    power = IDLE + step * share + slow + random.normal(0, noise, len(host))
    power = np.round(power / resolution) * resolution
    stamps = host * (1 + ppm * 1e-6) + middle + offset + jump * (host > 0)
    kept = random.uniform(size=len(host)) >= drop
    kept[[0, -1]] = True
    kept &= (host <= 0) | (host > -1.01 * jump)
    sensor = Sensor("log.csv", "measured", ("whole board",), resolution, 0.0, interval)
    trace = PowerTrace(np.rint(stamps[kept] * SECOND).astype(np.int64), power[kept], sensor)

    def truth(stamp_ns: int) -> float:
        passed = stamp_ns / SECOND - middle - offset
        return middle + passed / (1 + ppm * 1e-6) - latency - averaging / 2

    return trace, truth
