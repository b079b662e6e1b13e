"""Benchmarks of this stage: `fdht bench emulation`."""
