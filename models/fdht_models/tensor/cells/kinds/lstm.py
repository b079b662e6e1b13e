"""The LSTM: three gates, a candidate and a cell state.

pre = round(W_x x + W_h h + b)     f, u, o = gate[pre]     g = candidate[pre]
c = round(f c + u g)               h = round(o output[c])
"""

from __future__ import annotations

from fdht_models.tensor.cells.operations import CellKind, Former, Lookup, Round, Table, argument

_GATES = ("forget", "update", "candidate", "output")
_FORGET, _UPDATE, _CANDIDATE, _OUTPUT = _ARGUMENTS = tuple(argument(gate) for gate in _GATES)
_CELL = Round(
    Lookup(_FORGET, "gate") * Former("cell")
    + Lookup(_UPDATE, "gate") * Lookup(_CANDIDATE, "candidate"),
    "cell",
)

KIND = CellKind(
    "lstm",
    _GATES,
    {
        "gate": Table("preactivation", "gate"),
        "candidate": Table("preactivation", "squash"),
        "output": Table("cell", "squash"),
    },
    {"hidden": Round(Lookup(_OUTPUT, "gate") * Lookup(_CELL, "output"), "hidden"), "cell": _CELL},
    first=_ARGUMENTS,
)
