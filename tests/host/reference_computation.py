"""The integer reference behind the registers of the simulated board's core."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fdht_hls.csimulation import Identity
from fdht_hls.engine import lower
from fdht_hls.registers import ABI_VERSION
from fdht_hls.schedule import Schedule
from fdht_hls.weights import unpack_weights
from fdht_models.errors import DeviceError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.tensor.sparse_frames import CORE_FRAMES, SparseFormat
from tests.models.sparse_reader import read_frames

Bytes = npt.NDArray[np.uint8]
_WORD = 0xFFFF_FFFF


class ReferenceComputation:
    """The integer reference in the place of the C simulation.

    Args:
        network: what it computes.
        schedule: of the core, where weights can be loaded.
        form: of sparse frames; None: it takes others.
        raw: it takes raw frames of video, and computes motion_energy.
        contexts: states that it keeps.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        schedule: Schedule | None = None,
        form: SparseFormat | None = None,
        raw: bool = False,
        contexts: int = 1,
    ) -> None:
        self._built_in, self._form, self._raw = network, form, raw
        self._before = np.full(network.frame_bytes, 0xA5, np.uint8)  # nobody may look at it
        #: Frames that each call read.
        self.read: list[int] = []
        self.sparse, self.frames_before = form is not None, int(raw)
        #: Which it says that it takes.
        self.frames = "raw" if raw else "sparse" if self.sparse else "dense"
        self._plan = lower(network, schedule) if schedule and schedule.loadable else None
        self._layout = self._plan.layout if self._plan else None
        self.weight_words = self._layout.words if self._layout else 0
        self._weights_id = network.design_id if self._layout else 0
        self._models = [ReferenceModel(network) for _ in range(contexts)]
        self._frames_done = 0

    def load_weights(self, words: npt.NDArray[np.uint64]) -> None:
        """See `CoreComputation.load_weights`.

        Raises:
            DeviceError: it holds its weights for good.
        """
        if self._plan is None:
            raise DeviceError("holds its weights for good", field="reference")
        loaded = unpack_weights(self._built_in, self._plan, words)
        self._models = [ReferenceModel(loaded) for _ in self._models]  # with a zero state
        self._weights_id = int(words[0])

    def run(
        self,
        frames: Bytes,
        results: Bytes,
        count: int,
        reset: bool,
        words: int = 0,
        context: int = 0,
    ) -> Identity:
        """See `CoreComputation.run`."""
        network, model = self._built_in, self._models[context % len(self._models)]
        if reset:
            model.reset()
        if count:
            if self._form is not None:
                found, _ = read_frames(self._form, frames.tobytes(), count)
                frames = np.frombuffer(b"".join(found), np.uint8)
            if self._raw:
                frames = self._feature(frames.reshape(-1, network.frame_bytes), count, reset)
            self.read.append(count + (self._raw and reset))
            codes = frames.reshape(count, network.frame_bytes)[:, : network.inputs]
            logits = results.view(np.int32).reshape(count, network.result_bytes // 4)
            logits[:] = 0
            logits[:, : len(network.classes)] = model.run(
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
            core_frames=CORE_FRAMES.index(self.frames),
            contexts=len(self._models) if len(self._models) > 1 else 0,
        )

    def _feature(self, frames: Bytes, count: int, reset: bool) -> Bytes:
        """|frame - frame before| of each result's frame."""
        assert len(frames) == count + reset
        if reset:
            self._before, frames = frames[0].copy(), frames[1:]
        found = np.empty((count, frames.shape[1]), np.uint8)
        for place, frame in enumerate(frames):
            found[place] = np.abs(frame.astype(int) - self._before)
            self._before = frame.copy()
        picture = self._built_in.preprocessing.picture
        assert picture is not None
        found[found <= picture.dead_zone] = 0
        return found

    def close(self) -> None:
        """Nothing to release."""
