"""Kinds of cells: each module here describes one, as `KIND`. Adding a module adds a cell."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from fdht_models.tensor.cells.operations import CellKind

_MODULES = (import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__))
#: All kinds by name.
KINDS: dict[str, CellKind] = {module.KIND.name: module.KIND for module in _MODULES}
