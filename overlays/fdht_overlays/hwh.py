"""The hardware hand-off (`.hwh`) of a design with one `fdht_lstm` core on a Zynq-7000.

PYNQ learns from it which cores exist, where they sit, which registers they have and at what clock
they run. Vivado writes such a file for the designs that it builds; this module writes it for
those that Vivado does not build: the simulated board and the open flow. Names and addresses come
from `design`, the register map from `fdht_hls.registers`, so that neither can drift from the core.

It holds what pynq reads (`pynqmetadata`, HwhFrontend): modules with their parameters, buses, memory
maps and registers, and the ports of clock, reset and interrupt. Single signals of a bus are left
out. pynq hands out an interrupt only where an AXI interrupt controller stands between a core and
the processing system; here, as in designs of Vivado without one, it goes straight to IRQ_F2P.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import escape

from fdht_hls.boards import Board
from fdht_hls.registers import REGISTERS, VLNV, WINDOW, Register
from fdht_models.errors import ConfigError
from fdht_models.rendering import templates
from fdht_overlays import design as names

#: Output of the IO PLL on the boards of this family that PYNQ supports (50 MHz x 20).
IO_PLL_MHZ = 1000.0
#: The two divisors of a fabric clock have six bits each (UG585, register FPGA0_CLK_CTRL).
_LARGEST_DIVISOR = 63
_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class FabricClock:
    """FCLK0: its divisors from the IO PLL and the frequency that they give."""

    divisor0: int
    divisor1: int
    mhz: float


def fabric_clock(clock_mhz: float) -> FabricClock:
    """The fastest clock from the IO PLL that is not faster than asked.

    Raises:
        ConfigError: it is out of the divisors' reach.
    """
    slowest = IO_PLL_MHZ / _LARGEST_DIVISOR**2
    if not slowest <= clock_mhz <= 250.0:
        raise ConfigError(
            f"must lie between {slowest:.2f} and 250 MHz",
            field="clock_mhz",
            value=clock_mhz,
            remedy="choose another clock",
        )
    divisors = range(1, _LARGEST_DIVISOR + 1)
    # 1e-6: 1000 / 3 written with six digits must still find the divisor 3.
    mhz, divisor0, divisor1 = max(
        (IO_PLL_MHZ / (first * second), first, second)
        for first, second in itertools.product(divisors, divisors)
        if second <= first and IO_PLL_MHZ / (first * second) <= clock_mhz * (1 + 1e-6)
    )
    return FabricClock(divisor0, divisor1, mhz)


def hwh_text(board: Board, clock: FabricClock, *, loadable: bool = False) -> str:
    """The hand-off file as text.

    Args:
        board: its part is named in the file.
        clock: of the core, by `fabric_clock`.
        loadable: the core has weights that can be loaded, and so a port that reads them.

    Raises:
        ConfigError: the board's processing system is not a Zynq-7000's.
    """
    if board.family != "zynq7000":
        raise ConfigError(
            "has no processing_system7",
            field="board",
            value=board.name,
            remedy="use the .hwh that Vivado writes for this board",
        )
    values = {
        "board": board,
        "clock": clock,
        "names": names,
        "masters": names.masters(loadable),
        "registers": [word for register in REGISTERS for word in words_of(register)],
        "window": WINDOW,
        "vlnv": VLNV,
    }
    return templates(_TEMPLATES, filters=(escape,)).get_template("design.hwh.j2").render(values)


def words_of(register: Register) -> list[Register]:
    """A register of 64 bits as two, with the names that Vitis gives them."""
    if register.width == 32:
        return [register]
    return [
        replace(register, name=f"{register.name}_{place}", offset=offset, width=32)
        for place, offset in enumerate(register.words, 1)
    ]
