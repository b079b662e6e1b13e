"""The core's Verilog, compiled by Verilator and run between memories that check AXI's rules."""
