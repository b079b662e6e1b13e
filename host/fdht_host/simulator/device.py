"""The simulated board as a pynq device.

Where a board fails, it raises what pynq 3.1.2 raises for a Zynq (`pynq/pl_server/`), so that the
host's tests see what a board does. Errors of ours come only from what no board has: a simulated
overlay's own files, and accesses that would stop a real board instead of failing.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.boards import Board, get_board
from fdht_hls.csimulation import CSimulation
from fdht_hls.registers import VLNV
from fdht_host._pynq import (
    Clocks,
    Device,
    Metadata,
    PynqBuffer,
    RuntimeMetadataParser,
    pynq,
)
from fdht_host.clocks import ActivityLog, Segment, VirtualClock
from fdht_host.simulator.logic import (
    Block,
    ClockRegisters,
    CoreComputation,
    Faults,
    Memory,
    SimulatedCore,
)
from fdht_models.directories import LIBRARY
from fdht_models.errors import ArtifactError, ConfigError, DeviceError
from fdht_models.interruption import interrupts_held_back
from fdht_overlays.bitfile import read_bitfile
from fdht_overlays.manifest import OverlayManifest, load_manifest

#: Makes what computes behind a loaded overlay.
ComputationFactory = Callable[[Path, OverlayManifest], CoreComputation]

#: Virtual time of one register access over M_AXI_GP0: modelled, of the order of 0.15 us.
REGISTER_ACCESS_NS = 150
_WORD_MASK = 0xFFFF_FFFF
_numbers = itertools.count()


def csimulation(directory: Path, manifest: OverlayManifest) -> CoreComputation:
    """The default computation: the overlay's C simulation."""
    return CSimulation(directory / LIBRARY)


