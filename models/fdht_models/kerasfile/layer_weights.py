"""A layer of a saved configuration, and its weights, as one of Keras' two ways has them.

A file may hold weights and no configuration (`.weights.h5`): then a recurrent layer is found by
its weights alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from fdht_models.errors import ArtifactError, ConfigError, near_matches
from fdht_models.kerasfile.saved_files import AS_ARRAYS, Group, SavedModel

Arrays = dict[str, npt.NDArray[Any]]
_NAMES = ("kernel", "recurrent_kernel", "bias")
#: What Keras calls the two layers in a `Bidirectional`.
_TWO_WAYS = ("forward_layer", "backward_layer")
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


def weights_of(
    model: SavedModel, layer: Layer, names: Sequence[str], *, cell: bool = False
) -> Arrays:
    """Arrays of a layer by the names of its variables.

    Args:
        model: an open file.
        layer: which.
        names: of the variables, in the order in which Keras makes them.
        cell: they belong to the cell in a recurrent layer.

    Raises:
        ArtifactError: they are not there, or not as Keras saves them.
    """
    if not names:
        return {}
    return _by_place(model, layer, names, cell) if model.stored else _by_name(model, layer, names)


def check_once(model: SavedModel, layer: Layer, labels: Sequence[str]) -> None:
    """Refuses a layer whose place cannot be known: one that is in two models of a `.keras` file.

    Keras 2 saves it in one of them, and numbers the other's layers as if it were not there.

    Raises:
        ConfigError: it is.
    """
    own = layer.name.split("/")[-1]
    twice = [label for label in labels if label.split("/")[-1] == own]
    if model.stored and len(twice) > 1:
        raise ConfigError(
            f"is in several models of the file ({', '.join(twice)})",
            field=layer.name,
            remedy=f"save the model as .h5, {AS_ARRAYS}",
        )


def _by_place(model: SavedModel, layer: Layer, names: Sequence[str], cell: bool) -> Arrays:
    place = f"{layer.group}/cell/vars" if cell else f"{layer.group}/vars"
    group = model.root.group(place)
    found = {} if group is None else numbered(group, names)
    if group is None or len(found) < len(names):
        raise _missing(model, layer, names)
    saved = model.root.group(f"{layer.group}/vars")
    name = None if saved is None else saved.text("name")
    if name not in (None, layer.own):
        raise ArtifactError(
            f"the weights there are of a layer {name!r}",
            field=f"{model.root.file}: {place}",
            remedy=f"save the model again, {AS_ARRAYS}",
        )
    if set(group.names()) - {str(number) for number in range(len(names))}:
        raise ArtifactError(
            f"has other weights than {', '.join(names)}",
            field=f"{layer.name} in {model.root.file}",
            remedy="save the model before it is quantised",
        )
    return found


def numbered(group: Group, names: Sequence[str]) -> Arrays:
    """Those of a layer's arrays that are there, which Keras numbers in the order of `names`."""
    found = {name: group.array(str(number)) for number, name in enumerate(names)}
    return {name: array for name, array in found.items() if array is not None}


def _by_name(model: SavedModel, layer: Layer, names: Sequence[str]) -> Arrays:
    top, *inner = layer.name.split("/")
    group = model.root.group(top)
    if group is None:
        raise _missing(model, layer, names)
    own = inner[-1:]
    found: dict[str, list[str]] = {name: [] for name in names}
    for path in group.arrays():
        *around, variable = path.split("/")
        name = variable.split(":")[0]
        if name in found and (not own or own[0] in around):
            found[name].append(path)
    if any(len(paths) > 1 for paths in found.values()):
        raise ArtifactError(
            "the file has several weights of one name for it",
            field=f"{layer.name} in {model.root.file}",
            value=next(paths for paths in found.values() if len(paths) > 1)[:4],
            remedy=f"save the model as .keras, {AS_ARRAYS}",
        )
    if not all(found.values()):
        raise _missing(model, layer, names)
    arrays = {name: group.array(paths[0]) for name, paths in found.items()}
    return {name: array for name, array in arrays.items() if array is not None}


def _missing(model: SavedModel, layer: Layer, names: Sequence[str]) -> ArtifactError:
    return ArtifactError(
        f"has no weights {', '.join(names)} in the file",
        field=f"{layer.name} in {model.root.file}",
        remedy=f"build and train the model before it is saved, {AS_ARRAYS}",
    )


def read_bare(model: SavedModel, name: str | None) -> tuple[str, Arrays, list[str]]:
    """The recurrent layer in a file of weights, or the one of that name.

    Returns:
        Its name, as far as the file has one; `kernel`, `recurrent_kernel` and perhaps `bias`; and
        what else in the file has weights.

    Raises:
        ArtifactError: the file is damaged.
        ConfigError: there is none, or several.
    """
    places: dict[str, dict[str, str]] = {}
    for path in model.root.arrays():
        group, _, variable = path.rpartition("/")
        places.setdefault(group, {})[variable.split(":")[0]] = path
    cells = {
        _label(model, group): group for group in places if _is_cell(model, places[group], group)
    }
    names = list(cells)
    chosen = [one for one in names if name in (None, one, one.split("/")[-1])]
    if len(chosen) != 1:
        raise ConfigError(
            f"the recurrent layers with weights in the file are {', '.join(names) or 'none'}",
            field="layer",
            value=name,
            remedy=near_matches(name, names) if name and names else "name one of them",
        )
    (label,) = chosen
    group = cells[label]
    if any(part in _TWO_WAYS for part in group.split("/")):
        raise ConfigError(
            "is a Bidirectional layer, which reads the frames backwards too",
            field=label,
            remedy="train a layer that reads them forwards",
        )
    arrays = {}
    for number, variable in enumerate(_NAMES):
        found = places[group].get(str(number) if model.stored else variable)
        array = None if found is None else model.root.array(found)
        if array is not None:
            arrays[variable] = array
    if len(arrays) < 2:
        raise damaged(label, f"its weights are not all there, {AS_ARRAYS}")
    others = {_label(model, one) for one in places if one not in (group, f"{group}/vars")}
    return label, arrays, sorted(others - {label})


def _is_cell(model: SavedModel, variables: dict[str, str], group: str) -> bool:
    if not model.stored:
        return "recurrent_kernel" in variables
    return group.endswith("/cell/vars") and "1" in variables


def _label(model: SavedModel, group: str) -> str:
    """A layer's name: as `saving_lib` notes it, or from the names of groups."""
    parts = group.split("/")
    if not model.stored:  # "lstm/lstm/lstm_cell", "inner/second/lstm_cell", "lstm/lstm"
        kept = [part for part in parts if not part.startswith(("lstm_cell", "gru_cell"))]
        return "/".join(dict.fromkeys(kept)) or group
    own = parts[: parts.index("cell")] if "cell" in parts else parts[:-1]
    at = model.root.group("/".join([*own, "vars"]))
    noted = at.text("name") if at is not None else None
    return noted or "/".join(part for part in own if part != "layers") or group


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
