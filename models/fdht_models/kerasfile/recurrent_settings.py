"""Settings of a recurrent layer of Keras: which ours can stand for, and by what names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fdht_models.errors import ConfigError
from fdht_models.kerasfile.frame_maps import function_name

#: Keras' names of gate functions and ours. The `hard_sigmoid` of Keras 2 is clip(0.2 x + 0.5);
#: that of Keras 3 is clip(x / 6 + 0.5), which we have not.
_SIGMOIDS = {
    2: {"sigmoid": "sigmoid", "hard_sigmoid": "keras_hard_sigmoid"},
    3: {"sigmoid": "sigmoid"},
}
_TANHS = {"tanh": "tanh"}


def gate_functions(kind: str, config: Mapping[str, Any], major: int) -> tuple[str, str]:
    """Our names of a layer's gate functions, recurrent activation first.

    Args:
        kind: "LSTM" or "GRU".
        config: the layer's settings, as Keras writes them.
        major: of Keras.

    Raises:
        ConfigError: the layer has a setting that ours cannot stand for.
    """
    name = config.get("name")
    for key, remedy in (
        ("go_backwards", "train it on frames in their order"),
        ("time_major", "train it with time_major=False, Keras' default"),
    ):
        if config.get(key):
            raise ConfigError(
                "tensorized layers do not do this", field=f"{name}.{key}", value=True, remedy=remedy
            )
    # GRUs of before there was a choice act like reset_after=False.
    if kind == "GRU" and not config.get("reset_after", False):
        raise ConfigError(
            "the reset gate of this GRU acts before its matrix, but here it acts behind it",
            field=f"{name}.reset_after",
            value=False,
            remedy="train it with reset_after=True, Keras' default",
        )
    found = []
    sigmoids = _SIGMOIDS[3 if major >= 3 else 2]
    for key, known in (("recurrent_activation", sigmoids), ("activation", _TANHS)):
        function = function_name(config.get(key))
        if function not in known:
            raise ConfigError(
                f"tensorized layers have no such function{_of_keras_3(function, major)}",
                field=f"{name}.{key}",
                value=function,
                remedy=f"train the dense layer with {' or '.join(known)}",
            )
        found.append(known[function])
    return found[0], found[1]


def setting_notes(name: str, config: Mapping[str, Any]) -> list[str]:
    """What of a layer's settings ours does otherwise, though its weights are the same."""
    notes = []
    if config.get("stateful"):
        notes.append(
            f"{name} is stateful: Keras keeps its state from call to call, but clips of the "
            "experiment begin at zero"
        )
    if config.get("return_sequences"):
        notes.append(
            f"{name} returns sequences: the experiment is trained on what follows the last frame"
        )
    dropouts = [key for key in ("dropout", "recurrent_dropout") if config.get(key)]
    if dropouts:
        notes.append(f"{' and '.join(dropouts)} of {name} is for training only, and is left out")
    policy = _policy(config.get("dtype"))
    if policy not in (None, "float32", "float64"):
        notes.append(f"{name} computes in {policy}, the experiment's float network in float32")
    return notes


def _of_keras_3(function: str, major: int) -> str:
    if function == "hard_sigmoid" and major >= 3:
        return " (Keras 3 has another slope, 1/6, than Keras 2 with 0.2)"
    return ""


def _policy(dtype: Any) -> str | None:
    if isinstance(dtype, dict):
        config = dtype.get("config")
        dtype = config.get("name") if isinstance(config, dict) else None
    return dtype if isinstance(dtype, str) else None
