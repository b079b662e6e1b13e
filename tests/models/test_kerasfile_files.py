"""Files of Keras as they come: every way of saving, code that is not run, damage that is told."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fdht_models.errors import ArtifactError, ConfigError, FdhtError
from fdht_models.kerasapi import keras
from fdht_models.kerasfile import model_reader, read_model, saved_files
from tests.models.saved_models import CLASSES, INPUTS, KERAS, STEPS, UNITS, randomised


def simple(k: Any, *before: Any, behind: tuple[Any, ...] = ()) -> Any:
    """float32, as models are."""
    layers = [*before, k.layers.LSTM(UNITS, name="l"), *behind, k.layers.Dense(CLASSES, name="d")]
    return k.Sequential([k.Input((STEPS, INPUTS)), *layers])


# Every way of saving ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", KERAS)
def test_weights_are_read_as_they_are(version: str, tmp_path: Path) -> None:
    """Bit by bit, of models and of weights alone."""
    model = randomised(simple(KERAS[version]))
    wanted = model.get_layer("l").get_weights()
    for name in ("a.keras", "a.h5", "a.weights.h5", "old.h5"):
        path = tmp_path / name
        if name in ("a.weights.h5", "old.h5"):
            if name == "old.h5" and version == "keras-3":
                continue  # Keras 3 writes weights one way only
            model.save_weights(path)
        else:
            model.save(path)
        found = read_model(path, None, CLASSES)
        for one, array in zip((found.kernel, found.recurrent_kernel, found.bias), wanted,
                              strict=True):  # fmt: skip
            np.testing.assert_array_equal(one, array)
        if name in ("a.keras", "a.h5"):
            assert found.head is not None
            for one, array in zip(found.head, model.get_layer("d").get_weights(), strict=True):
                np.testing.assert_array_equal(one, array)
            assert found.notes == ()
        else:
            assert found.head is None
            assert "the file holds weights only" in found.notes[0]
            assert "classifier: not taken, for the file does not say" in found.notes[1]
            assert found.notes[2].startswith("left out: d")


def test_keras_2_loads_what_keras_3_saved(tmp_path: Path) -> None:
    """What decompose.md says of `load_weights`."""
    saved = randomised(simple(KERAS["keras-3"]))
    for name in ("a.keras", "a.h5", "a.weights.h5"):
        (saved.save_weights if "weights" in name else saved.save)(tmp_path / name)
        ours = simple(keras)
        ours.load_weights(tmp_path / name)
        for one, array in zip(ours.get_weights(), saved.get_weights(), strict=True):
            np.testing.assert_array_equal(one, array)


def test_one_of_several_layers_in_a_file_of_weights(tmp_path: Path) -> None:
    for k in KERAS.values():
        layers = [k.layers.LSTM(UNITS, return_sequences=True, name="a"), k.layers.GRU(4, name="b")]
        model = randomised(k.Sequential([k.Input((STEPS, INPUTS)), *layers]))
        path = tmp_path / "two.weights.h5"
        model.save_weights(path)
        with h5py.File(path) as file:
            names = ["a", "b"] if "name" in file["layers/lstm/vars"].attrs else ["lstm", "gru"]
        with pytest.raises(ConfigError, match=f"in the file are {names[1]}, {names[0]}; name one"):
            read_model(path, None, CLASSES)
        found = read_model(path, names[1], CLASSES)
        np.testing.assert_array_equal(found.kernel, model.get_layer("b").get_weights()[0])


def test_a_layer_in_two_models_has_no_sure_place(tmp_path: Path) -> None:
    """Keras 2 numbers the places of the outer model's layers as if it were not there."""
    source = keras.Input((STEPS, INPUTS))
    shared = keras.layers.LSTM(UNITS, return_sequences=True, name="shared")
    encoder = keras.Model(source, shared(source), name="encoder")
    between = keras.layers.Dense(INPUTS)(encoder(source))
    other = keras.layers.LSTM(UNITS, name="other")(shared(between))
    model = keras.Model(source, keras.layers.Dense(CLASSES)(other))
    model.save(tmp_path / "two.keras")
    with pytest.raises(ConfigError, match="is in several models of the file"):
        read_model(tmp_path / "two.keras", "encoder/shared", CLASSES)
    with pytest.raises(FdhtError):  # and so neither has the one behind it
        read_model(tmp_path / "two.keras", "other", CLASSES)


# Code -------------------------------------------------------------------------------------------


