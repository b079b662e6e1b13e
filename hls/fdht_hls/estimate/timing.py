"""When every word of a frame leaves every stage: a model of the pipeline, word by word.

A stage takes words in order, each for as many clocks as its turns have beats, and waits where none
has arrived. FIFOs are taken to be deep enough. Times are clocks since the first word of a frame
was asked for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fdht_hls.estimate.coefficients import ResourceModel
from fdht_hls.shapes import StageShape

Times = npt.NDArray[np.int64]


def reader_times(fibres: int, cycles: int, model: ResourceModel) -> Times:
    """When each fibre has been read, at an even pace of `cycles` a frame."""
    done = -(-cycles * np.arange(1, fibres + 1, dtype=np.int64) // fibres)
    return done + model.memory_latency


def serve(arrivals: Times, clocks: int) -> Times:
    """When a process that takes `clocks` for each word begins with each of them."""
    index = np.arange(len(arrivals), dtype=np.int64)
    return np.maximum.accumulate(arrivals - index * clocks) + index * clocks


def stage_times(
    arrivals: Times, shape: StageShape, beats: int, model: ResourceModel, vectors: int = 1
) -> Times:
    """When each word of output leaves a stage.

    Args:
        arrivals: when each word of input arrives.
        shape: the stage's loops.
        beats: clocks of a turn.
        model: its pipeline depth is used.
        vectors: vectors of a turn.
    """
    # A turn completes a part of a word of output, or several words, which leave a word a clock
    # or, those of fibres, as one.
    words = max(1, vectors // shape.lanes)
    series = max(1, shape.lanes // vectors) * beats
    begin = serve(arrivals, shape.inner // words * series)
    mode = 1 if shape.fibre else shape.mode
    # Words leave while the last value of the mode passes, one for every group of vectors.
    last = begin.reshape(shape.outer, mode, shape.groups)[:, -1, :]
    number = np.arange(shape.inner // shape.words_joined, dtype=np.int64)
    leaving = series * (number // words + 1)
    times: Times = (last[:, :, None] + leaving + model.pipeline_depth).ravel()
    return times if words == shape.words_joined else serve(times, 1)
