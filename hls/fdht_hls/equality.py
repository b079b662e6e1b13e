"""Proof of equality: Keras, the integer reference and the C simulation, integer for integer.

Streams of frames are fed to each in pieces of different, uneven lengths, so that the state that
lives between calls is part of what is compared. Compared are the logits, and of every frame what
each stage emits and what the cell keeps (`observation`): rounding, a saturated gate or a weight
that happens to be zero cannot hide a difference. Two builds of the C simulation are checked; see
`csimulation`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from fdht_hls.observation import (
    LOGITS,
    Frames,
    Implementation,
    KerasRun,
    Observed,
    ReferenceRun,
    SimulationRun,
    check_complete,
    values_inside,
)
from fdht_hls.proof import Comparison
from fdht_models.errors import EqualityError
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

#: Called with what has been done and how much there is: (label, frames done, frames in all).
Progress = Callable[[str, int, int], None]
#: Frames, and integers inside them of all streams, that are compared at once: bounds the memory and
#: lets progress be seen.
_WINDOW_FRAMES, _WINDOW_VALUES = 24, 24_000_000
#: How the refusal names a value of a logit.
_PLACES = {LOGITS: "class"}


def compare(expected: Codes, found: Codes, name: str = LOGITS, start: int = 0) -> Comparison:
    """Compares one quantity, int64[streams, frames, values], whose first frame is `start`."""
    wrong = np.argwhere(expected != found)
    counted = {name: expected.size}
    if not len(wrong):
        return Comparison(expected.size, 0, None, counted)
    stream, frame, at = (int(axis) for axis in wrong[0])
    values = f"{expected[stream, frame, at]} against {found[stream, frame, at]}"
    place = f"{_PLACES.get(name, name)} {at}"
    where = f"stream {stream}, frame {start + frame}, {place}: {values}"
    return Comparison(expected.size, len(wrong), where, counted)


def together(comparisons: Sequence[Comparison]) -> Comparison:
    """One comparison of all that several compared; `first` is of the first that differs."""
    quantities: dict[str, int] = {}
    for one in comparisons:
        for name, count in one.quantities.items():
            quantities[name] = quantities.get(name, 0) + count
    return Comparison(
        sum(one.compared for one in comparisons),
        sum(one.mismatches for one in comparisons),
        next((one.first for one in comparisons if one.first), None),
        quantities,
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


def reference_logits(network: QuantizedNetwork, streams: Frames) -> Codes:
    """Logits of the reference, each stream in one piece: int64[streams, frames, classes]."""
    return np.stack([ReferenceModel(network).run(stream) for stream in streams])


class Expected:
    """What the reference says of streams, window by window.

    Kept from one comparison to the next, unless there are more than `_WINDOW_VALUES` integers.

    Args:
        network: the integers.
        streams: codes [streams, frames, inputs].
    """

    def __init__(self, network: QuantizedNetwork, streams: Frames) -> None:
        count, length = streams.shape[:2]
        self._streams, self._reference = streams, ReferenceRun(network, count)
        self._fits = count * length * sum(values_inside(network).values()) <= _WINDOW_VALUES
        self._kept: dict[int, Observed] = {}

    def of(self, window: slice) -> Observed:
        """What it says of some frames; windows are asked for in their order, from frame 0 on."""
        found = self._kept.get(window.start)
        if found is None:
            found = self._reference.run(self._streams[:, window], window.start == 0)
            if self._fits:
                self._kept[window.start] = found
        return found


def prove(
    network: QuantizedNetwork,
    model: Any,
    libraries: Mapping[str, Path],
    streams: Frames,
    progress: Progress,
    *,
    known: Mapping[str, Comparison] = MappingProxyType({}),
    keep: Callable[[Mapping[str, Comparison]], None] | None = None,
    expected: Expected | None = None,
    raw: Frames | None = None,
) -> dict[str, Comparison]:
    """Compares all implementations on the same streams.

    Args:
        network: the integers.
        model: the Keras model, see `KerasRun`.
        libraries: C simulation builds by name.
        streams: codes [streams, frames, inputs].
        progress: told how far each has come.
        known: comparisons of these very streams that are done already, by name.
        keep: given all that are done, after each.
        expected: what the reference says of them, if some of it was computed already.
        raw: the raw frames [streams, frames + 1, inputs] that they are the feature of, for C
            simulations of cores that compute it.

    Returns:
        "keras_reference", and "reference_<name>" for each library.

    Raises:
        EqualityError: an integer differs.
    """
    implementations: dict[str, tuple[str, Callable[[], Implementation]]] = {
        "keras_reference": ("Keras", partial(KerasRun, network, model))
    }
    for name, library in libraries.items():
        make = partial(SimulationRun, network, library, len(streams), os.cpu_count() or 1)
        implementations[f"reference_{name}"] = (f"C simulation ({name})", make)
    expected = expected or Expected(network, streams)
    results: dict[str, Comparison] = {}
    for name, (label, make_one) in implementations.items():
        if name in known:
            results[name] = known[name]
            continue
        with closing(make_one()) as implementation:
            given = raw if name != "keras_reference" else None
            results[name] = against_reference(
                network, implementation, streams, progress, name, label, expected, given
            )
        if keep is not None and not results[name].mismatches:
            keep(results)
    refuse_mismatches(results)
    return results


def against_reference(
    network: QuantizedNetwork,
    implementation: Implementation,
    streams: Frames,
    progress: Progress,
    name: str,
    label: str,
    expected: Expected | None = None,
    raw: Frames | None = None,
) -> Comparison:
    """Compares an implementation with the reference, window by window.

    Args:
        network: the integers.
        implementation: what to compare.
        streams: codes [streams, frames, inputs].
        progress: told how many frames of how many are compared.
        name: of the comparison.
        label: for `progress`.
        expected: see `prove`.
        raw: see `prove`; of an implementation that takes such.

    Raises:
        EqualityError: it does not show what is to be compared.
    """
    expected = expected or Expected(network, streams)
    count, length = streams.shape[:2]
    found: list[Comparison] = []
    progress(label, 0, count * length)
    for window in _windows(network, count, length):
        reset = window.start == 0
        part = streams[:, window]
        if raw is not None:  # at the beginning with the frame before
            part = raw[:, window.start + 1 - int(reset) : window.stop + 1]
        wanted, shown = expected.of(window), implementation.run(part, reset)
        check_complete(name, network, shown)
        # In the order in which values flow, logits last: what differs first is next to the cause.
        found += [compare(wanted[name], codes, name, window.start) for name, codes in shown.items()]
        progress(label, count * window.stop, count * length)
    return together(found)


def _windows(network: QuantizedNetwork, streams: int, frames: int) -> Iterator[slice]:
    """Cuts 0..frames into windows whose intermediate results fit the memory."""
    values = streams * sum(values_inside(network).values())
    length = max(1, min(_WINDOW_FRAMES, _WINDOW_VALUES // values))
    for start in range(0, frames, length):
        yield slice(start, min(frames, start + length))


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
