"""How a stage's turns are cut into beats: the constants and the order of weights of a schedule.

Read by the C++ kernels' configurations and by whatever else emits the engine; needs no hls4ml.
"""

from __future__ import annotations

import numpy as np

from fdht_hls.schedule import StageSchedule, vector_length
from fdht_hls.shapes import StageShape, stage_weights
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.quantized import ContractionPath, QuantizedRecurrence


def beat_constants(shape: StageShape, schedule: StageSchedule) -> dict[str, int]:
    """The constants of `contraction_config` that a schedule decides."""
    return {
        "vectors": schedule.vectors,
        "words_at_once": schedule.words_at_once(shape),
        "vector_parallel": schedule.vector,
        "vector_pieces": vector_length(shape) // schedule.vector,
        "output_parallel": schedule.outputs,
        "output_pieces": shape.outputs // schedule.outputs,
    }


def beat_weights(
    recurrence: QuantizedRecurrence,
    path: ContractionPath,
    position: int,
    shape: StageShape,
    schedule: StageSchedule,
) -> QuantizedArray:
    """A stage's weights, a row for each beat: what is read in one clock.

    Args:
        recurrence: holds the cores.
        path: W_x x or W_h h.
        position: of the stage in it.
        shape: the stage's loops.
        schedule: its parallelism.

    Returns:
        [mode x banks x vector pieces x output pieces, vector x outputs of a beat].
    """
    together = 1 if shape.fibre else shape.together
    weights = stage_weights(recurrence, path, position, together)
    own = beat_constants(shape, schedule)
    beats = weights.codes.reshape(
        -1,
        own["vector_pieces"],
        own["vector_parallel"],
        own["output_pieces"],
        own["output_parallel"],
    ).transpose(0, 1, 3, 2, 4)
    rows = beats.reshape(-1, schedule.weights_in_beat)
    return QuantizedArray(weights.format, np.ascontiguousarray(rows))
