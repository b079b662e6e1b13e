"""Clips through the core in RTL: are the integers those of the reference, and how fast is it.

All figures are simulated, clock by clock, on the Verilog that is synthesised; the board's memory
and clock are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.engine.engine_plan import EnginePlan
from fdht_hls.equality import compare, reference_logits, refuse_mismatches, together
from fdht_hls.proof import Comparison
from fdht_hls.rtl.core import Core, verilog_of
from fdht_hls.rtl.cosim_contexts import compare_contexts
from fdht_hls.rtl.simulation.compiling import Simulator, build_simulator
from fdht_hls.rtl.simulation.runner import CallOutcome, Outcome, RunSettings, simulate_stream
from fdht_models.errors import ConfigError
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import QuantizedNetwork

#: Kind of these figures, for whoever shows them.
KIND = "simulated"
#: Fewer frames have no steady state: the first ones fill the pipeline.
LEAST_FRAMES = 5
#: Frames of the first call, which the second goes on from.
_FIRST_CALL = 2
#: One in so many frames comes alone where the core skips zeros.
_ALONE = 4
#: What takes this share of the time sets the pace.
_SETS_PACE = 0.9
#: Clocks of a frame by stage.
Busy = dict[str, float]
#: A stage's part of `CallOutcome.activity`.
_BUSY, _STARVED, _BLOCKED, _FIRST_BUSY, _LAST_BUSY = range(5)


@dataclass(frozen=True)
class StageLoad:
    """What a stage does in a frame, in clocks, on average in the steady state."""

    name: str
    busy: float
    starved: float
    blocked: float


@dataclass(frozen=True)
class Distribution:
    """Of clocks between one result and the next."""

    mean: float
    median: float
    percentile95: float
    worst: int


@dataclass(frozen=True)
class FullFrame:
    """What frames without any zero take, which are the slowest of a core that skips zeros.

    Args:
        cycles_per_frame: between two results of a stream of them.
        last_pixel_to_result: see `Cosim`; of one that comes alone.
    """

    cycles_per_frame: float
    last_pixel_to_result: int


@dataclass(frozen=True)
class Timeline:
    """What each stage did while a frame went through; see `Outcome`.

    Args:
        stages: their names.
        states: a letter a clock for each.
        last_word: clock, from the first, in which the frame's last word was read.
    """

    stages: tuple[str, ...]
    states: tuple[str, ...]
    last_word: int


@dataclass(frozen=True)
class Cosim:
    """What a simulation of a clip found.

    Args:
        comparison: with the reference.
        frames: simulated.
        bytes_per_clock: that the port for frames moves.
        latency, jitter, back_pressure, seed: of the memory.
        clocks: simulated in all.
        cycles_per_frame: between two results of the clip in the steady state. Of a core that skips
            zeros it depends on the clip; see `full_frame`.
        io_limit: clocks in which the port delivers a frame, a word a clock; of sparse frames the
            mean of those that `cycles_per_frame` is of.
        last_pixel_to_result: clocks from the read of a frame's last word to the last word of its
            result on the port, at most. Where the core skips zeros only of frames that come
            alone: in a stream they are read several frames ahead.
        recurrent_latency: clocks from a complete h to the next, if W_x x waits: W_h h, then the
            cell. None where frames are so short that they overlap with it, or sparse.
        limited_by: what sets the pace: a stage, "memory port" or "recurrence".
        stages: what each of them does in a frame.
        timeline: of one frame in the steady state.
        between_results: how clocks between two results are spread; None if frames are dense, which
            all take the same.
        full_frame: the same of frames without any zero; None of a core for which all are full, or
            where nobody asked.
    """

    comparison: Comparison
    frames: int
    bytes_per_clock: int
    latency: int
    jitter: int
    back_pressure: float
    seed: int
    clocks: int
    cycles_per_frame: float
    io_limit: float
    last_pixel_to_result: int
    recurrent_latency: int | None
    limited_by: str
    stages: tuple[StageLoad, ...]
    timeline: Timeline
    between_results: Distribution | None = None
    full_frame: FullFrame | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object, without the timeline; what is None at the end is left out."""
        value = asdict(replace(self, timeline=Timeline((), (), 0)))
        del value["timeline"]
        for name in ("between_results", "full_frame"):
            if value[name] is None:
                del value[name]
        comparison = value.pop("comparison")
        return {
            "kind": KIND,
            "ports": 1,
            "compared": comparison["compared"],
            "mismatches": comparison["mismatches"],
            **value,
        }


