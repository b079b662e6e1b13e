"""The GRU whose reset gate acts behind W_h (Keras' `reset_after`), with one bias.

r, z = gate[round(W_x x + W_h h + b)]     n = candidate[round(W_x x + b + r round(W_h h))]
h = round((1 - z) n + z h)
"""

from __future__ import annotations

from fdht_models.tensor.cells.operations import (
    CellKind,
    Former,
    Lookup,
    Round,
    Table,
    argument,
    candidate,
)

_RESET, _UPDATE = _ARGUMENTS = argument("reset"), argument("update")
_SHARE = Lookup(_UPDATE, "gate")
_CANDIDATE = candidate(Lookup(_RESET, "gate"))

KIND = CellKind(
    "gru",
    ("reset", "update", "candidate"),
    {"gate": Table("preactivation", "gate"), "candidate": Table("preactivation", "squash")},
    {"hidden": Round((1 - _SHARE) * _CANDIDATE + _SHARE * Former("hidden"), "hidden")},
    first=_ARGUMENTS,
)
