"""Small layers in every format, each integrated or not where that is possible, with cells."""

from __future__ import annotations

import dataclasses

from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.formats import (
    BlockTerm,
    CanonicalPolyadic,
    Dense,
    Format,
    HierarchicalTucker,
    KroneckerCp,
    TensorRing,
    TensorTrain,
    Tucker,
)
from fdht_models.tensor.recurrent import GATES, RecurrentShape

#: Label -> format, input modes, output modes for one gate, hidden box.
_BASES: dict[str, tuple[Format, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    "ht": (HierarchicalTucker(2, 3), (3, 4, 5), (2, 2, 2), (2, 4)),
    "ht-unbalanced": (
        HierarchicalTucker((2, 1, 3, 2), 2, "unbalanced"),
        (2, 3, 2, 4),
        (2, 1, 2, 2),
        (2, 1, 4),
    ),
    "ht-tree": (HierarchicalTucker(2, 2, ((1, 2), 3)), (3, 4, 5), (2, 2, 2), (2, 2, 2)),
    "tt": (TensorTrain((2, 3)), (3, 4, 5), (2, 2, 2), (2, 4)),
    "tr": (TensorRing(2), (4, 3, 5), (4, 2), (2, 4)),
    "bt": (BlockTerm(2, 2), (3, 4, 5), (2, 2, 2), (2, 4)),
    "tucker": (Tucker((2, 0, 3), (0, 2)), (3, 4, 5), (2, 4), (2, 4)),
    "cp": (CanonicalPolyadic(3), (3, 4, 5), (4, 2), (2, 4)),
    "kcp-factors": (KroneckerCp(2, 2), (3, 4, 5), (2, 2, 2), (2, 4)),
    "kcp-vectors": (KroneckerCp(2, 2, "vectors"), (3, 4, 5), (2, 2, 2), (2, 4)),
    "dense": (Dense(), (3, 4, 5), (2, 4), ()),
}
#: Formats in which every kind of cell is tried; others have the first two.
_EVERY_KIND = ("ht", "tr", "bt", "dense")


def _shapes() -> dict[str, RecurrentShape]:
    shapes = {}
    for label, (form, inputs, outputs, box) in _BASES.items():
        for cell in KINDS if label in _EVERY_KIND else ("lstm", "gru"):
            stacked = (outputs[0] * len(GATES[cell]), *outputs[1:])
            separate = RecurrentShape(form, inputs, stacked, None, cell)
            shapes[f"{label}-{cell}"] = separate
            if box:
                integrated = dataclasses.replace(separate, hidden_box=box)
                shapes[f"{label}-{cell}-integrated"] = integrated
    return shapes


#: Label, such as "tt-gru-integrated", -> shape.
SHAPES = _shapes()