def cosim(
    network: QuantizedNetwork,
    plan: EnginePlan,
    frames: npt.NDArray[Any],
    cache: Path,
    settings: RunSettings,
    *,
    quick: bool = False,
) -> Cosim:
    """Simulates a clip in several calls and compares it with the reference.

    Dense frames in two calls. Where the core skips zeros, the first ones come alone, as they do
    from a camera, and the others in a stream; and full frames are simulated as well. Where there
    are several contexts, the clip's frames are also dealt out to them, and compared.

    Args:
        network: the integers.
        plan: the core of that network.
        frames: codes [frames, inputs]; of a core that computes the feature raw frames, one more.
        cache: directory of compiled cores.
        settings: what stands around the core.
        quick: see `build_simulator`.

    Raises:
        ConfigError: too few frames, or the port does not suit.
        DeviceError: the core broke a rule of AXI.
        DeviceTimeoutError: it did not end in time.
        EqualityError: an integer differs.
        ToolError: a tool is missing, fails, or takes too long.
    """
    before = plan.frames_before
    if len(frames) - before < LEAST_FRAMES:
        raise ConfigError(
            f"a steady state needs {LEAST_FRAMES} frames or more",
            field="frames",
            value=len(frames) - before,
        )
    simulator = build_simulator(
        verilog_of(Core(plan, probes=True)),
        plan.names,
        cache,
        port_bytes=plan.port.word_bytes,
        traces=settings.trace is not None,
        quick=quick,
    )
    pieces = _pieces(plan, len(frames) - before)
    found = run_cosim(simulator, network, plan, frames, pieces, settings)[0]
    given = replace(settings, trace=None)  # the waveforms are of the clip
    if plan.contexts > 1:
        turns = compare_contexts(simulator, network, plan, frames, given)
        refuse_mismatches({"reference_rtl": turns})
        found = replace(found, comparison=together([found.comparison, turns]))
    if not plan.skips:
        return found
    full = full_frames(network, plan)
    slowest, _ = run_cosim(simulator, network, plan, full, _pieces(plan, LEAST_FRAMES), given)
    return replace(
        found, full_frame=FullFrame(slowest.cycles_per_frame, slowest.last_pixel_to_result)
    )


def full_frames(network: QuantizedNetwork, plan: EnginePlan) -> npt.NDArray[Any]:
    """Frames of which nothing can be skipped, as many as a steady state needs, and as `cosim` takes
    them: codes [frames, inputs].
    """
    count = LEAST_FRAMES + plan.frames_before
    form = network.input_format
    kind = np.dtype("int8" if form.signed else "uint8")
    if plan.raw:  # black and white in turns
        frames = np.zeros((count, network.inputs), kind)
        frames[1::2] = np.iinfo(kind).max
        return frames
    return np.full((count, network.inputs), form.maximum, kind)


def run_cosim(
    simulator: Simulator,
    network: QuantizedNetwork,
    plan: EnginePlan,
    frames: npt.NDArray[Any],
    pieces: Sequence[slice],
    settings: RunSettings,
) -> tuple[Cosim, Outcome]:
    """The same with a core that is compiled, in calls of one's choice.

    Args:
        simulator: of the plan's core with probes.
        network: the integers.
        plan: the core of that network.
        frames: as `cosim`.
        pieces: frames of each call; the last one is the stream that figures are of. Where the core
            skips zeros, those of the others come alone, and one at least has to.
        settings: what stands around the core.

    Returns:
        (what was found, what was seen of all calls).

    Raises:
        As `cosim`.
    """
    inputs, before = frames, plan.frames_before
    if before and network.preprocessing.picture:
        inputs = network.preprocessing.picture.features(frames)
    noted = replace(settings, timeline=pieces[-1].stop - pieces[-1].start - 1)
    form = plan.sparse_format if plan.sparse else None
    given = (simulator, network, frames, pieces, noted)
    logits, outcome = simulate_stream(*given, form=form, before=before)
    comparison = compare(reference_logits(network, inputs[None]), logits[None])
    refuse_mismatches({"reference_rtl": comparison})
    return _figures(plan, comparison, outcome, settings), outcome


