"""Whether what a network has learnt suits live streams; said before the training."""

from __future__ import annotations

from typing import Any

from fdht_models.preprocessing import Preprocessing, Sampling
from fdht_models.preprocessing.protocols import (
    CONSECUTIVE,
    GENERATED,
    RANDOM_STRIDE,
    SIX,
    STRIDE,
    UNIFORM,
    WINDOW,
)

#: Protocols that suit, by the kind of input.
_SUITABLE = {
    "picture": (CONSECUTIVE, STRIDE, RANDOM_STRIDE),
    "values": (CONSECUTIVE, STRIDE, RANDOM_STRIDE),
    "sound": (WINDOW,),
    "spikes": (),
}
_WHY_NOT = {
    UNIFORM: "spreads its frames over the whole clip, and a stream has no end",
    SIX: "takes frames at random distances, and a stream has one distance",
}
_CUT = "takes clips that somebody has cut at labels, and a stream has none"


def stream_statement(preprocessing: Preprocessing) -> dict[str, Any] | None:
    """What `metrics.json` says under `streams`; None for clips that belong to no files.

    Args:
        preprocessing: of the network, with the time step of its training clips.

    Returns:
        {"suits", "protocol", "time_step": seconds or None, "suitable": protocols that would suit,
        "statement": all of it in a line for people}.
    """
    sampling = preprocessing.sampling
    if sampling.protocol == GENERATED:
        return None
    suitable = _SUITABLE[preprocessing.kind]
    return {
        "suits": sampling.suits_streams,
        "protocol": sampling.protocol,
        "time_step": sampling.time_step,
        "suitable": list(suitable),
        "statement": _statement(sampling, suitable),
    }


def _statement(sampling: Sampling, suitable: tuple[str, ...]) -> str:
    step = "of a length that the files do not state"
    if sampling.time_step is not None:
        step = f"of {sampling.time_step:.3g} s"
    if sampling.suits_streams:
        drawn = " on the average" if sampling.protocol == RANDOM_STRIDE else ""
        return f"live streams: suited (protocol {sampling.protocol}, steps {step}{drawn})"
    why = _WHY_NOT.get(sampling.protocol, _CUT)
    remedy = f"; protocols that suit: {', '.join(suitable)}" if suitable else ""
    return f"live streams: not suited (steps {step}): protocol {sampling.protocol} {why}{remedy}"
