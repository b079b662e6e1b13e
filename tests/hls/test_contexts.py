"""Converted cores with several contexts: streams in turns, each as if it were alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from fdht_hls.csimulation import CSimulation, unpack_results
from fdht_hls.equality import prove
from fdht_hls.lint import lint_project
from fdht_hls.packing import packed_call, words_of
from fdht_hls.registers import ARGUMENT_REGISTERS, IDENTITY_REGISTERS, present
from fdht_hls.schedule import Schedule, default_schedule
from fdht_hls.weights import LoadableWeights
from fdht_models.errors import ConfigError, EqualityError
from fdht_models.tensor.contexts import CONTEXTS
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from tests.hls.conftest import Converted, SkippingCore, convert_skipping
from tests.hls.lint.builds import compiled_bench, stated_registers, warnings
from tests.hls.networks import CLASSIFIERS, Classifier, streams_of
from tests.hls.test_weight_kinds import retrained
from tests.models.format_cases import SHAPES

#: Shape, frames, contexts, weights: sums unit by unit, and sums that are collected.
CASES = {
    "lstm, 4": (None, "dense", 4, "constant"),
    "lstm, sparse, loadable, 2": (None, "sparse", 2, "loadable"),
    "gru, 2": ("ht-gru-integrated", "dense", 2, "constant"),
    "gru, collected, sparse, 4": ("dense-gru", "sparse", 4, "constant"),
    "mgu, 8": ("ht-mgu-integrated", "dense", 8, "loadable"),
}
#: Those that are made in every run of the tests.
QUICK = ("lstm, 4", "lstm, sparse, loadable, 2")
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


@pytest.fixture(scope="module")
def core_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SkippingCore]:
    @cache
    def made(name: str) -> SkippingCore:
        label, frames, contexts, weights = CASES[name]
        classifier = CLASSIFIERS["bytes"]
        if label is not None:
            classifier = Classifier(label, SHAPES[label], generic=True)
        directory = tmp_path_factory.mktemp("contexts")
        return convert_skipping(
            directory, frames, weights, contexts=contexts, classifier=classifier
        )

    return made


@dataclass
class Streams:
    """What the reference says of streams in turns; the core is to say the same."""

    network: QuantizedNetwork
    simulation: CSimulation

    def __post_init__(self) -> None:
        self.models = [ReferenceModel(self.network) for _ in range(self.simulation.contexts)]

    def call(self, frames: np.ndarray, register: int, reset: bool) -> np.ndarray:
        """Logits of a call; `register` is what `context` holds."""
        packed, ends = packed_call(self.network, frames, sparse=self.simulation.sparse)
        results = np.zeros(len(frames) * self.network.result_bytes, np.uint8)
        arguments = (len(frames), reset, words_of(ends), register)
        assert self.simulation.run(packed, results, *arguments).contexts == len(self.models)
        return unpack_results(self.network, results)

    def wanted(self, frames: np.ndarray, register: int, reset: bool) -> np.ndarray:
        model = self.models[register % len(self.models)]
        if reset and len(frames):
            model.reset()
        return model.run(frames)


@pytest.mark.parametrize("build", ["native", "exact"])
@pytest.mark.parametrize("name", EVERY)
def test_streams_in_turns_are_as_if_each_were_alone(core_of, name, build):
    core = core_of(name)
    simulation = CSimulation(core.library(build))
    streams, generator = Streams(core.network, simulation), np.random.default_rng(len(name))
    frames, at, seen = streams_of(core.network, 1, 200)[0], 0, set()
    frames[:, ::3] = 0
    while at < len(frames):
        count = int(generator.integers(0, 5))
        context = int(generator.integers(simulation.contexts))
        # Of the register only the low bits count.
        register = context + simulation.contexts * int(generator.integers(1000))
        given = (frames[at : at + count], register, bool(generator.random() < 0.2))
        found = streams.call(*given)
        np.testing.assert_array_equal(found, streams.wanted(*given), f"frame {at}")
        seen |= {(context, *row) for row in found.tolist()}
        at += count
    assert len(seen) > 100, "the comparison says little"
    simulation.close()


def test_weights_that_are_loaded_drop_the_states_of_all_contexts(core_of):
    core = core_of("lstm, sparse, loadable, 2")
    simulation = CSimulation(core.library("native"))
    other = retrained(core.network)
    frames = streams_of(core.network, 1, 4)[0]
    before = Streams(core.network, simulation)
    for context in (0, 1):
        before.call(frames, context, True)
    simulation.load_weights(LoadableWeights.of(core.network, core.plan).pack(other))
    after = Streams(other, simulation)
    for context in (1, 0, 1, 0):
        given = (frames, context, False)
        np.testing.assert_array_equal(after.call(*given), after.wanted(*given))
    simulation.close()


@pytest.mark.parametrize("name", EVERY)
def test_a_proof_has_streams_in_turns(core_of, name):
    core = core_of(name)
    streams = np.concatenate([core.streams[:3, :30], core.streams[-1:, :30]])
    keras = core.classifier.keras(sequences=True, stateful=True, batch=len(streams))
    libraries = {"native": core.library("native")}
    results = prove(core.network, keras, libraries, streams, lambda *_: None)
    assert {one.mismatches for one in results.values()} == {0}


def test_a_proof_sees_contexts_that_share_their_state(core_of, tmp_path):
    core = core_of("lstm, 4")
    wrong = Converted(core.classifier, tmp_path)
    shutil.copytree(core.project, wrong.project)
    top = wrong.project / "firmware" / "fdht_lstm.cpp"
    text = top.read_text()
    assert text.count("unsigned(context) % 4") == 1
    top.write_text(text.replace("unsigned(context) % 4", "unsigned(context) % 2"))
    keras = core.classifier.keras(sequences=True, stateful=True, batch=4)
    libraries = {"native": wrong.library("native")}
    with pytest.raises(EqualityError, match="reference_native"):
        prove(core.network, keras, libraries, core.streams[:4, :20], lambda *_: None)


@pytest.mark.parametrize("name", EVERY)
def test_the_core_is_synthesizable_and_has_its_registers(core_of, name):
    core = core_of(name)
    assert lint_project(core.project) == []
    every = ARGUMENT_REGISTERS + IDENTITY_REGISTERS
    wanted = present(every, **core.plan.register_kinds)
    assert stated_registers(core.project) == {one.name: one.offset for one in wanted}
    assert {"context", "contexts"} <= {one.name for one in wanted}


@pytest.mark.slow
def test_compilers_have_no_warning(core_of):
    for name in QUICK:
        assert warnings(core_of(name).project, "libclang", "c++14", "native") == []
        assert warnings(core_of(name).project, "g++", "c++17", "exact") == []


@pytest.mark.slow
def test_the_test_bench_runs_in_a_context(core_of, tmp_path):
    core = core_of("lstm, 4")
    code, said = compiled_bench(core.project, tmp_path / "bench")(core.project / "tb_data")
    assert code == 0, said


def test_a_core_with_one_context_says_nothing_of_them(small):
    simulation = CSimulation(small.library("native"))
    nothing = np.zeros(0, np.uint8)
    assert simulation.contexts == 1
    assert simulation.run(nothing, nothing, 0, False).contexts == 0
    simulation.close()
    assert "context" not in stated_registers(small.project)


@pytest.mark.parametrize("count", [0, 3, 5, 128, True, 2.0])
def test_numbers_of_contexts_that_no_core_has(small, count):
    value = default_schedule(small.network.recurrence).to_json() | {"contexts": count}
    with pytest.raises(ConfigError, match="contexts") as refused:
        Schedule.from_json(value)
    assert refused.value.remedy is not None


def test_raw_frames_have_one_context(small):
    schedule = default_schedule(small.network.recurrence).with_frames("raw")
    with pytest.raises(ConfigError, match="frame of video") as refused:
        schedule.with_frames(None, CONTEXTS[1])
    assert (refused.value.field, refused.value.value) == ("contexts", 2)
    assert "host" in refused.value.remedy
