"""References between layers, as Keras 2 and Keras 3 write them into a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fdht_models.kerasfile.layers import damaged

#: Values of further arguments of a call that change nothing.
_IDLE: tuple[Any, ...] = (None, False)
#: In place of a layer's name, where Keras 2 gives a constant to an operation.
_CONSTANT = "_CONSTANT_VALUE"
#: Lists in lists of the arguments of a call.
_DEEPEST = 32


@dataclass(frozen=True)
class Reference:
    """What a layer returns, in a configuration.

    Attributes:
        layer: its name.
        node: which of its calls.
        output: which of the call's outputs.
    """

    layer: str
    node: int
    output: int


@dataclass(frozen=True)
class InboundNode:
    """One call of a layer in a configuration.

    Attributes:
        references: what it reads.
        arguments: names of other arguments that may change what it does.
    """

    references: tuple[Reference, ...]
    arguments: tuple[str, ...]


def node_of(value: Any, field: str) -> InboundNode:
    """Reads an entry of `inbound_nodes`.

    Raises:
        ArtifactError: it is none.
    """
    if isinstance(value, dict):
        return _of_keras_3(value, field)
    if not isinstance(value, list):
        raise damaged(field, "a call of a layer is no list")
    found: list[Reference] = []
    arguments: set[str] = set()
    # A single tensor stands in the list of tensors, or is the list.
    for item in [value] if _is_reference(value[:3]) else value:
        if not isinstance(item, list) or not _is_reference(item[:3]):
            raise damaged(field, "a call of a layer names no layer")
        if item[0] == _CONSTANT:
            continue
        found.append(Reference(*item[:3]))
        further = item[3] if len(item) > 3 else {}
        if not isinstance(further, dict):
            raise damaged(field, "the arguments of a call are no object")
        for name, one in further.items():
            if any(one is idle for idle in _IDLE):
                continue
            arguments.add(name)
            found.extend(references(one))
    return InboundNode(tuple(found), tuple(sorted(arguments)))


def references(value: Any) -> Iterator[Reference]:
    """All references in a value, in order: of `output_layers`, for example."""
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if depth > _DEEPEST:
            continue
        if isinstance(one, dict):
            history = _history(one)
            inner = [history] if history is not None else list(one.values())
            waiting.extend((item, depth + 1) for item in reversed(inner))
        elif isinstance(one, list) and _is_reference(one):
            if one[0] != _CONSTANT:
                yield Reference(*one)
        elif isinstance(one, list):
            waiting.extend((item, depth + 1) for item in reversed(one))


def _of_keras_3(value: dict[str, Any], field: str) -> InboundNode:
    further = value.get("kwargs", {})
    if not isinstance(further, dict):
        raise damaged(field, "the arguments of a call are no object")
    found = list(references(value.get("args", [])))
    arguments = []
    for name, one in further.items():
        if any(one is idle for idle in _IDLE):
            continue
        inner = list(references(one))
        # The stream itself may be given by name.
        if name not in ("inputs", "sequences", "sequence") or not inner or found:
            arguments.append(name)
        found.extend(inner)
    return InboundNode(tuple(found), tuple(sorted(arguments)))


def _history(value: dict[str, Any]) -> Any:
    """Where a tensor of Keras 3 comes from, or None if the object is no tensor."""
    config = value.get("config")
    if value.get("class_name") != "__keras_tensor__" or not isinstance(config, dict):
        return None
    return config.get("keras_history")


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and all(isinstance(one, int) and not isinstance(one, bool) for one in value[1:])
    )
