"""The engine as RTL: emitted with Amaranth, simulated with Verilator, counted with yosys."""
