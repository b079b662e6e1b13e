"""Weights loaded at run time, in Verilator: equal to the other network's reference, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.engine import lower
from fdht_hls.rtl.core import Core, emit_verilog, verilog_of
from fdht_hls.rtl.simulation.compiling import Simulator, build_simulator
from fdht_hls.rtl.simulation.runner import BASE, Call, Layout, Outcome, RunSettings, run_calls
from fdht_hls.schedule import Schedule, default_schedule
from fdht_hls.weights import pack_weights
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from tests.hls.random_networks import NARROW, random_network

FRAMES = 3
FIRST, SECOND = (random_network(seed, widths=NARROW) for seed in (1, 2))
SCHEDULE = default_schedule(FIRST.recurrence).with_weights("loadable")
CODES = np.random.default_rng(3).integers(0, 256, (FRAMES, FIRST.inputs)).astype(np.uint8)
BUSY = RunSettings(latency=3, jitter=30, back_pressure=0.4, timeout_clocks=60_000)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    verilog, stages = (
        verilog_of(Core(lower(FIRST, SCHEDULE), probes=True)),
        lower(FIRST, SCHEDULE).names,
    )
    return build_simulator(verilog, stages, tmp_path_factory.mktemp("cores"), quick=True)


class Bench:
    """A memory with frames, results and several buffers of weights."""

    def __init__(self, simulator: Simulator, *buffers: np.ndarray) -> None:
        self.simulator, self.layout = simulator, Layout(FIRST, FRAMES)
        image = self.layout.image(CODES)
        # Not at the start of a burst.
        self.addresses, parts = [], [image, np.zeros(-len(image) % 8 + 24, np.uint8)]
        for words in buffers:
            self.addresses.append(BASE + sum(map(len, parts)))
            parts.append(words.view(np.uint8))
        self.memory = np.concatenate(parts)

    def call(self, count: int, weights: int | None = None, *, reset: bool = False) -> Call:
        """Frames 0.. with a buffer of weights loaded first."""
        call = self.layout.call(0, count, reset)
        return call if weights is None else replace(call, weights=self.addresses[weights])

    def run(self, *calls: Call, settings: RunSettings | None = None) -> Outcome:
        return run_calls(self.simulator, FIRST, self.memory, calls, settings or RunSettings())


def logits_of(network: QuantizedNetwork) -> np.ndarray:
    return ReferenceModel(network).run(CODES)


def weights_id(outcome: Outcome) -> int:
    identity = outcome.calls[-1].identity
    return identity.weights_id_high << 32 | identity.weights_id_low


@pytest.mark.parametrize("settings", [RunSettings(), BUSY])
def test_built_in_loaded_and_loaded_back(simulator: Simulator, settings: RunSettings):
    bench = Bench(simulator, *(pack_weights(lower(one, SCHEDULE)) for one in (SECOND, FIRST)))
    calls = [bench.call(FRAMES, reset=True)]
    for loaded, network in ((None, FIRST), (0, SECOND), (1, FIRST)):
        if loaded is not None:
            # The state that the call before left is of other weights: it is not gone on from.
            calls.append(bench.call(FRAMES, loaded))
        outcome = bench.run(*calls, settings=settings)
        np.testing.assert_array_equal(bench.layout.logits(outcome.memory), logits_of(network))
        assert weights_id(outcome) == network.design_id
        layout = lower(FIRST, SCHEDULE).layout
        assert layout and outcome.calls[-1].identity.weights_layout == layout.digest
        assert outcome.calls[-1].identity.frames_done == FRAMES * len(calls)


def test_a_call_that_only_loads(simulator: Simulator):
    bench = Bench(simulator, pack_weights(lower(SECOND, SCHEDULE)))
    outcome = bench.run(bench.call(FRAMES, reset=True), bench.call(0, 0), bench.call(FRAMES))
    np.testing.assert_array_equal(bench.layout.logits(outcome.memory), logits_of(SECOND))


def test_the_state_goes_on_behind_the_first_frame(simulator: Simulator):
    bench = Bench(simulator, pack_weights(lower(SECOND, SCHEDULE)))
    later = bench.layout.call(1, FRAMES - 1, False)
    outcome = bench.run(bench.call(1, 0), later)
    np.testing.assert_array_equal(bench.layout.logits(outcome.memory), logits_of(SECOND))


def test_rows_in_another_order_are_seen(simulator: Simulator):
    """The negative control: two rows of a stage change places."""
    words = pack_weights(lower(SECOND, SCHEDULE))
    layout = lower(SECOND, SCHEDULE).layout
    assert layout is not None
    first = next(table for table in layout.tables if table.rows > 1)
    rows = words[first.first : first.first + first.words].reshape(first.rows, first.row_words)
    rows[[0, 1]] = rows[[1, 0]]
    bench = Bench(simulator, words)
    outcome = bench.run(bench.call(FRAMES, 0))
    assert (bench.layout.logits(outcome.memory) != logits_of(SECOND)).any()


def test_a_memory_error_leaves_no_weights(simulator: Simulator):
    good = pack_weights(lower(SECOND, SCHEDULE))
    bench = Bench(simulator, good, good)
    settings = RunSettings(bad_reads=(bench.addresses[0] + 8 * 20,))
    outcome = bench.run(bench.call(FRAMES, 0), settings=settings)
    assert weights_id(outcome) == 0
    assert outcome.calls[-1].identity.frames_done == 0
    np.testing.assert_array_equal(outcome.memory, bench.memory)  # nothing is written
    # Nor in the next call; only weights without an error bring it back.
    calls = (bench.call(FRAMES, 0), bench.call(FRAMES), bench.call(FRAMES, 1))
    outcome = bench.run(*calls, settings=settings)
    assert outcome.calls[1].identity.frames_done == 0
    assert outcome.calls[2].identity.frames_done == FRAMES
    np.testing.assert_array_equal(bench.layout.logits(outcome.memory), logits_of(SECOND))


@pytest.mark.slow  # another core
def test_some_stages_only(tmp_path: Path):
    """The first stage for good, the others loadable."""
    stages = (replace(SCHEDULE.input[0], weights="constant"), *SCHEDULE.input[1:])
    schedule = Schedule(stages, SCHEDULE.hidden)
    verilog, names = (
        verilog_of(Core(lower(FIRST, schedule), probes=True)),
        lower(FIRST, schedule).names,
    )
    simulator = build_simulator(verilog, names, tmp_path, quick=True)
    first = SECOND.recurrence.input_path.cores[0]
    cores = {**SECOND.recurrence.cores, first: FIRST.recurrence.cores[first]}
    mixed = replace(SECOND, recurrence=replace(SECOND.recurrence, cores=cores))
    bench = Bench(simulator, pack_weights(lower(mixed, schedule)))
    # W_h h shares that core: what its loadable stage gets is the same.
    outcome = bench.run(bench.call(FRAMES, 0))
    np.testing.assert_array_equal(bench.layout.logits(outcome.memory), logits_of(mixed))


def test_a_core_without_loadable_weights_has_no_port():
    assert "gmem_weights" not in emit_verilog(lower(FIRST))
