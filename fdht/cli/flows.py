"""Which flow is for which board, and which core a flow builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fdht_models.errors import ConfigError

if TYPE_CHECKING:
    from fdht_hls.boards import Board
    from fdht_hls.tuner.cores import CoreKind


def core_of(flow: str | None, core: str | None) -> CoreKind:
    """The core that a flow builds.

    Raises:
        ConfigError: the core is not known, or not for that flow.
    """
    from fdht_hls.tuner.cores import checked_core
    from fdht_overlays.open.tools import FLOW as OPEN

    if flow == OPEN:
        if core not in (None, "rtl"):
            raise ConfigError("is not for --flow open", field="core", value=core, remedy="use rtl")
        return "rtl"
    return checked_core(core or "hls")


def check_flow(board: Board, flow: str | None) -> None:
    """Refuses a flow that is not for a board.

    Raises:
        ConfigError: names those that are.
    """
    from fdht_overlays.manifest import SIMULATION_FLOW
    from fdht_overlays.open.tools import FLOW as OPEN
    from fdht_overlays.plan.vitis import FLOW

    flows = (SIMULATION_FLOW,) if board.simulated else (FLOW, OPEN)
    if flow not in (None, *flows):
        raise ConfigError(
            f"is not for {board.title}",
            field="flow",
            value=flow,
            remedy=f"use {' or '.join(flows)}",
        )
