"""What goes on inside a frame, in Keras, the reference and the C simulation: integers by name.

A network of few classes has few logits, and rounding hides much before it reaches them. What each
stage emits and the cell's state are thousands of integers a frame, so that a proof of equality
that compares them needs few frames and says more.

Names are those of the reference's observer: "input.<core>" and "hidden.<core>" for what the stages
of W_x x and W_h h emit, the formats that the cell rounds to, such as "preactivation", and `LOGITS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fdht_hls.csimulation import CSimulation, copies_of, unpack_results
from fdht_hls.engine import stage_designs
from fdht_hls.packing import packed_call, words_of
from fdht_hls.shapes import rounded_formats
from fdht_models.errors import EqualityError
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import ContractionPath, QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

#: The name of the logits among what is observed.
LOGITS = "logits"

Frames = npt.NDArray[Any]
#: int64[streams, frames, values] by name; the values in the order in which they flow.
Observed = Mapping[str, Codes]


class Implementation(Protocol):
    """One of those that are compared; its streams go on from call to call."""

    def run(self, frames: Frames, reset: bool) -> Observed:
        """Runs codes [streams, frames, inputs]; with `reset` from a state of zero."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


def uneven_pieces(frames: int, seed: int) -> list[slice]:
    """Cuts 0..frames into pieces of random lengths between 1 and 23, one of them a single frame."""
    generator = np.random.default_rng(seed)
    cuts = [0, 1]
    while cuts[-1] < frames:
        cuts.append(min(frames, cuts[-1] + int(generator.integers(1, 24))))
    return [slice(start, stop) for start, stop in pairwise(cuts)]


def values_inside(network: QuantizedNetwork) -> dict[str, int]:
    """Values a frame that the C simulation shows, by name and in the order in which it does."""
    recurrence = network.recurrence
    sizes: dict[str, int] = {}
    for label in ("input", "hidden"):
        sizes |= {stage.name: stage.values for stage in stage_designs(recurrence, label)}
    return sizes | dict.fromkeys(recurrence.cell.described.states, recurrence.units)


class ReferenceRun:
    """The reference on several streams, each in one piece."""

    def __init__(self, network: QuantizedNetwork, streams: int) -> None:
        self._seen: dict[str, list[Codes]] = {}
        self._models = [ReferenceModel(network, self._observe) for _ in range(streams)]

    def run(self, frames: Frames, reset: bool) -> Observed:
        """See `Implementation.run`."""
        results: dict[str, list[Codes]] = {}
        for model, stream in zip(self._models, frames, strict=True):
            if reset:
                model.reset()
            self._seen.clear()
            logits = model.run(stream)
            for name, parts in {**self._seen, LOGITS: [logits]}.items():
                joined = np.concatenate([part.ravel() for part in parts])
                results.setdefault(name, []).append(joined.reshape(len(stream), -1))
        return {name: np.stack(streams) for name, streams in results.items()}

    def close(self) -> None:
        """Nothing is held."""

    def _observe(self, name: str, codes: Codes) -> None:
        self._seen.setdefault(name, []).append(codes)


