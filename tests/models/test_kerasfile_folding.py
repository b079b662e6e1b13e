"""What is read of a model of Keras computes what Keras does, or the rest is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_models.errors import ConfigError
from fdht_models.kerasapi import tf
from fdht_models.kerasfile import SavedLayer, read_model
from tests.models.saved_models import (
    CLASSES,
    INPUTS,
    KERAS,
    STEPS,
    UNITS,
    computed,
    frames,
    layers_of,
    randomised,
    sequence,
    softmax,
)

#: The models compute in float64. A logit is made of fewer than 2^9 products a step, in sums below
#: 2^8; Keras and `computed` add them up in another order, so that they differ by at most
#: 2^9 x 2^-53 x 2^8 = 2^-36 in a pre-activation. A gate's slope is at most 1, and each of 4 steps
#: and the classifier passes on at most 2^3 times the error (8 units, weights of 0.5): 2^-36+15.
#: A layer that is left out changes logits by more than 2^-7.
TOLERANCE, CHANGE = 2.0**-21, 2.0**-7

Built = tuple[Any, Callable[[Any], Any]]


def scaled(clips: Any) -> Any:
    """What a model without a `Rescaling` was trained on."""
    return clips / 256.0


def as_bytes(clips: Any) -> Any:
    return clips.astype(np.float64)


def plain(k: Any) -> Built:
    make = layers_of(k)
    return sequence(k, make("LSTM", UNITS), make("Dense", CLASSES)), scaled


def normalised_before(k: Any) -> Built:
    make = layers_of(k)
    layers = make("BatchNormalization"), make("LSTM", UNITS), make("Dense", CLASSES)
    return sequence(k, *layers), scaled


def normalised_behind(k: Any) -> Built:
    make = layers_of(k)
    layers = (
        make("LSTM", UNITS),
        make("BatchNormalization", scale=False),
        make("Dense", CLASSES, use_bias=False),
    )
    return sequence(k, *layers), scaled


def dense_before_and_behind(k: Any) -> Built:
    make = layers_of(k)
    layers = (
        make("Dense", 12),
        make("TimeDistributed", make("Dense", 10, use_bias=False)),
        make("LSTM", UNITS, use_bias=False),
        make("Dense", 5),
        make("Dense", CLASSES),
    )
    return sequence(k, *layers), scaled


def pictures(k: Any) -> Built:
    """Bytes in rows, columns and colours, with most layers that do not matter."""
    make = layers_of(k)
    layers = (
        make("Rescaling", 1 / 127.5, offset=-1.0),
        make("TimeDistributed", make("BatchNormalization", center=False)),
        make("Dropout", 0.5),
        make("TimeDistributed", make("Flatten")),
        make("Normalization", mean=[0.25] * INPUTS, variance=list(np.linspace(0.5, 2, INPUTS))),
        make("Activation", "linear"),
        make("LSTM", UNITS, dropout=0.25),
        make("Flatten"),
        make("BatchNormalization", center=False),
        make("Dropout", 0.5),
        make("Dense", CLASSES),
        make("Activation", "softmax"),
    )
    return sequence(k, *layers, shape=(STEPS, 5, 2, 3)), lambda clips: as_bytes(clips).reshape(
        len(clips), STEPS, 5, 2, 3
    )


def gated(k: Any) -> Built:
    make = layers_of(k)
    layers = (
        make("Reshape", (STEPS, INPUTS)),
        make("BatchNormalization"),
        make("GRU", UNITS),
        make("BatchNormalization"),
        make("Dense", CLASSES, activation="softmax"),
    )
    return sequence(k, *layers, shape=(STEPS, 6, 5)), lambda clips: scaled(clips).reshape(
        len(clips), STEPS, 6, 5
    )


def gated_without_bias(k: Any) -> Built:
    make = layers_of(k)
    layers = make("BatchNormalization"), make("GRU", UNITS, use_bias=False), make("Dense", CLASSES)
    return sequence(k, *layers), scaled


def in_models(k: Any) -> Built:
    """A model in a model, and a layer of the same kind before both."""
    make = layers_of(k)
    inner = k.Sequential(
        [k.Input((UNITS,), dtype="float64"), make("Dense", 5), make("BatchNormalization")],
        name="inner",
    )
    source = k.Input((STEPS, INPUTS), dtype="float64")
    start = make("BatchNormalization", name="start")(source)
    sequences, state, _ = make("LSTM", UNITS, return_sequences=True, return_state=True)(start)
    del sequences
    return randomised(k.Model(source, make("Dense", CLASSES)(inner(state)))), scaled


MODELS = [
    plain, normalised_before, normalised_behind, dense_before_and_behind, pictures, gated,
    gated_without_bias, in_models,
]  # fmt: skip


def read(model: Any, directory: Path, suffix: str, name: str | None = None) -> SavedLayer:
    path = directory / f"dense.{suffix}"
    model.save(path)
    return read_model(path, name, CLASSES)


@pytest.mark.parametrize("version", KERAS)
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_what_is_read_computes_what_keras_does(build: Any, version: str, tmp_path: Path) -> None:
    model, given = build(KERAS[version])
    clips = frames()
    wanted = np.asarray(model(given(clips)))
    for suffix in ("keras", "h5"):
        found = read(model, tmp_path, suffix)
        assert found.functions == ("sigmoid", "tanh")
        logits = computed(found, clips)
        ends = model.layers[-1].get_config().get("activation") == "softmax"
        np.testing.assert_allclose(
            softmax(logits) if ends else logits, wanted, rtol=0, atol=TOLERANCE
        )
        assert np.ptp(logits) > 0.25  # of another size than the tolerance
        recurrent = next(layer for layer in model.layers if "units" in layer.get_config()
                         and "recurrent_activation" in layer.get_config())  # fmt: skip
        assert found.name == recurrent.name
        for layer in model.layers:
            if layer.name in ("inner", recurrent.name, model.layers[-1].name):
                continue
            if type(layer).__name__ != "InputLayer":
                assert any(layer.name in note for note in found.notes), layer.name


def test_a_layer_left_out_would_be_seen() -> None:
    """The tolerance is far below what the layers do."""
    model, given = normalised_before(KERAS["keras-2"])
    clips = frames()
    before = np.asarray(model(given(clips)))
    model.layers[0].set_weights([np.ones(INPUTS), *model.layers[0].get_weights()[1:]])
    assert np.abs(np.asarray(model(given(clips))) - before).max() > CHANGE


# Connections and not shapes ---------------------------------------------------------------------


@pytest.mark.parametrize("version", KERAS)
def test_a_classifier_is_its_own(version: str, tmp_path: Path) -> None:
    """Two layers of one size side by side, each with a classifier: each gets its own."""
    k = KERAS[version]
    make = layers_of(k)
    source = k.Input((STEPS, INPUTS), dtype="float64")
    outputs = [make("Dense", CLASSES, name=f"to_{name}")(make("LSTM", UNITS, name=name)(source))
               for name in ("one", "two")]  # fmt: skip
    model = randomised(k.Model(source, outputs))
    clips = frames()
    for number, name in enumerate(("one", "two")):
        for suffix in ("keras", "h5"):
            found = read(model, tmp_path, suffix, name)
            wanted = np.asarray(model(scaled(clips))[number])
            np.testing.assert_allclose(computed(found, clips), wanted, rtol=0, atol=TOLERANCE)
            other = {"one": "two", "two": "one"}[name]
            assert found.notes == (f"left out: {other} (LSTM), to_{other} (Dense)",)
    with pytest.raises(ConfigError, match="LSTM and GRU layers are one, two; name one of them"):
        read(model, tmp_path, "keras")


def test_sequences_have_a_classifier_for_every_frame(tmp_path: Path) -> None:
    make = layers_of(KERAS["keras-2"])
    layers = (
        make("LSTM", UNITS, return_sequences=True, stateful=False, name="lstm"),
        make("TimeDistributed", make("Dense", CLASSES), name="all"),
    )
    model = sequence(KERAS["keras-2"], *layers)
    found = read(model, tmp_path, "keras")
    wanted = np.asarray(model(scaled(frames())))
    logits = computed(found, frames(), last=False)
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=TOLERANCE)
    assert "lstm returns sequences" in found.notes[0]


NOT_TAKEN: dict[str, tuple[Callable[[Any], list[Any]], str]] = {
    "relu between": (
        lambda m: [m("LSTM", UNITS, name="l"), m("ReLU", name="r"), m("Dense", CLASSES)],
        "not taken, for r (ReLU) stands in the way",
    ),
    "activation between": (
        lambda m: [
            m("LSTM", UNITS, name="l"),
            m("Activation", "relu", name="r"),
            m("Dense", CLASSES),
        ],
        "not taken, for r (Activation) stands in the way (its function is relu)",
    ),
    "dense between": (
        lambda m: [
            m("LSTM", UNITS, name="l"),
            m("Dense", UNITS, activation="tanh", name="r"),
            m("Dense", CLASSES),
        ],
        "not taken, for r (Dense) stands in the way (its function is tanh)",
    ),
    "layer normalisation": (
        lambda m: [m("LSTM", UNITS, name="l"), m("LayerNormalization", name="r"),
                   m("Dense", CLASSES)],
        "not taken, for r (LayerNormalization) stands in the way",
    ),
    "pooling": (
        lambda m: [m("LSTM", UNITS, return_sequences=True, name="l"),
                   m("GlobalAveragePooling1D", name="r"), m("Dense", CLASSES)],
        "not taken, for r (GlobalAveragePooling1D) stands in the way",
    ),
    "all frames at once": (
        lambda m: [m("LSTM", UNITS, return_sequences=True, name="l"), m("Flatten", name="r"),
                   m("Dense", CLASSES)],
        "not taken, for r (Flatten) stands in the way",
    ),
    "another size": (
        lambda m: [m("LSTM", UNITS, name="l"), m("Dense", 3, name="r")],
        "not taken, for r (Dense) has 3 values, the data set 7 classes",
    ),
    "another end": (
        lambda m: [m("LSTM", UNITS, name="l"), m("Dense", CLASSES, activation="relu", name="r")],
        "not taken, for r (Dense) stands in the way (its function is relu)",
    ),
    "no classifier": (
        lambda m: [m("Dropout", 0.5, name="r"), m("LSTM", UNITS, name="l")],
        "not taken, for no classifier was found behind the layer",
    ),
    "masking before": (
        lambda m: [m("Masking", name="r"), m("LSTM", UNITS, name="l"), m("Dense", CLASSES)],
        "not taken, for r (Masking) before l is left out",
    ),
    "relu before": (
        lambda m: [m("ReLU", name="r"), m("BatchNormalization", name="b"),
                   m("LSTM", UNITS, name="l"), m("Dense", CLASSES)],
        "not taken, for r (ReLU) before l is left out",
    ),
    "convolution before": (
        lambda m: [m("BatchNormalization", name="b"), m("Conv1D", 10, 2, name="r"),
                   m("LSTM", UNITS, name="l"), m("Dense", CLASSES)],
        "not taken, for r (Conv1D) before l is left out",
    ),
    "normalisation over time": (
        lambda m: [m("BatchNormalization", axis=1, name="r"), m("LSTM", UNITS, name="l"),
                   m("Dense", CLASSES)],
        "not taken, for r (BatchNormalization) before l is left out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", KERAS)
@pytest.mark.parametrize("label", NOT_TAKEN)
def test_what_cannot_be_folded_is_named(label: str, version: str, tmp_path: Path) -> None:
    build, message = NOT_TAKEN[label]
    model = sequence(KERAS[version], *build(layers_of(KERAS[version])))
    for suffix in ("keras", "h5"):
        found = read(model, tmp_path, suffix, "l")
        assert found.head is None
        assert found.notes[0].startswith(f"classifier: {message}")
        assert found.notes[0].endswith("it begins with random weights")
        for layer in model.layers:
            if layer.name != "l" and type(layer).__name__ != "InputLayer":
                assert any(f"{layer.name} (" in note for note in found.notes)


def test_a_state_to_begin_with_is_named(tmp_path: Path) -> None:
    for version, k in KERAS.items():
        make = layers_of(k)
        source = k.Input((STEPS, INPUTS), dtype="float64", name="frames")
        start = k.Input((UNITS,), dtype="float64", name="start")
        state = make("Dense", UNITS, name="first")(start)
        hidden = make("LSTM", UNITS, name="l")(source, initial_state=[state, start])
        model = randomised(k.Model([source, start], make("Dense", CLASSES)(hidden)))
        for suffix in ("keras", "h5"):
            found = read(model, tmp_path, suffix)
            assert found.head is None, version
            assert "not taken, for l is called with initial_state" in found.notes[0]
            assert "first (Dense)" in found.notes[-1]


def test_a_skip_past_the_layer_is_named(tmp_path: Path) -> None:
    for k in KERAS.values():
        make = layers_of(k)
        source = k.Input((STEPS, INPUTS), dtype="float64")
        hidden = make("LSTM", UNITS, name="l")(source)
        mean = make("GlobalAveragePooling1D", name="mean")(source)
        joined = make("Concatenate", name="join")([hidden, mean])
        model = k.Model(source, make("Dense", CLASSES, name="end")(joined))
        for suffix in ("keras", "h5"):
            found = read(model, tmp_path, suffix)
            assert "join (Concatenate) stands in the way (it joins several" in found.notes[0]
            assert found.notes[1:] == (
                "left out: mean (GlobalAveragePooling1D), join (Concatenate), end (Dense)",
            )


def test_a_layer_called_in_training_mode_is_not_folded(tmp_path: Path) -> None:
    for k in KERAS.values():
        make = layers_of(k)
        source = k.Input((STEPS, INPUTS), dtype="float64")
        hidden = make("LSTM", UNITS, name="l")(source)
        dropped = make("Dropout", 0.5, name="mc")(hidden, training=True)
        model = k.Model(source, make("Dense", CLASSES)(dropped))
        for suffix in ("keras", "h5"):
            found = read(model, tmp_path, suffix)
            assert "mc (Dropout) stands in the way (it is called with training" in found.notes[0]


# Settings of the layer itself -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"dropout": 0.5, "recurrent_dropout": 0.25}, "dropout and recurrent_dropout of l is for"),
        ({"unroll": True}, None),
        ({"return_sequences": True}, "l returns sequences"),
    ],
)
def test_settings_that_change_no_weight(
    options: dict[str, Any], note: str | None, tmp_path: Path
) -> None:
    k = KERAS["keras-2"]
    make = layers_of(k)
    model = sequence(k, make("LSTM", UNITS, name="l", **options), make("Dense", CLASSES))
    found = read(model, tmp_path, "keras")
    assert found.head is not None
    assert [one for one in found.notes if note is None or note not in one] == []
    assert len(found.notes) == (note is not None)


def test_a_stateful_layer_is_noted(tmp_path: Path) -> None:
    k = KERAS["keras-2"]
    layers = [k.layers.LSTM(UNITS, stateful=True, name="l"), k.layers.Dense(CLASSES)]
    model = k.Sequential([k.Input((STEPS, INPUTS), batch_size=2), *layers])
    (note,) = read(model, tmp_path, "keras").notes
    assert "l is stateful: Keras keeps its state from call to call" in note


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda m: m("LSTM", UNITS, go_backwards=True, name="l"), "l.go_backwards = True"),
        (lambda m: m("LSTM", UNITS, activation="relu", name="l"), "l.activation = 'relu'"),
        (lambda m: m("GRU", UNITS, reset_after=False, name="l"), "l.reset_after = False"),
        (
            lambda m: m("Bidirectional", m("LSTM", UNITS), name="l"),
            r"are none \(not taken: l \(Bidirectional of LSTM\)\); have one LSTM or GRU",
        ),
        (
            lambda m: m("SimpleRNN", UNITS, name="l"),
            r"are none \(not taken: l \(SimpleRNN\)\)",
        ),
    ],
)
def test_settings_that_ours_has_not_are_refused(build: Any, message: str, tmp_path: Path) -> None:
    for k in KERAS.values():
        make = layers_of(k)
        model = sequence(k, build(make), make("Dense", CLASSES))
        for suffix in ("keras", "h5"):
            with pytest.raises(ConfigError, match=message):
                read(model, tmp_path, suffix)


def test_hard_sigmoid_is_not_the_same_in_both(tmp_path: Path) -> None:
    """Keras 2: clip(0.2 x + 0.5); Keras 3: clip(x / 6 + 0.5)."""
    two = tf.constant(2.0)
    at_two = [float(np.asarray(k.activations.hard_sigmoid(two))) for k in KERAS.values()]
    np.testing.assert_allclose(at_two, [0.9, 5 / 6], rtol=1e-6)  # float32 has 24 bits
    for version, k in KERAS.items():
        layer = k.layers.LSTM(UNITS, recurrent_activation="hard_sigmoid", name="l")
        model = k.Sequential([k.Input((STEPS, INPUTS)), layer, k.layers.Dense(CLASSES)])
        for suffix in ("keras", "h5"):
            if version == "keras-2":
                found = read(model, tmp_path, suffix)
                assert found.functions == ("keras_hard_sigmoid", "tanh")
            else:
                with pytest.raises(ConfigError, match=r"l\.recurrent_activation = 'hard_sigmoid'"):
                    read(model, tmp_path, suffix)


def test_bytes_and_numbers_from_0_to_1_are_told_apart(tmp_path: Path) -> None:
    """Every product here is by a power of two, so that nothing is rounded."""
    note = "the model's input is taken for bytes, from 0 to 255"
    for k in KERAS.values():
        for dtype, scale, factor in (("uint8", 1 / 256, 1), ("float32", 1 / 256, 1),
                                     ("float32", 2.0, 2), ("float32", 0.5, 0.5)):  # fmt: skip
            layers = [k.layers.Rescaling(scale), k.layers.LSTM(UNITS, name="l")]
            source = k.Input((STEPS, INPUTS), dtype=dtype)
            model = randomised(k.Sequential([source, *layers, k.layers.Dense(CLASSES)]))
            found = read(model, tmp_path, "keras")
            kernel = model.get_layer("l").get_weights()[0]
            np.testing.assert_array_equal(found.kernel, factor * kernel.astype(np.float64))
            assert (note in found.notes) == (scale == 1 / 256)
