"""The Keras model that hls4ml converts, and hls4ml's configuration of it."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from fdht_hls.engine import EnginePlan
from fdht_hls.plugin import LAYERS
from fdht_models.errors import ConversionError, FdhtError
from fdht_models.kerasapi import keras, legacy_keras

#: Names of the layers in a conversion model.
LSTM, HEAD = "lstm", "head"


def conversion_model(model: Any, plan: EnginePlan) -> Any:
    """A trained classifier as the core sees it: one frame a call, as fibres, state kept.

    It carries the plan, of which hls4ml's nodes then carry entries.

    Args:
        model: a Keras model with one of our quantised layers and one QDense.
        plan: of the network that was exported from it.

    Raises:
        ConversionError: the model lacks one of the layers.
    """
    lstm, head = _only(model, *LAYERS), _only(model, "QDense")
    settings = {"return_sequences": False, "return_state": False, "stateful": True}
    frame = (1, plan.port.fibres, plan.port.fibre)
    fibres = keras.layers.Input(frame, batch_size=1, name="fibres")
    new_lstm = type(lstm).from_config({**lstm.get_config(), **settings, "name": LSTM})
    new_head = type(head).from_config({**head.get_config(), "name": HEAD})
    converted = keras.Model(fibres, new_head(new_lstm(fibres)))
    trainable = {weight.name.split("/")[-1]: weight for weight in lstm.trainable_weights}
    for weight in new_lstm.trainable_weights:
        weight.assign(trainable[weight.name.split("/")[-1]])
    new_head.set_weights(head.get_weights())
    converted.plan = plan
    return converted


def _only(model: Any, *kinds: str) -> Any:
    found = [layer for layer in model.layers if type(layer).__name__ in kinds]
    if len(found) != 1:
        raise ConversionError(
            f"needs one layer of {' or '.join(kinds)}",
            field=f"model {model.name}",
            value=f"{len(found)} of them",
        )
    return found[0]


def hls_config(model: Any) -> dict[str, Any]:
    """hls4ml's configuration of a conversion model: one multiplier a class in the head.

    Its types follow from its quantizers.
    """
    import hls4ml

    with legacy_keras():
        config: dict[str, Any] = hls4ml.utils.config_from_keras_model(
            model, granularity="name", backend="FDHT"
        )
    head = {"Strategy": "Resource", "ReuseFactor": model.plan.head.units}
    config["LayerName"][HEAD].update(head)
    return config


def convert(model: Any, directory: str, settings: Mapping[str, Any] | None = None) -> Any:
    """Converts a conversion model through hls4ml and writes the project.

    Args:
        model: what `conversion_model` returns.
        directory: directory to write.
        settings: part, clock_period and other settings of the backend.

    Returns:
        The hls4ml ModelGraph.
    """
    import hls4ml

    with legacy_keras():
        graph = hls4ml.converters.convert_from_keras_model(
            model,
            hls_config=hls_config(model),
            output_dir=directory,
            project_name="fdht_network",
            backend="FDHT",
            io_type="io_stream",
            plan=model.plan,
            **(settings or {}),
        )
        graph.write()
    return graph


def quietly(call: Callable[[], Any], name: str) -> Any:
    """Calls hls4ml, which prints much, and QKeras, which warns of its own constraints.

    Args:
        call: what is called.
        name: of the network.

    Raises:
        ConversionError: hls4ml fails; its message is kept.
    """
    chatter = io.StringIO()
    try:
        with contextlib.redirect_stdout(chatter), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except FdhtError:
        raise
    except Exception as error:
        last = (chatter.getvalue().strip().splitlines() or [""])[-1]
        raise ConversionError(
            f"hls4ml failed: {type(error).__name__}: {error} {last}", field=name
        ) from error
