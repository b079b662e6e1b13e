"""Levels of the tuner for a given network: search, choose, or say what would fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from fdht_hls.estimate import CoreModel, Estimate
from fdht_hls.estimate.hls_parts import why_no_adders
from fdht_hls.schedule import Schedule
from fdht_hls.tuner.alternatives import nondominated
from fdht_hls.tuner.budget import Budget
from fdht_hls.tuner.quick import hopeless, quick_design, smallest
from fdht_hls.tuner.search import Design, Effort, Limits, search
from fdht_models.errors import ConfigError

#: Slower paces that the front shows, as multiples of the pace that is asked for.
PACES = (1, 2)

#: Where frames differ, designs whose clocks a frame are fewer than so many times the fewest are as
#: fast as the device allows; and how much slower, by a bound, those may seem that are looked at.
_AS_FAST, _SEEMING = 1.03, (1.05, 1.1, 1.2, 1.3)

#: Paces slower than so many times that of the memory ports are searched only if nothing else fits.
SLOWEST = 4


@dataclass(frozen=True)
class Tuning:
    """What was found for a network.

    Args:
        core: the network with its model.
        budget: the device.
        limits: what was asked for.
        front: designs of which none beats another in cycles, latency, DSP and LUT.
        chosen: one of them; see `choose`.
        left_out: what was not considered, for people.
    """

    core: CoreModel
    budget: Budget
    limits: Limits
    front: tuple[Design, ...]
    chosen: Design
    left_out: tuple[str, ...] = ()

    @cached_property
    def estimate(self) -> Estimate:
        """The chosen design, process by process."""
        return self.core.estimate(self.chosen.schedule)

    @property
    def latency_known(self) -> bool:
        """Does the core's model know a latency? If not, designs have one to compare them by."""
        return self.estimate.fill_latency_cycles is not None

    def row(self, design: Design) -> dict[str, Any]:
        """Figures of a design as JSON."""
        return {
            "cycles_per_frame": design.cycles,
            "frames_per_second": self.budget.rate_at(design.cycles),
            "fill_latency_cycles": design.latency if self.latency_known else None,
            "resources": design.resources.to_json(),
            "used": self.budget.used_json(design.resources),
            "chosen": design == self.chosen,
            "schedule": design.schedule.to_json(),
        }


def tune(
    core: CoreModel,
    budget: Budget,
    frames_per_second: float | None = None,
    latency: int | None = None,
    paces: Sequence[float] = PACES,
    effort: Effort | None = None,
) -> Tuning:
    """Finds the front and chooses from it.

    Args:
        core: the network.
        budget: the device and its shares.
        frames_per_second: at least; None: as fast as the device allows.
        latency: clocks from the last word of a frame to its result at most; None: any.
        paces: multiples of the asked pace that the front covers too.
        effort: what this may take; None: any time.

    Raises:
        ConfigError: no design keeps the limits; says which, and what would fit. Or the time is
            over.
    """
    effort = effort or Effort()
    limits, found = designs_within(core, budget, frames_per_second, latency, effort)
    if not found:
        raise _refusal(core, budget, limits, frames_per_second, effort)
    chosen = choose(found, budget)
    # A frame rate that is asked for is a limit; nobody wants to see what misses it.
    for pace in paces[1:] if frames_per_second is None else ():
        slower = replace(limits, cycles=int(limits.cycles * pace))
        effort.show(f"looks for designs of {slower.cycles:,} clocks a frame")
        found = [*found, *search(core, slower, effort)]
    return Tuning(core, budget, limits, front_of(found), chosen, tuple(effort.left_out))


def designs_within(
    core: CoreModel,
    budget: Budget,
    frames_per_second: float | None = None,
    latency: int | None = None,
    effort: Effort | None = None,
) -> tuple[Limits, list[Design]]:
    """Designs that keep what is asked for, as `tune`; none if nothing does.

    Raises:
        ConfigError: the rate is none, or the time is over.
    """
    effort = effort or Effort()
    _try_adders(core, effort)
    if frames_per_second is None:
        cycles = fastest(core, budget, latency, effort)
    else:
        cycles = budget.cycles_at(frames_per_second)
    if cycles is None:
        return Limits(possible_paces(core)[-1], latency, budget.limits), []
    limits = Limits(cycles, latency, budget.limits)
    if hopeless(core, limits):
        return limits, []
    # Far slower than the port there is next to nothing left to save, and much to search.
    effort.show(f"looks for designs of {cycles:,} clocks a frame")
    found = search(core, replace(limits, cycles=min(cycles, SLOWEST * core.port_cycles)), effort)
    if not found and cycles > SLOWEST * core.port_cycles:
        found = search(core, limits, effort)
    quick = None if found else quick_design(core, budget, limits)
    found = found if quick is None else [quick]
    if found and frames_per_second is None and not core.frames_alike:
        found = _fastest_of(core, limits, found, effort)
    return limits, found


