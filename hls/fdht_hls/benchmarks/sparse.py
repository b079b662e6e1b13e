"""`fdht bench sparse`: a core that skips zeros beside one that does not, on the same clips.

Both are simulated on the Verilog that yosys then counts, in one run: clips one behind the other in
a stream; some of their frames alone, as they come from a camera; frames without any zero; and some
frames while bits of nets that change are counted. What was simulated or counted is kept under a
digest of all that it depends on, so that an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.benchmarks.engine import Design, resource_row, totals
from fdht_hls.equality import compare, reference_logits, refuse_mismatches
from fdht_hls.estimate import Estimate
from fdht_hls.estimate.rtl import estimate_rtl
from fdht_hls.frame_profile import Spread
from fdht_hls.rtl.core import Core, verilog_of
from fdht_hls.rtl.cosim import KIND as SIMULATED
from fdht_hls.rtl.cosim import run_cosim
from fdht_hls.rtl.experiments import count_once
from fdht_hls.rtl.simulation.compiling import Simulator, build_simulator
from fdht_hls.rtl.simulation.runner import RunSettings, simulate_stream
from fdht_hls.rtl.yosys_count import Resources as Counted
from fdht_hls.tuner.budget import Budget
from fdht_models.benchmarks.keeping import kept
from fdht_models.console import pieces
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ConfigError
from fdht_models.tensor.sparse_frames import SparseFormat

#: Version of the result's layout.
SCHEMA = 1
#: The two cores.
DENSE, SPARSE = "dense", "sparse"
#: Clocks until the memory answers.
LATENCY = 40
#: Frames without a zero; frames that come alone; frames of which toggling is counted, whose first
#: fill the pipeline.
FULL_FRAMES, ALONE, COUNTED_FRAMES, _FILLING = 6, 12, 8, 2
#: Fewer frames have no distribution.
LEAST_FRAMES = 8
#: What a count of toggling means.
TOGGLING_NOTE = (
    "Bits of the RTL's nets that differ from one clock to the next, each net once, between the "
    "results of the same frames: not the placed netlist, no glitches, no words in memories, no "
    "clock tree."
)


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips, one behind the other.

    Args:
        name: for people.
        dead_zone: largest difference of pixels that counts as none.
        clips: how many.
        frames: codes [frames, inputs].
    """

    name: str
    dead_zone: int
    clips: int
    frames: npt.NDArray[Any]

    def __post_init__(self) -> None:
        if len(self.frames) < LEAST_FRAMES:
            raise ConfigError(
                f"a distribution needs {LEAST_FRAMES} frames or more",
                field=f"frames of {self.name}",
                value=len(self.frames),
                remedy="take more clips, or more frames of each",
            )


@dataclass(frozen=True)
class Pace:
    """What was simulated of clips; clocks between results, but for the latency.

    Args:
        clocks: of a frame.
        port_clocks: that the port for frames needs of them, on average.
        limited_by: what sets the pace.
        last_word_to_result: at most, of frames that came alone.
        compared: logits, with the integer reference.
        mismatches: of them.
        busy: clocks of a frame in which each stage works, on average.
    """

    clocks: Spread
    port_clocks: float
    limited_by: str
    last_word_to_result: int
    compared: int
    mismatches: int
    busy: Mapping[str, float]


@dataclass(frozen=True)
class Toggling:
    """Bits of nets that change; see `TOGGLING_NOTE`.

    Args:
        per_frame: between two results, on average.
        per_clock: on average over all these clocks.
        bits: of nets that were looked at.
        frames: of which this is.
    """

    per_frame: float
    per_clock: float
    bits: int
    frames: int