class SimulatedDevice(Device):
    """A board whose programmable logic is simulated.

    It is not registered with pynq's list of devices: name it, as in
    `Overlay(path, device=simulated_device)`.

    Args:
        board: a simulated board; `sim` if None.
        computation: makes what computes behind the registers when an overlay is loaded.
        memory_bytes: memory for buffers.

    Attributes:
        clock: the board's virtual time; a host of a simulated board sleeps on it.
        faults: faults to inject.
        core: the loaded core, or None.

    Raises:
        ConfigError: the board is a real one.
    """

    def __init__(
        self,
        board: Board | None = None,
        *,
        computation: ComputationFactory = csimulation,
        memory_bytes: int = 64 << 20,
    ) -> None:
        self.board = board or get_board("sim")
        if not self.board.simulated:
            raise ConfigError(
                "is a real board", field="board", value=self.board.name, remedy="use --board sim"
            )
        super().__init__(f"fdht_simulated_{next(_numbers)}")
        self.name = self.board.title
        self.arch = "armv7l"
        self.capabilities = {"REGISTER_RW": True}
        # pynq compares these with an overlay's to tell whether it is loaded.
        self.timestamp, self.bitfile_name = "", ""
        self.clock = VirtualClock()
        self.faults = Faults()
        self.core: SimulatedCore | None = None
        self._activity = ActivityLog()
        self._memory = Memory(memory_bytes)
        self._clock_registers = ClockRegisters()
        self._computation_factory = computation
        self._computation: CoreComputation | None = None

    @property
    def activity(self) -> tuple[Segment, ...]:
        """When the core was busy and when idle: segments from time 0 to now, without gaps."""
        return self._activity.segments(self.clock.monotonic_ns())

    def close(self) -> None:
        """Unloads the overlay."""
        self._activity.interrupt(self.clock.monotonic_ns())
        self.core = None
        computation, self._computation = self._computation, None
        if computation is not None:
            computation.close()

    # What pynq calls when an overlay is loaded.

    def set_bitfile_name(self, bitfile_name: str) -> None:
        """Reads an overlay's description."""
        _bind_clocks(self)
        super().set_bitfile_name(bitfile_name)

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        """Returns pynq's description of a bitstream file and the `.hwh` beside it.

        Raises:
            RuntimeError: the bitstream file is damaged, or there is no `.hwh`
                (`embedded_device.py`: parse_bit_header, EmbeddedDevice.get_bitfile_metadata).
                Reading one that is damaged raises whatever pynqmetadata did not expect.
        """
        path = Path(bitfile_name)
        try:
            read_bitfile(path)
        except ArtifactError as error:
            raise RuntimeError(error.problem) from error
        handoff = path.with_suffix(".hwh")
        if not handoff.is_file():
            raise RuntimeError("Unable to find metadata for bitstream")
        parser = RuntimeMetadataParser(Metadata(input=handoff))
        _complete_clocks(parser)
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Loads an overlay: the core starts anew, buffers stay.

        Raises:
            OSError: the bitstream is for another part, a partial or a real one: as a board, whose
                kernel refuses the file when its name is written to
                /sys/class/fpga_manager/fpga0/firmware.
            ArtifactError: the overlay's directory is incomplete or damaged.
            DeviceError: it holds another design than its bitstream names, or no single core.
        """
        path = Path(bitstream.bitfile_name)
        found = self._programmed(path, bitstream.partial)
        manifest = load_manifest(path.parent)
        if found != manifest.design_number:
            raise DeviceError(
                f"holds design {found:016x}, and its manifest names {manifest.design_id}",
                field=str(path),
                remedy="build the overlay again",
            )
        cores = [ip for ip in parser.ip_dict.values() if ip["type"] == VLNV]
        if len(cores) != 1:
            raise DeviceError(f"has {len(cores)} cores {VLNV}, not one", field=str(path))
        self.close()
        self._computation = self._computation_factory(path.parent, manifest)
        self.core = SimulatedCore(
            cores[0]["phys_addr"],
            self._computation,
            self._memory,
            self.clock,
            self._activity,
            manifest,
            lambda: self._clock_registers.fabric_mhz(0),
            self.faults,
        )
        self.post_download(bitstream, parser, self.name)

    def _programmed(self, path: Path, partial: bool) -> int:
        """The design that a bitstream holds, if it is one for this board."""
        bitfile = read_bitfile(path)
        if partial:
            raise OSError(errno.EINVAL, "partial bitstreams are not simulated")
        if not self.board.part.matches(bitfile.part):
            raise OSError(
                errno.EINVAL,
                f"it is for the part {bitfile.part}, and {self.board.name} has "
                f"{self.board.part.name}",
            )
        try:
            return bitfile.simulated_design_id
        except DeviceError as error:
            raise OSError(errno.EINVAL, f"it {error.problem}") from error

    # Registers.

    def read_registers(self, address: int, length: int) -> bytes:
        """Reads words; see `_block` for what is refused."""
        words = []
        for place in range(address, address + length, 4):
            block = self._block(place)
            words.append(block.read(place - block.base) & _WORD_MASK)
        return struct.pack(f"<{len(words)}I", *words)

    def write_registers(self, address: int, data: bytes) -> None:
        """Writes words; see `_block` for what is refused."""
        contents = bytes(data)
        words = struct.unpack(f"<{len(contents) // 4}I", contents)
        for index, word in enumerate(words):
            block = self._block(address + 4 * index)
            block.write(address + 4 * index - block.base, word)

    def _block(self, address: int) -> Block:
        """The block that answers at an address; the access takes its time.

        Raises:
            DeviceError: the address is misaligned, or nothing answers: a real board would hang.
        """
        if address % 4:
            raise DeviceError("must be a multiple of 4", field="register", value=hex(address))
        self.clock.advance_ns(REGISTER_ACCESS_NS)
        blocks: list[Block] = [self._clock_registers]
        if self.core is not None:
            blocks.append(self.core)
        for block in blocks:
            if block.base <= address < block.base + block.size:
                return block
        raise DeviceError(
            "nothing answers there; a real board would hang", field="register", value=hex(address)
        )

    # Buffers.

    def allocate(
        self,
        shape: int | tuple[int, ...],
        dtype: npt.DTypeLike = "u4",
        cacheable: bool = True,
        **_: object,
    ) -> Any:
        """Returns a `PynqBuffer`; see `pynq.allocate`.

        A cacheable buffer has a host copy of its own: what is not flushed does not reach the
        core, and what is not invalidated does not reach the host.

        Raises:
            RuntimeError: the memory is exhausted (`xrt_device.py`, XrtDevice.allocate_bo), or no
                overlay was loaded yet (`embedded_device.py`, EmbeddedDevice.default_memory).
        """
        if not hasattr(self, "mem_dict"):
            raise RuntimeError("Overlay is not downloaded")
        dimensions = (shape,) if isinstance(shape, int) else tuple(shape)
        # What was taken belongs to nobody until the buffer is there.
        with interrupts_held_back():
            return self._buffer(dimensions, np.dtype(dtype), cacheable)

    def _buffer(
        self, dimensions: tuple[int, ...], dtype: np.dtype[Any], cacheable: bool
    ) -> PynqBuffer:
        size = math.prod(dimensions) * dtype.itemsize
        try:
            address = self._memory.allocate(size)
        except MemoryError as error:
            raise RuntimeError(f"BO allocation failed: {error}") from error
        host = np.zeros(size, np.uint8) if cacheable else self._memory.view(address, size)
        buffer = PynqBuffer(
            dimensions,
            dtype,
            buffer=host,
            device=self,
            bo=address,
            coherent=not cacheable,
            device_address=address,
        )
        # These make PynqBuffer.freebuffer() call return_pointer() the first time, and do nothing
        # the second; without `freed` it would then unmap memory that was never mapped.
        buffer.memory, buffer.pointer, buffer.return_to = self, address, self
        buffer.freed = True
        return buffer

    def return_pointer(self, pointer: int) -> None:
        """Frees a buffer: called by `PynqBuffer.freebuffer`."""
        self._memory.free(pointer)

    def flush(self, bo: int, offset: int, ptr: int, size: int) -> None:
        """Copies `size` bytes of a buffer from the host's copy to the memory.

        Raises:
            RuntimeError: it is freed (`xrt_device.py`, XrtDevice.flush).
        """
        self._shared(bo, offset, size, "Flush")[:] = _host_bytes(ptr, size)

    def invalidate(self, bo: int, offset: int, ptr: int, size: int) -> None:
        """Copies `size` bytes of a buffer from the memory to the host's copy.

        Raises:
            RuntimeError: it is freed (`xrt_device.py`, XrtDevice.invalidate).
        """
        _host_bytes(ptr, size)[:] = self._shared(bo, offset, size, "Invalidate")

    def _shared(
        self, bo: int, offset: int, size: int, action: str = "Access"
    ) -> npt.NDArray[np.uint8]:
        if not self._memory.contains(bo + offset, size):
            raise RuntimeError(f"Buffer {action} Failed: {bo + offset:#x} is freed or too small")
        return self._memory.view(bo + offset, size)


def _host_bytes(ptr: int, size: int) -> npt.NDArray[np.uint8]:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(ptr))


def _complete_clocks(parser: Any) -> None:
    """Fills in the frequency that pynq 4 leaves at None for a Zynq-7000, and then fails on."""
    parameters = parser.ip_dict[parser.ps_name]["parameters"]
    for index, clock in parser.clock_dict.items():
        if "frequency" in clock and clock["frequency"] is None:
            clock["frequency"] = float(parameters[f"PCW_ACT_FPGA{index}_PERIPHERAL_FREQMHZ"])


def _bind_clocks(device: SimulatedDevice) -> None:
    """Makes `pynq.Clocks` set this device's clocks.

    pynq keeps one clock driver for the process and would set the clocks of whichever device was
    used first.
    """
    if hasattr(Clocks, "_real_instance"):
        del Clocks._real_instance
    if hasattr(Clocks, "set_device"):
        Clocks.set_device(device)
        return
    # pynq 3.0 chooses the driver by the machine and takes the active device.
    previous = getattr(Device, "_active_device", None)
    Device.active_device = device
    try:
        Clocks._real_instance = pynq.ps._ClocksZynq()
    finally:
        if previous is None:
            del Device._active_device
        else:
            Device.active_device = previous