def _fastest_of(
    core: CoreModel, limits: Limits, found: list[Design], effort: Effort
) -> list[Design]:
    """The fastest where frames differ: of these designs, and of some that seem a little slower.

    A search knows a bound of the recurrence only, in which its stages do not overlap, so that it
    gives it more multipliers than it needs, and W_x x less. What a design takes is known then.
    """
    for factor in _SEEMING:
        slower = replace(limits, cycles=int(limits.cycles * factor))
        effort.show(f"looks for designs of seemingly {slower.cycles:,} clocks a frame")
        found = [*found, *search(core, slower, effort)]
    most = _AS_FAST * min(design.cycles for design in found)
    return [design for design in found if design.cycles <= most]


def _try_adders(core: CoreModel, effort: Effort) -> None:
    """Notes the stages that could be made of adders but for something; finds the others' graphs."""
    for design in () if core.loadable else core.design.stages:
        effort.show(f"adders for {design.name}")
        reason = why_no_adders(design)
        if reason is not None:
            effort.leave_out(f"adders for {design.name}: {reason}")
        effort.check()


def front_of(designs: Sequence[Design]) -> tuple[Design, ...]:
    """Designs of which none beats another in cycles, latency, DSP and LUT, in that order."""
    points = np.array([design.objectives for design in designs], np.int64).reshape(-1, 4)
    return tuple(designs[place] for place in nondominated(points))


def choose(designs: Sequence[Design], budget: Budget) -> Design:
    """The design to build: that which takes least of the device; of equals the promptest.

    "Least" is the smallest sum of squares of the parts that it takes of what is allowed of each
    resource.
    """
    return min(designs, key=lambda one: (budget.demand(one.resources), one.latency))


def fastest(
    core: CoreModel, budget: Budget, latency: int | None = None, effort: Effort | None = None
) -> int | None:
    """Fewest clocks a frame that a design within the budget needs; None: none fits at any pace.

    Raises:
        ConfigError: the effort's time is over.
    """
    limits = Limits(0, latency, budget.limits)
    return _first(possible_paces(core), core, budget, limits, effort or Effort())


