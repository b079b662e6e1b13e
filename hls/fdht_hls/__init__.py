"""hls4ml extension: kernels, layers, writer, C simulation and estimator."""
