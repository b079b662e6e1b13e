"""The shell in Verilator, between models of the ports of the processing system.

A compiled program runs beside this process and obeys lines: registers are read and written over
AXI3 with IDs, the core reads and writes a memory over AXI3, and rules of AXI are checked in every
clock by what checks the core alone (`fdht_hls/templates/fdht_rtl_bus.h.j2`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from fdht_hls.rtl.core import verilog_of
from fdht_hls.rtl.simulation.compiling import (
    BUILD_TIMEOUT,
    BUS_HEADER,
    compile_program,
    render_bench,
    signal_type,
)
from fdht_models.arguments import seconds
from fdht_models.errors import ConfigError, DeviceError, DeviceTimeoutError, ToolError
from fdht_models.process import Dialogue
from fdht_overlays.open import ps7
from fdht_overlays.open.axi3 import INCR
from fdht_overlays.open.shell import TOP, Shell

#: Clocks of the reset.
RESET_CLOCKS = 16
_HARNESS = "fdht_shell_harness.cpp"
_TEMPLATES = Path(__file__).with_name("templates")
_FIELD = "shell simulation"
#: Seconds from being told to end to the end.
_ENDING_SECONDS = 2.0
#: Signals of a memory port and of a control port that the models know, channel by channel.
_ADDRESS = ("VALID", "READY", "ADDR", "LEN", "SIZE", "BURST", "ID")
_READS = tuple(f"R{name}" for name in ("VALID", "READY", "DATA", "RESP", "LAST", "ID"))
_WRITES = (
    *(f"W{name}" for name in ("VALID", "READY", "DATA", "STRB", "LAST", "ID")),
    *(f"B{name}" for name in ("VALID", "READY", "RESP", "ID")),
)
_BOTH = tuple(f"{channel}{name}" for channel in ("AR", "AW") for name in _ADDRESS)
_KINDS = tuple(f"{c}{name}" for c in ("AR", "AW") for name in ("LOCK", "CACHE", "PROT"))


@dataclass(frozen=True)
class SystemSettings:
    """What stands around the shell.

    Args:
        latency: clocks between a request to the memory and its answer, beyond the least.
        jitter: up to so many clocks more, drawn for each burst.
        back_pressure: share of clocks in which a channel is held up, 0 to below 1.
        seed: of all that is random.
        base: physical address of the memory's first byte.
        size: bytes of memory.
        patience: clocks after which an access is late.
        timeout: seconds after which a command is given up.
    """

    latency: int = 0
    jitter: int = 0
    back_pressure: float = 0.0
    seed: int = 0
    base: int = 0x1000_0000
    size: int = 1 << 20
    patience: int = 100_000
    timeout: float = 120.0

    def __post_init__(self) -> None:
        seconds(self.timeout, "timeout")
        if not 0 <= self.back_pressure < 1:
            raise ConfigError(
                "must be at least 0 and less than 1",
                field="back_pressure",
                value=self.back_pressure,
            )

    def lines(self) -> list[str]:
        """What the program is told first."""
        names = ("latency", "jitter", "seed", "base", "size", "patience")
        permille = round(1000 * self.back_pressure)
        return [*(f"{name} {getattr(self, name)}" for name in names), f"back_pressure {permille}"]


@dataclass(frozen=True)
class Answer:
    """Of a read: response (ARM IHI 0022, table A3-4; the worst of all words) and the words."""

    response: int
    values: tuple[int, ...]


def build_shell_simulator(
    core: Any, cache: Path, *, quick: bool = False, timeout: float = BUILD_TIMEOUT
) -> Path:
    """Compiles the shell around a core, unless the cache has it; returns the program.

    Args:
        core: an `fdht_hls.rtl.core.Core`.
        cache: directory of compiled programs.
        quick: compile fast rather than run fast, for small networks.
        timeout: seconds.

    Raises:
        ArtifactError: the cache cannot be written.
        ToolError: Verilator is missing or too old, or it or g++ fails or takes too long.
    """
    verilog = verilog_of(Shell(core, simulated=True), TOP)
    values = {
        "top": TOP,
        "bus_header": BUS_HEADER,
        "control": ps7.CONTROL,
        "memory": ps7.MEMORY,
        "reset_clocks": RESET_CLOCKS,
        "ports": _bench_ports(),
    }
    sources = {f"{TOP}.v": verilog, **render_bench((_HARNESS, BUS_HEADER), values, _TEMPLATES)}
    return compile_program(TOP, sources, cache, quick=quick, timeout=timeout)[0]


def _bench_ports() -> list[dict[str, Any]]:
    """The two ports as C++ sees them."""
    widths = {**ps7.USED_INPUTS, **ps7.USED_OUTPUTS}

    def port(prefix: str, type_name: str, side: str, arguments: str, names: Sequence[str]) -> Any:
        signals = [{"name": name, "type": signal_type(widths[prefix + name])} for name in names]
        return {
            "prefix": prefix,
            "type": type_name,
            "side": side,
            "signals": signals,
            "arguments": arguments,
            "model": "ControlMaster" if prefix == ps7.CONTROL else "MemorySlave",
        }

    common = (*_BOTH, *_READS, *_WRITES)
    memory = "system.memory, system.settings, random_"
    return [
        port(ps7.CONTROL, "ControlPort", "control_", "system.settings, random_", common),
        port(ps7.MEMORY, "MemoryPort", "memory_", memory, (*common, *_KINDS)),
    ]


class SimulatedSystem:
    """A running simulation; a context manager.

    Args:
        program: of `build_shell_simulator`.
        settings: what stands around the shell.

    Raises:
        ToolError: the program cannot be started.
    """

    def __init__(self, program: Path, settings: SystemSettings) -> None:
        self.settings = settings
        self._program = Dialogue(_FIELD, [str(program.resolve())])
        self._pending = b""
        self._ask(*settings.lines(), "begin")

    def __enter__(self) -> SimulatedSystem:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the program."""
        self._program.terminate()
        self._program.close(_ENDING_SECONDS)

    def read(self, address: int, beats: int = 1, *, size: int = 2, kind: int = INCR) -> Answer:
        """Reads over M_AXI_GP0: a burst of `beats` words of `2**size` bytes.

        Raises:
            DeviceError: the shell broke a rule of AXI.
            DeviceTimeoutError: it did not answer.
        """
        response, *values = self._numbers(f"read {address} {beats} {size} {kind}")
        return Answer(response, tuple(values))

    def write(
        self, address: int, *values: int, strobes: int = 0xF, size: int = 2, kind: int = INCR
    ) -> int:
        """Writes over M_AXI_GP0, a burst of as many words as there are values; the response.

        Raises:
            As `read`.
        """
        words = " ".join(str(value & 0xFFFF_FFFF) for value in values)
        command = f"write {address} {len(values)} {size} {kind} {strobes} {words}"
        return self._numbers(command)[0]

    def run(self, clocks: int) -> None:
        """Lets clocks pass."""
        self._ask(f"run {clocks}")

    def reset(self) -> None:
        """FCLK_RESET0_N falls, and rises again."""
        self._ask("reset")

    def wait_for_interrupt(self) -> None:
        """Lets clocks pass until IRQ_F2P[0] is high.

        Raises:
            DeviceTimeoutError: it does not become so.
        """
        self._ask("interrupt")

    def status(self) -> tuple[int, bool]:
        """(clocks so far, IRQ_F2P[0] is high)."""
        clocks, interrupt = self._numbers("status")
        return clocks, bool(interrupt)

    def load(self, address: int, contents: bytes) -> None:
        """Writes the memory, without the bus."""
        if contents:
            self._ask(f"load {address} {contents.hex()}")

    def save(self, address: int, size: int) -> bytes:
        """Reads the memory, without the bus."""
        return bytes.fromhex(self._ask(f"save {address} {size}"))

    def refuse(self, *, reads: Sequence[int] = (), writes: Sequence[int] = ()) -> None:
        """From now on the memory answers with SLVERR to accesses of these words."""
        for address in reads:
            self._ask(f"bad_read {address}")
        for address in writes:
            self._ask(f"bad_write {address}")

    def _numbers(self, command: str) -> list[int]:
        return [int(word) for word in self._ask(command).split()]

    def _ask(self, *lines: str) -> str:
        try:
            self._program.orders.write(("\n".join(lines) + "\n").encode())
        except (BrokenPipeError, ValueError) as error:  # a closed pipe is a ValueError
            raise ToolError("has ended", field=_FIELD) from error
        outcome, _, rest = self._line().partition(" ")
        if outcome == "ok":
            return rest
        if outcome == "violation":
            raise DeviceError(rest, field=_FIELD)
        if outcome == "late":
            raise DeviceTimeoutError(f"{rest} within {self.settings.patience} clocks", field=_FIELD)
        raise ToolError(rest or f"ended with {outcome or 'no answer'}", field=_FIELD)

    def _line(self) -> str:
        """A line of the program, awaited no longer than the time-out."""
        deadline = time.monotonic() + self.settings.timeout
        while b"\n" not in self._pending:
            if not self._program.answers_within(deadline - time.monotonic()):
                self.close()
                raise DeviceTimeoutError(
                    f"no answer within {self.settings.timeout:g} s", field=_FIELD
                )
            piece = self._program.answers.read(1 << 16)
            if not piece:
                break
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode(errors="replace")
