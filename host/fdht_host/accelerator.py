"""The accelerator as a user sees it: frames in, logits out, state kept between calls."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fdht_hls.boards import get_board
from fdht_hls.weights import LoadableWeights
from fdht_host.calls import CallPipeline, Frames, Logits, Work
from fdht_host.driver import FdhtLstm, check_identity, load_core
from fdht_host.frame_packing import check_beginning
from fdht_host.loaded import Loaded
from fdht_host.phase_times import PhaseTimes
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.arguments import count, flag, path, seconds
from fdht_models.errors import ConfigError, DeviceError, ShapeError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.golden import load_golden
from fdht_overlays.manifest import SIMULATION_FLOW, OverlayManifest, load_manifest

#: Frames a call, unless the caller says otherwise.
DEFAULT_BATCH = 32


class Accelerator:
    """An overlay on a board, real or simulated.

    Use `open`.

    Attributes:
        manifest: of the overlay.
        device: the pynq device.
        driver: the core's driver.
        loadable: what weights the core takes; None: it holds its own for good.
    """

    def __init__(
        self,
        manifest: OverlayManifest,
        driver: FdhtLstm,
        loaded: Loaded,
        batch: int,
        timeout: float,
        owns_device: bool = False,
        loadable: LoadableWeights | None = None,
    ) -> None:
        self.manifest, self.device, self.driver = manifest, driver.device, driver
        self.loadable = loadable
        self._loaded, self._owns_device = loaded, owns_device
        self._calls = CallPipeline(manifest, driver, loaded, batch, timeout)

    @classmethod
    def open(
        cls,
        overlay_directory: Path,
        *,
        device: Any = None,
        batch: int = DEFAULT_BATCH,
        timeout: float = 10.0,
        self_test: bool = True,
    ) -> Accelerator:
        """Loads an overlay and checks that it is the one that the manifest describes.

        One accelerator at a time uses a device: the one before refuses to go on, in one line.

        Args:
            overlay_directory: what `fdht build` wrote.
            device: a pynq device; None: a new simulated board for a simulated overlay, otherwise
                the board that pynq finds.
            batch: frames a call of the core.
            timeout: seconds that one call may take.
            self_test: run the golden vectors; takes a few frames' time. The state is zero after it.

        Raises:
            ConfigError: an argument has an impossible value.
            ArtifactError: the overlay is incomplete or damaged.
            DeviceError: there is no board, the overlay is for another one, there is no memory for
                its buffers, the core's identity differs from the manifest, or the self test fails.
        """
        overlay_directory = path(overlay_directory, "overlay_directory")
        batch, timeout = count(batch, "batch"), seconds(timeout, "timeout")
        self_test = flag(self_test, "self_test")
        manifest = load_manifest(overlay_directory)
        simulated = manifest.flow == SIMULATION_FLOW
        if simulated and device is not None and not isinstance(device, SimulatedDevice):
            raise DeviceError(
                "is for a simulated board",
                field=str(overlay_directory),
                remedy="build a bitstream for this board",
            )
        owned = SimulatedDevice(get_board(manifest.board)) if device is None and simulated else None
        accelerator: Accelerator | None = None
        try:
            driver, loaded = load_core(overlay_directory / manifest.bitstream, owned or device)
            check_identity(driver, manifest, timeout)
            loadable = _loadable_weights(driver, manifest, overlay_directory, timeout)
            accelerator = cls(manifest, driver, loaded, batch, timeout, owned is not None, loadable)
            if self_test:
                accelerator.self_test(overlay_directory)
        except BaseException:
            if accelerator is not None:
                accelerator.close()
            elif owned is not None:
                owned.close()
            raise
        return accelerator

    @property
    def times(self) -> PhaseTimes:
        """Where the host's time went since the overlay was opened and tested."""
        return self._calls.times

    def close(self) -> None:
        """Frees the buffers, once the core has ended; a second call does nothing.

        A stream that is not finished is given up, and refuses to go on.
        """
        self._calls.close()
        # Not from under another accelerator that was opened on this one's device.
        if self._owns_device and self._loaded.held:
            self.device.close()

    def __enter__(self) -> Accelerator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def contexts(self) -> int:
        """States that the core keeps, each of a stream of its own."""
        return self.manifest.contexts

    def infer(self, frames: Frames, *, reset: bool, context: int = 0) -> Logits:
        """Processes consecutive frames of a stream.

        Args:
            frames: codes, uint8 (int8 if the input format is signed) [n, size]; n may be 0. Of a
                core that computes the feature raw frames of video, uint8[n, H * W * 3].
            reset: start from a zero LSTM state; False: continue after the last frame processed.
            context: whose state that is, from 0 to `contexts` - 1; others stay as they are.

        Returns:
            Logit codes, int64[n, classes]. Where a sequence of raw frames begins, with reset, one
            less: the first frame is only what the second is compared with.

        Raises:
            ConfigError: `reset` is neither True nor False, or there is no such context.
            ShapeError: wrong shape, type or range; or a sequence begins with too few raw frames.
            DeviceError: the device holds another overlay or other weights by now, the state is to
                be continued although the call before did not end, or the core fails;
                DeviceTimeoutError: it does not end.
        """
        reset, context = flag(reset, "reset"), self._checked_context(context)
        frames = self._checked(frames, "frames", 2)
        if len(frames):
            check_beginning(self.manifest.input, len(frames), reset)
        batch, first = self._calls.batch, self._first_batch(reset)
        starts = (*([0] if len(frames) else []), *range(first, len(frames), batch))
        pieces = (frames[start : start + batch if start else first] for start in starts)
        logits = list(self._calls.run(pieces, reset, context=context))
        return np.concatenate(
            [np.empty((0, len(self.manifest.results.classes)), np.int64), *logits]
        )

    def stream(
        self, frames: Iterable[Frames], *, reset: bool = True, context: int = 0
    ) -> Generator[Logits, None, None]:
        """Processes frames as they come; the core works while the next ones are made and packed.

        A generator that is given up early has processed up to two batches more than it yielded, so
        the next call in its context must reset the state. While one is under way, nothing else
        runs, in no context; streams in turns are calls of `infer`, as `interleaving` makes them.

        Args:
            frames: each uint8 or int8 [size]; raw ones of video as in `infer`. Each is copied once,
                into the core's buffer, before the next is asked for: a source may use one array
                for all.
            reset: as in `infer`.
            context: as in `infer`.

        Yields:
            Logit codes of each frame, int64[classes]; of raw frames with reset of each but the
            first.

        Raises:
            ConfigError: `frames` cannot be iterated, or as in `infer`.
            ShapeError: a frame has a wrong shape, type or range; or as in `infer`.
            DeviceError: as in `infer`; DeviceTimeoutError: the core does not end.
        """
        reset, context = flag(reset, "reset"), self._checked_context(context)
        if not isinstance(frames, Iterable):
            raise ConfigError(
                "must be an iterable of frames", field="frames", value=type(frames).__name__
            )
        # The generator must be known to the calls: as long as it is under way, they are.
        consumer: list[Work] = []
        stream = self._stream(frames, reset, consumer, context)
        consumer.append(weakref.ref(stream))
        return stream

    def _stream(
        self, frames: Iterable[Frames], reset: bool, consumer: Sequence[Work], context: int
    ) -> Generator[Logits, None, None]:
        work = self._calls.run(self._batches(frames, reset), reset, consumer[0], context)
        with closing(work) as batches:
            for logits in batches:
                yield from logits

    def self_test(self, overlay_directory: Path) -> int:
        """Runs the golden vectors; the next frame starts from a zero state.

        Where there are several contexts, in the first and the last of them, in turns; of the others
        nothing changes.

        They are of the weights that the core was built with: after `load_weights`, load those
        first.

        Returns:
            Values compared, all of them equal.

        Raises:
            ArtifactError: there are no golden vectors.
            DeviceError: a value differs from the reference's.
        """
        golden, last = load_golden(overlay_directory, self.manifest), self.contexts - 1
        if last:
            half = len(golden.frames) // 2
            begun = self.infer(golden.frames[:half], reset=True)
            other = self.infer(golden.frames, reset=True, context=last)
            rest = self.infer(golden.frames[half:], reset=False)
            found = [np.concatenate([begun, rest]), other]
        else:
            found = [self.infer(golden.frames, reset=True)]
        for logits in found:
            self._compare(logits, golden.results)
        self._calls.times = PhaseTimes()
        for context in {0, last}:
            self._calls.restart_state(context)
        return sum(int(logits.size) for logits in found)

    def _compare(self, logits: Logits, results: Logits) -> None:
        wrong = np.argwhere(logits != results)
        if len(wrong):
            frame, index = (int(value) for value in wrong[0])
            raise DeviceError(
                f"{len(wrong)} of {logits.size} values differ, first frame {frame}, class {index}: "
                f"{logits[frame, index]} instead of {results[frame, index]}",
                field="self test",
                remedy="do not use this board's results; build and load the overlay again",
            )

    def load_weights(self, source: QuantizedNetwork | Path) -> None:
        """Loads the weights of another network of the same shapes and formats.

        They hold until other ones are loaded or the overlay is. The state that the core has was
        computed with other weights, so that the next frame starts from a zero state, also if it
        is processed with `reset=False`.

        Args:
            source: the network, or the path of its `network.json`.

        Raises:
            ArtifactError: the file is missing or damaged.
            ConfigError: it is neither, or the network differs in more than its weights; names the
                first field.
            DeviceError: the core takes no weights, did not load them, or is in use; what it then
                holds the next call compares.
        """
        if self.loadable is None:
            raise DeviceError(
                "holds its weights for good",
                field=self.manifest.experiment,
                remedy="convert it with a schedule of fdht tune --loadable, and build it again",
            )
        network = (
            source
            if isinstance(source, QuantizedNetwork)
            else QuantizedNetwork.load(path(source, "source"))
        )
        self._calls.load_weights(self.loadable.pack(network))

    def _checked_context(self, context: object) -> int:
        """One of those that the core keeps.

        Raises:
            ConfigError: it keeps no such.
        """
        try:
            return count(context, "context", 0, self.contexts - 1)
        except ConfigError as error:
            raise error.moved(
                remedy=f"the core keeps {self.contexts}; convert and build it again with "
                "--contexts for more"
            ) from None

    def _first_batch(self, reset: bool) -> int:
        """Frames of the first call at most."""
        return self.manifest.input.frames_for(self._calls.batch, reset)

    def _batches(self, frames: Iterable[Frames], reset: bool) -> Iterator[Iterator[Frames]]:
        """The frames of each call, for ever; behind the last frame calls have none."""
        checked = (self._checked(frame, "frame", 1) for frame in frames)
        yield islice(checked, self._first_batch(reset))
        while True:
            yield islice(checked, self._calls.batch)

    def _checked(self, given: object, field: str, dimensions: int) -> Frames:
        """Frames that the core can take, [n, size], or one of them, [size]."""
        try:
            frames = np.asarray(given)
        except (ValueError, TypeError) as error:  # lists of unequal lengths, and the like
            raise ShapeError(f"is no array ({error})", field=field) from error
        layout, found = self.manifest.input, f"{frames.dtype}{list(frames.shape)}"
        if frames.ndim != dimensions:
            wanted = f"{layout.dtype}[{'n, ' if dimensions == 2 else ''}{layout.size}]"
            raise ShapeError(f"expected {wanted}", field=field, value=found)
        if frames.dtype != np.dtype(layout.dtype) or frames.shape[-1] != layout.size:
            raise ShapeError(
                f"expected frames of {layout.dtype}[{layout.size}]",
                field=field,
                value=found,
                remedy="compute the model's feature from frames of its size",
            )
        low, high = layout.format.minimum, layout.format.maximum
        if (
            layout.format.width < 8
            and frames.size
            and not low <= frames.min() <= frames.max() <= high
        ):
            raise ShapeError(
                f"codes must lie between {low} and {high}",
                field=field,
                value=[int(frames.min()), int(frames.max())],
            )
        return frames


def _loadable_weights(
    driver: FdhtLstm, manifest: OverlayManifest, directory: Path, timeout: float
) -> LoadableWeights | None:
    """What weights the core takes, by the file beside the manifest; None: none.

    Raises:
        ArtifactError: the file is damaged.
        DeviceError: the core has another layout than the file.
    """
    if manifest.weights is None:
        return None
    found = LoadableWeights.load(directory / manifest.weights)
    shown, wanted = driver.identity(timeout).weights_layout, found.layout.digest
    if shown != wanted:
        raise DeviceError(
            f"the core shows {shown:08x}, {manifest.weights} describes {wanted:08x}",
            field="weights_layout",
            remedy="build the overlay again",
        )
    return found
