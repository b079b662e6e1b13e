"""Runs a load that marks a trace: chips, energy windows, chips; and notes when the core ran."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from fdht_host.clocks import NANOSECONDS
from fdht_host.energy.evaluation import EnergySettings
from fdht_host.energy.load_pattern import (
    SCHEMA,
    Chip,
    LoadRecord,
    LoadWindow,
    PatternSettings,
    PlannedChip,
    draw_chips,
)
from fdht_host.energy.order import draw_order
from fdht_host.energy.workload import Workload


@dataclass(frozen=True)
class LoadIdentity:
    """What a load is of, as its record says: see `LoadRecord`."""

    experiment: str
    design_id: str
    board: str
    simulated: bool


def drive(
    load: Workload,
    identity: LoadIdentity,
    interval_seconds: float,
    pattern: PatternSettings,
    settings: EnergySettings,
) -> LoadRecord:
    """Runs half of the chips, the energy windows in a drawn order, and the other half.

    Before and after each window its state lasts for one stretch of a chip, so that neither what a
    meter averages over nor an uncertain clock lets a window tell of its neighbours.

    Args:
        load: the frames to run.
        identity: what it is of.
        interval_seconds: between two readings of the meter.
        pattern: of the chips.
        settings: of the windows.

    Raises:
        MeasurementError: the core did not run the frames that it was asked to.
    """
    window = max(settings.minimum_updates * interval_seconds, settings.minimum_seconds)
    per_frame = load.seconds_per_frame(window, settings.calibration_frames)
    stretch = pattern.stretch_seconds(interval_seconds, per_frame)
    driver = _Driver(load, per_frame)
    planned = draw_chips(pattern, stretch)
    half = len(planned) // 2
    started = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    driver.origin_ns = load.clock.monotonic_ns()
    load.clock.sleep(stretch)
    driver.run_chips(planned[:half])
    driver.run_windows(settings, max(window, 2 * stretch), stretch)
    driver.run_chips(planned[half:])
    load.clock.sleep(stretch)
    return LoadRecord(
        schema=SCHEMA,
        experiment=identity.experiment,
        design_id=identity.design_id,
        board=identity.board,
        simulated=identity.simulated,
        started=started,
        seed=pattern.seed,
        settle_ns=round(stretch * NANOSECONDS),
        chips=tuple(driver.chips),
        busy=tuple(driver.busy),
        windows=tuple(driver.windows),
        note=load.note,
        origin_ns=driver.origin_ns,
    )


@dataclass
class _Driver:
    """Runs frames and keeps what is recorded, in nanoseconds since the start."""

    load: Workload
    per_frame: float
    origin_ns: int = 0
    chips: list[Chip] = field(default_factory=list)
    busy: list[tuple[int, int]] = field(default_factory=list)
    windows: list[LoadWindow] = field(default_factory=list)

    def run_chips(self, planned: Sequence[PlannedChip]) -> None:
        """Runs chips back to back.

        When each is due follows from the plan alone, so that it tells nothing of the coins: what a
        stretch takes too long, the next one lacks.
        """
        start = self._now()
        for chip in planned:
            middle = start + round(chip.first_seconds * NANOSECONDS)
            end = middle + round(chip.second_seconds * NANOSECONDS)
            for until, active in ((middle, chip.on_first), (end, not chip.on_first)):
                if active:
                    self._run_until(until)
                self._sleep_until(until)
            self.chips.append(Chip(start, middle, end, chip.on_first))
            start = end

    def run_windows(self, settings: EnergySettings, seconds: float, settle: float) -> None:
        """Runs idle and busy windows in the order of the seed."""
        frames = max(1, math.ceil(seconds / self.per_frame))
        settle_frames = max(1, math.ceil(settle / self.per_frame))
        for active in draw_order(settings.repeats, settings.seed):
            if active:
                first = self._run(settle_frames)[0]
                start, end = self._run(frames)
                self.busy.append((first, self._run(settle_frames)[1]))
                self.windows.append(LoadWindow(start, end, frames))
            else:
                self.load.clock.sleep(settle)
                start = self._now()
                self.load.clock.sleep(seconds)
                self.windows.append(LoadWindow(start, self._now(), 0))
                self.load.clock.sleep(settle)

    def _run_until(self, until_ns: int) -> None:
        """Runs as many frames as end by then, going by what a frame takes; at least one."""
        start = end = self._now()
        while end == start or (until_ns - end) / NANOSECONDS >= self.per_frame:
            left = (until_ns - end) / NANOSECONDS
            end = self._run(max(1, int(left / self.per_frame)))[1]
        self.busy.append((start, end))

    def _run(self, frames: int) -> tuple[int, int]:
        start, end = self.load.run(frames)
        return start - self.origin_ns, end - self.origin_ns

    def _sleep_until(self, until_ns: int) -> None:
        left = until_ns - self._now()
        if left > 0:
            self.load.clock.sleep(left / NANOSECONDS)

    def _now(self) -> int:
        return self.load.clock.monotonic_ns() - self.origin_ns
