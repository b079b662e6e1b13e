"""Balancing keeps every digit of the function; formats hold what was seen, and not a bit more."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_models.data import load_clips
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.experiment import Experiment
from fdht_models.kerasapi import keras
from fdht_models.layers.quantizers import required_names
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.training.calibrate import (
    Magnitudes,
    balance,
    choose_formats,
    observe,
    signed_format,
)
from fdht_models.training.models import (
    HEAD,
    HEAD_FORMATS,
    LSTM,
    float_classifier,
    set_weights,
    weights_of,
)
from tests.models.training_samples import small_experiment

EXPERIMENT = small_experiment()
FRAMES = load_clips("watch", "train", 16, 1, steps=4).frames


def classifier(scale: float = 1.0) -> keras.Model:
    """A float classifier whose leaf frame U3 is `scale` times as large as usual."""
    keras.utils.set_random_seed(0)
    model = float_classifier(EXPERIMENT)
    weights = weights_of(model)
    weights[f"{LSTM}/U3"] = weights[f"{LSTM}/U3"] * np.float32(scale)
    set_weights(model, weights, "test")
    return model


def balanced(model: keras.Model, experiment: Experiment = EXPERIMENT) -> keras.Model:
    weights = weights_of(model)
    leaves = {name: weights[f"{LSTM}/{name}"] for name in experiment.shape.network.core_names}
    result = balance(experiment.shape, leaves)
    changed = float_classifier(experiment)
    named = {f"{LSTM}/{name}": array for name, array in result.items()}
    set_weights(changed, weights | named, "test")
    return changed


def cores_of(model: keras.Model) -> dict[str, np.ndarray]:
    cores = model.get_layer(LSTM).stored_cores(training=False)
    return {name: core.numpy() for name, core in cores.items()}


@pytest.mark.parametrize("scale", [1.0, 37.5, 1 / 512])
def test_balance_changes_no_digit_of_the_function(scale: float) -> None:
    before = classifier(scale)
    after = balanced(before)
    # Powers of two commute with every rounding of floating point (nothing here is near its ends),
    # so the tolerance is zero. The products C_k are equal only if the factors cancel.
    np.testing.assert_array_equal(before(FRAMES).numpy(), after(FRAMES).numpy())
    assert any(
        not np.array_equal(one, other)
        for one, other in zip(weights_of(before).values(), weights_of(after).values(), strict=True)
    )


@pytest.mark.parametrize("scale", [1.0, 37.5, 1 / 512])
def test_balance_puts_the_maxima_of_all_cores_but_the_first_into_the_upper_half(
    scale: float,
) -> None:
    cores = cores_of(balanced(classifier(scale)))
    for name in ("C2", "C3"):
        assert 0.5 <= np.abs(cores[name]).max() < 1, name


def test_balance_leaves_a_core_of_zeros_alone() -> None:
    shape = EXPERIMENT.shape
    zeros = {name: np.zeros(shape.network.shape(name)) for name in shape.network.core_names}
    for name, array in balance(shape, zeros).items():
        np.testing.assert_array_equal(array, zeros[name])


def test_balance_does_not_write_into_its_argument() -> None:
    weights = weights_of(classifier(37.5))
    leaves = {name: weights[f"{LSTM}/{name}"] for name in EXPERIMENT.shape.network.core_names}
    kept = {name: array.copy() for name, array in leaves.items()}
    balance(EXPERIMENT.shape, leaves)
    for name, array in kept.items():
        np.testing.assert_array_equal(leaves[name], array)


@pytest.mark.parametrize(
    ("largest", "integer"),
    [(0.0, 1), (0.3, 1), (0.999, 1), (1.0, 2), (1.99, 2), (2.0, 3), (7.9, 4), (100.0, 8)],
)
def test_signed_format_has_the_fewest_integer_bits(largest: float, integer: int) -> None:
    assert signed_format(12, largest) == FixedPoint(12, 12 - integer)
    assert signed_format(12, largest).integer == integer


def test_percentiles_are_of_all_that_was_seen() -> None:
    seen = Magnitudes()
    seen.see(np.arange(0, 50), every=1)
    seen.see(-np.arange(50, 101), every=1)
    assert seen.percentile(50) == 50
    assert seen.percentile(100) == seen.largest == 100


def test_the_largest_is_of_all_values_even_when_few_are_sampled() -> None:
    seen = Magnitudes()
    seen.see(np.array([1.0, -9.0, 2.0, 3.0]), every=4)
    assert seen.largest == 9
    assert seen.percentile(50) == 1


def test_observe_sees_what_the_layer_computes() -> None:
    model = classifier()
    layer = model.get_layer(LSTM)
    seen = observe(layer, FRAMES)
    rounded = {*required_names(EXPERIMENT.shape)} - {*EXPERIMENT.shape.stored_names}
    expected = rounded - {"input", "bias", "gate", "candidate", "output"}
    assert set(seen) == expected
    # The cell state after the last frame is among what was seen; the layer itself says what it is.
    whole = type(layer).from_config({**layer.get_config(), "return_state": True})
    scaled = FRAMES.astype(np.float32) / 256
    whole.build(scaled.shape)
    for variable, source in zip(whole.weights, layer.weights, strict=True):
        variable.assign(source)
    _, _, cell = whole(scaled)
    last = np.abs(cell.numpy()).ravel()
    sample = np.concatenate(seen["cell"].sample)
    assert seen["cell"].largest >= last.max()
    # float32, computed in batches of another size: a few units in the last place apart.
    assert np.isclose(sample[:, None], last[None, :16], rtol=1e-4, atol=1e-6).any(axis=0).all()


def test_formats_hold_what_was_seen_and_no_more() -> None:
    model = balanced(classifier())
    settings = EXPERIMENT.quantization
    formats = choose_formats(model, FRAMES, settings)
    assert set(formats) == {*required_names(EXPERIMENT.shape), *HEAD_FORMATS}
    seen = observe(model.get_layer(LSTM), FRAMES)
    largest = {name: magnitudes.largest for name, magnitudes in seen.items()}
    largest["preactivation"] = seen["preactivation"].percentile(settings.preactivation_percentile)
    largest |= {name: float(np.abs(core).max()) for name, core in cores_of(model).items()}
    largest["bias"] = 1.0
    kernel, _ = model.get_layer(HEAD).get_weights()
    largest["head.weights"] = float(np.abs(kernel).max())
    for name, value in largest.items():
        full = 2.0 ** (formats[name].integer - 1)
        assert value < full, name
        # One integer bit fewer would not have done, unless QKeras has no such format.
        assert formats[name].integer == 1 or value >= full / 2, name


def test_formats_have_the_widths_of_the_settings() -> None:
    widths = {
        "cores": {"default": 7, "C1": 9, "C1_hidden": 10},
        "bias": 11,
        "intermediates": 13,
        "preactivation": 8,
        "gate": 6,
        "candidate": 5,
        "output": 12,
        "cell": 14,
        "hidden": 4,
        "head_weights": 3,
        "head_bias": 15,
    }
    experiment = small_experiment(quantization=widths)
    formats = choose_formats(balanced(classifier()), FRAMES, experiment.quantization)
    found = {name: format.width for name, format in formats.items()}
    assert found == {
        "input": 8,
        "C1": 9,
        "C2": 7,
        "C3": 7,
        "C1_hidden": 10,
        "bias": 11,
        **{f"{path}.{name}": 13 for path in ("input", "hidden") for name in ("C3", "C2")},
        "preactivation": 8,
        "gate": 6,
        "candidate": 5,
        "output": 12,
        "cell": 14,
        "hidden": 4,
        "head.weights": 3,
        "head.bias": 15,
    }
    assert not formats["input"].signed
    assert not formats["gate"].signed


def test_an_unknown_gate_is_refused_with_its_path() -> None:
    experiment = small_experiment(model={"recurrent_activation": "sigmoit"})
    with pytest.raises(
        ConfigError, match=r"^model\.recurrent_activation = 'sigmoit': .* 'sigmoid'"
    ):
        float_classifier(experiment)


def test_weights_of_another_model_are_refused() -> None:
    model = classifier()
    weights = weights_of(model)
    weights[f"{LSTM}/U2"] = weights[f"{LSTM}/U2"][:-1]
    with pytest.raises(ArtifactError, match=r"^here: lstm/U2 = \(4, 4, 4\): expected an array"):
        set_weights(model, weights, "here")
