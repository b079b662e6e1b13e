"""Loadable weights and graphs of adders in C++: converted, linted, compiled, equal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hls4ml
import numpy as np
import pytest

from fdht_hls.batch import BatchSimulation
from fdht_hls.conversion import convert_project
from fdht_hls.csimulation import Build, CSimulation
from fdht_hls.engine import lower
from fdht_hls.equality import reference_logits
from fdht_hls.lint import lint_project
from fdht_hls.schedule import (
    Schedule,
    StageSchedule,
    default_schedule,
    shapes_of,
    vector_length,
)
from fdht_hls.weights import LoadableWeights, Words, pack_weights
from fdht_models.errors import ConversionError, DeviceError
from fdht_models.kerasapi import legacy_keras
from fdht_models.tensor.quantized import QuantizedNetwork, QuantizedRecurrence
from tests.hls.conftest import Converted, simulate
from tests.hls.networks import CLASSIFIERS, Classifier, fibre_model
from tests.models.format_cases import SHAPES

BUILDS: tuple[Build, ...] = ("native", "exact")


def adders_first(recurrence: QuantizedRecurrence) -> Schedule:
    """Adders in the first stages of both paths, loadable weights in the others."""
    schedule, firsts = default_schedule(recurrence).with_weights("loadable"), []
    for path in (recurrence.input_path, recurrence.hidden_path):
        shape = shapes_of(path)[0]
        firsts.append(StageSchedule(vector_length(shape), shape.outputs, weights="adders"))
    return Schedule((firsts[0], *schedule.input[1:]), (firsts[1], *schedule.hidden[1:]))


def loadable(recurrence: QuantizedRecurrence) -> Schedule:
    return default_schedule(recurrence).with_weights("loadable")


def converted(
    classifier: Classifier, directory: Path, kind: Callable[[QuantizedRecurrence], Schedule]
) -> Converted:
    project = Converted(classifier, directory)
    plan = lower(project.network, kind(project.network.recurrence))
    convert_project(classifier.keras(), project.network, project.project, {}, plan)
    return project


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return converted(CLASSIFIERS["bytes"], tmp_path_factory.mktemp("loadable"), loadable)


def retrained(network: QuantizedNetwork) -> QuantizedNetwork:
    """Other weights, of the same formats."""
    generator = np.random.default_rng(7)

    def shuffled(array):
        codes = generator.permutation(array.codes.ravel()).reshape(array.codes.shape)
        return replace(array, codes=codes)

    recurrence, head = network.recurrence, network.head
    cores = {name: shuffled(core) for name, core in recurrence.cores.items()}
    cell = replace(recurrence.cell, bias=shuffled(recurrence.cell.bias))
    return replace(
        network,
        name="retrained",
        recurrence=replace(recurrence, cores=cores, cell=cell),
        head=replace(head, weights=shuffled(head.weights), bias=shuffled(head.bias)),
    )


def packed(core: QuantizedNetwork, network: QuantizedNetwork) -> Words:
    found = LoadableWeights.of(core, lower(core, loadable(core.recurrence)))
    assert found is not None
    return found.pack(network)


def check_loading(project: Converted, build: Build) -> None:
    """Built in, then another network's, then the first ones again."""
    network, frames = project.network, project.streams[0]
    other = retrained(network)
    simulation = CSimulation(project.library(build))
    np.testing.assert_array_equal(simulate(simulation, network, frames, True), project.logits[0])
    wanted = reference_logits(other, frames[None])[0]
    assert (wanted != project.logits[0]).mean() > 0.5
    simulation.load_weights(packed(network, other))
    # From zero, although the call does not ask for it: the state is that of other weights.
    np.testing.assert_array_equal(simulate(simulation, network, frames[:7], False), wanted[:7])
    np.testing.assert_array_equal(simulate(simulation, network, frames[7:], False), wanted[7:])
    simulation.load_weights(packed(network, network))
    np.testing.assert_array_equal(simulate(simulation, network, frames, False), project.logits[0])
    simulation.close()


@pytest.mark.parametrize("build", BUILDS)
def test_weights_are_loaded(small: Converted, build: Build):
    check_loading(small, build)


def test_the_core_shows_whose_weights_it_holds(small: Converted):
    network, other = small.network, retrained(small.network)
    simulation, nothing = CSimulation(small.library("native")), np.zeros(8, np.uint8)
    layout = lower(network, loadable(network.recurrence)).layout
    for words, owner in ((None, network), (packed(network, other), other)):
        if words is not None:
            simulation.load_weights(words)
        identity = simulation.run(nothing, nothing, 0, False)
        shown = identity.weights_id_high << 32 | identity.weights_id_low
        assert layout and (shown, identity.weights_layout) == (owner.design_id, layout.digest)
        assert identity.design_id_low == network.design_id & 0xFFFF_FFFF
    simulation.close()


