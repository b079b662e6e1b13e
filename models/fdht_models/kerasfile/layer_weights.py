"""Weights of a layer, found by its name or by its place, as one of Keras' two ways has them.

A file may hold weights and no configuration (`.weights.h5`): then a recurrent layer is found by
its weights alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from fdht_models.errors import ArtifactError, ConfigError, near_matches
from fdht_models.kerasfile.layers import Layer, damaged
from fdht_models.kerasfile.saved_files import AS_ARRAYS, Group, SavedModel

Arrays = dict[str, npt.NDArray[Any]]
_NAMES = ("kernel", "recurrent_kernel", "bias")
#: What Keras calls the two layers in a `Bidirectional`.
_TWO_WAYS = ("forward_layer", "backward_layer")


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
    found = {} if group is None else _numbered(group, names)
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


def _numbered(group: Group, names: Sequence[str]) -> Arrays:
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


@dataclass(frozen=True)
class BareCell:
    """Weights of a recurrent layer of which nothing else is known.

    Attributes:
        name: of the layer, as far as the file has one.
        arrays: `kernel`, `recurrent_kernel` and perhaps `bias`.
        others: what else in the file has weights.
    """

    name: str
    arrays: Arrays
    others: tuple[str, ...]


def read_bare(model: SavedModel, name: str | None) -> BareCell:
    """The recurrent layer in a file of weights, or the one of that name.

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
    return BareCell(label, arrays, tuple(sorted(others - {label})))


def _is_cell(model: SavedModel, variables: dict[str, str], group: str) -> bool:
    if not model.stored:
        return "recurrent_kernel" in variables
    return group.endswith("/cell/vars") and "1" in variables


def _label(model: SavedModel, group: str) -> str:
    """A layer's name: as `saving_lib` notes it, or from the names of groups."""
    parts = group.split("/")
    if not model.stored:  # "lstm/lstm/lstm_cell", "inner/second/lstm_cell", "lstm/lstm"
        kept = [part for part in parts if not _is_cell_name(part)]
        return "/".join(dict.fromkeys(kept)) or group
    own = parts[: parts.index("cell")] if "cell" in parts else parts[:-1]
    at = model.root.group("/".join([*own, "vars"]))
    noted = at.text("name") if at is not None else None
    return noted or "/".join(part for part in own if part != "layers") or group


def _is_cell_name(part: str) -> bool:
    return part.startswith(("lstm_cell", "gru_cell"))
