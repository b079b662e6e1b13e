"""Proof of equality: Keras, the integer reference and the C simulation, integer for integer.

Streams of frames are fed to each in pieces of different, uneven lengths, so that the state that
lives between calls is part of what is compared. Two builds of the C simulation are checked; see
`csimulation`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.csimulation import CSimulation, simulate
from fdht_hls.proof import Comparison
from fdht_models.errors import EqualityError
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

#: Called with what has been done and how much there is: (label, frames done, frames in all).
Progress = Callable[[str, int, int], None]
Frames = npt.NDArray[Any]


def compare(expected: Codes, found: Codes) -> Comparison:
    """Compares logits, int64[streams, frames, classes]."""
    wrong = np.argwhere(expected != found)
    if not len(wrong):
        return Comparison(expected.size, 0)
    stream, frame, label = (int(axis) for axis in wrong[0])
    values = f"{expected[stream, frame, label]} against {found[stream, frame, label]}"
    return Comparison(
        expected.size,
        len(wrong),
        f"stream {stream}, frame {frame}, class {label}: {values}",
    )


def corner_frames(network: QuantizedNetwork, count: int) -> Frames:
    """A stream of corner cases: saturating, zero, alternating in space and time, noise.

    Returns:
        Codes [count, inputs].
    """
    low, high = network.input_format.minimum, network.input_format.maximum
    odd = np.arange(network.inputs) % 2 == 1
    generator = np.random.default_rng(57_600)
    patterns = [
        np.full(network.inputs, high),
        np.full(network.inputs, low),
        np.zeros(network.inputs, int),
        np.where(odd, high, low),
        np.where(odd, low, high),
    ]
    # Each pattern for a while, so that cell states saturate; then all of them in turn; then noise.
    held = count // (2 * len(patterns))
    frames = [pattern for pattern in patterns for _ in range(held)]
    frames += [patterns[position % len(patterns)] for position in range(count // 4)]
    noise = generator.integers(low, high + 1, (count - len(frames), network.inputs))
    codes = np.concatenate([np.stack(frames), noise]) if frames else noise
    return codes.astype(np.int8 if network.input_format.signed else np.uint8)


def uneven_pieces(frames: int, seed: int) -> list[slice]:
    """Cuts 0..frames into pieces of random lengths between 1 and 23, one of them a single frame."""
    generator = np.random.default_rng(seed)
    cuts = [0, 1]
    while cuts[-1] < frames:
        cuts.append(min(frames, cuts[-1] + int(generator.integers(1, 24))))
    return [slice(start, stop) for start, stop in pairwise(cuts)]


def reference_logits(network: QuantizedNetwork, streams: Frames) -> Codes:
    """Logits of the reference, each stream in one piece: int64[streams, frames, classes]."""
    return np.stack([ReferenceModel(network).run(stream) for stream in streams])


def csim_logits(
    network: QuantizedNetwork, library: Path, streams: Frames, progress: Progress, label: str
) -> Codes:
    """Logits of the C simulation, each stream in uneven pieces, on all processors."""
    done = 0

    def run(position: int) -> Codes:
        nonlocal done
        simulation = CSimulation(library)
        try:
            parts = []
            for piece in uneven_pieces(streams.shape[1], position):
                reset = piece.start == 0
                parts.append(simulate(simulation, network, streams[position, piece], reset))
                done += piece.stop - piece.start
                progress(label, done, streams.shape[0] * streams.shape[1])
            return np.concatenate(parts)
        finally:
            simulation.close()

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return np.stack(list(pool.map(run, range(len(streams)))))


def keras_logits(
    network: QuantizedNetwork, model: Any, streams: Frames, progress: Progress
) -> Codes:
    """Logits of the Keras model, all streams at once in uneven pieces.

    Args:
        network: gives the format of a logit.
        model: stateful, with a batch size of the number of streams, results for every frame.
        streams: codes, uint8[streams, frames, inputs].
        progress: told after each piece.
    """
    model.reset_states()
    parts = []
    for piece in uneven_pieces(streams.shape[1], len(streams)):
        logits = model.predict_on_batch(np.ascontiguousarray(streams[:, piece]))
        parts.append(network.logit_format.exact(logits, "Keras logits"))
        progress("Keras", piece.stop * len(streams), streams.shape[0] * streams.shape[1])
    return np.concatenate(parts, axis=1)


def prove(
    network: QuantizedNetwork,
    model: Any,
    libraries: Mapping[str, Path],
    streams: Frames,
    progress: Progress,
) -> dict[str, Comparison]:
    """Compares all implementations on the same streams.

    Args:
        network: the integers.
        model: the Keras model, see `keras_logits`.
        libraries: C simulation builds by name.
        streams: codes [streams, frames, inputs].
        progress: told how far each has come.

    Returns:
        "keras_reference", and "reference_<name>" for each library.

    Raises:
        EqualityError: an integer differs.
    """
    reference = reference_logits(network, streams)
    results = {
        "keras_reference": compare(reference, keras_logits(network, model, streams, progress))
    }
    for name, library in libraries.items():
        found = csim_logits(network, library, streams, progress, f"C simulation ({name})")
        results[f"reference_{name}"] = compare(reference, found)
    refuse_mismatches(results)
    return results


def refuse_mismatches(results: Mapping[str, Comparison]) -> None:
    """Raises EqualityError, with the first difference, unless all integers are equal."""
    wrong: Sequence[str] = [name for name, result in results.items() if result.mismatches]
    if wrong:
        result = results[wrong[0]]
        raise EqualityError(
            f"{result.mismatches} of {result.compared} integers differ; first: {result.first}",
            field=wrong[0],
            remedy="this is a defect of fdht: please report it with the experiment file",
        )