def possible_paces(core: CoreModel) -> list[int]:
    """Clocks a frame that designs can have: those of each process with each parallelism.

    The cell's are not among them; it follows from its stages. The last pace is slow enough for it.
    """
    least = max(core.fixed_cycles().values())
    paces = {least}
    for design in core.design.stages:
        cycles = {core.stage_cycles(design, one) for one in core.choices(design)}
        least = max(least, min(cycles))
        paces |= cycles
    slow = max(paces)
    paces |= {least + step for step in (slow // 64, slow // 16, slow // 4, slow, 4 * slow)}
    return sorted(pace for pace in paces if pace >= least)


def _first(
    paces: Sequence[int], core: CoreModel, budget: Budget, limits: Limits, effort: Effort
) -> int | None:
    """The first pace at which there is a design; there is one at every slower pace, too.

    Searches at slow paces take longest, so that steps double from the fastest one on.
    """

    def fits(place: int) -> bool:
        effort.show(f"is there a design of {paces[place]:,} clocks a frame?")
        effort.check()
        own = replace(limits, cycles=paces[place])
        if hopeless(core, own):
            return False
        # A quick look finds most designs; that there is none, only a search says.
        return quick_design(core, budget, own) is not None or bool(search(core, own, effort))

    if not paces or hopeless(core, replace(limits, cycles=paces[-1])):
        return None
    low, step = 0, 1  # all before `low` do not fit
    high = 0
    while high < len(paces) and not fits(high):
        low, high, step = high + 1, high + step, 2 * step
    high = min(high, len(paces))
    while low < high:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle + 1
    return paces[low] if low < len(paces) else None


def _refusal(
    core: CoreModel, budget: Budget, limits: Limits, frames_per_second: float | None, effort: Effort
) -> ConfigError:
    """Says which limit no design keeps, which process it is, and what would fit."""
    asked = "budget" if frames_per_second is None else "frames-per-second"
    value = None if frames_per_second is None else f"{frames_per_second:g}"
    at_pace = f"{limits.cycles:,} clocks a frame on {budget.name}"
    slowest = _too_slow(core, limits.cycles)
    if slowest is not None:
        name, cycles = slowest
        return ConfigError(
            f"allows {at_pace}; {name} takes {cycles:,} with all multipliers that it can use",
            field=asked,
            value=value,
            remedy=f"{budget.told_rate(cycles)} would fit, or {_remedy(core, name)}",
        )
    if limits.latency is not None:
        free = search(core, replace(limits, latency=None), effort)
        if free:
            least_late = core.latency_parts(free[0].schedule)
            whose, other = "a design within the budget", "a larger --budget"
            return _latency_refusal(least_late, whose, limits.latency, other)
    least = smallest(core, budget, limits.cycles)
    if least is None or (limits.latency or least.latency) < least.latency:
        return _beyond(core, budget, limits, asked, value)
    return _resource_refusal(core, budget, limits, least, asked, value, at_pace, effort)


def _too_slow(core: CoreModel, cycles: int) -> tuple[str, int] | None:
    least = core.fixed_cycles() | {
        design.name: min(core.stage_cycles(design, one) for one in core.choices(design))
        for design in core.design.stages
    }
    name = max(least, key=lambda key: least[key])
    return (name, least[name]) if least[name] > cycles else None


def _remedy(core: CoreModel, name: str) -> str:
    if name != "read frame":
        return "another order or factorisation (--explore)"
    if not core.skips and core.port_cycles > core.design.port.frame_words:
        return "a longer last input mode: a fibre takes a clock at least"
    return "more or wider memory ports"


def _latency_refusal(
    added: Mapping[str, int], whose: str, latency: int | None, other: str
) -> ConfigError:
    least = sum(added.values())
    most = max(added, key=lambda name: added[name])
    return ConfigError(
        f"the least that {whose} has is {least:,} clocks, of which {most} takes {added[most]:,}",
        field="latency",
        value=latency,
        remedy=f"allow {least:,} clocks, or {other}",
    )


def _beyond(
    core: CoreModel, budget: Budget, limits: Limits, asked: str, value: str | None
) -> ConfigError:
    """No design, however large, keeps pace and latency: with all multipliers the cell is late."""
    quick = Schedule(
        tuple(core.choices(design)[-1] for design in core.design.input),
        tuple(core.choices(design)[-1] for design in core.design.hidden),
        core.frames,
        core.design.cell.contexts,
    )
    cycles, slowest = core.estimate(quick).pace
    if cycles > limits.cycles:
        return ConfigError(
            f"allows {limits.cycles:,} clocks a frame; {slowest} takes "
            f"{cycles:,} with all multipliers that it can use",
            field=asked,
            value=value,
            remedy=f"{budget.told_rate(cycles)} would fit",
        )
    other = "choose other modes (--explore)"
    return _latency_refusal(core.latency_parts(quick), "any design", limits.latency, other)


def _resource_refusal(
    core: CoreModel,
    budget: Budget,
    limits: Limits,
    least: Design,
    asked: str,
    value: str | None,
    at_pace: str,
    effort: Effort,
) -> ConfigError:
    used, allowed = budget.used(least.resources), budget.shares
    scarce = max(allowed, key=lambda name: used[name] / allowed[name])
    rows = core.estimate(least.schedule).stages
    biggest = max(rows, key=lambda row: row.resources.to_json()[scarce])
    taken, limit = least.resources.to_json()[scarce], budget.limits.to_json()[scarce]
    slower = _first(
        [pace for pace in possible_paces(core) if pace > limits.cycles],
        core,
        budget,
        Limits(0, limits.latency, budget.limits),
        effort,
    )
    fits = [] if slower is None else [budget.told_rate(slower)]
    shares = {name: used[name] for name in allowed if used[name] > allowed[name]}
    if all(part <= 1 for part in shares.values()):
        fits.append(
            "--budget " + ",".join(f"{name}={_up(part):.2f}" for name, part in shares.items())
        )
    none = "no design that was looked at fits" if effort.left_out else "no design fits"
    return ConfigError(
        f"{none} at {at_pace}: the least demanding takes {taken:,} {scarce} where "
        f"{limit:,} are allowed, most of them for {biggest.name}",
        field=asked,
        value=value,
        remedy=f"{' or '.join(fits)} would fit" if fits else "use a larger device or lower ranks",
    )


def _up(part: float) -> float:
    """A share, rounded up to hundredths."""
    return min(1.0, int(part * 100 + 1) / 100)
