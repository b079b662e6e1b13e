"""The whole core in Verilator where it computes the feature of raw frames."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_hls.engine import EnginePlan, design_engine, lower
from fdht_hls.estimate.clip_clocks import FRAME, LATENCY
from fdht_hls.estimate.rtl import estimate_rtl
from fdht_hls.estimate.sparse_timing import profile_of
from fdht_hls.rtl.core import Core, verilog_of
from fdht_hls.rtl.cosim import cosim
from fdht_hls.rtl.simulation.compiling import Simulator, build_simulator
from fdht_hls.rtl.simulation.runner import BASE, Call, RunSettings, run_calls
from fdht_hls.schedule import default_schedule
from fdht_hls.tuner.budget import board_budget
from fdht_hls.tuner.cores import core_to_tune
from fdht_hls.tuner.sparse_core import SparseCoreModel
from fdht_models.errors import ConfigError, ConversionError, EqualityError
from fdht_models.features import features_of
from fdht_models.preprocessing.definition import Picture, plain
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.tensor.sparse_frames import CORE_FRAMES
from tests.hls.rtl.test_motion import clip_of
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network

PICTURE = Picture(4, 5, "motion_energy", 6)
BUSY = RunSettings(latency=3, jitter=30, back_pressure=0.4, timeout_clocks=60_000)
#: Where results begin in the memory.
_RESULTS = 4096


def video_network(label: str = "ht-lstm", picture: Picture = PICTURE) -> QuantizedNetwork:
    """A network that reads the feature of a small video."""
    network = build_network(SHAPES[label])
    assert network.inputs == picture.height * picture.width * 3
    definition = replace(plain(network.inputs, 5), values=None, picture=picture)
    return replace(network, preprocessing=definition)


def raw_plan(network: QuantizedNetwork) -> EnginePlan:
    return lower(network, replace(default_schedule(network.recurrence), frames="raw"))


@dataclass(frozen=True)
class Bench:
    network: QuantizedNetwork
    simulator: Simulator
    clip: np.ndarray

    def memory(self) -> np.ndarray:
        found = np.random.default_rng(4).integers(0, 256, 2 * _RESULTS).astype(np.uint8)
        rows = np.zeros((len(self.clip), self.network.frame_bytes), np.uint8)
        rows[:, : self.network.inputs] = self.clip
        found[: rows.size] = rows.ravel()
        return found

    def call(self, first: int, count: int, reset: bool, result: int) -> Call:
        """A call whose first raw frame is `first`, and which gives `count` results."""
        size = self.network.frame_bytes
        ends = tuple(size * (at + 1 + reset) for at in range(count))
        where = BASE + _RESULTS + result * self.network.result_bytes
        return Call(BASE + first * size, where, count, reset, ends=ends)

    def logits(self, memory: np.ndarray, count: int) -> np.ndarray:
        stop = _RESULTS + count * self.network.result_bytes
        words = memory[_RESULTS:stop].view(np.int32).reshape(count, -1)
        return words[:, : len(self.network.classes)]

    def reference(self, *clips: slice) -> np.ndarray:
        """Logits of clips, each from a zero state."""
        shape = (-1, PICTURE.height, PICTURE.width, 3)
        model, found = ReferenceModel(self.network), []
        for one in clips:
            features = features_of("motion_energy", self.clip[one].reshape(shape), 6)
            model.reset()
            found.append(model.run(features))
        return np.concatenate(found)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    network = video_network()
    plan = raw_plan(network)
    cache = tmp_path_factory.mktemp("cores")
    simulator = build_simulator(verilog_of(Core(plan, probes=True)), plan.names, cache, quick=True)
    return Bench(network, simulator, clip_of(12, network.inputs, 5))


@pytest.mark.parametrize("settings", [RunSettings(), BUSY, replace(BUSY, seed=9, interrupt=True)])
def test_it_goes_on_from_call_to_call_and_restarts_at_a_reset(bench, settings):
    calls = [
        bench.call(0, 3, True, 0),  # raw frames 0 to 3
        bench.call(4, 1, False, 3),
        bench.call(5, 0, False, 4),  # nothing happens
        bench.call(5, 2, False, 4),
        bench.call(7, 4, True, 6),  # raw frames 7 to 11, another clip
    ]
    outcome = run_calls(bench.simulator, bench.network, bench.memory(), calls, settings)
    wanted = bench.reference(slice(0, 7), slice(7, 12))
    assert len(np.unique(wanted, axis=0)) > 6, "the comparison says little"
    np.testing.assert_array_equal(bench.logits(outcome.memory, 10), wanted)
    assert [one.identity.frames_done for one in outcome.calls] == [3, 4, 4, 6, 10]
    assert {CORE_FRAMES[one.identity.core_frames] for one in outcome.calls} == {"raw"}


@pytest.mark.parametrize(("bad", "good"), [(0, 0), (1, 0), (2, 1), (4, 3)])
def test_a_frame_that_came_with_an_error_is_not_counted(bench, bad, good):
    # Frame `bad` is compared with the one before it and the one behind it.
    size = bench.network.frame_bytes
    settings = replace(BUSY, bad_reads=(BASE + bad * size + 8,))
    calls = [bench.call(0, 4, True, 0), bench.call(5, 3, True, 0)]
    outcome = run_calls(bench.simulator, bench.network, bench.memory(), calls, settings)
    done = [one.identity.frames_done for one in outcome.calls]
    assert done == [good, good + 3]
    wanted = bench.reference(slice(5, 9))
    np.testing.assert_array_equal(bench.logits(outcome.memory, 3), wanted)


def model_of_clip(bench: Bench) -> SparseCoreModel:
    """The core as the tuner sees it, for the frames of the clip."""
    picture = bench.network.preprocessing.picture
    assert picture is not None
    profile = profile_of(design_engine(bench.network), picture.features(bench.clip), "raw")
    budget = board_budget(get_board("pynq-z2"))
    core = core_to_tune(bench.network, budget, "rtl", frames="raw", profile=profile)
    assert isinstance(core, SparseCoreModel)
    return core


@pytest.mark.slow
@pytest.mark.parametrize("settings", [RunSettings(), replace(BUSY, interrupt=False)])
def test_a_cosimulation_takes_raw_frames(bench, tmp_path_factory, settings):
    cache = tmp_path_factory.mktemp("cosim")
    plan = raw_plan(bench.network)
    result = cosim(bench.network, plan, bench.clip, cache, settings, quick=True)
    classes = len(bench.network.classes)
    assert result.comparison.compared == (len(bench.clip) - 1) * classes
    assert (result.comparison.mismatches, result.frames) == (0, len(bench.clip) - 1)
    # It reads all of a frame, and none twice.
    assert result.io_limit == plan.port.frame_words
    assert result.last_pixel_to_result > 0 and result.between_results is not None
    full = result.full_frame
    assert full is not None and full.cycles_per_frame >= result.io_limit
    if not settings.latency:  # nothing but the core takes time
        slowest = estimate_rtl(plan).cycles_per_frame
        assert slowest <= full.cycles_per_frame <= slowest + 2
        assert full.cycles_per_frame >= result.cycles_per_frame
        told = model_of_clip(bench).clip_clocks(plan.schedule).clocks
        mean = told[FRAME].spread.mean
        assert result.cycles_per_frame == pytest.approx(mean, rel=0.05, abs=1)
        late = full.last_pixel_to_result
        assert abs(late - told[LATENCY].full) <= 6 + 0.1 * late
    with pytest.raises(ConfigError, match="frames = 4"):
        cosim(bench.network, plan, bench.clip[:5], cache, settings)


@pytest.mark.slow
def test_a_cosimulation_sees_a_wrong_feature(bench, tmp_path):
    """The same core, held against a network with another dead zone."""
    own = bench.network.preprocessing
    other = replace(
        bench.network, preprocessing=replace(own, picture=replace(PICTURE, dead_zone=90))
    )
    with pytest.raises(EqualityError, match="reference_rtl"):
        cosim(other, raw_plan(bench.network), bench.clip, tmp_path, RunSettings(), quick=True)


def test_what_a_core_cannot_compute_is_refused():
    for network in (
        build_network(SHAPES["ht-lstm"]),
        video_network(picture=replace(PICTURE, feature="pixels", dead_zone=0)),
    ):
        with pytest.raises(ConversionError, match='feature = "host"'):
            raw_plan(network)
