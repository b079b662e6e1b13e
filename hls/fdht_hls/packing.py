"""Frames of a call as a core reads them: all of their bytes, or what of them is not zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.csimulation import Bytes, pack_frames
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork
from fdht_models.tensor.sparse_frames import SparseFormat, pack_sparse


def packed_call(
    network: QuantizedNetwork, frames: npt.NDArray[Any], *, sparse: bool = False
) -> tuple[Bytes, Codes]:
    """Frames as a core reads them in a call.

    Args:
        network: whose frames.
        frames: codes [frames, inputs], or raw frames for a core that computes the feature.
        sparse: does the core read sparse frames?

    Returns:
        (uint8[8 * words], int64[frames]: words of 8 bytes from the start to each frame's end).
    """
    packed, form = pack_frames(network, frames), SparseFormat(network.frame_bytes)
    if not sparse:
        return packed, form.frame_words * np.arange(1, len(frames) + 1)
    target = np.empty(form.room(len(frames)), np.uint8)
    ends = pack_sparse(form, packed.reshape(len(frames), network.frame_bytes), target)
    return target[: WORD_BYTES * words_of(ends)], ends


def words_of(ends: Codes) -> int:
    """Words of a call, by the ends of its frames."""
    return int(ends[-1]) if len(ends) else 0
