"""Time that the host takes to pack frames: dense, and as sparse ones, in turns.

What is packed is then flushed to memory, which a simulated board does by a copy. Both are measured:
packing alone, and with that copy.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fdht_host.frame_packing import FramePacking
from fdht_models.benchmarks.machine import (
    ProcessorTime,
    disturbance,
    disturbance_lines,
    machine_facts,
)
from fdht_models.errors import DataError
from fdht_models.experiment import INPUT_FORMAT, Experiment
from fdht_models.tensor.quantized import WORD_BYTES
from fdht_models.versions import package_versions
from fdht_overlays.manifest import InputLayout

#: Frames are read from memory and not from a cache if there are this many bytes of them.
LEAST_BYTES = 64 << 20
#: What was asked for: so many times the time of a dense frame at most.
MOST_RATIO = 1.3
_KINDS: tuple[Literal["dense", "sparse"], ...] = ("dense", "sparse")
_STEPS = ("packed", "packed and flushed")
#: Clips to pack, their frames, and their seed.
_CLIPS, _CLIP_FRAMES, _SEED = 8, 50, 70_000


def time_packing(frames: npt.NDArray[np.uint8], batch: int, rounds: int = 7) -> dict[str, Any]:
    """Packs frames in batches into two buffers that alternate, as `fdht run` does.

    Args:
        frames: uint8[n, size]; repeated until there are `LEAST_BYTES`.
        batch: frames a call.
        rounds: turns of each kind.

    Returns:
        For each kind the least and the median microseconds a frame, packed, and packed and flushed;
        mean words a frame; medians of the ratios of all turns; what disturbed it.

    Raises:
        DataError: there are no frames.
    """
    if not frames.size:
        raise DataError("are needed", field="frames", value=len(frames), remedy="give some")
    size = frames.shape[1]
    width = -(-size // WORD_BYTES) * WORD_BYTES
    layout = InputLayout(size, INPUT_FORMAT, width, None, (size,))
    copies = -(-LEAST_BYTES // frames.nbytes)
    every = np.tile(frames, (copies, 1))
    batches = [every[start : start + batch] for start in range(0, len(every), batch)]
    packings = {kind: FramePacking(replace(layout, frames=kind), batch) for kind in _KINDS}
    buffers = {kind: [np.zeros(packings[kind].shape, np.uint8) for _ in "ab"] for kind in _KINDS}
    memory = np.zeros_like(buffers["sparse"][0])
    seconds = np.zeros((len(_KINDS), len(_STEPS), rounds))
    words = 0
    begun = ProcessorTime.now()
    for turn in range(rounds):
        for place, kind in enumerate(_KINDS):
            *taken, words = _packed(packings[kind], buffers[kind], batches, memory)
            seconds[place, :, turn] = taken
    ratios = np.median(seconds[1] / seconds[0], axis=1)
    microseconds = 1e6 * seconds / len(every)
    rows = {
        f"{kind}, {step}": {
            "least_microseconds": float(microseconds[row, column].min()),
            "median_microseconds": float(np.median(microseconds[row, column])),
        }
        for column, step in enumerate(_STEPS)
        for row, kind in enumerate(_KINDS)
    }
    return {
        "kind": "measured",
        "frame_bytes": layout.frame_bytes,
        "batch": batch,
        "rounds": rounds,
        "words_per_frame": words / len(every),  # of the last turn, a sparse one
        "rows": rows,
        "ratios": dict(zip(_STEPS, map(float, ratios), strict=True)),
        "asked": MOST_RATIO,
        "machine": {**machine_facts(), **disturbance(begun, ProcessorTime.now())},
        "versions": package_versions("numpy"),
    }


def frames_of_clips(experiment: Experiment, dead_zone: int, cache: Path) -> npt.NDArray[np.uint8]:
    """Frames of clips of an experiment, uint8[n, size]; values up to the dead zone are 0.

    Raises:
        DataError: its data are missing.
    """
    clips = experiment.source.streams(_CLIPS, _CLIP_FRAMES, _SEED, cache).frames
    frames: npt.NDArray[np.uint8] = clips.reshape(-1, clips.shape[-1]).view(np.uint8)
    return np.where(frames > dead_zone, frames, np.uint8(0))


def _packed(
    packing: FramePacking,
    buffers: Sequence[npt.NDArray[np.uint8]],
    batches: Sequence[npt.NDArray[Any]],
    memory: npt.NDArray[np.uint8],
) -> tuple[float, float, int]:
    """Seconds to pack, and to pack and flush; and words."""
    words, packed, flushed = 0, 0.0, 0.0
    for turn, batch in enumerate(batches):
        started = time.perf_counter()
        found = packing.pack(buffers[turn % 2], batch, reset=False)
        between = time.perf_counter()
        part = found.part.reshape(-1)
        memory[: len(part)] = part
        packed, flushed = packed + between - started, flushed + time.perf_counter() - started
        words += found.words
    return packed, flushed, words


def packing_lines(result: dict[str, Any]) -> list[str]:
    """The result for people."""
    lines = [
        f"{name:<28}{row['median_microseconds']:8.2f} us a frame, at least "
        f"{row['least_microseconds']:.2f}  measured"
        for name, row in result["rows"].items()
    ]
    told = ", ".join(f"{step} {ratio:.2f}" for step, ratio in result["ratios"].items())
    lines.append(
        f"sparse / dense: {told}, asked for at most {result['asked']}; "
        f"{result['words_per_frame']:,.0f} words a frame in place of "
        f"{result['frame_bytes'] // WORD_BYTES:,}, batches of {result['batch']}"
    )
    return [*lines, *disturbance_lines(result["machine"])]
