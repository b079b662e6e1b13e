"""`fdht bench emulation`: frames a second of the C simulation, ours and hls4ml's `predict`.

One converted model, three ways to run it from Python: our native build over a batch of clips, our
exact build (the arbitrary-precision types of Vitis HLS) over fewer, and hls4ml's own library
through its `predict`, frame by frame. Rounds are interleaved, so that a machine that slows down
slows down all, and ratios are taken round by round.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fdht_hls.batch import BatchSimulation
from fdht_hls.csimulation import compile_library
from fdht_hls.engine import lower
from fdht_models.benchmarks.machine import ProcessorTime, disturbance, machine_facts
from fdht_models.console import pieces
from fdht_models.errors import ConfigError, EqualityError
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import QuantizedNetwork, frame_modes

#: Version of the result's layout.
SCHEMA = 1
#: Frames a second that the native build should reach.
TARGET = 2000.0
NATIVE, EXACT, HLS4ML = "native", "exact", "hls4ml"
_BUILDS: tuple[str, ...] = (NATIVE, EXACT, HLS4ML)
#: Pieces of work before the first round: see `_prepare`.
_PREPARATIONS = 6

Clips = npt.NDArray[np.uint8]
Begin = Callable[[str], None]


@dataclass(frozen=True)
class Workload:
    """What is run.

    Args:
        configuration: of the architecture study; see `benchmarks.network`.
        weights_seed: of the random weights.
        clips_seed: of the noise in the clips.
        clips: in a batch of the native build.
        frames: of a clip.
        exact_clips: in a batch of the exact build, of the first frames of a clip.
        exact_frames: how many those are.
        hls4ml_frames: that hls4ml predicts a turn: the first of a clip.
        rounds: turns of each.
        threads: of our builds; None: one for each processor.
    """

    configuration: str = "B"
    weights_seed: int = 57_600
    clips_seed: int = 1
    clips: int = 40
    frames: int = 50
    exact_clips: int = 2
    exact_frames: int = 8
    hls4ml_frames: int = 8
    rounds: int = 5
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("clips", "frames", "exact_clips", "exact_frames", "hls4ml_frames", "rounds"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", field=name, value=getattr(self, name))
        longest = max(self.exact_frames, self.hls4ml_frames)
        if self.exact_clips > self.clips or longest > self.frames:
            raise ConfigError(
                "must hold the clips of every other",
                field="clips, frames",
                value=f"{self.clips}, {self.frames}",
                remedy=f"use at least {self.exact_clips}, {longest}",
            )


def bench_emulation(workload: Workload | None = None) -> dict[str, Any]:
    """Measures all three in one run, and compares their logits.

    Args:
        workload: what is run.

    Returns:
        A JSON object; all figures are `measured`. `frames_per_second` and
        `hls4ml_frames_per_second` are medians over rounds, `ratio` the median of the rounds'
        ratios; `quartiles` says how far each is spread. `frames_per_processor_second` is what our
        native build does in a second of one processor's time, which other programs do not take
        part in.

    Raises:
        ConversionError: hls4ml cannot convert or compile the model.
        EqualityError: an integer differs between the three.
        ToolError: g++ is missing or fails.
    """
    workload = workload or Workload()
    with ExitStack() as stack:
        count = _PREPARATIONS + workload.rounds * len(_BUILDS)
        begin = stack.enter_context(pieces("bench emulation", count))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fdht-bench-")))
        network, runs = _prepare(workload, directory, stack, begin)
        before = ProcessorTime.now()
        rounds = _interleave(workload, runs, begin)
        after = ProcessorTime.now()
    speeds = {name: [one[name]["frames_per_second"] for one in rounds] for name in runs}
    ratios = [ours / other for ours, other in zip(speeds[NATIVE], speeds[HLS4ML], strict=True)]
    medians = {name: float(np.median(values)) for name, values in speeds.items()}
    alone = [one[NATIVE]["frames_per_processor_second"] for one in rounds]
    return {
        "schema": SCHEMA,
        "benchmark": "emulation",
        "kind": "measured",
        "machine": {**machine_facts(), **disturbance(before, after)},
        "setting": {
            **asdict(workload),
            "inputs": network.inputs,
            "units": network.recurrence.units,
            "macs_a_frame": network.macs,
            "classes": len(network.classes),
        },
        "frames_per_second": medians[NATIVE],
        "hls4ml_frames_per_second": medians[HLS4ML],
        "exact_frames_per_second": medians[EXACT],
        "frames_per_processor_second": float(np.median(alone)),
        "ratio": float(np.median(ratios)),
        "quartiles": {
            **{f"{name}_frames_per_second": _quartiles(values) for name, values in speeds.items()},
            "ratio": _quartiles(ratios),
        },
        "rounds": rounds,
        "target": {"at_least": TARGET, "met": medians[NATIVE] >= TARGET},
    }


@dataclass(frozen=True)
class _Run:
    """A way to run the model: frames a turn, and the call that gives their logits."""

    frames: int
    call: Callable[[], Codes]


def _prepare(
    workload: Workload, directory: Path, stack: ExitStack, begin: Begin
) -> tuple[QuantizedNetwork, dict[str, _Run]]:
    """Builds and compiles everything once, and proves that all give the same logits."""
    from fdht_hls.benchmarks.network import noise_clips, random_classifier
    from fdht_hls.conversion_model import conversion_model, convert, quietly

    begin("building the model")
    model, network = random_classifier(workload.configuration, workload.weights_seed)
    clips = noise_clips(workload.clips, workload.frames, network.inputs, workload.clips_seed)
    begin("converting it")
    converted = conversion_model(model, lower(network))
    graph = quietly(lambda: convert(converted, str(directory / "project")), network.name)
    for build in (NATIVE, EXACT):
        begin(f"compiling it, {build}")
        compile_library(directory / "project", directory / f"{build}.so", build)  # type: ignore[arg-type]
    begin("compiling it, hls4ml")
    quietly(graph.compile, network.name)
    runs = {}
    exact = clips[: workload.exact_clips, : workload.exact_frames]
    for name, piece in ((NATIVE, clips), (EXACT, exact)):
        simulation = stack.enter_context(
            BatchSimulation(directory / f"{name}.so", network, workload.threads)
        )
        runs[name] = _Run(piece.shape[0] * piece.shape[1], partial(simulation.run, piece))
    runs[HLS4ML] = _Run(workload.hls4ml_frames, _predict(graph, network, clips[0], workload))
    begin("comparing the logits")
    _refuse_differences(runs)
    return network, runs


def _predict(
    graph: Any, network: QuantizedNetwork, clip: Clips, workload: Workload
) -> Callable[[], Codes]:
    """hls4ml's call: float32 in and out, a frame a sample; the state goes on from call to call."""
    fibres, fibre = frame_modes(network.recurrence)
    values = clip[: workload.hls4ml_frames] * np.float32(network.input_format.scale)
    samples = np.ascontiguousarray(values.reshape(-1, 1, fibres, fibre), np.float32)

    def call() -> Codes:
        logits = graph.predict(samples).reshape(1, len(samples), -1)
        return network.logit_format.exact(logits, "hls4ml logits")

    return call


