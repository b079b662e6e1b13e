"""The one representation in the middle: networks, contraction plans, fixed point, reference.

Pure NumPy: this package imports neither TensorFlow nor hls4ml.
"""
