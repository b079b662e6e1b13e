"""What stands around a layer and its head in a Keras model, and must not be lost by an export."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fdht_models.errors import ConversionError
from fdht_models.kerasapi import keras

#: Layers that compute nothing in inference, by the names of their classes.
_NOTHING = ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "Activation")
#: Functions that rise: the largest logit stays the largest.
_RISING = tuple(getattr(keras.activations, name) for name in ("sigmoid", "tanh", "softplus"))


def check_connections(layer: Any, head: Any) -> None:
    """Refuses to export a layer and a head of which a model makes something else.

    Looks at every call of both. Layers that no model was made of have no calls; then there is
    nothing to look at.

    Args:
        layer: our recurrent layer.
        head: the dense layer behind it.

    Raises:
        ConversionError: a layer that computes something stands before, between or behind them, or
            the layer starts from given states.
    """
    calls = list(getattr(layer, "_inbound_nodes", ()))
    for call in calls:
        if len(call.keras_inputs) > 1 or call.call_kwargs.get("initial_state") is not None:
            raise ConversionError(
                "an exported network starts from a state of zero",
                field=f"{layer.name}.initial_state",
                value="given",
                remedy="call it without",
            )
        for before in _before(call):
            if (
                before.weights
                or "RNN" in type(before).__name__
                or type(before).__name__ == "Masking"
            ):
                raise ConversionError(
                    f"stands before {layer.name} and is not exported",
                    field=before.name,
                    value=type(before).__name__,
                    remedy="export a model whose first layer with weights is ours",
                )
    for call in getattr(head, "_inbound_nodes", ()):
        found = _source(call)
        if calls and found is not layer:
            raise ConversionError(
                f"stands between {layer.name} and {head.name} and is not exported"
                if layer in _before(call)
                else f"{head.name} does not stand behind {layer.name}",
                field=found.name,
                value=type(found).__name__,
                remedy=f"export the layer that feeds {head.name}",
            )
    for behind in _behind(head):
        if not (_changes_nothing(behind) or _keeps_order(behind)):
            raise ConversionError(
                f"stands behind {head.name} and is not exported",
                field=behind.name,
                value=type(behind).__name__,
                remedy="export the last dense layer; only softmax is left to the host",
            )


def _source(call: Any) -> Any:
    """The layer whose results a call gets, past layers that change nothing."""
    (layer, *_), *_ = call.iterate_inbound()
    inbound = layer._inbound_nodes
    if _changes_nothing(layer) and len(inbound) == 1 and inbound[0].keras_inputs:
        return _source(inbound[0])
    return layer


def _changes_nothing(layer: Any) -> bool:
    linear = getattr(layer, "activation", keras.activations.linear) is keras.activations.linear
    return type(layer).__name__ in _NOTHING and linear


def _keeps_order(layer: Any) -> bool:
    """Is the largest logit the largest result, too?"""
    function = getattr(layer, "activation", None)
    return type(layer).__name__ == "Softmax" or (
        type(layer) is keras.layers.Activation and function in (*_RISING, keras.activations.softmax)
    )


def _before(call: Any) -> list[Any]:
    """All layers on which a call depends, each once."""
    return _reached(call.parent_nodes, lambda node: node.parent_nodes)


def _behind(layer: Any) -> list[Any]:
    """All layers that depend on a layer, each once."""
    outbound = getattr(layer, "_outbound_nodes", ())
    return _reached(outbound, lambda node: node.layer._outbound_nodes)


def _reached(start: Iterable[Any], following: Callable[[Any], Iterable[Any]]) -> list[Any]:
    waiting, layers, seen = [*start], {}, set()
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            layers[id(node.layer)] = node.layer
            waiting += following(node)
    return list(layers.values())
