"""A load that marks a trace: chips of seeded signs, energy windows between them, and their record.

A *chip* is two stretches of time, one in which the core runs and one in which it idles; which comes
first is a fair coin, and each stretch has a length of its own, drawn between three and five
quarters of the nominal one. So a chip's contrast, the mean power of its first stretch less that
of its second, has the sign of the coin; a drift that is slow beside a chip cancels in it; and the
edges fall on all phases of a meter that samples at a steady pace, which tells where they are more
finely than its interval. Half of the chips come before the energy windows and half after
them, so that the rate of the meter's clock is known over all that lies between.

Coins and not a maximum-length sequence, because the test of `pattern_search` then needs to assume
nothing of the trace.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import NANOSECONDS
from fdht_models.arguments import count, seconds
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.records import JsonRecord, load_record
from fdht_models.settings import whole

SCHEMA: Literal[1] = 1
#: Stretches are drawn between these shares of the nominal length.
_SHORTEST, _LONGEST = 0.75, 1.25
_MOMENT = {"check": whole(0, 2**62)}


@dataclass(frozen=True)
class PatternSettings:
    """How long a pattern is.

    Args:
        chips: of both halves together; even.
        stretch_updates: readings of the meter in a stretch, half a chip, on average.
        minimum_seconds: of a stretch, whatever the meter: what smooths a board's supply takes
            some tens of milliseconds.
        stretch_frames: frames in a stretch at least, for it ends with a whole frame.
        seed: of the coins and lengths.

    Raises:
        ConfigError: an impossible value; names the field.
    """

    chips: int = 80
    stretch_updates: int = 10
    minimum_seconds: float = 0.1
    stretch_frames: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        count(self.chips, "pattern.chips", 48, 4096)
        if self.chips % 2:
            raise ConfigError("must be even", field="pattern.chips", value=self.chips)
        count(self.stretch_updates, "pattern.stretch_updates", 2)
        count(self.stretch_frames, "pattern.stretch_frames", 1)
        count(self.seed, "pattern.seed", 0)
        if self.minimum_seconds != 0:
            seconds(self.minimum_seconds, "pattern.minimum_seconds")

    def stretch_seconds(self, interval_seconds: float, seconds_per_frame: float) -> float:
        """The nominal length of a stretch for a meter's interval and the time a frame takes."""
        return max(
            self.stretch_updates * interval_seconds,
            self.minimum_seconds,
            self.stretch_frames * seconds_per_frame,
        )


@dataclass(frozen=True)
class PlannedChip:
    """A chip before it is run: lengths of its stretches in seconds, and the coin."""

    first_seconds: float
    second_seconds: float
    on_first: bool


def draw_chips(settings: PatternSettings, stretch_seconds: float) -> tuple[PlannedChip, ...]:
    """The chips of a seed.

    Args:
        settings: how many, and the seed.
        stretch_seconds: nominal length of a stretch.
    """
    generator = random.Random(settings.seed)

    def length() -> float:
        return stretch_seconds * generator.uniform(_SHORTEST, _LONGEST)

    return tuple(
        PlannedChip(length(), length(), generator.random() < 0.5) for _ in range(settings.chips)
    )


@dataclass(frozen=True)
class Chip(JsonRecord):
    """A chip as it was due on the host's clock, in nanoseconds.

    The moments are those of the plan: when a stretch really ended depends a little on the coin.
    """

    start_ns: int = field(metadata=_MOMENT)
    middle_ns: int = field(metadata=_MOMENT)
    end_ns: int = field(metadata=_MOMENT)
    on_first: bool

    def __post_init__(self) -> None:
        if not self.start_ns < self.middle_ns < self.end_ns:
            raise ConfigError("must follow each other", field="start_ns, middle_ns, end_ns")


@dataclass(frozen=True)
class LoadWindow(JsonRecord):
    """An energy window as it was run; `frames` is 0 where the core was idle."""

    start_ns: int = field(metadata=_MOMENT)
    end_ns: int = field(metadata=_MOMENT)
    frames: int = field(metadata={"check": whole(0, 2**40)})

    def __post_init__(self) -> None:
        if not self.start_ns < self.end_ns:
            raise ConfigError("must follow each other", field="start_ns, end_ns")


@dataclass(frozen=True)
class LoadRecord(JsonRecord):
    """What a core did, and when: `pattern.json`. Moments are nanoseconds of the host's clock.

    Args:
        schema: of the file.
        experiment: that ran.
        design_id: of the core.
        board: by name.
        simulated: the board is, so that no meter can have measured it.
        started: wall-clock time (UTC, ISO 8601) of moment 0.
        origin_ns: moment 0 on the host's clock, from which all others are counted.
        seed: of the coins.
        settle_ns: how long a state lasts before and after each energy window.
        chips: in order of time.
        busy: [start, end) of each stretch of time in which the core ran frames, in order; it idled
            in all others between the first chip and the last.
        windows: the energy windows, in order.
        note: what frames were run, for people.
    """

    schema: Literal[1]
    experiment: str
    design_id: str
    board: str
    simulated: bool
    started: str
    seed: int
    settle_ns: int = field(metadata=_MOMENT)
    chips: tuple[Chip, ...]
    busy: tuple[tuple[int, int], ...]
    windows: tuple[LoadWindow, ...]
    note: str
    origin_ns: int = field(metadata=_MOMENT)

    def __post_init__(self) -> None:
        if not self.chips or not self.windows or not self.busy:
            raise ConfigError("must not be empty", field="chips, busy and windows")
        for name, moments in (
            ("chips", [moment for one in self.chips for moment in (one.start_ns, one.end_ns)]),
            ("busy", [moment for stretch in self.busy for moment in stretch]),
            ("windows", [moment for one in self.windows for moment in (one.start_ns, one.end_ns)]),
        ):
            if moments != sorted(moments) or moments[0] < 0:
                raise ConfigError("must follow each other in time", field=name)

    @property
    def span_ns(self) -> tuple[int, int]:
        """From the first chip's start to the last one's end."""
        return self.chips[0].start_ns, self.chips[-1].end_ns

    @property
    def middle_ns(self) -> int:
        """The moment that all others are taken from, where seconds are: half way through."""
        return sum(self.span_ns) // 2

    @property
    def stretch_seconds(self) -> float:
        """Mean length of a stretch."""
        lengths = [one.end_ns - one.start_ns for one in self.chips]
        return sum(lengths) / len(lengths) / 2 / NANOSECONDS

    def seconds(self, moments_ns: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Moments of the host's clock as seconds from the middle."""
        return (np.asarray(moments_ns, np.int64) - self.middle_ns) / NANOSECONDS


def read_load(path: Path) -> LoadRecord:
    """Reads `pattern.json`.

    Raises:
        ArtifactError: it cannot be read, or is no such record.
    """
    return load_record(
        LoadRecord, path, error=ArtifactError, remedy="measure again with fdht run --meter csv"
    )
