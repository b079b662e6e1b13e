"""Keras layers by kind of cell: the module here that is called like the kind has its step."""

from __future__ import annotations

from importlib import import_module

from fdht_models.layers.recurrent import TensorRNN
from fdht_models.tensor.cells.kinds import KINDS

_MODULES = [import_module(f"fdht_models.layers.{name}") for name in KINDS]
#: All float layers that hardware has a twin of.
FLOAT_LAYERS: tuple[type[TensorRNN], ...] = tuple(
    found
    for module in _MODULES
    for found in vars(module).values()
    if isinstance(found, type) and found.__module__ == module.__name__
)
#: The float layer of each kind in any tensor format.
LAYER_OF: dict[str, type[TensorRNN]] = {
    layer.cell: layer for layer in FLOAT_LAYERS if "cell" in vars(layer)
}
