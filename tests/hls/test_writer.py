"""From a Keras model to files: what is written, what is in them, and what is refused."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
import pytest

import fdht_hls
from fdht_hls.accepted import accepted_steps
from fdht_hls.conversion_model import convert
from fdht_hls.csimulation import CSimulation, compile_library
from fdht_hls.engine import lower
from fdht_hls.equality import corner_frames, reference_logits
from fdht_hls.parsing import TAKEN_NAMES, parse_layer
from fdht_hls.registers import (
    ARGUMENT_REGISTERS,
    CONTROL_REGISTERS,
    IDENTITY_REGISTERS,
    REGISTERS,
    present,
)
from fdht_hls.schedule import Schedule, choices, shapes_of
from fdht_models.errors import ConversionError
from fdht_models.kerasapi import keras, legacy_keras
from fdht_models.tensor.fixedpoint import FixedPoint
from tests.hls import many
from tests.hls.conftest import Converted, simulate
from tests.hls.networks import CLASSIFIERS, Classifier, fibre_model

SMALL = CLASSIFIERS["bytes"]
CORE_FILES = {
    "firmware/fdht_lstm.h",
    "firmware/fdht_lstm.cpp",
    "fdht_csim.cpp",
    "fdht_testbench.cpp",
    "build_core.tcl",
}

# tf_keras says this of QKeras' constraints whenever a QDense is described.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:The `keras\.constraints\.serialize\(\)` API:UserWarning"
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a project as a user of hls4ml does; settings are those of the backend."""

    def run(model: Any, **settings: Any) -> Path:
        with legacy_keras():
            config = hls4ml.utils.config_from_keras_model(model, granularity="name", backend="FDHT")
            settings = {"io_type": "io_stream", **settings}
            graph = hls4ml.converters.convert_from_keras_model(
                model, hls_config=config, output_dir=str(tmp_path), backend="FDHT", **settings
            )
            graph.write()
        return tmp_path

    return run


def written(project: Path) -> set[str]:
    return {name for name in CORE_FILES if (project / name).exists()}


# What is written --------------------------------------------------------------------------------


def test_the_core_states_the_offset_of_every_register(small):
    text = (small.project / "firmware" / "fdht_lstm.cpp").read_text()
    stated = re.findall(r"s_axilite port=(\w+) bundle=control offset=(0x[0-9a-f]+)", text)
    wanted = present(ARGUMENT_REGISTERS + IDENTITY_REGISTERS, loadable=False)
    assert {name: int(offset, 16) for name, offset in stated} == {
        register.name: register.offset for register in wanted
    }
    assert len(stated) == len(present(REGISTERS, loadable=False)) - len(CONTROL_REGISTERS)
    assert text.count("#pragma HLS INTERFACE s_axilite port=return bundle=control\n") == 1


def test_the_core_s_arguments_are_in_the_order_of_the_registers(small):
    for name in ("fdht_lstm.h", "fdht_lstm.cpp"):
        text = (small.project / "firmware" / name).read_text()
        arguments = re.search(r"void fdht_lstm\(([^)]*)\)", text)
        assert arguments is not None
        names = [argument.split("*")[-1].split()[-1] for argument in arguments[1].split(",")]
        wanted = present(ARGUMENT_REGISTERS + IDENTITY_REGISTERS, loadable=False)
        assert names == [register.name for register in wanted]


def test_bursts_fit_the_ports_of_a_zynq_7000(small):
    text = (small.project / "firmware" / "fdht_lstm.cpp").read_text()
    assert re.findall(r"m_axi port=(\w+) .*max_(?:read|write)_burst_length=(\d+)", text) == [
        ("frames", "16"),
        ("results", "16"),
    ]
    depths = [int(depth) for depth in re.findall(r"HLS STREAM variable=\w+ depth=(\d+)", text)]
    assert len(depths) == 7 and max(depths) <= 16


def test_the_project_is_hls4ml_s_with_the_core_beside_it(small):
    names = {str(path.relative_to(small.project)) for path in small.project.rglob("*")}
    assert names >= CORE_FILES
    assert names >= {"firmware/fdht_network.cpp", "firmware/parameters.h", "tb_data/frames.hex"}
    kernels = {name for name in names if name.startswith("firmware/nnet_utils/fdht_")}
    assert len(kernels) == 11
    tcl = (small.project / "build_core.tcl").read_text()
    assert "-format ip_catalog -vendor fdht -library hls -ipname fdht_lstm" in tcl


