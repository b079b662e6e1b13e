"""A converted core that reads sparse frames: proof, state, damage, copies, lint, test bench."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from fdht_hls.batch import BatchSimulation
from fdht_hls.csimulation import CSimulation, unpack_results
from fdht_hls.equality import prove, reference_logits
from fdht_hls.packing import packed_call, words_of
from fdht_hls.weights import LoadableWeights
from fdht_models.errors import DeviceError
from fdht_models.tensor.sparse_frames import FrameFault, FrameKind
from tests.hls.conftest import Converted, convert_skipping
from tests.hls.lint.builds import (
    SPARSE_MAIN,
    compiled_bench,
    run_sanitized,
    sanitized,
)
from tests.hls.patterns import sparse_patterns
from tests.hls.test_weight_kinds import retrained

FRAMES = 30


@pytest.fixture(scope="module")
def core(skipping) -> Converted:
    return skipping("sparse")


@pytest.fixture(scope="module")
def stream(core: Converted) -> np.ndarray:
    """Patterns of sparsity, and between them one that tests damage: codes [FRAMES, inputs]."""
    frames = sparse_patterns(core.network, FRAMES, 4).astype(core.classifier.dtype)
    frames[4] = 0
    frames[4, :9] = 1
    return frames


@pytest.fixture(scope="module")
def logits(core: Converted, stream: np.ndarray) -> np.ndarray:
    return reference_logits(core.network, stream[None])[0]


@pytest.fixture
def simulation(core: Converted) -> Iterator[CSimulation]:
    found = CSimulation(core.library("native"))
    yield found
    found.close()


def run(core: Converted, simulation: CSimulation, frames: np.ndarray, reset: bool) -> np.ndarray:
    packed, ends = packed_call(core.network, frames, sparse=True)
    results = np.zeros(len(frames) * core.network.result_bytes, np.uint8)
    identity = simulation.run(packed, results, len(frames), reset, words_of(ends))
    assert identity.frame_faults == 0
    return unpack_results(core.network, results)


# Equality -----------------------------------------------------------------------------------------


def test_all_that_goes_on_inside_is_equal(core, stream):
    """Also of vectors that nothing reached: they are zero in the reference."""
    streams = np.stack([stream, core.streams[0, :FRAMES], core.streams[-1, :FRAMES]])
    keras = core.classifier.keras(sequences=True, stateful=True, batch=len(streams))
    libraries = {build: core.library(build) for build in ("exact", "native")}
    results = prove(core.network, keras, libraries, streams, lambda *_: None)
    assert {one.mismatches for one in results.values()} == {0}
    assert set(results["reference_native"].quantities) >= {"input.C3", "input.C2", "logits"}


@pytest.mark.parametrize("cuts", [[0, FRAMES], [0, 1, 7, 8, FRAMES], [*range(FRAMES + 1)]])
def test_the_state_is_kept_from_call_to_call(core, simulation, stream, logits, cuts):
    parts = [
        run(core, simulation, stream[start:stop], start == 0) for start, stop in pairwise(cuts)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), logits)
    nothing = np.zeros(0, np.uint8)
    assert simulation.run(nothing, nothing, 0, False).frames_done == FRAMES


def test_clips_on_all_processors_are_equal(core, stream):
    clips = stream.reshape(6, 5, -1)
    with BatchSimulation(core.library("native"), core.network, 2) as batch:
        np.testing.assert_array_equal(batch.run(clips), reference_logits(core.network, clips))


# Damage -------------------------------------------------------------------------------------------


def damaged(core: Converted, stream: np.ndarray, fault: FrameFault) -> tuple[np.ndarray, int]:
    """(words of a call of eight frames, frames before the damage)."""
    packed, ends = packed_call(core.network, stream[:8], sparse=True)
    words, head = packed.view(np.uint64).copy(), int(ends[3])
    assert words[head] == FrameKind.SPARSE << 32 | 3 and words[head + 1] == 3
    match fault:
        case FrameFault.HEADER:
            words[head] = 0
        case FrameFault.COUNT:
            words[head + 1] = 1
        case FrameFault.BEHIND:
            words[head + 1] = 3 | 1 << 63
        case FrameFault.SHORT:
            return words[: head + 2], 4
        case FrameFault.LONG:
            return np.append(words, words[:2]), 8
    return words, 4


@pytest.mark.parametrize("build", ["native", "exact"])
@pytest.mark.parametrize("fault", FrameFault)
def test_a_fault_is_told_and_what_follows_is_not_written(core, stream, logits, build, fault):
    network = core.network
    simulation = CSimulation(core.library(build))
    words, whole = damaged(core, stream, fault)
    results = np.full(8 * network.result_bytes, 0xEE, np.uint8)
    # More lies behind the call's words, which nobody may look at.
    memory = np.append(words, np.full(100, 0xA5A5, np.uint64)).view(np.uint8)
    identity = simulation.run(memory, results, 8, False, len(words))
    assert (FrameFault(identity.frame_faults), identity.frames_done) == (fault, whole)
    end = whole * network.result_bytes
    np.testing.assert_array_equal(unpack_results(network, results[:end]), logits[:whole])
    assert (results[end:] == 0xEE).all()
    if whole == 8:
        np.testing.assert_array_equal(run(core, simulation, stream[8:], False), logits[8:])
    np.testing.assert_array_equal(run(core, simulation, stream, True), logits)
    simulation.close()


def test_behind_damage_a_call_goes_on_unless_it_resets(core, simulation, stream, logits):
    """As the RTL does: what damage leaves is no zero state."""
    words, _ = damaged(core, stream, FrameFault.HEADER)
    nothing = np.zeros(8 * core.network.result_bytes, np.uint8)
    simulation.run(words.view(np.uint8), nothing, 8, True, len(words))
    assert simulation.run(nothing, nothing, 0, False).frame_faults == 0
    assert (run(core, simulation, stream[:1], False) != logits[:1]).any()
    np.testing.assert_array_equal(run(core, simulation, stream, True), logits)


def test_words_of_a_call_without_frames_are_too_many(core, simulation, stream, logits):
    packed, ends = packed_call(core.network, stream[:2], sparse=True)
    first = run(core, simulation, stream[:8], True)
    results = np.full(8, 0xEE, np.uint8)
    identity = simulation.run(packed, results, 0, False, words_of(ends))
    assert (identity.frame_faults, identity.frames_done) == (FrameFault.LONG, 8)
    assert (results == 0xEE).all()
    # They harm nothing.
    rest = run(core, simulation, stream[8:], False)
    np.testing.assert_array_equal(np.concatenate([first, rest]), logits)


def test_damaged_clips_are_an_error(core, simulation, stream):
    packed, ends = packed_call(core.network, stream, sparse=True)
    packed[:8] = 0
    results = np.zeros(len(stream) * core.network.result_bytes, np.uint8)
    with pytest.raises(DeviceError, match="C simulation = 1: failed"):
        simulation.run_clips(packed, results, 1, len(stream), ends[-1:])


@pytest.mark.parametrize("build", ["native", pytest.param("exact", marks=pytest.mark.slow)])
def test_no_damage_is_read_beyond_the_call(core, stream, tmp_path, build):
    """With the sanitizers for addresses and undefined behaviour, on memory of exactly its size."""
    sanitized(core.project, tmp_path / "program", build, SPARSE_MAIN)
    packed, ends = packed_call(core.network, stream[:8], sparse=True)
    whole = packed.view(np.uint64)
    calls = [(*damaged(core, stream, fault), fault) for fault in FrameFault]
    calls += [
        (whole, 8, FrameFault(0)),
        (whole[:0], 0, FrameFault.SHORT),
        (whole[: int(ends[2]) + 1], 3, FrameFault.SHORT),
    ]
    words_in_result = core.network.result_bytes // 8
    arguments, lines, done = [str(words_in_result)], [], 0
    for number, (words, count, fault) in enumerate(calls):
        path = tmp_path / f"{number}.hex"
        path.write_text("".join(f"{int(word):x}\n" for word in words))
        arguments += [str(path), "8"]
        done += count
        lines.append(f"{int(fault)} {done} {count * words_in_result}")
    code, shown, reports = run_sanitized(tmp_path / "program", arguments)
    assert (code, reports) == (0, [])
    assert shown.splitlines() == lines


# Weights that can be loaded -----------------------------------------------------------------------


def test_weights_are_loaded(core, stream, logits, tmp_path):
    """Both kinds of arguments and registers; other weights leave no state."""
    network, other = core.network, retrained(core.network)
    loadable = convert_skipping(tmp_path, "sparse", "loadable")
    plan, simulation = loadable.plan, CSimulation(loadable.library("native"))
    words = LoadableWeights.of(network, plan)
    assert words is not None and plan.layout is not None
    np.testing.assert_array_equal(run(core, simulation, stream, False), logits)
    simulation.load_weights(words.pack(other))
    wanted = reference_logits(other, stream[None])[0]
    np.testing.assert_array_equal(run(core, simulation, stream, False), wanted)
    call, whole = damaged(core, stream, FrameFault.COUNT)
    results = np.zeros(8 * network.result_bytes, np.uint8)
    identity = simulation.run(call.view(np.uint8), results, 8, True, len(call))
    assert (identity.frame_faults, identity.frames_done) == (FrameFault.COUNT, 2 * FRAMES + whole)
    assert identity.weights_layout == plan.layout.digest
    assert identity.weights_id_low == other.design_id & 0xFFFFFFFF
    np.testing.assert_array_equal(run(core, simulation, stream, True), wanted)
    simulation.close()


# The project --------------------------------------------------------------------------------------


def test_hls4ml_s_own_top_stays_dense(core):
    text = (core.project / "firmware" / "fdht_network.cpp").read_text()
    assert "contract_fibre<" in text and "placed" not in text


def test_the_test_bench_passes_and_can_fail(core, tmp_path):
    data, bench = core.project / "tb_data", compiled_bench(core.project, tmp_path / "bench")
    code, shown = bench(data)
    assert (code, ", 0 words differ of 20" in shown) == (0, True), shown
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "frames.hex").write_text((data / "frames.hex").read_text())
    (wrong / "results.hex").write_text("1\n" * 20)
    assert bench(wrong)[0] == 1
    lines = (data / "frames.hex").read_text().splitlines()
    lines[0] = f"{3 << 32 | int(lines[0][8:], 16):016x}"
    (wrong / "frames.hex").write_text("\n".join(lines) + "\n")
    assert bench(wrong) == (2, "the frames of call 0 are damaged: 1\n")
