"""The clocks of a core that skips zeros: a model, until such a core is simulated on clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fdht_hls.schedule import Schedule
from fdht_models.errors import ArtifactError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.sparse_frames import SparseFormat


@dataclass(frozen=True)
class SparsePace:
    """Clocks of a call of sparse frames, which depend on what the frames hold.

    Words come in at a constant pace, and beside that each frame needs the clocks of W_h h and of
    the cell, with words or without.

    Args:
        word_cycles: clocks of a word, headers and bitmaps among them.
        frame_cycles: clocks of a frame without words.
        hidden_share: share of the multipliers that is those of W_h h.
        kind: how it is known.
    """

    word_cycles: float
    frame_cycles: int
    hidden_share: float
    kind: Literal["modelled"] = "modelled"

    def __post_init__(self) -> None:
        if not self.word_cycles > 0 or self.frame_cycles < 1:
            name = "frame_cycles" if self.word_cycles > 0 else "word_cycles"
            raise ArtifactError("must be positive", field=name, value=getattr(self, name))
        if not 0 <= self.hidden_share <= 1:
            raise ArtifactError(
                "must lie between 0 and 1", field="hidden_share", value=self.hidden_share
            )

    def cycles(self, frames: int, words: int) -> float:
        """Clocks of a call."""
        return max(self.word_cycles * words, float(self.frame_cycles * frames))

    def activity(self, frames: int, words: int) -> float:
        """Share of the multipliers that work, on average over a call, to those of a full frame.

        A stage is taken to work as long as what it works on comes in.
        """
        clocks = self.cycles(frames, words)
        if not clocks:
            return 0.0
        coming, hidden = self.word_cycles * words / clocks, self.frame_cycles * frames / clocks
        return coming * (1 - self.hidden_share) + hidden * self.hidden_share


def sparse_pace(
    network: QuantizedNetwork, schedule: Schedule | None, cycles: int, recurrent: int
) -> SparsePace | None:
    """The pace of a network's core; None: its frames are dense.

    A full frame takes what it would take if all of it were read, its header beside that.

    Args:
        network: the integers.
        schedule: of the core; None: of a former version, all of whose cores are dense.
        cycles: clocks of a full frame.
        recurrent: from one hidden state to W_h h of the next frame.
    """
    if schedule is None or not schedule.sparse:
        return None
    form = SparseFormat(network.frame_bytes)
    hidden, every = (
        sum(stage.parallel for stage in stages) for stages in (schedule.hidden, schedule.stages)
    )
    units = network.recurrence.units
    return SparsePace(cycles / form.most_words, recurrent + units, hidden / every)
