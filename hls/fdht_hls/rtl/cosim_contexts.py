"""Contexts of the core in RTL: a clip as several streams in turns, against the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy.typing as npt

from fdht_hls.engine.engine_plan import EnginePlan
from fdht_hls.equality import compare, together
from fdht_hls.proof import Comparison
from fdht_hls.rtl.simulation.compiling import Simulator
from fdht_hls.rtl.simulation.runner import Layout, RunSettings, run_calls
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

#: Frames of a call.
_FRAMES_A_CALL = 2


def compare_contexts(
    simulator: Simulator,
    network: QuantizedNetwork,
    plan: EnginePlan,
    frames: npt.NDArray[Any],
    settings: RunSettings,
) -> Comparison:
    """Deals a clip's frames out to contexts, a call each in turn, and compares all logits.

    Each context sees frames of its own, as a stream would be that nothing else interrupts. Where
    there are more contexts than calls, the first and the last of them are among those that are
    used.

    Args:
        simulator: of the plan's core.
        network: the integers.
        plan: of a core with several contexts.
        frames: codes [frames, inputs].
        settings: what stands around the core.

    Raises:
        As `run_calls`.
    """
    layout = Layout.of(network, frames, form=plan.sparse_format if plan.sparse else None)
    starts = range(0, layout.count, _FRAMES_A_CALL)
    pieces = [slice(start, min(start + _FRAMES_A_CALL, layout.count)) for start in starts]
    used = min(plan.contexts, max(2, len(pieces) // 2))
    contexts = [round(at * (plan.contexts - 1) / (used - 1)) for at in range(used)]
    chosen = [contexts[number % used] for number in range(len(pieces))]
    calls = [
        replace(layout.call(piece.start, piece.stop - piece.start, False), context=context)
        for piece, context in zip(pieces, chosen, strict=True)
    ]
    outcome = run_calls(simulator, network, layout.image(frames), calls, settings)
    logits, models = layout.logits(outcome.memory), [ReferenceModel(network) for _ in contexts]
    by_context = dict(zip(contexts, models, strict=True))
    return together(
        [
            compare(by_context[context].run(frames[piece])[None], logits[None, piece], start=start)
            for start, piece, context in zip(starts, pieces, chosen, strict=True)
        ]
    )
