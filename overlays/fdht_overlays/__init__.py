"""Overlays: boards, the hardware hand-off, bitstream files and the manifest that describes them."""
