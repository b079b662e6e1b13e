"""On the board: driver, streaming, power meters, energy, simulated board and report."""
