"""The whole core in Verilator on sparse frames: calls, registers, damage, and what cosim tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.csimulation import Identity
from fdht_hls.engine import EnginePlan, lower
from fdht_hls.equality import corner_frames
from fdht_hls.estimate.rtl import estimate_rtl
from fdht_hls.rtl.core import Core, verilog_of
from fdht_hls.rtl.cosim import cosim, report_lines
from fdht_hls.rtl.simulation.compiling import Simulator, build_simulator
from fdht_hls.rtl.simulation.runner import BASE, Layout, RunSettings, run_calls, simulate_stream
from fdht_hls.schedule import default_schedule
from fdht_hls.weights import pack_weights
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.recurrent import fdht_shape
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.tensor.sparse_frames import CORE_FRAMES, FrameFault, FrameKind
from tests.hls.networks import CLASSIFIERS
from tests.hls.random_networks import random_network

FRAMES = 10
#: Of a frame's values that are not zero; the first two frames have one.
SHARES = (0, 0, 1, 0.005, 0.03, 0.03, 0, 0.3, 0, 1)
#: Frames of 72 words in 2 blocks.
SHAPE = fdht_shape((4, 12, 12), (8, 2, 1), (2, 2), 2, 2)
BUSY = RunSettings(latency=3, jitter=30, back_pressure=0.4, timeout_clocks=60_000)
MEMORIES = (RunSettings(), BUSY, replace(BUSY, seed=7, interrupt=True))


def sparse_plan(network: QuantizedNetwork, port_bytes: int = 8, weights: str = "") -> EnginePlan:
    schedule = default_schedule(network.recurrence, port_bytes)
    if weights:
        schedule = schedule.with_weights(weights)
    return lower(network, replace(schedule, frames="sparse"), port_bytes)


def frames_of(network: QuantizedNetwork, count: int = FRAMES, seed: int = 0) -> np.ndarray:
    """Codes [count, inputs]: empty, full, one word at either end, and random ones."""
    generator = np.random.default_rng(seed)
    form = network.input_format
    noise = generator.integers(form.minimum, form.maximum + 1, (count, network.inputs))
    shares = np.resize(SHARES, count)
    kept = generator.random((count, network.inputs)) < shares[:, None]
    kept[0], kept[1] = False, False
    kept[0, 0] = kept[1, -1] = True
    return np.where(kept, noise | 1, 0).astype(np.int8 if form.signed else np.uint8)


@dataclass(frozen=True)
class Bench:
    """A core, and a memory with its frames."""

    network: QuantizedNetwork
    plan: EnginePlan
    simulator: Simulator

    @cached_property
    def frames(self) -> np.ndarray:
        return frames_of(self.network)

    @cached_property
    def logits(self) -> np.ndarray:
        return ReferenceModel(self.network).run(self.frames)

    @cached_property
    def layout(self) -> Layout:
        return Layout.of(self.network, self.frames, 24, self.plan.sparse_format)

    def word(self, frame: int, at: int) -> int:
        """Place in the image of word `at` of a frame, its header being word 0."""
        return self.layout.offset + self.layout.end(frame) + 8 * at

    def used(self, frame: int) -> np.ndarray:
        """Which words of a frame are not zero."""
        padded = np.zeros(self.network.frame_bytes, np.uint8)
        padded[: self.network.inputs] = self.frames[frame]
        return padded.reshape(-1, 8).any(axis=1)

    def words(self, frame: int) -> int:
        """Words of a frame in memory."""
        return (self.layout.end(frame + 1) - self.layout.end(frame)) // 8


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cores")


@pytest.fixture(scope="module")
def bench(cache: Path) -> Bench:
    network = random_network(1, SHAPE)
    plan = sparse_plan(network, weights="loadable")
    verilog = verilog_of(Core(plan, probes=True))
    return Bench(network, plan, build_simulator(verilog, plan.names, cache, quick=True))


@pytest.mark.parametrize("settings", MEMORIES)
@pytest.mark.parametrize("offset", [0, 8, 4096 - 24])
def test_calls_go_on_with_the_state(bench: Bench, settings: RunSettings, offset: int):
    ends = [0, 1, 1, 6, FRAMES]
    pieces = [slice(start, stop) for start, stop in pairwise(ends)]
    form = bench.plan.sparse_format
    logits, outcome = simulate_stream(
        bench.simulator, bench.network, bench.frames, pieces, settings, offset, form
    )
    np.testing.assert_array_equal(logits, bench.logits)
    for piece, call in zip(pieces, outcome.calls, strict=True):
        assert call.identity.frames_done == piece.stop
        assert call.identity.frame_faults == 0
        assert call.identity.frame_bytes == bench.network.frame_bytes
        first, last, result = call.times.T
        assert (call.start < first).all()
        assert (first < last).all()  # an empty frame has a bitmap or more behind its header
        assert (last < result).all()
        assert (result <= call.done).all()
        assert (np.diff(first) > 0).all()
        assert len(call.activity) == len(first)
    # An empty frame is a header and its bitmaps; no frame is longer than a dense one.
    sizes = np.concatenate([call.sizes for call in outcome.calls]) // form.word_bytes
    empty = ~bench.frames.any(axis=1)
    assert empty.any()
    assert (sizes[empty] == 1 + form.blocks).all()
    assert sizes.max() == form.most_words


def test_a_call_of_its_own_starts_again(bench: Bench):
    """Frames from the middle of the memory, with and without the state of others."""
    layout = bench.layout
    image = layout.image(bench.frames)
    calls = [layout.call(0, 4, True), layout.call(4, 3, True), layout.call(7, 3, False)]
    outcome = run_calls(bench.simulator, bench.network, image, calls, BUSY)
    layout.check_around(image, outcome.memory)
    wanted = np.concatenate(
        [ReferenceModel(bench.network).run(part) for part in (bench.frames[:4], bench.frames[4:])]
    )
    np.testing.assert_array_equal(layout.logits(outcome.memory), wanted)


#: What is written over a word of a frame (its number, the word), and what the core then tells.
DAMAGE = {
    "a header of zeros": (0, 0, FrameFault.HEADER),
    "another kind": (0, 3 << 32 | 4, FrameFault.HEADER),
    "a bitmap of ones": (1, 2**64 - 1, FrameFault.COUNT),
    "a header of all words": (0, FrameKind.SPARSE << 32 | 2 + 72, FrameFault.COUNT),
    "a bit behind": (2, 1 << 63, FrameFault.BEHIND),
}


@pytest.mark.parametrize("settings", MEMORIES)
@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("bad", [1, 5, 6])
def test_damage_ends_a_call(bench: Bench, settings: RunSettings, name: str, bad: int):
    """Frames before it are counted, those behind it are not, and the next call is as any.

    Frame 1 has a word in its second block, frame 5 some in both, frame 6 none.
    """
    at, word, fault = DAMAGE[name]
    if bad == 5 and at == 2:  # the last bitmap stands behind words
        at = bench.words(bad) - 1 - int(bench.used(bad)[64:].sum())
    layout, good = bench.layout, bench.layout.image(bench.frames)
    image = good.copy()
    image[bench.word(bad, at) : bench.word(bad, at) + 8] = np.array([word], "<u8").view(np.uint8)
    calls = [layout.call(0, FRAMES, True), layout.call(0, bad, True)]
    outcome = run_calls(bench.simulator, bench.network, image, calls, settings)
    identities = [call.identity for call in outcome.calls]
    assert [one.frames_done for one in identities] == [bad, 2 * bad]
    assert [one.frame_faults for one in identities] == [fault, 0]
    _check_before(bench, image, outcome.memory, bad)


@pytest.mark.parametrize("reset", [False, True])
def test_behind_damage_a_call_goes_on_unless_it_resets(bench: Bench, reset: bool):
    """As the core in C++ does: what damage leaves is no zero state."""
    image = bench.layout.image(bench.frames)
    image[bench.word(5, 0) : bench.word(5, 0) + 8] = 0
    calls = [bench.layout.call(0, FRAMES, True), bench.layout.call(0, 1, reset)]
    outcome = run_calls(bench.simulator, bench.network, image, calls, RunSettings())
    found = bench.layout.logits(outcome.memory)[0]
    assert np.array_equal(found, bench.logits[0]) is reset
    assert outcome.calls[0].identity.core_frames == CORE_FRAMES.index("sparse")


def _check_before(bench: Bench, before: np.ndarray, after: np.ndarray, bad: int) -> None:
    """Results of the frames before `bad` are right, and nothing else was written."""
    layout = bench.layout
    np.testing.assert_array_equal(layout.logits(after)[:bad], bench.logits[:bad])
    start = layout.results - BASE + bad * bench.network.result_bytes
    np.testing.assert_array_equal(after[start:], before[start:])
    layout.check_around(before, after)


@pytest.mark.parametrize("settings", MEMORIES)
def test_words_that_do_not_fit_the_frames(bench: Bench, settings: RunSettings):
    layout, image = bench.layout, bench.layout.image(bench.frames)
    whole = layout.call(0, FRAMES, True)
    assert whole.words is not None
    calls = [
        replace(whole, words=whole.words + 3),
        replace(whole, words=whole.words - 1),
        replace(whole, words=0),
        replace(layout.call(0, 0, True), words=5),
        whole,
    ]
    outcome = run_calls(bench.simulator, bench.network, image, calls, settings)
    identities = [call.identity for call in outcome.calls]
    long, short = FrameFault.LONG, FrameFault.SHORT
    assert [one.frame_faults for one in identities] == [long, short, short, long, 0]
    done = np.diff([0, *(one.frames_done for one in identities)])
    np.testing.assert_array_equal(done, [FRAMES, FRAMES - 1, 0, 0, FRAMES])
    np.testing.assert_array_equal(layout.logits(outcome.memory), bench.logits)
    layout.check_around(image, outcome.memory)


@pytest.mark.parametrize("settings", MEMORIES)
@pytest.mark.parametrize("bad", [0, 4, 9])
@pytest.mark.parametrize("at", [0, 1, -1])
def test_a_read_error_ends_a_call(bench: Bench, settings: RunSettings, bad: int, at: int):
    """Of a header, of a bitmap or a dense frame's first word, of a frame's last word."""
    layout, image = bench.layout, bench.layout.image(bench.frames)
    place = bench.word(bad, at) if at >= 0 else bench.word(bad + 1, -1)
    calls = [layout.call(0, FRAMES, True), layout.call(0, bad, True)]
    faulty = replace(settings, bad_reads=(BASE + place,))
    outcome = run_calls(bench.simulator, bench.network, image, calls, faulty)
    identities = [call.identity for call in outcome.calls]
    assert [one.frames_done for one in identities] == [bad, 2 * bad]
    assert [one.frame_faults for one in identities] == [0, 0]
    _check_before(bench, image, outcome.memory, bad)


@pytest.mark.parametrize("settings", MEMORIES)
@pytest.mark.parametrize("bad", [0, 6])
def test_a_write_error_ends_a_call(bench: Bench, settings: RunSettings, bad: int):
    layout, image = bench.layout, bench.layout.image(bench.frames)
    address = layout.results + bad * bench.network.result_bytes + 8
    calls = [layout.call(0, FRAMES, True), layout.call(0, bad, True)]
    faulty = replace(settings, bad_writes=(address,))
    outcome = run_calls(bench.simulator, bench.network, image, calls, faulty)
    assert [call.identity.frames_done for call in outcome.calls] == [bad, 2 * bad]
    np.testing.assert_array_equal(layout.logits(outcome.memory)[:bad], bench.logits[:bad])


@pytest.mark.parametrize("settings", MEMORIES)
def test_weights_are_loaded_before_sparse_frames(bench: Bench, settings: RunSettings):
    """Another network's; a buffer that cannot be read leaves no weights, and no frame counts."""
    other = random_network(2, SHAPE)
    schedule = bench.plan.schedule
    assert not np.array_equal(ReferenceModel(other).run(bench.frames), bench.logits)
    layout = bench.layout
    image = layout.image(bench.frames)
    buffer = pack_weights(lower(other, schedule)).view(np.uint8)
    gap = np.zeros(-len(image) % 8 + 24, np.uint8)
    memory = np.concatenate([image, gap, buffer, buffer])
    good = BASE + len(image) + len(gap)
    call = layout.call(0, FRAMES, True)
    calls = [
        replace(call, weights=good + len(buffer)),
        layout.call(0, FRAMES, False),
        replace(call, reset=False, weights=good),
    ]
    faulty = replace(settings, bad_reads=(good + len(buffer) + 8 * 20,))
    outcome = run_calls(bench.simulator, bench.network, memory, calls, faulty)
    assert [one.identity.frames_done for one in outcome.calls] == [0, 0, FRAMES]
    np.testing.assert_array_equal(
        layout.logits(outcome.memory[: len(image)]), ReferenceModel(other).run(bench.frames)
    )


