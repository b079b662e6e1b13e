"""Chooses parallelism, and shapes, for a device, a frame rate and a budget of resources."""
