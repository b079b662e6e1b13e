"""What a device holds: the overlay that was loaded last, and the call that its core may be running.

Both are kept with the device and not with an accelerator. An accelerator that was interrupted or
forgotten leaves its call behind, and the next one must not change the bitstream, or use the
buffers, under a running core. And of two accelerators on one device only the later one's overlay
is there: the earlier one must not take its results.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fdht_host import pynq_calls
from fdht_models.errors import DeviceError

if TYPE_CHECKING:
    from fdht_host.driver import FdhtLstm

_PLACE = "_fdht_use"


@dataclass(frozen=True, eq=False)
class Call:
    """A call that has been started, or is just about to be.

    Args:
        driver: of the core.
        loaded: the overlay that the core is of.
        buffers: what the core reads and writes: kept alive by this, whatever becomes of the caller.
        deadline: when it should have ended at the latest, by the device's clock.
    """

    driver: FdhtLstm
    loaded: Loaded
    buffers: tuple[Any, ...]
    deadline: float


@dataclass(eq=False)
class DeviceUse:
    """What a device is at.

    Args:
        loads: overlays that were loaded on it, those included that were begun and failed.
        call: what its core may be running; None: it is idle.
        orphans: buffers that the core may still write to, although nobody needs them any more.
    """

    loads: int = 0
    call: Call | None = None
    orphans: list[Any] = field(default_factory=list)

    def settle(self) -> None:
        """Waits for the call that somebody left behind, if there is one, until its deadline.

        Raises:
            DeviceTimeoutError: it did not end; it is kept.
        """
        call = self.call
        # With another overlay its core is gone, and with that the call.
        if call is not None and call.loaded.held:
            call.driver.wait_until(call.deadline)
        self.call = None

    def renew(self) -> None:
        """Notes that an overlay has been loaded: whatever was running is over."""
        self.call = None
        while self.orphans:
            with pynq_calls.FREED:
                self.orphans[-1].freebuffer()
            self.orphans.pop()


def use_of(device: Any) -> DeviceUse:
    """What a device is at: one for all who use it in this process.

    An attribute of the device, since buffers refer to their device: kept elsewhere, neither would
    ever be collected.
    """
    use: DeviceUse | None = getattr(device, _PLACE, None)
    if use is None:
        use = DeviceUse()
        setattr(device, _PLACE, use)
    return use


@dataclass(frozen=True, eq=False)
class Loaded:
    """An overlay that was loaded on a device.

    Args:
        overlay: pynq's.
        use: of its device.
        number: which of the device's loads it was.
        record: of all programs' loads, as it was just after; see
            `pynq_calls.record_of_other_programs`.
    """

    overlay: Any
    use: DeviceUse
    number: int
    record: tuple[int, ...] | None

    @property
    def held(self) -> bool:
        """True while the device holds it, as far as this process can know without a register."""
        return self.use.loads == self.number and pynq_calls.is_loaded(self.overlay)

    def check(self) -> None:
        """Refuses to go on once something else was loaded; touches no register.

        Where another overlay has nothing at the core's address, reading it would stop a real board.

        Raises:
            DeviceError: it is no longer there.
        """
        if self.held and pynq_calls.record_of_other_programs(self.overlay.device) == self.record:
            return
        raise DeviceError(
            "another overlay was loaded on its device since it was opened",
            field="accelerator",
            remedy="close it and open it again, and use one at a time",
        )


def check_shown(driver: FdhtLstm, design_id: int, weights_id: int) -> None:
    """Refuses what another core, or one with other weights, computes: four registers at most.

    They are as the core's last call left them, so that no call is needed to read them.

    Args:
        driver: of the core.
        design_id: the design that it should be.
        weights_id: the network whose weights it should hold; 0: it holds its own for good.

    Raises:
        DeviceError: it is another one.
    """
    open_again = "close the accelerator and open it again"
    expected = [("design_id", design_id, open_again)]
    if weights_id:
        expected.append(("weights_id", weights_id, f"load the weights again, or {open_again}"))
    for name, wanted, remedy in expected:
        shown = driver.read_register(name)
        if shown != wanted:
            raise DeviceError(
                f"the core shows {shown:016x}, and not {wanted:016x} as before",
                field=name,
                remedy=remedy,
            )