@dataclass(frozen=True, eq=False)
class Contestant:
    """A core at work; what is simulated of it is kept.

    Args:
        name: `DENSE` or `SPARSE`.
        design: of it.
        directory: of compiled cores and of all results.
        quick: compile fast rather than run fast.
    """

    name: str
    design: Design
    directory: Path
    quick: bool = False

    @cached_property
    def simulator(self) -> Simulator:
        """Compiled when something has to be simulated."""
        plan = self.design.plan
        return build_simulator(
            verilog_of(Core(plan, probes=True)),
            plan.names,
            self.directory / "cores",
            port_bytes=plan.port.word_bytes,
            toggles=True,
            quick=self.quick,
        )

    @property
    def form(self) -> SparseFormat | None:
        """Of the frames that it reads, if they are sparse."""
        plan = self.design.plan
        return plan.sparse_format if plan.sparse else None

    def pace(self, frames: npt.NDArray[Any]) -> Pace:
        """Of frames in a stream, after some of them that come alone.

        Raises:
            As `run_cosim`.
        """
        places = np.linspace(0, len(frames) - 1, min(ALONE, len(frames))).round().astype(np.intp)
        alone = [slice(at, at + 1) for at in range(len(places))]
        stream = slice(len(places), len(places) + len(frames))

        def simulate() -> Pace:
            result, outcome = run_cosim(
                self.simulator,
                self.design.network,
                self.design.plan,
                np.concatenate([frames[places], frames]),
                [*alone, stream],
                RunSettings(latency=LATENCY),
            )
            return Pace(
                Spread.of(np.diff(outcome.calls[-1].times[:, 2])),
                float(result.io_limit),
                result.limited_by,
                max(int(one.times[0, 2] - one.times[0, 1]) for one in outcome.calls[:-1]),
                result.comparison.compared,
                result.comparison.mismatches,
                {stage.name: stage.busy for stage in result.stages},
            )

        return kept(self.directory / "simulated", self._key("pace", frames), Pace, simulate)

    def toggling(self, frames: npt.NDArray[Any]) -> Toggling:
        """Of consecutive frames in a stream.

        Raises:
            As `simulate_stream`, and EqualityError: an integer differs.
        """

        def simulate() -> Toggling:
            network, settings = self.design.network, RunSettings(latency=LATENCY, toggles=True)
            whole = [slice(0, len(frames))]
            logits, outcome = simulate_stream(
                self.simulator, network, frames, whole, settings, form=self.form
            )
            found = compare(reference_logits(network, frames[None]), logits[None])
            refuse_mismatches({"reference_rtl": found})
            call = outcome.calls[0]
            toggles = int(call.toggles[-1] - call.toggles[_FILLING])
            clocks = int(call.times[-1, 2] - call.times[_FILLING - 1, 2])
            counted = len(frames) - _FILLING
            return Toggling(toggles / counted, toggles / clocks, outcome.counted_bits, counted)

        key = self._key("toggling", frames)
        return kept(self.directory / "simulated", key, Toggling, simulate)

    def resources(self, counted: bool) -> dict[str, Any]:
        """What it takes: counted by yosys, or estimated.

        Raises:
            As `count_once`.
        """
        found: Estimate | Counted
        if counted:
            found = count_once(self.design.verilog, BuildDirectory(self.directory).resources)
        else:
            found = estimate_rtl(self.design.plan)
        taken = found.resources if isinstance(found, Estimate) else found
        return {**totals(taken), "ff": taken.ff, "kind": found.kind}

    def _key(self, what: str, frames: npt.NDArray[Any]) -> dict[str, Any]:
        return {
            "what": what,
            "core": hashlib.sha256(self.design.verilog.encode()).hexdigest(),
            "frames": hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest(),
            "settings": [LATENCY, ALONE, _FILLING],
        }


def bench_sparse(
    contestants: Sequence[Contestant],
    clips: Sequence[Clips],
    board: Budget,
    setting: Mapping[str, Any],
    *,
    resources: bool = True,
) -> dict[str, Any]:
    """Simulates all clips with both cores, then counts what they take.

    Args:
        contestants: the dense core, then the sparse one, of one network.
        clips: toggling is counted of the first.
        board: into which the cores have to fit.
        setting: how the others came about; becomes a part of the result.
        resources: count them, too; it takes minutes. Otherwise they are estimated.

    Returns:
        A JSON object: `rows`, one for clips and core, with `clocks` of a frame (mean, median, p95,
        worst), `full_frame` (clocks of one without a zero, at most), `last_word_to_result`,
        `limited_by`, `busy` (clocks by stage), `mismatches`, `words` (share that is not zero) and
        the core's `lut` (with those used as memory), `ff`, `dsp`, `bram36`; `ratios`, dense by
        sparse, one for clips; `toggling`; and the kinds of all figures.

    Raises:
        ConfigError: no clips.
        As `run_cosim` and `count_once`.
    """
    if not clips:
        raise ConfigError("there are none", field="clips")
    rows, toggling = [], {}
    full = full_frames(contestants[0].design)
    moving = _spread_out(clips[0].frames)
    with pieces("bench sparse", len(contestants) * (len(clips) + 3)) as begin:
        for one in contestants:
            begin(f"simulates frames without a zero, {one.name} core")
            slowest = one.pace(full).clocks.worst
            for of in clips:
                begin(f"simulates {len(of.frames)} frames of {of.name}, {one.name} core")
                rows.append(_row(one, of, one.pace(of.frames), slowest))
            begin(f"counts bits that change, {one.name} core")
            toggling[one.name] = one.toggling(moving)
        for one in contestants:
            begin(f"synthesises the {one.name} core")
            found = one.resources(resources)
            for row in rows:
                if row["core"] == one.name:
                    row.update(_taken(found, board))
    return {
        "schema": SCHEMA,
        "benchmark": "sparse",
        "kind": SIMULATED,
        "setting": {
            **setting,
            "memory_latency": LATENCY,
            "bytes_per_clock": contestants[0].design.plan.port.word_bytes,
        },
        "rows": rows,
        "ratios": [_ratio(rows, of) for of in clips],
        "toggling": _toggling(toggling, clips[0]),
        "schedules": {one.name: one.design.plan.schedule.to_json() for one in contestants},
    }


