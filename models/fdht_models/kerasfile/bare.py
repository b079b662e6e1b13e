"""Files with weights and no configuration (`.weights.h5`): a recurrent layer, no connections."""

from __future__ import annotations

from dataclasses import dataclass

from fdht_models.errors import ConfigError, near_matches
from fdht_models.kerasfile.hdf5 import AS_ARRAYS
from fdht_models.kerasfile.layer_weights import Arrays
from fdht_models.kerasfile.layers import damaged
from fdht_models.kerasfile.saved_files import SavedModel

_NAMES = ("kernel", "recurrent_kernel", "bias")
#: What Keras calls the two layers in a `Bidirectional`.
_TWO_WAYS = ("forward_layer", "backward_layer")


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
