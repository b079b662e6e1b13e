"""The register map of the IP core `fdht_lstm`: one table for HLS, hardware hand-off and driver.

The offsets are those that Vitis HLS gives an `ap_ctrl_hs` core (UG1399, "S_AXILITE Control
Register Map"); the HLS pragmas state them, so that they cannot drift. Pure data: the host imports
this module on the board.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

#: Vendor, library, name, version: what the PYNQ driver binds to.
VLNV = "fdht:hls:fdht_lstm:1.0"
#: Size in bytes of the AXI4-Lite window.
WINDOW = 0x10000
#: Version of this map, held in the register `abi_version`.
ABI_VERSION = 2


@dataclass(frozen=True)
class Field:
    """Bits `low .. low + width - 1` of a register."""

    name: str
    low: int
    width: int


@dataclass(frozen=True)
class Register:
    """One register.

    Args:
        name: in HLS the name of an argument of the core's top function.
        offset: in bytes.
        access: as the host sees it.
        width: in bits; 64 takes two words.
        description: for people.
        fields: its parts.
        only: of which cores: with weights that can be loaded, of sparse frames, of raw ones, with
            several contexts. In others it reads 0, and a write does nothing. Empty: of all.
    """

    name: str
    offset: int
    access: Literal["read-only", "read-write"]
    width: Literal[32, 64]
    description: str
    fields: tuple[Field, ...] = ()
    only: tuple[Literal["loadable", "sparse", "raw", "contexts"], ...] = ()

    @property
    def words(self) -> tuple[int, ...]:
        """Offsets of its words of 32 bits, that of the lowest bits first."""
        return tuple(range(self.offset, self.offset + self.width // 8, 4))


AP_START, AP_DONE, AP_IDLE, AP_READY, AUTO_RESTART = 1, 2, 4, 8, 0x80

CONTROL_REGISTERS = (
    Register(
        "CTRL",
        0x00,
        "read-write",
        32,
        "Control signals; AP_DONE and AP_READY clear on read",
        (
            Field("AP_START", 0, 1),
            Field("AP_DONE", 1, 1),
            Field("AP_IDLE", 2, 1),
            Field("AP_READY", 3, 1),
            Field("AUTO_RESTART", 7, 1),
        ),
    ),
    Register("GIER", 0x04, "read-write", 32, "Global interrupt enable", (Field("Enable", 0, 1),)),
    Register(
        "IP_IER",
        0x08,
        "read-write",
        32,
        "Interrupt enable",
        (Field("CHAN0_INT_EN", 0, 1), Field("CHAN1_INT_EN", 1, 1)),
    ),
    Register(
        "IP_ISR",
        0x0C,
        "read-write",
        32,
        "Interrupt status, toggled by writing 1",
        (Field("CHAN0_INT_ST", 0, 1), Field("CHAN1_INT_ST", 1, 1)),
    ),
)

ARGUMENT_REGISTERS = (
    Register("frames", 0x10, "read-write", 64, "Address of the first frame, a multiple of 8"),
    Register("results", 0x1C, "read-write", 64, "Address of the first result, a multiple of 8"),
    Register("frame_count", 0x28, "read-write", 32, "Frames to process; 0 only sets the identity"),
    Register("reset_state", 0x30, "read-write", 32, "1: start from a zero LSTM state"),
    Register(
        "weights",
        0x98,
        "read-write",
        64,
        "Address of weights, a multiple of 8",
        only=("loadable",),
    ),
    Register(
        "load_weights",
        0xA4,
        "read-write",
        32,
        "1: load them before the first frame",
        only=("loadable",),
    ),
    Register(
        "call_words", 0xDC, "read-write", 32, "Words that a call's frames take", only=("sparse",)
    ),
    Register(
        "context",
        0x104,
        "read-write",
        32,
        "Whose state a call goes on from; its low bits count",
        only=("contexts",),
    ),
)

#: Written by the core in every call, also in one of zero frames.
IDENTITY_REGISTERS = (
    Register("abi_version", 0x38, "read-only", 32, "Version of this register map"),
    Register("design_id_low", 0x48, "read-only", 32, "Bits 31..0 of the design's digest"),
    Register("design_id_high", 0x58, "read-only", 32, "Bits 63..32 of the design's digest"),
    Register("frame_bytes", 0x68, "read-only", 32, "Distance in bytes between two frames"),
    Register("result_bytes", 0x78, "read-only", 32, "Distance in bytes between two results"),
    Register(
        "frames_done", 0x88, "read-only", 32, "Frames processed since the bitstream was loaded"
    ),
    Register(
        "weights_layout",
        0xAC,
        "read-only",
        32,
        "Digest of the weights' layout",
        only=("loadable",),
    ),
    Register(
        "weights_id_low",
        0xBC,
        "read-only",
        32,
        "Bits 31..0 of whose weights it holds",
        only=("loadable",),
    ),
    Register(
        "weights_id_high", 0xCC, "read-only", 32, "Bits 63..32 of the same", only=("loadable",)
    ),
    Register(
        "frame_faults",
        0xE4,
        "read-only",
        32,
        "What is wrong with a call's frames",
        only=("sparse",),
    ),
    # 0 is of dense ones, so that their cores need no such register.
    Register(
        "core_frames",
        0xF4,
        "read-only",
        32,
        "Which frames the core takes: their place in CORE_FRAMES",
        only=("sparse", "raw"),
    ),
    # Likewise, 0 is of cores with a single one.
    Register("contexts", 0x10C, "read-only", 32, "States that the core keeps", only=("contexts",)),
)

REGISTERS = CONTROL_REGISTERS + ARGUMENT_REGISTERS + IDENTITY_REGISTERS
BY_NAME = {register.name: register for register in REGISTERS}


def present(
    registers: Iterable[Register],
    *,
    loadable: bool = False,
    frames: str = "dense",
    contexts: int = 1,
) -> tuple[Register, ...]:
    """Those that a core has.

    Args:
        registers: to choose from.
        loadable: its weights can be loaded.
        frames: which it reads; see `fdht_models.tensor.sparse_frames.CORE_FRAMES`.
        contexts: states that it keeps.
    """
    kinds = {frames, *(["loadable"] if loadable else []), *(["contexts"] if contexts > 1 else [])}
    return tuple(
        register for register in registers if not register.only or kinds.intersection(register.only)
    )
