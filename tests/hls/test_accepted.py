"""Each Keras model is converted exactly, or refused before anything is written."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
import pytest

from fdht_hls.accepted import accepted_steps
from fdht_hls.csimulation import CSimulation, compile_library, pack_frames
from fdht_hls.equality import corner_frames
from fdht_models.errors import ConversionError, FdhtError
from fdht_models.kerasapi import keras, legacy_keras
from tests.hls.networks import fibre_model
from tests.hls.own_models import EXACT, FIBRES, REFUSED, SMALL, Exact
from tests.hls.stock_models import STOCK

# tf_keras says this of QKeras' constraints whenever a QDense is described.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:The `keras\.constraints\.serialize\(\)` API:UserWarning"
)
#: QKeras 0.9 cannot call these under TensorFlow 2.20: an AttributeError in its own code.
_BROKEN_IN_QKERAS = ("QSimpleRNN", "QGRU", "QGRU, reset before")
FRAMES = 40


def convert(model: Any, directory: Path, backend: str = "FDHT", **options: Any) -> Any:
    """hls4ml's own converter, as its users call it."""
    options = {"io_type": "io_stream", **options}
    with legacy_keras(), contextlib.redirect_stdout(io.StringIO()):
        return hls4ml.converters.convert_from_keras_model(
            model, output_dir=str(directory), backend=backend, **options
        )


# Stock models -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in STOCK if name not in _BROKEN_IN_QKERAS])
def test_a_stock_model_is_refused_by_the_name_of_a_layer(name, tmp_path):
    model = STOCK[name]()
    with pytest.raises(ConversionError) as raised:
        convert(model, tmp_path / "project")
    field = str(raised.value.field)
    layer = next(layer for layer in model.layers if layer.name == field)
    assert raised.value.value == type(layer).__name__ and "; " in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", _BROKEN_IN_QKERAS)
def test_what_qkeras_cannot_call_is_no_model(name):
    with pytest.raises(AttributeError, match="when calling layer"):
        STOCK[name]()


def test_there_are_as_many_kinds_as_hls4ml_and_qkeras_test():
    assert len(STOCK) >= 43


# Models with our layer --------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exact_is_refused_with_layer_and_option(name, tmp_path):
    build, message = REFUSED[name]
    model = build()
    with pytest.raises(FdhtError, match=message) as raised:
        convert(model, tmp_path / "project")
    assert raised.value.remedy and len(str(raised.value)) < 400
    assert list(tmp_path.iterdir()) == []


def frames_of(count: int) -> np.ndarray:
    return corner_frames(SMALL.network, count)


def keras_results(model: Any, frames: np.ndarray, scale: float) -> np.ndarray:
    """Codes [frames, outputs] of a stateful model."""
    values = (frames * SMALL.input_format.scale).astype(np.float32).reshape(-1, 1, 1, *FIBRES)
    model.reset_states()
    results = np.stack([model.predict_on_batch(value).ravel() for value in values])
    codes = results.astype(np.float64) / scale
    np.testing.assert_array_equal(codes, np.rint(codes))
    return codes.astype(np.int64)


