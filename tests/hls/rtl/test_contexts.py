"""The whole core in Verilator with several contexts: streams in turns, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.engine import EnginePlan, lower
from fdht_hls.packing import packed_call, words_of
from fdht_hls.rtl.core import Core, emit_verilog, verilog_of
from fdht_hls.rtl.cosim_contexts import compare_contexts
from fdht_hls.rtl.simulation import runner
from fdht_hls.rtl.simulation.compiling import Simulator, build_simulator
from fdht_hls.rtl.simulation.runner import BASE, Call, Outcome, RunSettings, run_calls
from fdht_hls.schedule import default_schedule
from fdht_hls.weights import pack_weights
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from tests.hls.random_networks import random_network
from tests.models.format_cases import SHAPES

_PLAN = runner._plan
BUSY = RunSettings(latency=3, jitter=30, back_pressure=0.4, timeout_clocks=60_000)
#: Shape, contexts, frames: sums that come unit by unit, and sums that are collected.
CASES = {
    "lstm, 4": ("ht-lstm", 4, "dense"),
    "lstm, collected, 2": ("tucker-lstm", 2, "dense"),
    "gru, 2": ("ht-gru-integrated", 2, "dense"),
    "mgu, 8": ("ht-mgu-integrated", 8, "dense"),
    "lstm, sparse, 4": ("ht-lstm-integrated", 4, "sparse"),
    "gru, sparse, collected, 2": ("dense-gru", 2, "sparse"),
}
LOADABLE = "lstm, 4"
#: Those that are made in every run of the tests.
QUICK = ("lstm, 4", "gru, sparse, collected, 2")
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


def context_plan(
    network: QuantizedNetwork, contexts: int, frames: str = "dense", weights: str = "constant"
) -> EnginePlan:
    schedule = default_schedule(network.recurrence).with_weights(weights)
    return lower(network, replace(schedule, frames=frames, contexts=contexts))


@dataclass(frozen=True)
class Part:
    """Some frames of a stream, and what the reference says of them."""

    frames: np.ndarray
    context: int
    reset: bool
    logits: np.ndarray
    weights: bytes = b""


@dataclass(frozen=True)
class Bench:
    network: QuantizedNetwork
    plan: EnginePlan
    simulator: Simulator

    def run(self, parts: list[Part], settings: RunSettings) -> tuple[list[np.ndarray], Outcome]:
        """Runs a call for each part; returns the logits of each."""
        network, calls, memory, at = self.network, [], [], 0

        def placed(contents: bytes) -> int:
            nonlocal at
            start, padded = at, contents + b"\0" * (-len(contents) % 64)
            memory.append(padded)
            at += len(padded)
            return BASE + start

        for part in parts:
            packed, ends = packed_call(network, part.frames, sparse=self.plan.sparse)
            results = placed(b"\xa5" * (len(part.frames) * network.result_bytes))
            call = Call(
                placed(packed.tobytes()),
                results,
                len(part.frames),
                part.reset,
                placed(part.weights) if part.weights else None,
                context=part.context,
            )
            if self.plan.sparse:
                of_frames = tuple(8 * int(end) for end in ends)
                call = replace(call, words=words_of(ends), ends=of_frames)
            calls.append(call)
        image = np.frombuffer(b"".join(memory), np.uint8).copy()
        outcome = run_calls(self.simulator, network, image, calls, settings)
        return [self._logits(outcome, call) for call in calls], outcome

    def _logits(self, outcome: Outcome, call: Call) -> np.ndarray:
        start, size = call.results - BASE, self.network.result_bytes
        rows = (
            outcome.memory[start : start + call.count * size]
            .view("<i4")
            .reshape(call.count, size // 4)
        )
        return rows[:, : len(self.network.classes)].astype(np.int64)


def stream_of(network: QuantizedNetwork, count: int, generator: np.random.Generator) -> np.ndarray:
    """Codes [count, inputs], every second value 0."""
    form = network.input_format
    codes = generator.integers(form.minimum, form.maximum + 1, (count, network.inputs))
    codes[:, generator.random(network.inputs) < 0.5] = 0
    return codes.astype(np.int8 if form.signed else np.uint8)


def in_turns(network: QuantizedNetwork, contexts: int, calls: int, seed: int) -> list[Part]:
    """Streams in calls of any length, in any order, of which some are reset in between."""
    generator = np.random.default_rng(seed)
    models = [ReferenceModel(network) for _ in range(contexts)]
    begun = [False] * contexts
    parts = []
    for _ in range(calls):
        context = int(generator.integers(contexts))
        # Of the register only the low bits count.
        register = context + contexts * int(generator.integers(1000))
        reset = bool(generator.random() < 0.25)
        frames = stream_of(network, int(generator.integers(0, 4)), generator)
        if reset and len(frames):
            models[context].reset()
        # The first frame of a context starts from zero whatever its call says.
        begun[context] |= len(frames) > 0
        parts.append(Part(frames, register, reset, models[context].run(frames)))
    assert sum(begun) > 1, "the contexts are not in turns"
    return parts


@pytest.fixture(scope="module")
def bench_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bench]:
    directory: Path = tmp_path_factory.mktemp("cores")

    @cache
    def made(name: str) -> Bench:
        label, contexts, frames = CASES[name]
        network = random_network(1, SHAPES[label])
        weights = "loadable" if name == LOADABLE else "constant"
        plan = context_plan(network, contexts, frames, weights)
        verilog = verilog_of(Core(plan, probes=True))
        return Bench(network, plan, build_simulator(verilog, plan.names, directory, quick=True))

    return made


@pytest.mark.parametrize("settings", [RunSettings(), BUSY], ids=["at once", "busy"])
@pytest.mark.parametrize("name", EVERY)
def test_streams_in_turns_are_as_if_each_were_alone(bench_of, name: str, settings: RunSettings):
    bench = bench_of(name)
    parts = in_turns(bench.network, bench.plan.contexts, 40, len(name))
    found, outcome = bench.run(parts, settings)
    wanted = np.concatenate([part.logits for part in parts])
    assert len(np.unique(wanted, axis=0)) > len(wanted) // 2, "the comparison says little"
    np.testing.assert_array_equal(np.concatenate(found), wanted)
    identity = outcome.calls[-1].identity
    assert identity.contexts == bench.plan.contexts
    assert identity.frames_done == len(wanted)


def parts_of(models: list[ReferenceModel], order: list[int], frames: np.ndarray) -> list[Part]:
    """Calls of two frames, of the contexts in `order`; none is reset."""
    pieces = [frames[2 * at : 2 * at + 2] for at in range(len(order))]
    return [
        Part(piece, context, False, models[context].run(piece))
        for piece, context in zip(pieces, order, strict=True)
    ]


def test_weights_that_are_loaded_drop_the_states_of_all_contexts(bench_of):
    bench = bench_of(LOADABLE)
    other = random_network(2, SHAPES["ht-lstm"])
    words = pack_weights(lower(other, bench.plan.schedule)).tobytes()
    frames = stream_of(bench.network, 40, np.random.default_rng(5))
    before = [ReferenceModel(bench.network) for _ in range(4)]
    after = [ReferenceModel(other) for _ in range(4)]
    parts = parts_of(before, [0, 1, 2, 1], frames[:8])
    loads = parts_of(after, [1], frames[8:])
    parts += [replace(loads[0], weights=words), *parts_of(after, [0, 1, 2, 0, 3], frames[10:])]
    found, _ = bench.run(parts, BUSY)
    for part, logits in zip(parts, found, strict=True):
        np.testing.assert_array_equal(logits, part.logits)


def test_an_error_of_the_memory_is_one_of_its_context_alone(bench_of):
    bench = bench_of(LOADABLE)
    frames = stream_of(bench.network, 40, np.random.default_rng(6))
    models = [ReferenceModel(bench.network) for _ in range(4)]
    parts = parts_of(models, [0, 3, 3], frames)
    fails = Part(frames[6:8], 1, False, np.zeros((0, 3), np.int64))
    parts += [fails, *parts_of(models, [0, 3], frames[8:])]
    models[1].reset()
    again = frames[12:14]
    parts.append(Part(again, 1, True, models[1].run(again)))
    # A call's memory is its results and then its frames, each in whole bursts.
    size = -(-2 * bench.network.result_bytes // 64) * 64
    bad = BASE + 4 * size + 3 * -(-2 * bench.network.frame_bytes // 64) * 64
    found, outcome = bench.run(parts, replace(BUSY, bad_reads=(bad,)))
    done = [call.identity.frames_done for call in outcome.calls]
    assert done == [2, 4, 6, 6, 8, 10, 12]
    for part, logits in zip(parts, found, strict=True):
        if part is not fails:
            np.testing.assert_array_equal(logits, part.logits)


def test_a_single_context_is_no_hardware():
    network = random_network(1)
    verilog = emit_verilog(lower(network))
    assert "context" not in verilog
    assert "context" in emit_verilog(context_plan(network, 2))


@pytest.mark.parametrize("name", QUICK)
def test_cosim_deals_a_clip_out_to_the_contexts(bench_of, name: str, tmp_path: Path):
    bench = bench_of(name)
    frames = stream_of(bench.network, 12, np.random.default_rng(7))
    once = compare_contexts(bench.simulator, bench.network, bench.plan, frames, BUSY)
    assert (once.compared, once.mismatches) == (12 * len(bench.network.classes), 0)
    # In a single one each goes on from another's state.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fdht_hls.rtl.simulation.runner._plan", _in_one_context)
        wrong = compare_contexts(bench.simulator, bench.network, bench.plan, frames, BUSY)
    assert wrong.mismatches and wrong.first is not None


def _in_one_context(network, calls, *others):
    return _PLAN(network, [replace(call, context=0) for call in calls], *others)
