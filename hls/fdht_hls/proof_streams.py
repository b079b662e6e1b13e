"""The frames on which a conversion is proved: of the data set's test split, and corner cases."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdht_hls.equality import corner_frames
from fdht_hls.observation import values_inside
from fdht_models.directories import BuildDirectory, experiment_in
from fdht_models.stages import Stage
from fdht_models.tensor.quantized import QuantizedNetwork

#: The least number of integers that a proof compares, the least number of streams of the data set
#: in it, beside the one of corner cases, and the least length of a stream: enough for gates to open
#: and close. A frame of 57,600 inputs has tens of thousands of integers inside.
PROOF_INTEGERS, PROOF_STREAMS, PROOF_FRAMES = 10_000, 3, 60
#: Seed of the clips in a proof; no training or evaluation uses it.
_PROOF_SEED = 60_000


def proof_streams(model: Stage, network: QuantizedNetwork) -> np.ndarray[Any, Any]:
    """Streams of the data set's test split and one of corner cases.

    Returns:
        Codes [streams, frames, inputs]: long clips where the data set has them, otherwise its own
        clips one after the other; enough for `PROOF_INTEGERS`.
    """
    source, count = experiment_in(model).source, _proof_streams(network)
    cache = BuildDirectory(model.directory.parent).data
    clips = source.streams(count, PROOF_FRAMES, _PROOF_SEED, cache).frames
    corners = corner_frames(network, clips.shape[1])
    return np.concatenate([clips.view(corners.dtype), corners[None]])


def _proof_streams(network: QuantizedNetwork) -> int:
    """Streams of the data set that a proof takes."""
    integers = PROOF_FRAMES * (sum(values_inside(network).values()) + len(network.classes))
    return max(PROOF_STREAMS, -(-PROOF_INTEGERS // integers))


def raw_streams(model: Stage, network: QuantizedNetwork) -> np.ndarray[Any, Any]:
    """The same as raw frames of video, one more of each, and corner cases that are raw frames.

    Returns:
        uint8 [streams, frames + 1, inputs].
    """
    source, count = experiment_in(model).source, _proof_streams(network)
    cache = BuildDirectory(model.directory.parent).data
    clips = source.raw_streams(count, PROOF_FRAMES, _PROOF_SEED, cache)
    return np.concatenate([clips, corner_frames(network, clips.shape[1])[None]])


def inputs_of(network: QuantizedNetwork, raw: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The feature of streams of raw frames: uint8 [streams, frames + 1, inputs] to one less."""
    picture = network.preprocessing.picture
    assert picture is not None
    return np.stack([picture.features(stream) for stream in raw])
