"""What computes behind the core's registers: the C simulation or the integer reference."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from fdht_hls.csimulation import Identity
from fdht_hls.registers import ABI_VERSION
from fdht_hls.schedule import Schedule
from fdht_hls.weights import unpack_weights, weight_layout
from fdht_models.errors import DeviceError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

Bytes = npt.NDArray[np.uint8]
_WORD = 0xFFFF_FFFF


class CoreComputation(Protocol):
    """One core's computation and its LSTM state; `fdht_hls.csimulation.CSimulation` is one.

    Attributes:
        weight_words: 64-bit words of weights that it can load; 0: it holds them for good.
    """

    weight_words: int

    def run(self, frames: Bytes, results: Bytes, count: int, reset: bool) -> Identity:
        """Processes `count` frames as the core would; 0 only tells the identity.

        Args:
            frames: uint8[count * frame_bytes], as in memory.
            results: uint8[count * result_bytes], to be written.
            count: frames.
            reset: start from a zero state.
        """
        ...

    def load_weights(self, words: npt.NDArray[np.uint64]) -> None:
        """Loads weights, uint64[weight_words]; the next frame starts from a zero state."""
        ...

    def close(self) -> None:
        """Releases what it holds; it cannot run any more."""
        ...


class ReferenceComputation:
    """The integer reference in the core's place: for tests, and where no compiler is.

    Args:
        network: what it computes.
        schedule: of the core, where weights can be loaded.
    """

    def __init__(self, network: QuantizedNetwork, schedule: Schedule | None = None) -> None:
        self._built_in, self._schedule = network, schedule
        self._layout = weight_layout(network, schedule) if schedule else None
        self.weight_words = self._layout.words if self._layout else 0
        self._weights_id = network.design_id if self._layout else 0
        self._model = ReferenceModel(network)
        self._frames_done = 0

    def load_weights(self, words: npt.NDArray[np.uint64]) -> None:
        """See `CoreComputation.load_weights`.

        Raises:
            DeviceError: it holds its weights for good.
        """
        if self._schedule is None or self._layout is None:
            raise DeviceError("holds its weights for good", field="reference")
        loaded = unpack_weights(self._built_in, self._schedule, words)
        self._model = ReferenceModel(loaded)  # with a zero state
        self._weights_id = int(words[0])

    def run(self, frames: Bytes, results: Bytes, count: int, reset: bool) -> Identity:
        """See `CoreComputation.run`."""
        network = self._built_in
        if reset:
            self._model.reset()
        if count:
            codes = frames.reshape(count, network.frame_bytes)[:, : network.inputs]
            words = results.view(np.int32).reshape(count, network.result_bytes // 4)
            words[:] = 0
            words[:, : len(network.classes)] = self._model.run(
                codes.view(np.int8) if network.input_format.signed else codes
            )
            self._frames_done = (self._frames_done + count) & _WORD
        design = network.design_id
        return Identity(
            ABI_VERSION,
            design & _WORD,
            design >> 32,
            network.frame_bytes,
            network.result_bytes,
            self._frames_done,
            self._layout.digest if self._layout else 0,
            self._weights_id & _WORD,
            self._weights_id >> 32,
        )

    def close(self) -> None:
        """Nothing to release."""
