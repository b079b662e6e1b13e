"""The engine as RTL: emitted with Amaranth, simulated with Verilator, counted with yosys."""

import importlib.util

from fdht_models.errors import ToolError

if importlib.util.find_spec("amaranth") is None:
    raise ToolError("is not installed", field="amaranth", remedy="pip install 'fdht[rtl]'")