def _pieces(plan: EnginePlan, frames: int) -> list[slice]:
    """The frames of each call, the stream last."""
    if not plan.skips:
        return [slice(0, _FIRST_CALL), slice(_FIRST_CALL, frames)]
    alone = max(_FIRST_CALL, frames // _ALONE)
    return [*(slice(at, at + 1) for at in range(alone)), slice(alone, frames)]


def _figures(
    plan: EnginePlan, comparison: Comparison, outcome: Outcome, settings: RunSettings
) -> Cosim:
    call, stages, io_limit = outcome.calls[-1], plan.names, _io_limit(plan, outcome.calls[-1])
    results = call.times[:, 2]
    cycles = float(results[-1] - results[0]) / (len(results) - 1)
    loads = _loads(stages, call)
    alone = outcome.calls[:-1] if plan.skips else outcome.calls[-1:]
    return Cosim(
        comparison=comparison,
        frames=sum(len(one.times) for one in outcome.calls),
        bytes_per_clock=plan.port.word_bytes,
        latency=settings.latency,
        jitter=settings.jitter,
        back_pressure=settings.back_pressure,
        seed=settings.seed,
        clocks=outcome.clocks,
        cycles_per_frame=cycles,
        io_limit=io_limit,
        last_pixel_to_result=max(int((one.times[:, 2] - one.times[:, 1]).max()) for one in alone),
        recurrent_latency=None if plan.skips else recurrent_latency(stages, call.activity),
        limited_by=_limit(
            _busy(loads, plan),
            cycles,
            io_limit,
            settings,
            float(np.diff(results).min()) if plan.skips else 0,
        ),
        stages=loads,
        timeline=Timeline(
            stages, outcome.timeline, int(call.times[-1, 1]) - outcome.timeline_start
        ),
        between_results=_distribution(np.diff(results)) if plan.skips else None,
    )


def _io_limit(plan: EnginePlan, call: CallOutcome) -> float:
    """Words of a frame; of sparse frames the mean of those behind the first."""
    if not plan.sparse:
        return plan.port.frame_words
    return float(call.sizes[1:].mean()) / plan.port.word_bytes


def _distribution(clocks: Codes) -> Distribution:
    return Distribution(
        float(clocks.mean()),
        float(np.median(clocks)),
        float(np.percentile(clocks, 95)),
        int(clocks.max()),
    )


def _loads(stages: tuple[str, ...], call: CallOutcome) -> tuple[StageLoad, ...]:
    """Averages over the frames behind the first, whose window began before the call."""
    mean = call.activity[1:].mean(axis=0)
    return tuple(
        StageLoad(name, *(round(float(value), 1) for value in row[: _BLOCKED + 1]))
        for name, row in zip(stages, mean, strict=True)
    )


def recurrent_latency(stages: Sequence[str], activity: Codes) -> int | None:
    """Clocks from a complete h to the next if nothing but W_h h had to be waited for.

    W_h h starts when h is complete and its own work is seen whole in a window; behind its last sum
    come the units that the cell then updates, a unit a clock, and the depth of the cell, which is
    seen between its last unit and the start of W_h h. An upper bound: the cell may begin earlier.

    Args:
        stages: names of stages, those of W_h h beginning with "hidden.".
        activity: see `CallOutcome`.

    Returns:
        The largest of all frames; None if windows do not hold it whole.
    """
    hidden = [at for at, name in enumerate(stages) if name.startswith("hidden.")]
    if not hidden or "cell" not in stages or len(activity) < 2:
        return None
    cell, found = list(stages).index("cell"), []
    for window in activity[1:]:
        begins, ends = window[hidden[0], _FIRST_BUSY], window[hidden, _LAST_BUSY].max()
        depth = begins - window[cell, _LAST_BUSY]
        whole = window[hidden, _BUSY].min() > 0 and window[cell, _FIRST_BUSY] > 0 and depth >= 0
        if not whole:
            return None
        found.append(int(ends - begins + 1 + window[cell, _BUSY] + depth))
    return max(found)


def _busy(loads: Sequence[StageLoad], plan: EnginePlan) -> Busy:
    """Clocks of a frame in which each stage works.

    What a stage of W_x x does in a dense frame is known. Windows would not show it: the reader runs
    ahead, so that they are shorter than frames until it is held up.
    """
    known = {} if plan.skips else {stage.name: float(stage.cycles) for stage in plan.input}
    return {load.name: load.busy for load in loads} | known


def _limit(
    busy: Busy, cycles: float, io_limit: float, settings: RunSettings, least: float = 0
) -> str:
    """What sets the pace; `least`: clocks between two results, where they differ."""
    if io_limit >= _SETS_PACE * cycles:
        return "memory port"
    busiest = max(busy, key=lambda name: busy[name])
    if busy[busiest] >= _SETS_PACE * cycles:
        return busiest
    held_up = settings.back_pressure or settings.latency or settings.jitter
    # Sparse frames with many words and with few that take the same do not wait for the memory.
    held_up = held_up and not least >= _SETS_PACE * cycles
    return "memory" if held_up else "recurrence"


def report_lines(result: Cosim) -> list[str]:
    """The report for people."""
    recurrent = result.recurrent_latency
    lines = [
        f"{result.comparison.compared} logits compared with the reference, "
        f"{result.comparison.mismatches} differ",
        f"memory: {result.latency} clocks of latency (+0 to {result.jitter}), held up in "
        f"{result.back_pressure:.0%} of clocks",
        f"cycles per frame:     {result.cycles_per_frame:.1f} ({KIND}; the port needs "
        f"{result.io_limit:.0f}); limited by: {result.limited_by}",
        f"last pixel to result: {result.last_pixel_to_result} cycles ({KIND})",
        f"recurrent latency:    {'overlaps' if recurrent is None else f'{recurrent} cycles'} "
        f"({KIND})",
        f"{'cycles of a frame':18}{'busy':>10}{'starved':>10}{'blocked':>10}",
    ]
    if spread := result.between_results:
        lines.insert(
            3,
            f"between results:      median {spread.median:.0f}, 95th percentile "
            f"{spread.percentile95:.0f}, worst {spread.worst} cycles ({KIND})",
        )
    if full := result.full_frame:
        lines.insert(
            -1,
            f"a full frame:         {full.cycles_per_frame:.1f} cycles, last pixel to result "
            f"{full.last_pixel_to_result} ({KIND})",
        )
    lines += [
        f"{load.name:18}{load.busy:10.1f}{load.starved:10.1f}{load.blocked:10.1f}"
        for load in result.stages
    ]
    return lines