def test_registers_tell_what_the_core_is(bench: Bench):
    layout = bench.layout
    outcome = run_calls(
        bench.simulator,
        bench.network,
        layout.image(bench.frames),
        [layout.call(0, 2, True)],
        RunSettings(),
    )
    found = outcome.calls[0].identity
    wanted = Identity(**bench.plan.identity, frames_done=2)
    assert found._replace(weights_id_low=0, weights_id_high=0) == wanted


@pytest.mark.slow
def test_cosim_tells_how_results_are_spread(cache: Path):
    """Frames of a single bitmap: words, each frame's share, and what they cost."""
    network = CLASSIFIERS["bytes"].network
    plan = sparse_plan(network)
    frames = np.concatenate([frames_of(network, 24), corner_frames(network, 8)])
    for settings in (RunSettings(), replace(BUSY, back_pressure=0.35)):
        result = cosim(network, plan, frames, cache, settings, quick=True)
        assert result.comparison.compared == 32 * 3
        assert result.comparison.mismatches == 0
        assert result.frames == 32
        form = plan.sparse_format
        assert 1 + form.blocks < result.io_limit < form.most_words
        spread = result.between_results
        assert spread is not None
        assert spread.mean == pytest.approx(result.cycles_per_frame)
        assert result.cycles_per_frame >= result.io_limit
        assert spread.median <= spread.percentile95 <= spread.worst
        assert result.to_json()["between_results"]["worst"] == spread.worst
        assert any("95th percentile" in line for line in report_lines(result))
        full = result.full_frame
        assert full is not None and full.cycles_per_frame >= form.most_words
        assert result.to_json()["full_frame"]["cycles_per_frame"] == full.cycles_per_frame
        assert any(line.startswith("a full frame: ") for line in report_lines(result))
        if settings == RunSettings():
            slowest = estimate_rtl(plan).cycles_per_frame
            assert slowest <= full.cycles_per_frame <= slowest + 2
            assert full.cycles_per_frame > result.cycles_per_frame
        assert result.recurrent_latency is None
        # The windows of all results hold all that stages did: the cell a clock a unit.
        cell = next(stage for stage in result.stages if stage.name == "cell")
        assert cell.busy == pytest.approx(plan.cell.units, abs=0.5)


@pytest.mark.slow  # other cores
@pytest.mark.parametrize("port_bytes", [16, 32])
def test_wider_ports(port_bytes: int, cache: Path):
    network = random_network(3, fdht_shape((8, 8, 8), (8, 2, 1), (2, 2), 2, 2))
    plan = sparse_plan(network, port_bytes)
    frames = frames_of(network, 20)
    for settings in (RunSettings(latency=40), BUSY):
        result = cosim(network, plan, frames, cache, settings, quick=True)
        assert result.comparison.compared == 20 * 3
        assert result.comparison.mismatches == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_every_kind_of_classifier(name: str, cache: Path):
    """Widths, signs, gates, padding."""
    network = CLASSIFIERS[name].network
    frames = np.concatenate([frames_of(network, 30), corner_frames(network, 10)])
    result = cosim(network, sparse_plan(network), frames, cache, BUSY)
    assert result.comparison.mismatches == 0
