"""Many clips through the C simulation at once, on all processors.

The core's state is in static variables of its library, as Vitis HLS wants them. So each thread
has a copy of the library, and with it a state of its own; a call in C runs a few whole clips.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.csimulation import CSimulation, copies_of, unpack_results
from fdht_hls.packing import packed_call
from fdht_models.errors import ConfigError
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import QuantizedNetwork

#: Calls that each thread makes at least, so that all end at about the same time.
_CALLS_A_THREAD = 4


class BatchSimulation:
    """The C simulation in a copy for each thread; a context manager.

    Args:
        library: what `compile_library` wrote.
        network: which it simulates.
        threads: how many; by default one for each processor that this program may use.

    Raises:
        ArtifactError: the library cannot be loaded.
        ConfigError: no threads.
    """

    def __init__(
        self, library: Path, network: QuantizedNetwork, threads: int | None = None
    ) -> None:
        count = len(os.sched_getaffinity(0)) if threads is None else threads
        if count < 1:
            raise ConfigError("must be at least 1", field="threads", value=count)
        self._network = network
        self._copies = copies_of(library, count)
        self._pool = ThreadPoolExecutor(count)

    def run(self, clips: npt.NDArray[Any]) -> Codes:
        """Runs every clip from a state of zero.

        Args:
            clips: codes [clips, frames, inputs], int8 or uint8 as the network's input is signed; of
                a core that computes the feature raw frames, one more of each.

        Returns:
            Logit codes, int64[clips, frames, classes].

        Raises:
            ArtifactError: the library was made by another version.
            ConfigError: the clips have another shape.
            DeviceError: the simulation reports a failure, or is closed.
        """
        if clips.ndim != 3 or clips.shape[2] != self._network.inputs or clips.dtype.itemsize != 1:
            raise ConfigError(
                f"must be bytes [clips, frames, {self._network.inputs}]",
                field="clips",
                value=f"{clips.dtype}{list(clips.shape)}",
            )
        before = self._copies[0].frames_before
        count, frames = len(clips), max(0, clips.shape[1] - before)
        logits = np.empty((count, frames, len(self._network.classes)), np.int64)
        size = max(1, count // (_CALLS_A_THREAD * len(self._copies)))
        # Each thread takes the next piece when it is done: clips wait for no slow processor.
        pieces = iter([slice(start, start + size) for start in range(0, count, size)])

        def work(simulation: CSimulation) -> None:
            for piece in pieces:
                logits[piece] = self._simulate(simulation, clips[piece])

        for done in [self._pool.submit(work, copy) for copy in self._copies]:
            done.result()
        return logits

    def _simulate(self, simulation: CSimulation, clips: npt.NDArray[Any]) -> Codes:
        network, count = self._network, len(clips)
        frames = max(0, clips.shape[1] - simulation.frames_before)
        results = np.empty(count * frames * network.result_bytes, np.uint8)
        every = clips.reshape(-1, network.inputs)
        packed, ends = packed_call(network, every, sparse=simulation.sparse)
        of_clips = np.append(0, ends)[frames * np.arange(1, count + 1)]  # looked at if sparse
        simulation.run_clips(packed, results, count, frames, of_clips)
        return unpack_results(network, results).reshape(count, frames, len(network.classes))

    def load_weights(self, words: npt.NDArray[np.uint64]) -> None:
        """Loads weights into all copies; see `CSimulation.load_weights`."""
        for simulation in self._copies:
            simulation.load_weights(words)

    def close(self) -> None:
        """Unloads all copies."""
        self._pool.shutdown()
        for simulation in self._copies:
            simulation.close()

    def __enter__(self) -> BatchSimulation:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
