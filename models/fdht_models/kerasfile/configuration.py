"""A saved configuration as a graph: layers called on tensors, with the models inside opened.

Keras 2 and Keras 3 write references between layers differently; both are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fdht_models.errors import ConfigError
from fdht_models.kerasfile.layer_weights import (
    MODELS,
    Layer,
    class_of,
    damaged,
    layer_of,
    snake_case,
)
from fdht_models.kerasfile.saved_files import AS_ARRAYS

#: The class of a model's inputs.
INPUT = "InputLayer"
#: Models in models, and calls in all of them.
_MOST_MODELS, _MOST_CALLS = 16, 10_000
#: Values of further arguments of a call that change nothing.
_IDLE: tuple[Any, ...] = (None, False)
#: In place of a layer's name, where Keras 2 gives a constant to an operation.
_CONSTANT = "_CONSTANT_VALUE"
#: Lists in lists of the arguments of a call.
_DEEPEST = 32


@dataclass(frozen=True)
class Tensor:
    """What a call returns.

    Attributes:
        call: its number in `Graph.calls`.
        output: which of its outputs.
    """

    call: int
    output: int = 0


@dataclass(frozen=True)
class LayerCall:
    """A layer at work.

    Attributes:
        layer: which.
        inputs: the tensors that it reads, the stream first.
        arguments: names of further arguments that may change what it does.
    """

    layer: Layer
    inputs: tuple[Tensor, ...] = ()
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A model.

    Attributes:
        calls: in an order in which they can be made.
        outputs: of the model.
    """

    calls: tuple[LayerCall, ...]
    outputs: tuple[Tensor, ...]

    def layers(self) -> dict[str, Layer]:
        """All layers by name, in the order of their first calls; not the inputs."""
        return {call.layer.name: call.layer for call in self.calls if call.layer.kind != INPUT}

    def readers(self, tensor: Tensor) -> list[int]:
        """Numbers of the calls that read a tensor."""
        return [number for number, call in enumerate(self.calls) if tensor in call.inputs]


@dataclass(frozen=True)
class _Model:
    """A model to be opened: its entry, its name (empty: the outermost), its weights' place."""

    entry: Mapping[str, Any]
    name: str
    group: str
    major: int
    depth: int = 0

    @property
    def field(self) -> str:
        return self.name or "model"

    @property
    def config(self) -> dict[str, Any]:
        """Its settings, with a list of `layers`."""
        found = self.entry.get("config")
        if isinstance(found, list):  # a Sequential of Keras before 2.2
            found = {"layers": found}
        kind = class_of(self.entry, self.field)
        listed = isinstance(found, dict) and isinstance(found.get("layers"), list)
        if kind not in MODELS or ">" in self.entry["class_name"] or not listed:
            raise ConfigError(
                "is a model of a class of its own, whose connections are not in the file",
                field=self.field,
                value=kind,
                remedy=f"make it by keras.Sequential or keras.Model(inputs, outputs), {AS_ARRAYS}",
            )
        assert isinstance(found, dict)
        return found

    def entries(self) -> Iterator[tuple[Mapping[str, Any], Layer]]:
        """Entries of its layers; Keras numbers the places of their weights by class."""
        count: Counter[str] = Counter()
        for entry in self.config["layers"]:
            place = snake_case(class_of(entry, self.field))
            numbered = f"{place}_{count[place]}" if count[place] else place
            count[place] += 1
            group = f"{self.group}/layers/{numbered}".lstrip("/")
            yield entry, layer_of(entry, self.name, group)

    def inside(self, entry: Mapping[str, Any], layer: Layer) -> _Model:
        return _Model(entry, layer.name, layer.group, self.major, self.depth + 1)


def graph_of(config: Mapping[str, Any], major: int | None) -> Graph:
    """The graph of a model's configuration.

    Args:
        config: as Keras writes it.
        major: of the Keras that wrote it; None is taken for 2.

    Raises:
        ArtifactError: no Keras writes such a configuration.
        ConfigError: the model is of a class of its own.
    """
    calls: list[LayerCall] = []
    outputs = _open_model(_Model(config, "", "", major or 2), None, calls)
    return Graph(tuple(calls), tuple(outputs))


def _open_model(
    model: _Model, inputs: Sequence[Tensor] | None, calls: list[LayerCall]
) -> list[Tensor]:
    """Adds a model's calls to `calls`, and returns its outputs.

    Args:
        model: which.
        inputs: what a model inside another is called on.
        calls: of all models.
    """
    if model.depth > _MOST_MODELS:
        raise damaged(model.field, "models in models without end")
    if class_of(model.entry, model.field) == "Sequential":
        return _open_sequence(model, inputs, calls)
    return _open_functional(model, inputs, calls)


def _called(call: LayerCall, calls: list[LayerCall]) -> int:
    if len(calls) >= _MOST_CALLS:
        raise damaged(call.layer.name, f"there are more than {_MOST_CALLS:,} calls of layers")
    calls.append(call)
    return len(calls) - 1


