"""The clocks of a core that skips zeros: of each stage, for each frame of a profile.

A stage works a fixed number of clocks for what arrives of one coordinate, whatever the frame holds,
and is slower than the port in some frames only. So a design is told by its frames: each takes as
long as the slowest of port, stages and recurrence does for it. Queues are short, so that little of
this is evened out between frames.

From its last word to its result a frame needs what it would need if only its last fibre were left
to be done, and beside that what stages have not caught up with: the port may have delivered a frame
in a fraction of the clocks that its work takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.engine.engine_plan import EngineDesign
from fdht_hls.estimate.coefficients import ResourceModel
from fdht_hls.estimate.timing import Times, serve, stage_times
from fdht_hls.frame_profile import Counts, FrameProfile, measure_profile
from fdht_hls.shapes import coming_modes
from fdht_models.tensor.sparse_frames import SparseFormat

#: Clocks from the read of a frame's last word to its last fibre's arrival at the first stage, and
#: of these those for each coordinate of its place but the last.
_PLACER_CLOCKS, _COORDINATE_CLOCKS = 9, 2
#: Clocks from a frame's last unit to the last word of its result on the port, without those words.
_RESULT_CLOCKS = 6


def block_values(design: EngineDesign) -> tuple[int, ...]:
    """Values of a frame that become what arrives of one coordinate, at each stage of W_x x."""
    inputs = design.port.fibres * design.port.fibre
    coming = coming_modes([stage.shape for stage in design.input])
    return tuple(inputs // math.prod(modes) for modes in coming)


def profile_of(
    design: EngineDesign, frames: npt.NDArray[Any], kind: str = "sparse"
) -> FrameProfile:
    """What frames ask of a core.

    Args:
        design: of the core.
        frames: what the network reads, bytes [n, inputs].
        kind: see `measure_profile`.

    Raises:
        ShapeError: frames are no whole number of the port's words.
    """
    form = SparseFormat(design.port.frame_bytes, design.port.word_bytes)
    return measure_profile(form, frames, block_values(design), kind)


@dataclass(frozen=True)
class Known:
    """What is known of a profile's frames behind some stages.

    Args:
        clocks: of each frame, those of the slowest of them and of the port.
        backlog: of each frame, clocks of work at most that one of them has left when the frame's
            last fibre has come, beside what that fibre asks for.
        times: when the words leave that this last fibre completes.
    """

    clocks: Counts
    backlog: Counts
    times: Times


@dataclass(frozen=True, eq=False)
class SparseTiming:
    """A design and the frames that it works on.

    Args:
        design: of the core.
        profile: of the frames.
        reading: clocks of the port for a frame beside its words.
        draining: clocks of a stage for a frame beside its work.

    Raises:
        ConfigError: the profile is of another network or port.
    """

    design: EngineDesign
    profile: FrameProfile
    reading: int = 0
    draining: int = 0

    def __post_init__(self) -> None:
        for values in block_values(self.design):
            self.profile.held(values)

    @cached_property
    def port(self) -> Counts:
        """Clocks of the port in each frame."""
        return self.profile.port + self.reading

    @cached_property
    def arrivals(self) -> tuple[Counts, ...]:
        """Coordinates of which something arrives at each stage of W_x x, by frame; the last: that
        which leaves them.
        """
        held = [self.profile.held(values) for values in block_values(self.design)]
        return (*held, np.ones_like(held[0]))

    @cached_property
    def first(self) -> tuple[Counts, ...]:
        """Words of a frame that have been read when the first of them is complete."""
        return tuple(self.profile.first(values) for values in block_values(self.design))

    @cached_property
    def _made(self) -> dict[tuple[int, int, int], tuple[Counts, Counts]]:
        return {}

    def arrival_clocks(self, position: int, beats: int, vectors: int) -> int:
        """Clocks of a stage for what arrives of a coordinate."""
        shape = self.design.input[position].shape
        turns = shape.groups * shape.inner * shape.lanes
        return turns // vectors * beats

    def stage_clocks(self, position: int, beats: int, vectors: int) -> Counts:
        """Clocks of a stage of W_x x in each frame; a word of output takes one at least."""
        return self._of_stage(position, beats, vectors)[0]

    def _of_stage(self, position: int, beats: int, vectors: int) -> tuple[Counts, Counts]:
        key = (position, beats, vectors)
        if key not in self._made:
            shape = self.design.input[position].shape
            arrivals, leaving = self.arrivals[position], self.arrivals[position + (not shape.fibre)]
            each = self.arrival_clocks(position, beats, vectors)
            given = shape.words_out // shape.words_joined // shape.outer
            clocks = np.maximum(arrivals * each, leaving * given) + self.draining
            backlog = self.first[position] + (arrivals - 1) * each - self.profile.port
            self._made[key] = clocks, np.maximum(0, backlog)
        return self._made[key]

    @property
    def placing(self) -> int:
        """Clocks of the RTL from the read of a frame's last word to its last fibre's arrival at
        the first stage.
        """
        coordinates = len(coming_modes([stage.shape for stage in self.design.input])[0])
        return _PLACER_CLOCKS + _COORDINATE_CLOCKS * max(0, coordinates - 1)

    def before(self, placing: int, least: int = 0) -> Known:
        """Before the first stage.

        Args:
            placing: clocks until the last fibre arrives there.
            least: clocks that every frame takes.
        """
        clocks = np.maximum(self.port, least)
        return Known(clocks, np.zeros_like(clocks), np.array([placing], np.int64))

    def after(self, known: Known, position: int, beats: int, vectors: int, depth: int) -> Known:
        """Behind a stage whose words leave so many clocks after their last beat."""
        shape = self.design.input[position].shape
        one = replace(shape, outer=1, mode=shape.mode if shape.fibre else 1)
        clocks, backlog = self._of_stage(position, beats, vectors)
        times = stage_times(known.times, one, beats, ResourceModel(pipeline_depth=depth), vectors)
        return Known(np.maximum(known.clocks, clocks), np.maximum(known.backlog, backlog), times)

    def last_word_to_result(self, known: Known) -> int:
        """Clocks of the RTL from a frame's last word to its result if stages have nothing left to
        catch up with, as behind a full frame.
        """
        cell = self.design.cell
        taken = int(cell.arrival.shape[1]) // (1 if cell.collects else cell.gates)
        last = int(serve(known.times, taken)[-1]) + taken
        if cell.collects:
            last += cell.units
        return last + cell.pipeline.clocks + _RESULT_CLOCKS + self.design.port.result_words

    def recurrent_room(self, cycles: int, known: Known) -> int:
        """Most clocks of the recurrence with which a frame takes `cycles` on average; -1: none."""
        if known.clocks.mean() > cycles:
            return -1
        low, high = 0, cycles
        while low < high:
            middle = (low + high + 1) // 2
            if np.maximum(known.clocks, middle).mean() <= cycles:
                low = middle
            else:
                high = middle - 1
        return low
