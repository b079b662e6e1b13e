"""`read_model`: a dense LSTM or GRU out of a file of Keras, with all that can be folded into it.

Also which settings of a recurrent layer of Keras ours can stand for, and by what names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ConfigError, NumericError, ShapeError, near_matches
from fdht_models.kerasfile import surroundings
from fdht_models.kerasfile.configuration import Graph, graph_of
from fdht_models.kerasfile.frame_maps import function_name
from fdht_models.kerasfile.layer_weights import Arrays, Layer, check_once, read_bare, weights_of
from fdht_models.kerasfile.saved_files import AS_ARRAYS, SavedModel, open_model
from fdht_models.kerasfile.surroundings import Before, Way
from fdht_models.tensor.decompose.recurrent_weights import DenseCell, cell_from_keras

#: Columns of a kernel for each unit.
_GATES = {"LSTM": 4, "GRU": 3}
#: Functions behind the last layer that keep the order of its values: logits are what we compute.
_FINAL = ("softmax", "log_softmax", "sigmoid")
#: Keras' names of gate functions and ours. The `hard_sigmoid` of Keras 2 is clip(0.2 x + 0.5);
#: that of Keras 3 is clip(x / 6 + 0.5), which we have not.
_SIGMOIDS = {
    2: {"sigmoid": "sigmoid", "hard_sigmoid": "keras_hard_sigmoid"},
    3: {"sigmoid": "sigmoid"},
}
_TANHS = {"tanh": "tanh"}


@dataclass(frozen=True)
class SavedLayer:
    """A trained dense recurrent layer of a file, as it stands for the model around it.

    Attributes:
        name: of the layer, or of its file.
        kernel: [inputs, gates x H], for frames of bytes divided by 256.
        recurrent_kernel: [H, gates x H].
        bias: as Keras has it, or None.
        functions: our names of its gate functions, recurrent activation first; None: not known.
        head: kernel [H, classes] and bias of the classifier, if it is reached.
        notes: what was folded, left out, or not taken, a line each; they name every layer of the
            model but the recurrent one and the classifier.
    """

    name: str
    kernel: npt.NDArray[Any]
    recurrent_kernel: npt.NDArray[Any]
    bias: npt.NDArray[Any] | None
    functions: tuple[str, str] | None
    head: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None
    notes: tuple[str, ...]

    @cached_property
    def cell(self) -> DenseCell:
        """The weights in our order of gates; raises what `cell_from_keras` does."""
        return cell_from_keras(self.kernel, self.recurrent_kernel, self.bias)


def read_model(path: Path, name: str | None, classes: int) -> SavedLayer:
    """Reads a file that Keras 2 or Keras 3 wrote; nothing in it is run.

    Args:
        path: `.keras`, `.h5`, `.weights.h5`.
        name: of the LSTM or GRU, if there are several.
        classes: of the classifier to look for behind it.

    Raises:
        ArtifactError: the file cannot be read.
        FdhtError: there is no such layer, it has settings that ours lacks, or code stands in its
            way.
    """
    with open_model(path) as model:
        if model.config is None:
            return _without_configuration(model, name)
        graph = graph_of(model.config, model.major)
        number = _chosen(graph, name)
        # What is not finite is refused where it has got to: in the weights.
        with np.errstate(all="ignore"):
            return _with_configuration(model, graph, number, classes)


def _without_configuration(model: SavedModel, name: str | None) -> SavedLayer:
    layer, arrays, others = read_bare(model, name)
    notes = [
        f"the file holds weights only: that {layer} is a plain layer with the experiment's "
        "gates, which reads frames and nothing else, is taken for granted",
        "classifier: not taken, for the file does not say what is connected with "
        f"{layer}; it begins with random weights",
    ]
    if others:
        notes.append(f"left out: {', '.join(others)}")
    kernel, recurrent = (arrays[one] for one in ("kernel", "recurrent_kernel"))
    return SavedLayer(layer, kernel, recurrent, arrays.get("bias"), None, None, tuple(notes))


def _chosen(graph: Graph, name: str | None) -> int:
    """The number of the call of the recurrent layer."""
    layers = graph.layers()
    ours = [one.name for one in layers.values() if one.kind in _GATES and one.code is None]
    others = [one for one in layers.values() if one.name not in ours and _recurs(one)]
    chosen = [one for one in ours if name in (None, one)]
    if name is not None and not chosen:
        chosen = [one for one in ours if one.split("/")[-1] == name]
    if len(chosen) != 1:
        also = f" (not taken: {', '.join(one.label for one in others)})" if others else ""
        raise ConfigError(
            f"the model's LSTM and GRU layers are {', '.join(ours) or 'none'}{also}",
            field="layer",
            value=name,
            remedy=_which(name, ours),
        )
    calls = [number for number, call in enumerate(graph.calls) if call.layer.name == chosen[0]]
    if len(calls) > 1 or not graph.calls[calls[0]].inputs:
        raise ConfigError(
            f"is called {len(calls)} times, on different tensors" if len(calls) > 1
            else "is called on nothing",
            field=chosen[0],
            remedy=f"make a model in which it is called once, on the frames, {AS_ARRAYS}",
        )  # fmt: skip
    return calls[0]


def _which(name: str | None, ours: list[str]) -> str:
    if not ours:
        return "have one LSTM or GRU of Keras, not inside a wrapper such as Bidirectional"
    return near_matches(name, ours) if name else "name one of them"


def _recurs(layer: Layer) -> bool:
    kinds = (layer.kind, layer.wrapped.kind if layer.wrapped else "")
    return any(one == "Bidirectional" or "RNN" in one or "LSTM" in one or "GRU" in one
               for one in kinds)  # fmt: skip


def _with_configuration(model: SavedModel, graph: Graph, number: int, classes: int) -> SavedLayer:
    call = graph.calls[number]
    layer = call.layer
    functions = gate_functions(layer.kind, layer.config, model.major or 2)
    arrays = _cell_weights(model, graph, layer)
    before = surroundings.before(model, graph, number, arrays["kernel"])
    ways = surroundings.after(model, graph, number, len(arrays["recurrent_kernel"]))
    way = _classifier(ways, classes)
    if isinstance(way, str):
        surroundings.refuse_code(surroundings.descendants(graph, number))
    reason = way if isinstance(way, str) else None
    if before.stop is not None:
        reason = f"{before.stop[0]} before {layer.name} is left out"
    if len(call.inputs) > 1 or call.arguments:  # it does not begin at zero
        reason = f"{layer.name} is called with {', '.join(call.arguments) or 'initial_state'}"
    taken = way if isinstance(way, Way) and reason is None else None
    bias = arrays.get("bias")
    if before.offset is not None:
        bias = _added(bias, before.offset, layer)
    notes = [*setting_notes(layer.name, layer.config), *_notes(graph, layer, before, taken)]
    if reason is not None:
        notes.insert(0, f"classifier: not taken, for {reason}; it begins with random weights")
    head = None if taken is None else (taken.kernel, taken.bias)
    if head is not None and not all(np.isfinite(one).all() for one in head):
        raise NumericError(
            "is not finite everywhere",
            field=f"classifier behind {layer.name}",
            remedy="look where the training diverged",
        )
    recurrent = arrays["recurrent_kernel"]
    return SavedLayer(layer.name, before.kernel, recurrent, bias, functions, head, tuple(notes))


def _cell_weights(model: SavedModel, graph: Graph, layer: Layer) -> Arrays:
    check_once(model, layer, list(graph.layers()))
    biases = ["bias"] if layer.config.get("use_bias", True) else []
    arrays = weights_of(model, layer, ["kernel", "recurrent_kernel", *biases], cell=True)
    units = layer.config.get("units", layer.config.get("output_dim"))
    kernel, recurrent = arrays["kernel"], arrays["recurrent_kernel"]
    columns = _GATES[layer.kind] * (units if isinstance(units, int) else 0)
    if kernel.ndim != 2 or kernel.shape[1] != columns or recurrent.shape != (units, columns):
        raise ShapeError(
            f"must have weights of {layer.kind}({units})",
            field=f"{layer.name} in {model.root.file}",
            value=[list(kernel.shape), list(recurrent.shape)],
            remedy=f"save the model again, {AS_ARRAYS}",
        )
    return arrays


def _added(bias: npt.NDArray[Any] | None, offset: npt.NDArray[Any], layer: Layer) -> Any:
    """The bias with what comes through the kernel; a GRU has it in the first of its two rows."""
    if bias is None:
        bias = np.zeros_like(offset)
        bias = np.stack([bias, bias]) if layer.kind == "GRU" else bias
    added = bias.astype(np.float64)
    if added.shape == offset.shape:
        return added + offset
    if added.ndim == 2 and added.shape[1:] == offset.shape:
        added[0] += offset
    return added  # of a shape that is refused later


def _classifier(ways: list[Way], classes: int) -> Way | str:
    """The way to the classifier, or why there is none."""
    found, reasons = [], []
    for way in ways:
        reason = _reason(way, classes)
        if reason is None:
            found.append(way)
        else:
            reasons.append(reason)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{way.dense}" for way in found)
        return f"there are several with {classes} classes ({names})"
    return "; ".join(dict.fromkeys(reasons)) or "nothing reads the layer"


def _reason(way: Way, classes: int) -> str | None:
    """Why a way does not lead to a classifier; None if it does."""
    if way.stop is not None:
        return f"{way.stop[0]} stands in the way ({way.stop[1]})"
    if way.dense is None:
        return "no classifier was found behind the layer"
    if len(way.bias) != classes:
        return f"{way.dense} has {len(way.bias)} values, the data set {classes} classes"
    if way.function is not None and way.function[1] not in _FINAL:
        return f"{way.function[0]} stands in the way (its function is {way.function[1]})"
    return None


def _notes(graph: Graph, layer: Layer, before: Before, way: Way | None) -> list[str]:
    """Notes that name every layer but the recurrent one and the classifier."""
    notes, named = [], {layer.label}

    def note(text: str, labels: Iterable[str]) -> None:
        named.update(labels)
        if shown := list(dict.fromkeys(labels)):
            notes.append(text + ", ".join(shown))

    if before.stop is not None:
        label, reason = before.stop
        named.add(label)
        notes.append(
            f"{label} before {layer.name} is left out, for {reason}: {layer.name} was trained on "
            "what it returns, and here gets frames"
        )
    note(f"folded into kernel and bias of {layer.name}: ", before.folded)
    if before.of_bytes:
        notes.append("the model's input is taken for bytes, from 0 to 255")
    idle = before.idle
    if way is not None:
        idle = (*idle, *way.idle)
        named.add(str(way.dense))
        if len(way.folded) > 1:
            note("folded into the classifier: ", way.folded)
        if way.function is not None and way.function[0] != way.dense:
            label, function = way.function
            named.add(label)
            notes.append(
                f"{label} is left out: the network gives what stands before its {function}"
            )
        elif way.function is not None and way.function[1] == "sigmoid":
            notes.append(f"the sigmoid of {way.dense} is left out: training goes on with softmax")
    note("left out, for once trained they change nothing: ", idle)
    rest = [one.label for one in graph.layers().values() if one.label not in named]
    note("left out: ", rest)
    return notes


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
