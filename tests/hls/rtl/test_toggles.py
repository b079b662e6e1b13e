"""Bits of nets that change from clock to clock: against a hand count, and against a waveform."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import pywellen

from fdht_hls.engine import lower
from fdht_hls.rtl.core import Core, verilog_of
from fdht_hls.rtl.simulation.compiling import (
    TOGGLE_FLAGS,
    TOGGLES_HEADER,
    build_simulator,
    compile_program,
    render_bench,
)
from fdht_hls.rtl.simulation.runner import RunSettings, simulate_stream
from fdht_models.errors import ConfigError
from tests.hls.networks import CLASSIFIERS
from tests.hls.rtl.standin import ChecksumEngine

#: A number that counts, read under a second name by a part; a memory that it is written to; and a
#: net that is wider than waveforms usually show.
COUNTER = """\
module part(input [7:0] value, output odd);
  assign odd = value[0];
endmodule
module counter(input ap_clk, output reg [7:0] number, output odd, output reg [299:0] wide,
               output reg [7:0] read, output probe_number);
  reg [7:0] memory [0:3];
  assign probe_number = ^number;
  part part(.value(number), .odd(odd));
  initial begin number = 0; wide = 0; read = 0; end
  always @(posedge ap_clk) begin
    number <= number + 1;
    wide <= ~wide;
    memory[number[1:0]] <= number;
    read <= memory[0] & 8'h0;
  end
endmodule
"""
MAIN = """\
#include "Vcounter.h"
#include "fdht_rtl_toggles.h"
#include <cstdio>
int main() {
    VerilatedContext context;
    Vcounter top(&context);
    fdht::ToggleCounter counter;
    VerilatedVcdC waves(&counter);
    context.traceEverOn(true);
    top.trace(&waves, 99);
    waves.open("counted");
    for (int clock = 0; clock < 17; clock++) {
        top.ap_clk = 0;
        top.eval();
        waves.dump(clock);
        top.ap_clk = 1;
        top.eval();
    }
    waves.flush();
    std::printf("%llu\\n", (unsigned long long)counter.toggles());
    waves.close();
}
"""
FRAMES = 4


def test_a_design_whose_changes_are_known(tmp_path: Path):
    """16 steps of a counter change 16 + 8 + 4 + 2 + 1 of its bits; `odd` changes in each of them,
    and so do 300 bits. That a part reads the counter, the memory, the clock and the probe are not
    counted."""
    sources = {
        "counter.v": COUNTER,
        "main.cpp": MAIN,
        **render_bench([TOGGLES_HEADER], {}),
    }
    program, _ = compile_program("counter", sources, tmp_path, flags=TOGGLE_FLAGS, quick=True)
    said = subprocess.run([program], capture_output=True, text=True, check=True, timeout=60)
    assert int(said.stdout) == (16 + 8 + 4 + 2 + 1) + 16 + 16 * 300


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory):
    """A small core that runs a call of frames: (network, frames, cache, Verilog)."""
    network = CLASSIFIERS["bytes"].network
    verilog = verilog_of(Core(lower(network), ChecksumEngine(network), probes=True))
    frames = np.random.default_rng(1).integers(0, 256, (FRAMES, network.inputs)).astype(np.uint8)
    return network, frames, tmp_path_factory.mktemp("cores"), verilog


@pytest.mark.slow  # two cores to compile
def test_a_core_toggles_as_its_waveform_does(counted, tmp_path: Path):
    """A waveform names nets more than once and does not say which are one. So those that move alike
    all the time, taken as one, are a lower bound; all names are an upper one."""
    network, frames, cache, verilog = counted
    names, whole = ChecksumEngine.names, [slice(0, FRAMES)]
    watched = RunSettings(latency=5, trace=tmp_path / "wave.fst")
    traced = build_simulator(verilog, names, cache, traces=True, quick=True)
    wanted, outcome = simulate_stream(traced, network, frames, whole, watched)
    settings = RunSettings(latency=5, toggles=True)
    counting = build_simulator(verilog, names, cache, toggles=True, quick=True)
    logits, found = simulate_stream(counting, network, frames, whole, settings)
    assert counting.toggles
    np.testing.assert_array_equal(logits, wanted)
    assert found.clocks == outcome.clocks
    toggles = found.calls[0].toggles
    assert len(toggles) == 1 + FRAMES
    assert (np.diff(toggles) > 0).all()
    # Two times a clock; the first is before its edge.
    last = int(found.calls[0].times[-1, 2])
    series = [
        tuple(int(variable.signal.value_at(2 * clock)) for clock in range(last + 1))
        for variable in pywellen.Waveform(str(watched.trace)).all_vars()
        if not variable.name.startswith("probe_")
    ]
    least, most = (
        sum((a ^ b).bit_count() for one in some for a, b in pairwise(one))
        for some in (set(series), series)
    )
    assert least <= toggles[-1] <= most
    assert found.counted_bits > 1000
    plain = simulate_stream(counting, network, frames, whole, RunSettings(latency=5))[1]
    assert plain.calls[0].toggles.size == plain.counted_bits == 0
    with pytest.raises(ConfigError, match="was not compiled to count bits that change"):
        simulate_stream(traced, network, frames, whole, settings)


def test_waveforms_and_a_count_exclude_each_other(counted):
    _, _, cache, verilog = counted
    with pytest.raises(ConfigError, match="toggles: are counted without waveforms"):
        build_simulator(verilog, ChecksumEngine.names, cache, traces=True, toggles=True)
