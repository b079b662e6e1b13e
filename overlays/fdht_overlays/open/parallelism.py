"""A schedule that suits the open flow: little logic, few multipliers, at its clock."""

from __future__ import annotations

from dataclasses import replace

from fdht_hls.boards import Board
from fdht_hls.frame_profile import FrameProfile
from fdht_hls.schedule import Schedule
from fdht_hls.tuner.board_plan import tuned
from fdht_hls.tuner.budget import SHARES, Budget, board_budget
from fdht_hls.tuner.tune import Tuning
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.open.flow import CLOCK_MHZ, MOST_DSP

#: Part of the device's LUTs, by the model of the core in RTL. Designs of the default experiment
#: with as much and with 0.26 were placed and routed; the larger one just reached its clock. See
#: docs/open-flow.md.
LUT_SHARE = 0.22


def open_budget(board: Board) -> Budget:
    """What a design of the open flow may take of a board."""
    shares = {**SHARES, "lut": LUT_SHARE, "dsp": MOST_DSP / board.resources.dsp}
    return replace(board_budget(board), clock_mhz=CLOCK_MHZ, shares=shares)


def choose_schedule(
    network: QuantizedNetwork,
    board: Board,
    *,
    dsp: bool = False,
    frames: str = "dense",
    contexts: int = 1,
    profile: FrameProfile | None = None,
) -> Tuning:
    """The fastest design within `open_budget`, by the estimator.

    Args:
        network: the integers.
        board: PYNQ-Z1 or PYNQ-Z2.
        dsp: the flow is told to use DSP slices. Without them every stage gets this project's own
            multipliers of LUTs, which are smaller than what yosys makes of a product.
        frames: that the core reads.
        contexts: states that it keeps.
        profile: of the frames that a core which skips zeros is planned for; None: they count as
            full.

    Raises:
        ConfigError: none fits; says what would.
    """
    tuning = tuned(
        network, open_budget(board), "rtl", frames=frames, contexts=contexts, profile=profile
    )
    if dsp:
        return tuning
    own = [design for design in tuning.front if _without_slices(design.schedule)]
    if not own:
        raise ConfigError(
            f"no design without DSP slices within {LUT_SHARE:g} of the LUTs",
            field="flow open",
            value=network.name,
            remedy="tune it for less: fdht tune --explore",
        )
    return replace(tuning, chosen=min(own, key=lambda one: (one.cycles, one.resources.lut)))


def schedule_of_flow(
    network: QuantizedNetwork,
    chosen: Schedule | None,
    board: Board,
    frames: str = "dense",
    contexts: int = 1,
    profile: FrameProfile | None = None,
) -> Schedule:
    """The schedule that an overlay gets: one that somebody chose, or else the flow's own choice.

    What a conversion plans for the whole board, this flow neither places as DSP slices nor has room
    for in LUTs.

    Args:
        network: the integers.
        chosen: with which a user had it converted; see `fdht_hls.rtl.experiments.users_schedule`.
        board: PYNQ-Z1 or PYNQ-Z2.
        frames: that the core reads, unless somebody chose.
        contexts: likewise, states that it keeps.
        profile: see `choose_schedule`.

    Raises:
        ConfigError: as `choose_schedule`.
    """
    if chosen is not None:
        return chosen
    return choose_schedule(
        network, board, frames=frames, contexts=contexts, profile=profile
    ).chosen.schedule


def _without_slices(schedule: Schedule) -> bool:
    # Adders take the place of multipliers, whatever these would be made of.
    return all(one.multipliers == "lut" or one.weights == "adders" for one in schedule.stages)
