"""The core's Verilog, compiled by Verilator and run between memories that check AXI's rules."""

from fdht_hls.rtl.simulation.compiling import Simulator, build_simulator
from fdht_hls.rtl.simulation.runner import Call, Outcome, RunSettings, run_calls, simulate_stream

__all__ = [
    "Call",
    "Outcome",
    "RunSettings",
    "Simulator",
    "build_simulator",
    "run_calls",
    "simulate_stream",
]