def _open_sequence(
    model: _Model, inputs: Sequence[Tensor] | None, calls: list[LayerCall]
) -> list[Tensor]:
    config, tensors = model.config, list(inputs or ())
    for entry, layer in model.entries():
        if not tensors:  # with its input listed or not
            shape = layer.config.get("batch_input_shape", config.get("build_input_shape"))
            unlisted = Layer(f"{model.name}/input".lstrip("/"), INPUT, {"batch_shape": shape}, None)
            first = layer if layer.kind == INPUT else unlisted
            tensors = [Tensor(_called(LayerCall(first), calls))]
        if layer.kind in MODELS:
            tensors = _open_model(model.inside(entry, layer), tensors, calls)
        elif layer.kind != INPUT:
            tensors = [Tensor(_called(LayerCall(layer, tuple(tensors)), calls))]
    return tensors


def _open_functional(
    model: _Model, inputs: Sequence[Tensor] | None, calls: list[LayerCall]
) -> list[Tensor]:
    config = model.config
    given = [one.layer for one in references(config.get("input_layers"))]
    if inputs is not None and len(inputs) != len(given):
        raise damaged(model.field, f"it has {len(given)} inputs and is called on {len(inputs)}")
    outer = dict(zip(given, inputs or (), strict=False))
    made = _Made({}, {})
    waiting: list[tuple[Mapping[str, Any], Layer, int, list[Reference], tuple[str, ...]]] = []
    for entry, layer in model.entries():
        own = layer.own
        if layer.kind == INPUT:
            made.outputs[own] = [[outer[own]] if own in outer else _called(LayerCall(layer), calls)]
            continue
        nodes = entry.get("inbound_nodes")
        if not isinstance(nodes, list):
            raise damaged(layer.name, "inbound_nodes is no list")
        made.outputs[own] = [None] * len(nodes)
        made.first[own] = _first_node(layer, model.major)
        waiting.extend(
            (entry, layer, number, *node_of(node, layer.name)) for number, node in enumerate(nodes)
        )
    while waiting:
        later = []
        for entry, layer, number, read, arguments in waiting:
            found = [made.tensor(one, model.field) for one in read]
            tensors = tuple(one for one in found if one is not None)
            if len(tensors) < len(found):
                later.append((entry, layer, number, read, arguments))
                continue
            made.outputs[layer.own][number] = (
                _open_model(model.inside(entry, layer), tensors, calls)
                if layer.kind in MODELS
                else _called(LayerCall(layer, tensors, arguments), calls)
            )
        if len(later) == len(waiting):
            raise damaged(model.field, "layers are called on what no layer makes")
        waiting = later
    outputs = [made.tensor(one, model.field) for one in references(config.get("output_layers"))]
    return [one for one in outputs if one is not None]


@dataclass(frozen=True)
class _Made:
    """What the layers of one functional model return, by name and call.

    Of a layer it is the number of the call, of a model inside the tensors; None: not yet.
    """

    outputs: dict[str, list[int | list[Tensor] | None]]
    first: dict[str, int]

    def tensor(self, reference: Reference, field: str) -> Tensor | None:
        found = self.outputs.get(reference.layer)
        if found is None:
            raise damaged(field, f"there is no layer {reference.layer!r}")
        number = reference.node - self.first.get(reference.layer, 0)
        if len(found) == 1:
            number = 0
        if not 0 <= number < len(found):
            raise damaged(field, f"there is no call {reference.node} of {reference.layer!r}")
        one = found[number]
        if one is None or isinstance(one, int):
            return None if one is None else Tensor(one, reference.output)
        if not 0 <= reference.output < len(one):
            raise damaged(field, f"there is no output {reference.output} of {reference.layer!r}")
        return one[reference.output]


def _first_node(layer: Layer, major: int) -> int:
    """Keras 2 counts the making of a model inside, which begins with its input, as a call."""
    layers = layer.config.get("layers")
    if major > 2 or layer.kind not in MODELS or not isinstance(layers, list) or not layers:
        return 0
    return int(class_of(layers[0], layer.name) == INPUT)


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


def node_of(value: Any, field: str) -> tuple[list[Reference], tuple[str, ...]]:
    """Reads an entry of `inbound_nodes`.

    Returns:
        What the call reads, and the names of other arguments that may change what it does.

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
        for name, inner in _further(item[3] if len(item) > 3 else {}, field):
            arguments.add(name)
            found.extend(inner)
    return found, tuple(sorted(arguments))


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


def _of_keras_3(value: dict[str, Any], field: str) -> tuple[list[Reference], tuple[str, ...]]:
    found = list(references(value.get("args", [])))
    arguments = []
    for name, inner in _further(value.get("kwargs", {}), field):
        # The stream itself may be given by name.
        if name not in ("inputs", "sequences", "sequence") or not inner or found:
            arguments.append(name)
        found.extend(inner)
    return found, tuple(sorted(arguments))


def _further(value: Any, field: str) -> Iterator[tuple[str, list[Reference]]]:
    """Names of arguments that may change what a call does, with what they refer to."""
    if not isinstance(value, dict):
        raise damaged(field, "the arguments of a call are no object")
    for name, one in value.items():
        if not any(one is idle for idle in _IDLE):
            yield name, list(references(one))


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