def full_frames(design: Design) -> npt.NDArray[Any]:
    """Frames of noise without a zero: codes [frames, inputs]."""
    form = design.network.input_format
    noise = np.random.default_rng(0).integers(
        1, form.maximum + 1, (FULL_FRAMES, design.network.inputs)
    )
    return noise.astype(np.int8 if form.signed else np.uint8)


def _spread_out(frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A few of all frames, as far apart as they can be."""
    places = np.linspace(0, len(frames) - 1, COUNTED_FRAMES).round().astype(np.intp)
    return frames[places]


def _row(one: Contestant, of: Clips, pace: Pace, full_frame: int) -> dict[str, Any]:
    clocks = pace.clocks
    width = one.design.plan.port.word_bytes
    padded = np.pad(of.frames, ((0, 0), (0, -of.frames.shape[1] % width)))
    words = padded.reshape(len(of.frames), -1, width).any(axis=2).mean()
    return {
        "clips": of.name,
        "dead_zone": of.dead_zone,
        "core": one.name,
        "clip_count": of.clips,
        "frames": len(of.frames),
        "words": round(float(words), 4),
        "clocks": {
            "mean": round(clocks.mean, 1),
            "median": clocks.median,
            "p95": clocks.p95,
            "worst": clocks.worst,
        },
        "full_frame": full_frame,
        "port_clocks": round(pace.port_clocks, 1),
        "last_word_to_result": pace.last_word_to_result,
        "limited_by": pace.limited_by,
        "busy": dict(pace.busy),
        "compared": pace.compared,
        "mismatches": pace.mismatches,
    }


def _taken(found: Mapping[str, Any], board: Budget) -> dict[str, Any]:
    taken = {name: found[name] for name in ("lut", "dsp", "bram36")}
    return {
        **resource_row(taken, board),
        "ff": found["ff"],
        "kind": {"cycles": SIMULATED, "resources": found["kind"]},
    }


def _ratio(rows: Sequence[Mapping[str, Any]], of: Clips) -> dict[str, Any]:
    """Clocks of the dense core by those of the sparse one."""
    own = {
        row["core"]: row
        for row in rows
        if (row["clips"], row["dead_zone"]) == (of.name, of.dead_zone)
    }
    dense, sparse = own[DENSE], own[SPARSE]
    return {
        "clips": of.name,
        "dead_zone": of.dead_zone,
        **{
            name: round(dense["clocks"][name] / sparse["clocks"][name], 2)
            for name in dense["clocks"]
        },
        "full_frame": round(dense["full_frame"] / sparse["full_frame"], 3),
        "kind": SIMULATED,
    }


def _toggling(found: Mapping[str, Toggling], of: Clips) -> dict[str, Any]:
    dense, sparse = found[DENSE], found[SPARSE]
    return {
        "clips": of.name,
        "dead_zone": of.dead_zone,
        "frames": dense.frames,
        **{
            name: {
                "per_frame": round(one.per_frame),
                "per_clock": round(one.per_clock, 1),
                "bits": one.bits,
            }
            for name, one in found.items()
        },
        "ratio": round(dense.per_frame / sparse.per_frame, 2),
        "note": TOGGLING_NOTE,
        "kind": SIMULATED,
    }