def test_reading_loads_no_keras() -> None:
    command = (
        "import sys, fdht_models.kerasfile as one; "
        "assert not {'keras', 'tf_keras', 'tensorflow', 'pickle5'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60)


def with_code(k: Any, marker: Path, place: str) -> Any:
    """A model with a `Lambda` that makes a file whenever it is called."""

    path = str(marker)

    def trap(values: Any) -> Any:
        open(path, "w").close()  # noqa: PTH123
        return values

    layer = k.layers.Lambda(trap, name="code")
    if place == "before":
        return simple(k, layer)
    if place == "behind":
        return simple(k, behind=(layer,))
    if place == "each frame":
        return simple(k, k.layers.TimeDistributed(layer, name="code"))
    if place == "in a model":
        inner = k.Sequential([k.Input((STEPS, INPUTS)), layer], name="inner")
        return simple(k, inner)
    source = k.Input((STEPS, INPUTS))
    hidden = k.layers.LSTM(UNITS, name="l")(source)
    outputs = [k.layers.Dense(CLASSES, name="d")(hidden), layer(source)]
    return k.Model(source, outputs)


@pytest.mark.parametrize("version", KERAS)
@pytest.mark.parametrize("place", ["before", "behind", "each frame", "in a model"])
def test_code_in_the_way_is_refused_and_not_run(place: str, version: str, tmp_path: Path) -> None:
    marker = tmp_path / "sprung"
    model = with_code(KERAS[version], marker, place)
    assert marker.exists()  # the trap works: making the model calls it
    for suffix in ("keras", "h5"):
        model.save(tmp_path / f"a.{suffix}")
        marker.unlink(missing_ok=True)
        with pytest.raises(ConfigError, match=r"code .*Python code, which is not run; put a layer"):
            read_model(tmp_path / f"a.{suffix}", None, CLASSES)
        assert not marker.exists()


@pytest.mark.parametrize("version", KERAS)
def test_code_beside_the_way_is_left_out_and_not_run(version: str, tmp_path: Path) -> None:
    marker = tmp_path / "sprung"
    model = with_code(KERAS[version], marker, "beside")
    for suffix in ("keras", "h5"):
        model.save(tmp_path / f"a.{suffix}")
        marker.unlink(missing_ok=True)
        found = read_model(tmp_path / f"a.{suffix}", None, CLASSES)
        assert found.head is not None
        assert found.notes == ("left out: code (Lambda)",)
        assert not marker.exists()


def test_layers_of_the_authors_own_are_refused(tmp_path: Path) -> None:
    for version, k in KERAS.items():

        @k.utils.register_keras_serializable("mine")
        class Dense(k.layers.Layer):  # by the name of one of Keras'
            def call(self, values: Any) -> Any:
                return values

        model = simple(k, behind=(Dense(name="own"),))
        for suffix in ("keras", "h5"):
            model.save(tmp_path / f"a.{suffix}")
            with pytest.raises(ConfigError, match=r"own = 'Dense': .* it is no layer of Keras"):
                read_model(tmp_path / f"a.{suffix}", None, CLASSES)
        assert version


# Damage -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models with a BatchNormalization, by both versions in both ways."""
    directory = tmp_path_factory.mktemp("saved")
    for version, k in KERAS.items():
        model = simple(k, k.layers.BatchNormalization(name="b"))
        for suffix in ("keras", "h5"):
            model.save(directory / f"{version}.{suffix}")
    return directory


def link(target: h5py.Group, kind: str, directory: Path) -> None:
    """Puts the kernel of a file elsewhere."""
    name = "l/lstm_cell/kernel:0" if "l/lstm_cell/kernel:0" in target else "l/lstm_cell/kernel"
    values = target[name][()]
    del target[name]
    if kind == "soft":
        target[name] = h5py.SoftLink("/model_weights/d/d/kernel:0")
    elif kind == "external link":
        target[name] = h5py.ExternalLink(str(directory / "other.h5"), "/kernel")
    elif kind == "external":
        (directory / "other.raw").write_bytes(values.tobytes())
        target.create_dataset(
            name, values.shape, "f4", external=[(str(directory / "other.raw"), 0, values.nbytes)]
        )
    elif kind == "virtual":
        layout = h5py.VirtualLayout(values.shape, "f4")
        layout[:] = h5py.VirtualSource(str(directory / "other.h5"), "kernel", values.shape)
        target.create_virtual_dataset(name, layout)
    elif kind == "integers":
        target[name] = values.astype(np.int8)
    elif kind == "large":
        target.create_dataset(name, (1 << 20, 1 << 10), "f4", chunks=(1 << 10, 1 << 10))
    elif kind == "circle":
        target["l/lstm_cell/kernel"] = target["l"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("soft", "is a link to another place or file, which is not followed"),
        ("external link", "is a link to another place or file, which is not followed"),
        ("external", "lies in another file, which is not opened"),
        ("virtual", "lies in another file, which is not opened"),
        ("integers", "must be of floating point"),
        ("large", "has 1,073,741,824 values; at most"),
        ("circle", "has groups in groups without end"),
        ("gone", "has no weights kernel, recurrent_kernel, bias"),
    ],
)
def test_weights_come_from_the_file_alone(
    saved: Path, tmp_path: Path, kind: str, message: str
) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes((saved / "keras-2.h5").read_bytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["kernel"] = np.ones((INPUTS, 4 * UNITS), np.float32)
    with h5py.File(path, "r+") as file:
        link(file["model_weights/l"], kind, tmp_path)
    with pytest.raises(ArtifactError, match=message):
        read_model(path, None, CLASSES)


def rewritten(source: Path, target: Path, **members: bytes | None) -> Path:
    """A `.keras` file with other members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = members.get(name.split(".")[0], old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"config": None}, "holds no config.json, as models of Keras do"),
        ({"model": None}, "holds no model.weights.h5"),
        ({"config": b"{"}, "config.json: is not valid JSON"),
        ({"config": b"[" * 100_000}, "config.json: is not valid JSON"),
        ({"config": b"[]"}, "config.json: must be an object"),
        ({"config": b"\xff"}, "config.json: is no text"),
        ({"model": b"nonsense"}, "cannot be read"),
        ({"config": b'{"class_name": "Mine>Model", "config": {}}'}, "is a model of a class of its"),
    ],
)
def test_zip_files_that_are_no_models(
    saved: Path, tmp_path: Path, members: dict[str, bytes | None], message: str
) -> None:
    path = rewritten(saved / "keras-3.keras", tmp_path / "a.keras", **members)
    with pytest.raises(FdhtError, match=message):
        read_model(path, None, CLASSES)


@pytest.mark.parametrize("name", ["keras-2.keras", "keras-3.keras", "keras-2.h5", "keras-3.h5"])
def test_files_that_were_cut_are_refused(saved: Path, tmp_path: Path, name: str) -> None:
    content = (saved / name).read_bytes()
    path = tmp_path / name
    for share in (0.0, 0.2, 0.5, 0.9, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(FdhtError) as caught:
            read_model(path, None, CLASSES)
        assert "\n" not in str(caught.value)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in a configuration, but in initialisers and the like."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, one in inner:
        if str(key).endswith(("initializer", "regularizer", "constraint")):
            continue
        yield (*path, key)
        yield from places(one, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    if new is KeyError:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return copy


def check(model: saved_files.SavedModel, config: Any) -> None:
    """What is read of another configuration of a file is whole, or refused in one line."""
    try:
        graph = model_reader.graph_of(config, model.major)
        number = model_reader._chosen(graph, None)
        with np.errstate(all="ignore"):  # as `read_model` does
            other = saved_files.SavedModel(config, model.major, model.root, model.stored)
            found = model_reader._with_configuration(other, graph, number, CLASSES)
    except FdhtError as error:
        assert "\n" not in str(error)
    else:
        assert found.kernel.shape == (INPUTS, 4 * UNITS)


@pytest.mark.parametrize("version", KERAS)
def test_no_configuration_ends_in_a_traceback(saved: Path, version: str) -> None:
    """Every value in turn is replaced or taken away."""
    with saved_files.open_model(saved / f"{version}.h5") as model:
        tried = 0
        for path in places(model.config):
            for new in (KeyError, None, -1, "x", [], {}):
                check(model, changed(model.config, path, new))
                tried += 1
        assert tried > 300


def test_no_connection_ends_in_a_traceback(tmp_path: Path) -> None:
    """The same, of a model in a model, as Keras 2 and Keras 3 write it."""
    for k in KERAS.values():
        source = k.Input((STEPS, INPUTS))
        inner = k.Sequential([k.Input((UNITS,)), k.layers.Dense(5)], name="inner")
        hidden = inner(k.layers.LSTM(UNITS, name="l")(source))
        k.Model(source, k.layers.Dense(CLASSES)(hidden)).save(tmp_path / "a.h5")
        with saved_files.open_model(tmp_path / "a.h5") as model:
            for path in filter(_CONNECTING.intersection, places(model.config)):
                for new in (KeyError, None, 1, "x", [], {}, ["l", 0, 0]):
                    check(model, changed(model.config, path, new))


_CONNECTING = {"inbound_nodes", "input_layers", "output_layers", "name", "class_name"}
