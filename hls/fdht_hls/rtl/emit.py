"""The core as Verilog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fdht_hls.rtl.core import TOP, Core, check_port
from fdht_hls.rtl.engine import Engine
from fdht_hls.schedule import Schedule, check_schedule
from fdht_models.artifacts import write_text
from fdht_models.errors import ToolError
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork


def emit_verilog(
    network: QuantizedNetwork, schedule: Schedule, port_bytes: int = WORD_BYTES
) -> str:
    """Verilog of the whole core; the same text for the same network, schedule and versions.

    Args:
        network: the integers.
        schedule: parallelism of its stages.
        port_bytes: bytes that the port for frames moves in a clock, 8, 16 or 32.

    Raises:
        ConfigError: the schedule is of another network, or the port does not suit its frames.
        ConversionError: the emitter cannot do the plan.
        ToolError: Amaranth finds no yosys.
    """
    engine = _engine(network, schedule, port_bytes)
    return verilog_of(Core(network, engine, layout=engine.layout))


def emit_for_simulation(
    network: QuantizedNetwork, schedule: Schedule, port_bytes: int = WORD_BYTES
) -> tuple[str, tuple[str, ...]]:
    """The same core with probes: its Verilog, and the names of the stages that they tell of.

    Raises:
        As `emit_verilog`.
    """
    engine = _engine(network, schedule, port_bytes)
    return verilog_of(Core(network, engine, probes=True, layout=engine.layout)), engine.stages


def _engine(network: QuantizedNetwork, schedule: Schedule, port_bytes: int) -> Engine:
    check_schedule(network.recurrence, schedule)
    check_port(network, port_bytes)
    return Engine(network, schedule, word_bytes=port_bytes)


def verilog_of(top: Any, name: str = TOP) -> str:
    """Verilog of an Amaranth component.

    Raises:
        ToolError: Amaranth finds no yosys to write it with.
    """
    from amaranth._toolchain.yosys import YosysError
    from amaranth.back import verilog

    try:
        # Places in our sources would put this machine's paths into the text.
        text: str = verilog.convert(top, name=name, emit_src=False, strip_internal_attrs=True)
    except YosysError as error:
        raise ToolError(
            f"cannot write Verilog ({error})",
            field="amaranth",
            remedy="pip install 'fdht[rtl]'",
        ) from error
    return text


def write_verilog(network: QuantizedNetwork, schedule: Schedule, path: Path) -> None:
    """Writes `emit_verilog` to a file, atomically."""
    write_text(path, emit_verilog(network, schedule))