def test_rows_in_another_order_are_seen(small: Converted):
    """The negative control: two rows of the first stage change places."""
    network, other = small.network, retrained(small.network)
    words = packed(network, other)
    words[[1, 2]] = words[[2, 1]]
    simulation, frames = CSimulation(small.library("native")), small.streams[0]
    simulation.load_weights(words)
    found = simulate(simulation, network, frames, False)
    assert (found != reference_logits(other, frames[None])[0]).any()
    simulation.close()


def test_all_copies_of_a_batch_are_loaded(small: Converted):
    network, other = small.network, retrained(small.network)
    with BatchSimulation(small.library("native"), network, 2) as batch:
        batch.load_weights(packed(network, other))
        wanted = reference_logits(other, small.streams)
        np.testing.assert_array_equal(batch.run(small.streams), wanted)


def test_a_buffer_of_another_size_is_refused(small: Converted):
    simulation = CSimulation(small.library("native"))
    with pytest.raises(DeviceError, match=r"the core takes 63 words of weights"):
        simulation.load_weights(np.zeros(74, np.uint64))
    simulation.close()


def test_a_core_with_loadable_weights_is_synthesizable(small: Converted):
    assert lint_project(small.project) == []
    core = (small.project / "firmware" / "fdht_lstm.cpp").read_text()
    assert "m_axi port=weights offset=slave bundle=gmem_weights depth=63" in core


def test_its_test_bench_loads_weights(small: Converted, tmp_path: Path):
    """As csim and cosim of Vitis HLS run it; wrong weights make it fail."""
    program = tmp_path / "testbench"
    includes = ("-Ifirmware/ap_types", "-Ifirmware", "-I.")
    sources = ("fdht_testbench.cpp", "firmware/fdht_lstm.cpp")
    command = ["g++", "-std=c++14", "-O1", "-w", *includes, *sources, "-o", str(program)]
    subprocess.run(command, cwd=small.project, check=True, timeout=300)
    assert subprocess.run([program], cwd=small.project, check=False, timeout=60).returncode == 0
    words = packed(small.network, retrained(small.network))
    for name in ("frames", "results"):
        text = (small.project / "tb_data" / f"{name}.hex").read_text()
        (tmp_path / f"{name}.hex").write_text(text)
    (tmp_path / "weights.hex").write_text("".join(f"{int(word):016x}\n" for word in words))
    done = subprocess.run([program, tmp_path], cwd=small.project, check=False, timeout=60)
    assert done.returncode == 1


# tf_keras says this of QKeras' constraints whenever a QDense is described.
@pytest.mark.filterwarnings(r"ignore:The `keras\.constraints\.serialize\(\)` API:UserWarning")
def test_loadable_weights_need_a_layout(tmp_path: Path):
    """A user of hls4ml alone names a schedule but no layout."""
    classifier = CLASSIFIERS["bytes"]
    model = fibre_model(classifier)
    with legacy_keras(), pytest.raises(ConversionError, match="loadable weights need a layout"):
        hls4ml.converters.convert_from_keras_model(
            model,
            hls_config={"Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1}},
            output_dir=str(tmp_path),
            backend="FDHT",
            io_type="io_stream",
            schedule=loadable(classifier.network.recurrence).to_json(),
        ).write()


def check_adders(project: Converted, build: Build) -> None:
    simulation, frames = CSimulation(project.library(build)), project.streams[-1]
    found = simulate(simulation, project.network, frames, True)
    np.testing.assert_array_equal(found, project.logits[-1])
    simulation.close()


def test_adders_are_equal_and_synthesizable(tmp_path: Path):
    project = converted(CLASSIFIERS["words"], tmp_path, adders_first)
    check_adders(project, "native")
    assert lint_project(project.project) == []
    headers = list((project.project / "firmware" / "weights").glob("core*.h"))
    assert sum("_adders {" in path.read_text() for path in headers) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["words", "wide"])
def test_adders_are_equal_in_both_builds(name: str, tmp_path: Path):
    project = converted(CLASSIFIERS[name], tmp_path, adders_first)
    for build in BUILDS:
        check_adders(project, build)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wide", "deep"])
def test_other_widths_are_loaded(name: str, tmp_path: Path):
    project = converted(CLASSIFIERS[name], tmp_path, loadable)
    for build in BUILDS:
        check_loading(project, build)


@pytest.mark.slow
@pytest.mark.parametrize("label", ["tr-gru-integrated", "bt-lstm-integrated", "tt-lstm"])
def test_other_formats_and_cells_are_loaded(label: str, tmp_path: Path):
    project = converted(Classifier(label, SHAPES[label], generic=True), tmp_path, loadable)
    assert lint_project(project.project) == []
    for build in BUILDS:
        check_loading(project, build)


def test_packing_is_what_the_project_holds(small: Converted):
    """The weights beside the test bench are the core's own."""
    text = (small.project / "tb_data" / "weights.hex").read_text().split()
    words = pack_weights(lower(small.network, loadable(small.network.recurrence)))
    np.testing.assert_array_equal(np.array([int(word, 16) for word in text], np.uint64), words)
