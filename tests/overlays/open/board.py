"""A board whose programmable logic is the shell in Verilator: pynq's registers are its GP0 port."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from fdht_hls.boards import get_board
from fdht_hls.registers import WINDOW
from fdht_hls.schedule import Schedule
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.directories import OverlayDirectory
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_overlays.design import CORE_ADDRESS
from fdht_overlays.manifest import CycleCount
from fdht_overlays.open.axi3 import OKAY
from fdht_overlays.simulated_overlay import design_of_network, write_simulated_overlay
from fdht_overlays.sparse_pace import sparse_pace
from tests.overlays.open.simulation import SimulatedSystem

#: Nanoseconds of a clock of FCLK0 in the open flow.
CLOCK_NS = 20


def write_overlay(directory: Path, network: QuantizedNetwork, schedule: Schedule) -> Path:
    """An overlay without a program to simulate, since the shell is what runs."""
    cycles, pace = CycleCount(1000, "estimated"), sparse_pace(network, schedule, 1000, 100)
    design = design_of_network(network, cycles, {}, sparse_pace=pace, kind=schedule.frames)
    write_simulated_overlay(design, OverlayDirectory(directory), get_board("sim"), {})
    return directory


class ShellBlock:
    """The core's registers behind the shell; time that passed on the board passes there, too."""

    base, size = CORE_ADDRESS, WINDOW

    def __init__(self, system: SimulatedSystem, clock: Any) -> None:
        self._system, self._clock = system, clock

    def read(self, offset: int) -> int:
        self._catch_up()
        answer = self._system.read(self.base + offset)
        assert answer.response == OKAY
        return answer.values[0]

    def write(self, offset: int, value: int) -> None:
        self._catch_up()
        assert self._system.write(self.base + offset, value) == OKAY

    def _catch_up(self) -> None:
        late = self._clock.monotonic_ns() // CLOCK_NS - self._system.status()[0]
        if late > 0:
            self._system.run(late)


class ShellDevice(SimulatedDevice):
    """pynq's device in front of a running simulation."""

    def __init__(self, system: SimulatedSystem) -> None:
        super().__init__(memory_bytes=system.settings.size)
        self._system = system

    def download(self, bitstream: Any, parser: Any = None) -> None:
        self.core = ShellBlock(self._system, self.clock)  # type: ignore[assignment]
        self.post_download(bitstream, parser, self.name)

    def flush(self, bo: int, offset: int, ptr: int, size: int) -> None:
        super().flush(bo, offset, ptr, size)
        self._system.load(bo + offset, self._shared(bo, offset, size).tobytes())

    def invalidate(self, bo: int, offset: int, ptr: int, size: int) -> None:
        self._shared(bo, offset, size)[:] = struct.unpack(
            f"{size}B", self._system.save(bo + offset, size)
        )
        super().invalidate(bo, offset, ptr, size)
