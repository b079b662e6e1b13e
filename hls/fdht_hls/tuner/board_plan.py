"""The one planner: what is built of a network on a board, and what it is estimated to give.

`fdht tune`, `fdht convert`, `fdht build --estimate` and the open flow ask here, so that for the
same core, board and schedule they say the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from fdht_hls.boards import board_names, get_board
from fdht_hls.engine import design_engine
from fdht_hls.estimate import Assumptions, CoreModel, Estimate
from fdht_hls.frame_profile import FrameProfile
from fdht_hls.schedule import Schedule
from fdht_hls.tuner.budget import Budget, board_budget
from fdht_hls.tuner.cores import CoreKind, core_to_tune, model_of
from fdht_hls.tuner.quick import quick_design, smallest
from fdht_hls.tuner.search import Design, Effort, Limits
from fdht_hls.tuner.tune import Tuning, choose, designs_within, possible_paces, tune
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import QuantizedNetwork

#: Strains that differ by less are alike: of designs that do not fit, the fastest of these is taken.
_ALIKE = 1.01


@dataclass(frozen=True)
class BoardPlan:
    """What is built of a network on a board. Every figure is estimated.

    Args:
        network: its name.
        core: that is built, "hls" or "rtl".
        budget: the board, and what a design may take of it.
        schedule: parallelism of the stages.
        estimate: pace and size with it.
        left_out: what was not considered, for people.
    """

    network: str
    core: CoreKind
    budget: Budget
    schedule: Schedule
    estimate: Estimate
    left_out: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Within the budget."""
        return not self.lacking

    @property
    def lacking(self) -> tuple[str, ...]:
        """What it takes too much of, such as "344 of 165 DSP", the scarcest first."""
        return self.budget.lacking(self.estimate.resources)

    @property
    def frames_per_second(self) -> float:
        """At the budget's clock; of full frames."""
        return self.budget.rate_at(self.estimate.cycles_per_frame)

    @property
    def model(self) -> str:
        """Whose figures these are, in words."""
        return model_of(self.core, self.budget.family)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; what is not known is null, and `clips` only where there are some."""
        return {
            "kind": "estimated",
            "core": self.core,
            "model": self.model,
            "budget": self.budget.to_json(),
            "fits": self.fits,
            "lacking": list(self.lacking),
            "cycles_per_frame": self.estimate.cycles_per_frame,
            "frames_per_second": self.frames_per_second,
            "fill_latency_cycles": self.estimate.fill_latency_cycles,
            "limited_by": self.estimate.limited_by,
            "frames": self.schedule.frames,
            **({"clips": self.estimate.clips.to_json()} if self.estimate.clips else {}),
            "resources": self.estimate.resources.to_json(),
            "used": self.budget.used_json(self.estimate.resources),
            "left_out": list(self.left_out),
        }


def plan(
    network: QuantizedNetwork,
    budget: Budget,
    core: CoreKind = "hls",
    *,
    loadable: bool = False,
    frames: str = "dense",
    contexts: int = 1,
    profile: FrameProfile | None = None,
    effort: Effort | None = None,
) -> BoardPlan:
    """The fastest design within a budget, of those the least demanding; or else the smallest.

    It is the design that `tune` chooses. Whether it fits, the plan says.

    Args:
        network: the integers, or their shapes and formats.
        budget: the device and its shares.
        core: that is to be built.
        loadable: weights can be loaded at run time.
        frames: that it reads; see `Schedule`.
        contexts: states that it keeps.
        profile: of the frames that a core which skips zeros is planned for; None: they count as
            full. See `fdht_hls.tuner.training_frames.frames_at_hand`.
        effort: what this may take; None: any time. The same is found, or none, whatever it is.

    Raises:
        ConfigError: the time is over.
        ConversionError: the core cannot compute the network's feature.
    """
    found = core_to_tune(network, budget, core, None, loadable, frames, profile, contexts)
    return plan_of(found, budget, core, effort)


def plan_of(
    core: CoreModel, budget: Budget, kind: CoreKind, effort: Effort | None = None
) -> BoardPlan:
    """The same, for a core that several budgets ask for."""
    effort = effort or Effort()
    _, found = designs_within(core, budget, effort=effort)
    chosen = choose(found, budget) if found else _smallest(core, budget)
    return _plan(core, budget, kind, chosen.schedule, tuple(effort.left_out))


def planned(
    network: QuantizedNetwork,
    schedule: Schedule,
    budget: Budget,
    core: CoreKind = "hls",
    profile: FrameProfile | None = None,
) -> BoardPlan:
    """The plan with a schedule that somebody chose."""
    about = (schedule.loadable, schedule.frames, profile, schedule.contexts)
    found = core_to_tune(network, budget, core, None, *about)
    design = design_engine(network, budget.bytes_per_clock, schedule.fibres, schedule.contexts)
    return _plan(replace(found, design=design), budget, core, schedule)


def tuned(
    network: QuantizedNetwork,
    budget: Budget,
    core: CoreKind = "hls",
    frames_per_second: float | None = None,
    latency: int | None = None,
    *,
    engine: Assumptions | None = None,
    loadable: bool = False,
    frames: str = "dense",
    contexts: int = 1,
    profile: FrameProfile | None = None,
    effort: Effort | None = None,
) -> Tuning:
    """What else there would be: the front around the design that `plan` takes.

    Raises:
        ConfigError: no design keeps what is asked for; says what would fit. Or the model of the
            core does not know what is asked for.
    """
    if core == "rtl" and latency is not None and profile is None:
        raise ConfigError(
            "is not known of the core in RTL before it is simulated",
            field="latency",
            value=latency,
            remedy="use --core hls, or count it with fdht cosim; of a core that skips zeros "
            "--clips tells it",
        )
    found = core_to_tune(network, budget, core, engine, loadable, frames, profile, contexts)
    return tune(found, budget, frames_per_second, latency, effort=effort)


def what_would_fit(network: QuantizedNetwork, core: CoreKind = "hls", *, not_on: str = "") -> str:
    """What a user can do about a network that is too large for a board: a clause."""
    others = [name for name in boards_that_fit(network, core) if name != not_on]
    smaller = "lower ranks or widths (fdht tune --explore)"
    return f"--board {' or '.join(others[:2])}, or {smaller}" if others else smaller


def boards_that_fit(network: QuantizedNetwork, core: CoreKind = "hls") -> tuple[str, ...]:
    """Real boards that hold a design of a network, the smallest first; by a quick look."""
    boards = [get_board(name) for name in board_names()]
    found = []
    for board in sorted(boards, key=lambda one: (one.resources.lut, one.name)):
        budget = board_budget(board)
        if not board.simulated:
            own = core_to_tune(network, budget, core)
            limits = Limits(possible_paces(own)[-1], None, budget.limits)
            if quick_design(own, budget, limits) is not None:
                found.append(board.name)
    return tuple(found)


def _plan(
    core: CoreModel,
    budget: Budget,
    kind: CoreKind,
    schedule: Schedule,
    left_out: Iterable[str] = (),
) -> BoardPlan:
    estimate = core.estimate(schedule)
    return BoardPlan(core.design.name, kind, budget, schedule, estimate, tuple(left_out))


def _smallest(core: CoreModel, budget: Budget) -> Design:
    """Of designs of all paces the fastest of those that strain the device least."""
    found = [one for pace in possible_paces(core) if (one := smallest(core, budget, pace))]
    least = min(budget.strain(one.resources) for one in found)
    return next(one for one in found if budget.strain(one.resources) <= _ALIKE * least)
