"""One layer of a saved configuration: what it is, and where its weights lie."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fdht_models.errors import ArtifactError

#: Packages whose classes Keras brings itself.
KERAS = ("keras", "tf_keras")
#: What Keras writes in place of a Python function.
_LAMBDAS = ("Lambda", "__lambda__")
#: Layers that do something in training only.
IDLE = frozenset(
    {
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
    }
)
#: Names of one layer in Keras' versions.
BATCH_NORMALIZATION = ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2")
#: Models, of which the layers inside are followed.
MODELS = ("Sequential", "Functional", "Model")


@dataclass(frozen=True)
class Layer:
    """A layer.

    Attributes:
        name: with the names of the models around it but the outermost, as "encoder/lstm".
        kind: its class, without a package.
        config: its settings, as Keras wrote them.
        origin: why it is code and not a layer of Keras, or None.
        group: where `saving_lib` puts its weights.
        own: its own name; that of a wrapped layer is not `name`, which is the wrapper's.
        wrapped: the layer that a `TimeDistributed` or `Bidirectional` wraps.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    origin: str | None
    group: str = ""
    own: str = ""
    wrapped: Layer | None = None

    @property
    def label(self) -> str:
        """For messages: "bn (BatchNormalization)"."""
        kind = self.kind if self.wrapped is None else f"{self.kind} of {self.wrapped.kind}"
        return f"{self.name} ({kind})"

    @property
    def code(self) -> str | None:
        """Why this layer, or the one that it wraps, cannot be known without running code."""
        return self.origin or (self.wrapped.code if self.wrapped else None)


def layer_of(entry: Any, outer: str, group: str) -> Layer:
    """Reads an entry of a configuration.

    Args:
        entry: the entry.
        outer: name of the model around it, empty for the outermost.
        group: where its weights lie.

    Raises:
        ArtifactError: it is no layer.
    """
    kind, config = class_of(entry, outer or "model"), settings(entry, outer or "model")
    own = config.get("name", entry.get("name"))
    if not isinstance(own, str) or not own:
        raise damaged(outer or "model", f"a layer of kind {kind} has no name")
    name = f"{outer}/{own}" if outer else own
    wrapped = None
    if kind in ("TimeDistributed", "Bidirectional"):
        inside = "layer" if kind == "TimeDistributed" else "forward_layer"
        wrapped = _wrapped(config.get("layer"), name, f"{group}/{inside}")
    return Layer(name, kind, config, _origin(entry, kind, config), group, own, wrapped)


def class_of(entry: Any, field: str) -> str:
    """The class of an entry, without a package ("Custom>Mine" is "Mine").

    Raises:
        ArtifactError: it has none.
    """
    found = entry.get("class_name") if isinstance(entry, dict) else None
    if not isinstance(found, str):
        raise damaged(field, "an entry has no class_name")
    return found.split(">")[-1]


def settings(entry: Any, field: str) -> dict[str, Any]:
    """The settings of an entry.

    Raises:
        ArtifactError: it has none.
    """
    found = entry.get("config") if isinstance(entry, dict) else None
    if not isinstance(found, dict):
        raise damaged(field, "an entry has no config")
    return found


def snake_case(kind: str) -> str:
    """A class's name as Keras makes a name for files of it: "TimeDistributed", time_distributed."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def damaged(field: str, problem: str) -> ArtifactError:
    """The error of a configuration that no Keras writes."""
    return ArtifactError(
        f"the configuration cannot be read: {problem}",
        field=field,
        remedy="save the model again with Keras",
    )


def _wrapped(entry: Any, name: str, group: str) -> Layer:
    kind, config = class_of(entry, name), settings(entry, name)
    own = str(config.get("name"))
    return Layer(name, kind, config, _origin(entry, kind, config), group, own)


def _origin(entry: Mapping[str, Any], kind: str, config: Mapping[str, Any]) -> str | None:
    if kind in _LAMBDAS or any(one in _LAMBDAS for one in _classes(config)):
        return "it holds Python code, which is not run"
    named, module = entry.get("registered_name"), entry.get("module")
    foreign = isinstance(module, str) and module.split(".")[0] not in KERAS
    registered = isinstance(named, str) and named.split(">")[-1] != named
    if foreign or registered or ">" in entry["class_name"]:
        return "it is no layer of Keras, and what it does is not in the file"
    return None


def _classes(value: Any) -> Iterator[Any]:
    """All class names in a layer's settings, but those of layers inside."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one.get("class_name")
            waiting.extend(inner for key, inner in one.items() if key not in ("layer", "layers"))
        elif isinstance(one, list):
            waiting.extend(one)
