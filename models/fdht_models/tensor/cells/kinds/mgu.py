"""The minimal gated unit, with one gate.

Zhou et al., "Minimal Gated Unit for Recurrent Neural Networks", International Journal of Automation
and Computing 13, 2016.

    f = gate[round(W_x x + W_h h + b)]     n = candidate[round(W_x x + b + f round(W_h h))]
    h = round((1 - f) h + f n)

In the paper the gate acts before the matrix, W_h (f h). Here it acts behind it, f (W_h h), as in
the GRU: so W_h h is one product, which needs no gate and is computed before the frame arrives.
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

_FORGET = Lookup(argument("forget"), "gate")
_CANDIDATE = candidate(_FORGET)

KIND = CellKind(
    "mgu",
    ("forget", "candidate"),
    {"gate": Table("preactivation", "gate"), "candidate": Table("preactivation", "squash")},
    {"hidden": Round((1 - _FORGET) * Former("hidden") + _FORGET * _CANDIDATE, "hidden")},
)
