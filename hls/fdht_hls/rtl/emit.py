"""The core as Verilog."""

from __future__ import annotations

from typing import Any

from fdht_hls.engine.engine_plan import EnginePlan
from fdht_hls.rtl.core import TOP, Core
from fdht_models.errors import ToolError


def emit_verilog(plan: EnginePlan) -> str:
    """Verilog of the whole core; the same text for the same plan and versions.

    Raises:
        ConfigError: the port does not suit its frames.
        ToolError: Amaranth finds no yosys.
    """
    return verilog_of(Core(plan))


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
