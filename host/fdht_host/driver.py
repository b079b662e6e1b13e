"""The driver of the core `fdht_lstm`, bound by pynq to its vendor, library, name and version.

Importing this module needs pynq; importing `fdht_host` does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fdht_hls.registers import ABI_VERSION, AP_IDLE, AP_START, BY_NAME, VLNV
from fdht_host import pynq_calls
from fdht_host._pynq import DefaultIP, Device
from fdht_host.clocks import clock_of
from fdht_host.loaded import Loaded, use_of
from fdht_models.arguments import seconds
from fdht_models.errors import ConfigError, DeviceError, DeviceTimeoutError
from fdht_models.tensor.sparse_frames import CORE_FRAMES, FrameFault
from fdht_overlays.manifest import OverlayManifest

#: Seconds between two looks at a running core.
POLL_SECONDS = 100e-6
#: The core's frame count has 32 bits.
_LARGEST_COUNT = 0xFFFF_FFFF
#: What a core says of the frames of a call; see `FrameFault`.
_FRAME_FAULTS: Mapping[FrameFault, str] = {
    FrameFault.HEADER: "a frame's header is of no kind, or names more or fewer words than it can "
    "have",
    FrameFault.COUNT: "a frame's bitmaps promise other words than its header",
    FrameFault.BEHIND: "a bitmap has a bit behind the frame's last word",
    FrameFault.SHORT: "the words ended before the frames did",
    FrameFault.LONG: "the frames ended before the words did",
}


@dataclass(frozen=True)
class CoreIdentity:
    """What a core says of itself in its identity registers.

    Args:
        abi_version: version of the register map.
        design_id: 64 bits of the design's digest.
        frame_bytes: distance between two frames.
        result_bytes: distance between two results.
        frames_done: frames since the bitstream was loaded, modulo 2**32.
        weights_layout: digest of the layout of weights that can be loaded; 0: none can.
        weights_id: digest of the network whose weights it holds, where they can be loaded; 0 if
            loading them failed.
        core_frames: which frames it takes: their place in `CORE_FRAMES`.
        contexts: states that it keeps; 0: one.
    """

    abi_version: int
    design_id: int
    frame_bytes: int
    result_bytes: int
    frames_done: int
    weights_layout: int = 0
    weights_id: int = 0
    core_frames: int = 0
    contexts: int = 0


class FdhtLstm(DefaultIP):  # type: ignore[misc, unused-ignore]
    """Drives one core.

    Attributes:
        mmio: pynq's access to the registers.
        device: the pynq device that the core is on.
    """

    bindto = [VLNV]  # noqa: RUF012 - pynq's binding protocol

    def __init__(self, description: dict[str, Any]) -> None:
        super().__init__(description)
        self._clock = clock_of(self.device)

    def read_register(self, name: str) -> int:
        """Value of a register by its name in `fdht_hls.registers`, 32 or 64 bits.

        One of the identity with 64 bits is two there: `name`_low and `name`_high.
        """
        halves = (name,) if name in BY_NAME else (f"{name}_low", f"{name}_high")
        offsets = [offset for half in halves for offset in BY_NAME[half].words]
        with pynq_calls.REGISTERS:
            words = [int(self.mmio.read(offset)) for offset in offsets]
        return sum(word << (32 * place) for place, word in enumerate(words))

    def write_register(self, name: str, value: int) -> None:
        """Writes a register by its name, 32 or 64 bits."""
        with pynq_calls.REGISTERS:
            for place, offset in enumerate(BY_NAME[name].words):
                self.mmio.write(offset, (int(value) >> (32 * place)) & 0xFFFF_FFFF)

    def start(
        self,
        frames: int,
        results: int,
        count: int,
        reset: bool,
        weights: int | None = None,
        words: int = 0,
        context: int | None = None,
    ) -> None:
        """Starts a call and returns at once.

        Args:
            frames: physical address of the first frame.
            results: physical address of the first result.
            count: frames; 0 only sets the identity registers.
            reset: start from a zero LSTM state.
            weights: physical address of weights to load before the first frame; None: none.
            words: that the frames take, where the core takes sparse ones.
            context: whose state they go on from, where the core keeps several; None: it keeps one.

        Raises:
            DeviceError: the core is running, an address is misaligned, or a count does not fit.
        """
        addresses = (("frames", frames), ("results", results), ("weights", weights or 0))
        for name, address in addresses:
            if address % 8:
                raise DeviceError(
                    "must be a multiple of 8",
                    field=f"address of the {name}",
                    value=hex(address),
                    remedy="pass whole frames of a buffer from pynq.allocate",
                )
        for name, value in (
            ("frame_count", count),
            ("call_words", words),
            ("context", context or 0),
        ):
            if not 0 <= value <= _LARGEST_COUNT:
                raise DeviceError(
                    "must fit 32 bits", field=name, value=value, remedy="use smaller batches"
                )
        control = self.read_register("CTRL")
        if not control & AP_IDLE:
            raise DeviceError(
                f"the core is still running (CTRL = {control:#04x})",
                field="start",
                remedy="wait for the call before; load the overlay again if it never ends",
            )
        self.write_register("frames", frames)
        self.write_register("results", results)
        self.write_register("frame_count", count)
        self.write_register("reset_state", int(reset))
        # Cores that have no such registers ignore these.
        self.write_register("call_words", words)
        self.write_register("load_weights", int(weights is not None))
        if weights is not None:
            self.write_register("weights", weights)
        if context is not None:
            self.write_register("context", context)
        self.write_register("CTRL", AP_START)

    def wait(self, timeout: float, expected: float = 0.0) -> None:
        """Waits until the core is idle.

        Args:
            timeout: seconds after which to give up; 0 for a single look.
            expected: seconds that the call should take: slept through before the first look.

        Raises:
            ConfigError: the time-out is no time.
            DeviceTimeoutError: the core did not end in time.
        """
        if timeout != 0:
            timeout = seconds(timeout, "timeout")
        deadline = self._clock.monotonic() + timeout
        self._clock.sleep(min(expected, timeout))
        self.wait_until(deadline, f"within {timeout:g} s")

    def wait_until(self, deadline: float, allowed: str = "in the time that its call had") -> None:
        """Waits until the core is idle, with at least one look at it.

        Args:
            deadline: when to give up, by the device's clock.
            allowed: which time that is, for the message.

        Raises:
            DeviceTimeoutError: the core did not end in time.
        """
        while True:
            # The time is taken before the look: a late look at an idle core is no failure.
            late = self._clock.monotonic() >= deadline
            control = self.read_register("CTRL")
            if control & AP_IDLE:
                return
            if late:
                raise DeviceTimeoutError(
                    f"the core did not end {allowed} ({self._summary(control)})",
                    field="wait",
                    remedy="check the buffers' addresses and the clock, and load the overlay again",
                )
            self._clock.sleep(POLL_SECONDS)

    def _summary(self, control: int) -> str:
        shown = [f"CTRL = {control:#04x}"]
        shown += [f"{name} = {self.read_register(name):#x}" for name in ("frames", "results")]
        shown += [f"{name} = {self.read_register(name)}" for name in ("frame_count", "frames_done")]
        return ", ".join(shown)

    def identity(self, timeout: float = 1.0) -> CoreIdentity:
        """Asks the core who it is, by a call of no frames; LSTM state is kept.

        Raises:
            DeviceError: the core is running.
            DeviceTimeoutError: it does not answer.
        """
        self.start(0, 0, 0, reset=False)
        self.wait(timeout)
        return self.shown_identity()

    def shown_identity(self) -> CoreIdentity:
        """The identity registers as the last call left them; all 0 before the first one."""
        names = (field.name for field in fields(CoreIdentity))
        return CoreIdentity(**{name: self.read_register(name) for name in names})

    def load_weights(self, weights: Any, timeout: float = 10.0) -> None:
        """Loads weights and checks that the core holds them; the next frame starts from zero.

        Args:
            weights: `PynqBuffer` of uint64 with what `fdht_hls.weights.LoadableWeights.pack` gives.
            timeout: seconds.

        Raises:
            DeviceError: the core is running, takes no weights, or did not load them.
            DeviceTimeoutError: it did not end in time.
        """
        if not self.identity(timeout).weights_layout:
            raise DeviceError(
                "holds its weights for good",
                field="core",
                remedy="build it with loadable weights: fdht tune --loadable",
            )
        with pynq_calls.SYNCHRONISED:
            weights.flush()
        self.start(0, 0, 0, reset=False, weights=weights.device_address)
        self.wait(timeout)
        found, wanted = self.shown_identity().weights_id, int(weights[0])
        if found != wanted:
            raise DeviceError(
                f"the core shows weights {found:016x} after loading {wanted:016x}",
                field="weights_id",
                remedy="check the buffer, and load them again",
            )

    def takes_sparse_frames(self) -> bool:
        """Does the core have the register that only a core of sparse frames has?

        That is how one of a former version is told; others say it in `core_frames`. Of such it is
        written by every call, so that nobody misses what it held.
        """
        self.write_register("call_words", 1)
        found = self.read_register("call_words")
        self.write_register("call_words", 0)
        return found == 1

    def check_frames(self) -> None:
        """Checks that a core of sparse frames found nothing wrong with those of the last call.

        Raises:
            DeviceError: it did; says what.
        """
        found = FrameFault(self.read_register("frame_faults"))
        if found:
            raise DeviceError(
                "; ".join(text for fault, text in _FRAME_FAULTS.items() if fault in found)
                or "the core names a fault that this host does not know",
                field="frame_faults",
                value=int(found),
                remedy="their results are void: run them again with reset=True; if it happens "
                "again, the buffer changes on its way, so load the overlay again",
            )

    def check_progress(self, before: int, count: int) -> int:
        """Checks that a call processed all its frames.

        Args:
            before: `frames_done` before the call.
            count: frames of the call.

        Returns:
            `frames_done` now.

        Raises:
            DeviceError: it did not.
        """
        now = self.read_register("frames_done")
        done = (now - before) & 0xFFFF_FFFF
        if done != count:
            raise DeviceError(
                f"the core processed {done} of {count} frames",
                field="frames_done",
                remedy="load the overlay again",
            )
        return now


def load_core(bitstream: Path, device: Any) -> tuple[FdhtLstm, Loaded]:
    """Loads an overlay through pynq; gives the driver of its core, and what tells if it is there.

    A call that an earlier accelerator left behind on the device may end first.

    Args:
        bitstream: the `.bit` file; the `.hwh` stands beside it.
        device: a pynq device; None: the board that pynq finds.

    Raises:
        ConfigError: it is no pynq device.
        DeviceError: there is no board, it refuses the overlay, or the overlay has no single core.
    """
    device = pynq_calls.active_device() if device is None else device
    if not isinstance(device, Device):
        raise ConfigError(
            "must be a pynq device",
            field="device",
            value=type(device).__name__,
            remedy="pass none, for the board that pynq finds",
        )
    use = use_of(device)
    # A call that does not end is no obstacle: loading the bitstream ends it.
    with suppress(DeviceError):
        use.settle()
    # Counted before, so that a load which fails half-way takes the device from those before, too.
    use.loads += 1
    number = use.loads
    overlay = pynq_calls.load_overlay(bitstream, device)
    use.renew()
    driver: FdhtLstm = pynq_calls.bound_driver(overlay, FdhtLstm)
    return driver, Loaded(overlay, use, number, pynq_calls.record_of_other_programs(device))


def check_identity(driver: FdhtLstm, manifest: OverlayManifest, timeout: float = 1.0) -> None:
    """Checks that the core on the board is the one that a manifest describes.

    Raises:
        DeviceError: it is another one; names both.
    """
    found = driver.identity(timeout)
    if found.abi_version != ABI_VERSION:
        raise DeviceError(
            f"this host speaks {ABI_VERSION}",
            field="abi_version",
            value=found.abi_version,
            remedy="build the overlay with this version of fdht",
        )
    if found.design_id != manifest.design_number:
        raise DeviceError(
            f"the board holds design {found.design_id:016x}, the manifest of "
            f"{manifest.experiment} names {manifest.design_id}",
            field="design_id",
            remedy="build the overlay again from this model",
        )
    for name, shown, expected in (
        ("frame_bytes", found.frame_bytes, manifest.input.frame_bytes),
        ("result_bytes", found.result_bytes, manifest.results.result_bytes),
    ):
        if shown != expected:
            raise DeviceError(
                f"the manifest says {expected}",
                field=name,
                value=shown,
                remedy="build the overlay again",
            )
    if max(1, found.contexts) != manifest.contexts:
        raise DeviceError(
            f"the manifest says {manifest.contexts}",
            field="contexts",
            value=max(1, found.contexts),
            remedy="convert the experiment and build the overlay again",
        )
    takes, said = _frames_of(driver, found, manifest), manifest.input.frames
    if takes != said:
        raise DeviceError(
            f"the core takes {takes} frames, the manifest says {said}",
            field="frames",
            remedy="convert the experiment and build the overlay again",
        )


def _frames_of(driver: FdhtLstm, found: CoreIdentity, manifest: OverlayManifest) -> str:
    """Which frames a core takes, in words."""
    if found.core_frames:
        known = found.core_frames < len(CORE_FRAMES)
        return CORE_FRAMES[found.core_frames] if known else f"unknown ({found.core_frames})"
    if manifest.input.frames_shown:
        return "dense"
    if driver.takes_sparse_frames():
        return "sparse"
    # Of a former version the self test tells dense and raw ones apart.
    return "dense" if manifest.input.sparse else manifest.input.frames