def test_the_part_and_the_clock_are_in_the_script(write):
    project = write(fibre_model(SMALL), part="xc7z020clg400-1", clock_period=8)
    text = (project / "build_core.tcl").read_text()
    assert "set part {xc7z020clg400-1}\n" in text and "set clock_period 8\n" in text


def array(project: Path, name: str) -> np.ndarray:
    """Integers of one of our headers."""
    (path,) = (project / "firmware" / "weights").glob(f"{name}*.h")
    body = re.search(r"((?:\[\d+\])+) = \{(.*?)\};", path.read_text(), re.S)
    assert body is not None
    values = np.array([int(value) for value in re.findall(r"-?\d+", body[2])])
    return values.reshape([int(size) for size in re.findall(r"\d+", body[1])])


def test_the_tables_and_the_bias_are_the_network_s(small):
    cell = small.network.recurrence.cell
    for name in ("gate", "candidate", "output"):
        np.testing.assert_array_equal(array(small.project, name), getattr(cell, name).codes)
    rows = cell.bias.codes.reshape(4, -1).T  # a row a unit
    np.testing.assert_array_equal(array(small.project, "bias"), rows)


def test_the_design_id_is_in_the_core(small):
    text = (small.project / "firmware" / "fdht_lstm.cpp").read_text()
    assert f"*design_id_low = 0x{small.network.design_id % 2**32:08x}u;" in text
    assert f"*design_id_high = 0x{small.network.design_id >> 32:08x}u;" in text


# With and without a core --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "options"),
    [(4, {"stateful": False}), (3, {"sequences": True, "head": False})],
)
def test_a_sequence_a_call_is_hls4ml_s_own_and_has_no_core(write, steps, options):
    project = write(fibre_model(SMALL, steps, **options))
    assert written(project) == set()
    assert (project / "firmware" / "myproject.cpp").exists()


def test_one_frame_a_call_has_a_core_also_without_an_identity(write):
    assert written(write(fibre_model(SMALL))) == CORE_FILES


@pytest.mark.parametrize(
    ("steps", "options", "value"),
    [
        (4, {"stateful": False}, r"input \[4, 12, 5\], output \[3\]"),
        (3, {"sequences": True, "head": False}, r"input \[3, 12, 5\], output \[3, 8\]"),
        (1, {"sequences": True, "head": False}, r"input \[1, 12, 5\], output \[1, 8\]"),
    ],
)
def test_a_core_for_a_sequence_is_refused(write, steps, options, value):
    message = f"model = '{value}': the core runs one frame at a time.*; convert with one time step"
    with pytest.raises(ConversionError, match=message):
        write(fibre_model(SMALL, steps, **options), plan=lower(SMALL.network))


def test_our_own_conversion_refuses_a_sequence(tmp_path):
    model = fibre_model(SMALL, 4, stateful=False)
    model.plan = lower(SMALL.network)
    with pytest.raises(ConversionError, match="the core runs one frame at a time"):
        convert(model, str(tmp_path))
    assert written(tmp_path) == set()


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gates", "frames", "weights", "int", "layer2_out", "my-1/x"])
def test_an_input_may_be_called_like_a_port(write, name):
    """Its stream then gets a name of its own, also if C++ could not call it so."""
    project = write(fibre_model(SMALL, input_name=name))
    text = (project / "firmware" / "fdht_lstm.cpp").read_text()
    (stream,) = re.findall(r"hls::stream<[^>]*input_t>::type> (\w+)\(", text)
    assert stream == (name if name == "gates" else f"in_{re.sub('[-/]', '_', name)}_stream")


def test_every_variable_of_the_core_is_taken():
    """A template that gets another variable needs another entry."""
    text = (Path(fdht_hls.__file__).parent / "templates" / "fdht_lstm.cpp.j2").read_text()
    types = r"(?:unsigned|bool|ap_uint<32>|fdht::word_t|hls::stream<fdht::word_t>)"
    variables = set(re.findall(rf"{types} \*?([a-z_]\w*)\b", text))
    assert variables >= {"frames", "frame", "done", "stale", "frame_memory_words"}
    assert variables <= TAKEN_NAMES