class SimulationRun:
    """A build of the C simulation: a copy a stream, on all processors, in uneven pieces.

    Where the core has several contexts, so many streams share a copy: their pieces come in turns,
    each stream in a context of its own.

    Args:
        network: which it simulates.
        library: what `compile_library` wrote.
        streams: how many.
        threads: at once.

    Raises:
        ArtifactError: the library cannot be loaded.
    """

    def __init__(
        self, network: QuantizedNetwork, library: Path, streams: int, threads: int
    ) -> None:
        self._network, self._sizes = network, values_inside(network)
        copies = copies_of(library, streams)
        self._contexts = copies[0].contexts
        used = -(-streams // self._contexts)
        self._copies = copies[:used]
        for copy in copies[used:]:
            copy.close()
        self._pool = ThreadPoolExecutor(threads)

    def run(self, frames: Frames, reset: bool) -> Observed:
        """See `Implementation.run`."""
        shared = self._contexts
        parts = [frames[at : at + shared] for at in range(0, len(frames), shared)]
        groups = self._pool.map(
            self._run_streams, self._copies, range(len(parts)), parts, [reset] * len(parts)
        )
        streams = [stream for group in groups for stream in group]
        inside = np.stack([seen for seen, _ in streams])
        ends = np.cumsum(list(self._sizes.values()))[:-1]
        parts = np.split(inside, ends, axis=2)
        return {
            **dict(zip(self._sizes, parts, strict=True)),
            LOGITS: np.stack([logits for _, logits in streams]),
        }

    def close(self) -> None:
        """Unloads all copies."""
        self._pool.shutdown()
        for copy in self._copies:
            copy.close()

    def _run_streams(
        self, simulation: CSimulation, position: int, streams: Frames, reset: bool
    ) -> list[tuple[Codes, Codes]]:
        """What goes on inside, and the logits, of streams that share a copy."""
        shown: list[tuple[list[Codes], list[Codes]]] = [([], []) for _ in streams]
        before = simulation.frames_before if reset else 0
        length, first = streams.shape[1] - before, position * self._contexts
        pieces = [uneven_pieces(length, first + at) for at in range(len(streams))]
        for turn in zip_longest(*pieces):
            for context, piece in enumerate(turn):
                if piece is not None:
                    again = reset and piece.start == 0
                    part = streams[context][
                        0 if again else piece.start + before : piece.stop + before
                    ]
                    count = piece.stop - piece.start
                    found = self._run_piece(simulation, part, count, again, context)
                    for kept, codes in zip(shown[context], found, strict=True):
                        kept.append(codes)
        return [(np.concatenate(inside), np.concatenate(logits)) for inside, logits in shown]

    def _run_piece(
        self, simulation: CSimulation, frames: Frames, count: int, reset: bool, context: int
    ) -> tuple[Codes, Codes]:
        network, values = self._network, sum(self._sizes.values())
        results = np.zeros(count * network.result_bytes, np.uint8)
        packed, ends = packed_call(network, frames, sparse=simulation.sparse)
        called = (packed, results, count, reset, values, words_of(ends), context)
        return simulation.run_observed(*called), unpack_results(network, results)


class KerasRun:
    """The Keras model, all streams at once in uneven pieces.

    Logits come from `predict_on_batch`, as a user calls it; what goes on inside comes from the same
    layers, called eagerly from the same state.

    Args:
        network: gives the formats.
        model: stateful, with a batch size of the number of streams, results for every frame; its
            last layers are the recurrent one and the head.
    """

    def __init__(self, network: QuantizedNetwork, model: Any) -> None:
        from fdht_models.kerasapi import tf
        from fdht_models.layers.recurrent import UNROLL

        # No branch of ours depends on a tensor's value, and Keras' graph would read all sources
        # anew, which takes longer than all that it computes here.
        model.predict_step = tf.autograph.experimental.do_not_convert(model.predict_step)
        self._network, self._model, self._at_once = network, model, UNROLL
        self._layer = model.layers[-2]
        self._formats = rounded_formats(network.recurrence)
        self._seen: dict[str, list[npt.NDArray[np.float64]]] = {}

    def run(self, frames: Frames, reset: bool) -> Observed:
        """See `Implementation.run`."""
        if reset:
            self._model.reset_states()
        results: dict[str, list[Codes]] = {}
        for piece in uneven_pieces(frames.shape[1], len(frames)):
            for name, codes in self._run_piece(np.ascontiguousarray(frames[:, piece])).items():
                results.setdefault(name, []).append(codes)
        return {name: np.concatenate(parts, axis=1) for name, parts in results.items()}

    def close(self) -> None:
        """The model is the caller's."""

    def _run_piece(self, frames: Frames) -> dict[str, Codes]:
        before = [state.numpy() for state in self._layer.states]
        shown: dict[str, list[Codes]] = {}
        # Of more frames at once Keras' loop computes the first one twice.
        for start in range(0, frames.shape[1], self._at_once):
            for name, codes in self._run_eagerly(frames[:, start : start + self._at_once]).items():
                shown.setdefault(name, []).append(codes)
        for state, value in zip(self._layer.states, before, strict=True):
            state.assign(value)
        logits = self._model.predict_on_batch(frames)
        return {
            **{name: np.concatenate(parts, axis=1) for name, parts in shown.items()},
            LOGITS: self._network.logit_format.exact(logits, "Keras logits"),
        }

    def _run_eagerly(self, frames: Frames) -> dict[str, Codes]:
        self._seen.clear()
        self._layer.observer = self._observe
        try:
            self._model(frames, training=False)
        finally:
            self._layer.observer = None
        return {
            name: self._formats[name].exact(_by_frame(name, parts, frames.shape), f"Keras {name}")
            for name, parts in self._seen.items()
        }

    def _observe(self, name: str, values: Any) -> None:
        if name != "input":  # the frames themselves
            self._seen.setdefault(name, []).append(np.asarray(values))


def check_complete(name: str, network: QuantizedNetwork, found: Observed) -> None:
    """Raises EqualityError if something that a comparison promises to look at is missing."""
    wanted = {*values_inside(network), LOGITS}
    if name.startswith("keras"):  # whose last stages stay in floating point and exact
        wanted -= {f"{label}.{path.plan.stages[-1].core}" for label, path in _paths(network)}
        wanted |= {"preactivation"}
    if missing := wanted - set(found):
        raise EqualityError(
            "does not show " + ", ".join(sorted(missing)),
            field=name,
            remedy="this is a defect of fdht: please report it with the experiment file",
        )


def _paths(network: QuantizedNetwork) -> Sequence[tuple[str, ContractionPath]]:
    recurrence = network.recurrence
    return (("input", recurrence.input_path), ("hidden", recurrence.hidden_path))


def _by_frame(
    name: str, parts: Sequence[npt.NDArray[np.float64]], shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """[streams, frames, values] of what a piece showed.

    The stages of W_x x come for all frames at once, as [streams x frames, ...]; all else step by
    step, once a step or more, as [streams, ...].
    """
    streams, frames = shape[:2]
    if name.startswith("input."):
        return parts[0].reshape(streams, frames, -1)
    # A cell may round to a format twice a step: a GRU's gates, then its candidate.
    each = len(parts) // frames
    flat = [part.reshape(streams, -1) for part in parts]
    steps = [np.concatenate(flat[at : at + each], axis=1) for at in range(0, len(flat), each)]
    return np.stack(steps, axis=1)
