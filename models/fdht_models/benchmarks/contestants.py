"""Who competes, and over what: data that the processes hand to each other as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fdht_models.errors import ConfigError

#: Whose layer a contestant is: ours, Keras' own LSTM, or tednet's in PyTorch.
LIBRARIES = ("fdht", "keras", "tednet")
_GATES = 4


@dataclass(frozen=True)
class Contestant:
    """An LSTM.

    Args:
        name: what it is called in the result.
        library: one of `LIBRARIES`.
        input_modes: n_1 .. n_d of one frame.
        output_modes: m_1 .. m_e, the gate factor 4 in m_1; their product is 4 H.
        format: name and ranks, as `format_from` reads them.
        hidden_box: where h lies in an integrated matrix (`RecurrentShape`); None: W_h is dense.
    """

    name: str
    library: str
    input_modes: tuple[int, ...]
    output_modes: tuple[int, ...]
    format: Mapping[str, Any] = field(default_factory=lambda: {"name": "dense"})
    hidden_box: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        known = {"keras": ("dense",), "tednet": ("tt",)}.get(self.library)
        if self.library not in LIBRARIES or (known and self.format.get("name") not in known):
            raise ConfigError(
                f"{self.library!r} has no layer of this format here",
                field=f"contestants.{self.name}",
                value=self.format.get("name"),
            )

    @property
    def inputs(self) -> int:
        """Values in a frame."""
        return math.prod(self.input_modes)

    @property
    def units(self) -> int:
        """Hidden units H."""
        return math.prod(self.output_modes) // _GATES

    @property
    def hidden_modes(self) -> tuple[int, ...]:
        """Output modes of one gate, whose product is H."""
        return (self.output_modes[0] // _GATES, *self.output_modes[1:])


@dataclass(frozen=True)
class TrainingWorkload:
    """What one training step is made of.

    Args:
        batch: clips a step.
        frames: frames a clip.
        classes: classes of the linear layer behind the last hidden state.
    """

    batch: int = 16
    frames: int = 6
    classes: int = 11


#: A frame of 160 x 120 x 3 = 57,600 values and 256 hidden units, as all the papers on UCF11 have;
#: HT with the modes of its own paper (Yin et al. 2020), the others with those of the TT paper.
_INPUTS, _OUTPUTS = (8, 20, 20, 18), (16, 4, 4, 4)
CONTESTANTS = (
    Contestant(
        "fdht",
        "fdht",
        _INPUTS,
        _OUTPUTS,
        {"name": "ht", "leaf_rank": 4, "inner_rank": 4},
        (8, 4, 8),
    ),
    Contestant(
        "ht",
        "fdht",
        (8, 10, 10, 9, 8),
        (16, 4, 2, 4, 2),
        {"name": "ht", "leaf_rank": 4, "inner_rank": 5},
    ),
    Contestant("tt", "fdht", _INPUTS, _OUTPUTS, {"name": "tt", "ranks": [4, 4, 4]}),
    Contestant("tednet-tt", "tednet", _INPUTS, _OUTPUTS, {"name": "tt", "ranks": [4, 4, 4]}),
    Contestant("keras-dense", "keras", _INPUTS, _OUTPUTS),
)
