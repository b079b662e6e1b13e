"""A converted core that computes the feature of video itself: proof, state, clips, lint, bench."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from fdht_hls.batch import BatchSimulation
from fdht_hls.csimulation import CSimulation, pack_frames, unpack_results
from fdht_hls.equality import prove, reference_logits
from fdht_hls.proof_streams import inputs_of
from fdht_hls.weights import pack_weights
from fdht_models.errors import EqualityError
from fdht_models.features import motion_energy
from fdht_models.tensor.quantized import QuantizedNetwork
from tests.hls.conftest import PICTURE, SkippingCore, convert_skipping
from tests.hls.lint.builds import compiled_bench, run_sanitized, run_stream, sanitized
from tests.hls.rtl.test_motion import clip_of

RESULTS = 30


@pytest.fixture(scope="module")
def core(skipping) -> SkippingCore:
    return skipping("raw")


@pytest.fixture(scope="module")
def network(core: SkippingCore) -> QuantizedNetwork:
    return core.network


@pytest.fixture(scope="module")
def clip(network: QuantizedNetwork) -> np.ndarray:
    """Raw frames [RESULTS + 1, inputs] in which little, nothing and everything moves."""
    return clip_of(RESULTS + 1, network.inputs, 3)


@pytest.fixture(scope="module")
def logits(network: QuantizedNetwork, clip: np.ndarray) -> np.ndarray:
    """Of the feature as the host computes it, two frames at a time."""
    shape = (PICTURE.height, PICTURE.width, 3)
    pairs = pairwise(frame.reshape(shape) for frame in clip)
    found = reference_logits(network, np.array([[motion_energy(*pair, 6) for pair in pairs]]))[0]
    assert len(np.unique(found, axis=0)) > 10, "the comparison says little"
    return found


@pytest.fixture(params=["native", "exact"])
def simulation(core: SkippingCore, request: pytest.FixtureRequest) -> Iterator[CSimulation]:
    found = CSimulation(core.library(request.param))
    yield found
    found.close()


def run(
    network: QuantizedNetwork, simulation: CSimulation, frames: np.ndarray, reset: bool
) -> np.ndarray:
    count = max(0, len(frames) - reset)
    results = np.zeros(count * network.result_bytes, np.uint8)
    # What makes whole words of a frame is noise, and must not show.
    packed = pack_frames(network, frames).reshape(-1, network.frame_bytes).copy()
    packed[:, network.inputs :] = np.random.default_rng(len(frames)).integers(
        0, 256, packed[:, network.inputs :].shape
    )
    simulation.run(packed.ravel(), results, count, reset)
    return unpack_results(network, results)


# Equality -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_all_that_goes_on_inside_is_equal(core, network, clip):
    raw = np.stack([clip, clip[::-1], clip_of(RESULTS + 1, network.inputs, 8)])
    streams = inputs_of(network, raw)
    keras = core.classifier.keras(sequences=True, stateful=True, batch=len(raw))
    libraries = {build: core.library(build) for build in ("exact", "native")}
    results = prove(network, keras, libraries, streams, lambda *_: None, raw=raw)
    assert {one.mismatches for one in results.values()} == {0}
    assert set(results["reference_native"].quantities) >= {"input.C3", "input.C2", "logits"}
    other = raw.copy()
    other[1, 20] ^= 255
    with pytest.raises(EqualityError, match="stream 1, frame 19"):
        prove(network, keras, {"native": core.library("native")}, streams, print, raw=other)


@pytest.mark.parametrize(
    "cuts", [[0, RESULTS], [0, 1, 1, 7, 8, RESULTS], [*range(RESULTS + 1)], [0, 29, RESULTS]]
)
def test_a_sequence_goes_on_from_call_to_call(network, simulation, clip, logits, cuts):
    parts = [
        run(network, simulation, clip[start + (start > 0) : stop + 1], start == 0)
        for start, stop in pairwise(cuts)
        if stop > start
    ]
    np.testing.assert_array_equal(np.concatenate(parts), logits)
    nothing = np.zeros(0, np.uint8)
    assert simulation.run(nothing, nothing, 0, False).frames_done == RESULTS


def test_a_reset_begins_anew_and_looks_at_nothing_before(network, simulation, clip, logits):
    run(network, simulation, clip[::-1], True)
    np.testing.assert_array_equal(run(network, simulation, clip[:9], True), logits[:8])
    # A call of no results reads no frame, and changes nothing.
    run(network, simulation, clip[:0], True)
    run(network, simulation, clip[:0], False)
    np.testing.assert_array_equal(run(network, simulation, clip[9:], False), logits[8:])


def test_clips_on_all_processors_are_equal(core, network, clip):
    clips = np.stack([np.roll(clip, shift, axis=0)[:6] for shift in range(7)])
    wanted = reference_logits(network, inputs_of(network, clips))
    with BatchSimulation(core.library("native"), network, 2) as batch:
        np.testing.assert_array_equal(batch.run(clips), wanted)


def test_other_weights_begin_from_zero_and_keep_the_frame(tmp_path, clip, logits):
    project = convert_skipping(tmp_path, "raw", "loadable")
    network = project.network
    simulation = CSimulation(project.library("native"))
    np.testing.assert_array_equal(run(network, simulation, clip[:9], True), logits[:8])
    simulation.load_weights(pack_weights(project.plan))
    wanted = reference_logits(network, inputs_of(network, clip[None, 8:]))[0]
    np.testing.assert_array_equal(run(network, simulation, clip[9:], False), wanted)
    simulation.close()


# The project --------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", ["native", pytest.param("exact", marks=pytest.mark.slow)])
def test_nothing_is_read_beyond_the_frames_of_a_call(core, network, clip, logits, tmp_path, build):
    """With the sanitizers for addresses and undefined behaviour, on memory of exactly its size."""
    sanitized(core.project, tmp_path / "program", build, raw=True)
    code, shown, reports = run_stream(tmp_path / "program", network, clip, logits, tmp_path)
    assert (code, reports) == (0, [])
    assert shown == f"{RESULTS} frames, 0 words differ of {2 * RESULTS}\n"
    # Frames of half the length: the core reads more than there is.
    files = [str(tmp_path / f"{name}.hex") for name in ("frames", "results")]
    half = str(network.frame_bytes // 16)
    code, _, reports = run_sanitized(tmp_path / "program", [*files, half, "2"])
    assert code not in (0, 2) and "heap-buffer-overflow" in reports[0]


def test_the_test_bench_passes_and_can_fail(core, tmp_path):
    data, bench = core.project / "tb_data", compiled_bench(core.project, tmp_path / "bench")
    assert bench(data) == (0, "10 frames in calls of 4 and 6, 0 words differ of 20\n")
    (tmp_path / "results.hex").write_text((data / "results.hex").read_text())
    lines = (data / "frames.hex").read_text().splitlines()
    lines[8 * 4] = f"{int(lines[8 * 4], 16) ^ 0xFF00:016x}"
    (tmp_path / "frames.hex").write_text("\n".join(lines) + "\n")
    assert bench(tmp_path)[0] == 1
