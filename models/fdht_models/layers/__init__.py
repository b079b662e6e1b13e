"""Keras layers: FDHTLSTM, QFDHTLSTM, their quantizers, gates and export."""