def _refuse_differences(runs: dict[str, _Run]) -> None:
    """Raises EqualityError unless the first frames of the first clip have the same logits."""
    logits = {name: run.call()[0] for name, run in runs.items()}
    for name in (EXACT, HLS4ML):
        shared = min(len(logits[NATIVE]), len(logits[name]))
        wrong = int((logits[NATIVE][:shared] != logits[name][:shared]).sum())
        if wrong:
            raise EqualityError(
                f"{wrong} of {logits[name][:shared].size} logits differ from {name}'s",
                field="native build",
                remedy="this is a defect of fdht: please report it",
            )


def _interleave(
    workload: Workload, runs: dict[str, _Run], begin: Begin
) -> list[dict[str, dict[str, float]]]:
    """Frames a second, and a second of a processor's time, by round and build."""
    found = []
    for number in range(workload.rounds):
        speeds = {}
        for name, run in runs.items():
            begin(f"round {number + 1} of {workload.rounds}, {name}")
            start, used = time.perf_counter(), time.process_time()
            run.call()
            used, taken = time.process_time() - used, time.perf_counter() - start
            speeds[name] = {
                "frames_per_second": run.frames / taken,
                "frames_per_processor_second": run.frames / used,
            }
        found.append(speeds)
    return found


def _quartiles(values: list[float]) -> list[float]:
    return [float(value) for value in np.percentile(values, (25, 75))]


def report(result: dict[str, Any]) -> Group:
    """The result of `bench_emulation` for people."""
    setting, machine = result["setting"], result["machine"]
    table = Table(title="Frames a second (measured)", title_justify="left", box=None)
    for column in ("", "median", "quartiles"):
        table.add_column(column, justify="left" if not column else "right")
    labels = {
        "frames_per_second": ("ours, native integers", NATIVE),
        "exact_frames_per_second": ("ours, exact widths", EXACT),
        "hls4ml_frames_per_second": ("hls4ml's predict", HLS4ML),
    }
    for key, (label, name) in labels.items():
        low, high = result["quartiles"][f"{name}_frames_per_second"]
        table.add_row(label, f"{result[key]:,.1f}", f"{low:,.1f} .. {high:,.1f}")
    low, high = result["quartiles"]["ratio"]
    verdict = "met" if result["target"]["met"] else "MISSED"
    lines = [
        f"ours, native: {result['frames_per_processor_second']:,.0f} a second of one processor",
        f"{result['ratio']:,.0f} times hls4ml's ({low:,.0f} .. {high:,.0f}); "
        f"target of {result['target']['at_least']:,.0f} frames a second: {verdict}",
        f"{machine['processor']}, {machine['cores']} cores; configuration "
        f"{setting['configuration']}, {setting['inputs']:,} inputs, "
        f"{setting['macs_a_frame']:,} multiply-accumulates a frame; all logits equal",
    ]
    if not machine["quiet"]:
        busy = machine["other_programs_cores"]
        lines.append(f"DISTURBED: other programs kept {busy:.2f} cores busy; measure again.")
    return Group(table, Text(), *(Text(line) for line in lines))