@pytest.mark.parametrize("name", ["frames", "frame", "done"])
def test_such_a_core_compiles_and_is_equal(write, tmp_path, name):
    project = write(fibre_model(SMALL, input_name=name))
    compile_library(project, tmp_path / "core.so", "native")
    frames = corner_frames(SMALL.network, 20)
    found = simulate(CSimulation(tmp_path / "core.so"), SMALL.network, frames, reset=True)
    np.testing.assert_array_equal(found, reference_logits(SMALL.network, frames[None])[0])


def test_results_wider_than_their_place_are_refused(tmp_path):
    """A graph that was made without Keras may ask for them."""
    with pytest.raises(ConversionError, match="a result holds 32 bits"):
        many.write_project(many.Case(SMALL.network), tmp_path / "p", {"result": "fixed<40,20>"})


@pytest.mark.parametrize("label", ["input", "hidden"])
def test_several_fibres_at_once_are_refused(write, label):
    """The core in RTL alone takes them."""
    recurrence = SMALL.network.recurrence
    paths = {"input": recurrence.input_path, "hidden": recurrence.hidden_path}
    fibres = {name: 2 if name == label else 1 for name in paths}
    schedule = Schedule(
        **{
            name: tuple(choices(shape)[0] for shape in shapes_of(path, fibres[name]))
            for name, path in paths.items()
        }
    )
    message = (
        rf"schedule\.{label}\[0\]\.vectors = '?2'?: the core in C\+\+ takes fibres one by one; .*"
        r"use 1 here, or the core in RTL"
    )
    with pytest.raises(ConversionError, match=message):
        write(fibre_model(SMALL), schedule=schedule.to_json())


def test_several_outputs_are_refused(write):
    model = fibre_model(SMALL)
    both = keras.Model(model.input, [model.output, model.layers[1].output])
    with pytest.raises(ConversionError, match="the core has one input and one output"):
        write(both, plan=lower(SMALL.network))


def test_parallel_frames_are_refused(write):
    message = "io_type = 'io_parallel': frames are streamed; use 'io_stream'"
    with pytest.raises(ConversionError, match=message):
        write(fibre_model(SMALL), io_type="io_parallel")


def reshaped(*shape: int | None) -> Any:
    """The layer behind an input of another shape, which Keras accepts."""
    frames = keras.Input(shape, batch_size=1)
    lstm, _ = SMALL.layers(False, False)
    return keras.Model(frames, lstm(frames))


@pytest.mark.parametrize("shape", [(4, 60), (4, 5, 12), (4, 3, 4, 5), (None, 12, 5)])
def test_frames_that_are_no_fibres_are_refused(write, shape):
    message = r"input_shape = .*frames of 12 fibres of 5 values; build .* Input\(\(steps, 12, 5\)\)"
    with pytest.raises(ConversionError, match=message):
        write(reshaped(*shape))


def test_a_layer_before_ours_is_refused(write):
    frames = keras.Input((4, 12, 5), batch_size=1)
    lstm, _ = SMALL.layers(False, False)
    model = keras.Model(frames, lstm(keras.layers.ReLU()(frames)))
    with pytest.raises(ConversionError, match=r"re_lu.* = 'ReLU': .*the first layer must be"):
        write(model)


def test_a_file_instead_of_a_model_is_refused():
    layer = {"config": {"name": "lstm"}}
    with pytest.raises(ConversionError, match="lstm: needs the Keras model itself, not a file"):
        parse_layer(layer, ["fibres"], [(1, 1, 12, 5)], object())


@pytest.mark.parametrize("name", ["input.C3", "hidden.C2", "preactivation", "cell", "hidden"])
def test_unsigned_states_and_intermediates_are_refused(write, name):
    """The kernels round to signed codes; Keras would saturate at zero."""
    form = FixedPoint(8, 4, signed=False)
    model = fibre_model(dataclasses.replace(SMALL, formats={name: form}))
    message = rf"quantizers\.{re.escape(name)} = 'ufixed<8,4>': must be signed in hardware"
    with pytest.raises(ConversionError, match=message):
        write(model)


def test_the_head_s_sums_are_exact(small):
    """No rounding behind the LSTM: the result holds any logit."""
    network = small.network
    sums, linear = accepted_steps(fibre_model(SMALL))
    assert sums.result == linear.result == network.logit_format
    bound = (1 << (network.recurrence.cell.hidden.width - 1)) * 128 * network.recurrence.units
    assert network.logit_format.maximum > bound > 0
    assert math.log2(bound) < network.logit_format.width


def test_the_small_network_is_the_one_above(small: Converted):
    assert small.classifier == SMALL and isinstance(SMALL, Classifier)