def core_results(library: Path, frames: np.ndarray, outputs: int) -> np.ndarray:
    """Codes [frames, outputs] of a core."""
    words = -(-outputs // 2)
    results = np.zeros((len(frames), words * 2), np.int32)
    simulation = CSimulation(library)
    flat = results.view(np.uint8).ravel()
    simulation.run(pack_frames(SMALL.network, frames), flat, len(frames), True)
    simulation.close()
    return flat.view(np.int32).reshape(results.shape)[:, :outputs].astype(np.int64)


def configuration(model: Any, case: Exact) -> dict[str, Any]:
    with legacy_keras():
        config: dict[str, Any] = hls4ml.utils.config_from_keras_model(
            model, granularity=case.granularity, backend="FDHT"
        )
    if case.settings:
        layer = config["LayerName"]["head"]
        layer.update({key: value for key, value in case.settings.items() if key != "Precision"})
        layer["Precision"].update(case.settings.get("Precision", {}))
    return config


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if place < 2 else (pytest.mark.slow,))
        for place, name in enumerate(EXACT)
    ],
)
def test_what_is_converted_is_keras_integer_for_integer(name, tmp_path):
    case = EXACT[name]
    model = case.model()
    convert(model, tmp_path, hls_config=configuration(model, case)).write()
    steps = accepted_steps(model)
    scale = steps[-1].result.scale if steps else SMALL.network.recurrence.cell.hidden.scale
    frames = frames_of(FRAMES)
    wanted = keras_results(model, frames, scale)
    assert len(np.unique(wanted)) > 10, "a dead network proves nothing"
    for build in ("native", "exact"):
        compile_library(tmp_path, tmp_path / f"{build}.so", build)
        found = core_results(tmp_path / f"{build}.so", frames, wanted.shape[1])
        np.testing.assert_array_equal(found, wanted)


# hls4ml's other backends, and settings ----------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        *((name, {}) for name in ("Vivado", "Vitis", "Quartus", "Catapult", "oneAPI")),
        ("VivadoAccelerator", {"board": "pynq-z2"}),
        ("Vitis", {"io_type": "io_parallel"}),
    ],
)
@pytest.mark.parametrize("sequences", [False, True])
def test_our_layer_is_refused_by_hls4ml_s_other_backends(backend, options, sequences, tmp_path):
    model = fibre_model(SMALL, 3, stateful=False, sequences=sequences, head=not sequences)
    message = f"lstm = 'backend {backend}': is exact in hls4ml's backend FDHT alone; use backend"
    with pytest.raises(ConversionError, match=message):
        convert(model, tmp_path / "project", backend, **options)
    assert list(tmp_path.iterdir()) == []


def test_the_other_backends_keep_their_own_layers(tmp_path):
    """The question that comes before hls4ml reads a model is our backend's alone."""
    graph = convert(STOCK["LSTM and Dense"](), tmp_path / "project", "Vitis")
    assert [layer.class_name for layer in graph.get_layers()] == ["Input", "LSTM", "Dense"]


def _head(**settings: Any) -> dict[str, Any]:
    return {"LayerName": {"head": settings}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"project_name": "my-network"}, "project_name = 'my-network'"),
        ({"project_name": "fdht_lstm"}, "project_name = 'fdht_lstm'"),
        ({"project_name": "class"}, "project_name = 'class'"),
        ({"namespace": "mine"}, "namespace = 'mine': the core is not in a namespace"),
        ({"bit_exact": True}, "bit_exact = True"),
        ({"hls_config": _head(Compression=True)}, "head.Compression = True"),
        (
            {"hls_config": _head(Strategy="Resource_Unrolled")},
            "head.Strategy = 'resource_unrolled'",
        ),
        ({"hls_config": _head(Strategy="da")}, "head.Strategy = 'da': is not compared"),
    ],
)
def test_settings_that_are_not_compared_with_keras_are_refused(options, message, tmp_path):
    model = EXACT["narrow configuration"].model()
    with pytest.raises(ConversionError, match=message):
        convert(model, tmp_path / "project", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_a_model_is_refused(tmp_path):
    with pytest.raises(ConversionError, match=r"model = 'model\.h5': .* not a file; call hls4ml"):
        accepted_steps("model.h5")
    with pytest.raises(ConversionError, match=r"needs a functional or sequential"):
        accepted_steps(keras.Sequential([keras.layers.Dense(3)]))


def test_a_class_of_the_same_name_is_not_ours(tmp_path):
    class QFDHTLSTM(keras.layers.Dense):
        pass

    model = keras.Sequential([keras.layers.Input((5,)), QFDHTLSTM(3, name="lstm")])
    with pytest.raises(ConversionError, match="lstm = 'QFDHTLSTM': is not known to be exact"):
        convert(model, tmp_path / "project")
