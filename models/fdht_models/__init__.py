"""Tensor formats, contraction plans, quantised Keras layers, data sets and training.

Nothing is imported here, so that the parts which run on a board
(`fdht_models.errors`, `fdht_models.artifacts`, `fdht_models.tensor`) stay free of TensorFlow.
"""

__version__ = "0.1.0"
