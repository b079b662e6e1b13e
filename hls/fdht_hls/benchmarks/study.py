"""The configurations of the architecture study, all of 57,600 inputs and 256 hidden units."""

from __future__ import annotations

from fdht_models.tensor.recurrent import RecurrentShape, fdht_shape

#: Leaf rank and inner rank of all of them.
RANK = 4
#: Input modes, output modes (gates in the first) and the box of h.
MODES: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    "A0": ((8, 20, 20, 18), (16, 4, 4, 4), (8, 4, 8)),
    "B": ((10, 12, 20, 24), (16, 8, 4, 2), (8, 4, 8)),
    "C": ((10, 12, 20, 24), (32, 8, 4, 1), (8, 4, 8)),
    "E": ((8, 10, 10, 9, 8), (16, 4, 4, 2, 2), (4, 4, 4, 4)),
}
STUDY: dict[str, RecurrentShape] = {
    name: fdht_shape(*modes, RANK, RANK) for name, modes in MODES.items()
}
#: Labels of UCF11, whose frames have this size.
CLASSES = 11
