#!/usr/bin/env bash
# hls4ml 1.3.0 looks for a Keras 2 layer's weights by a part of their names, and a weight's name
# begins with its layer's. In a layer called "unbiased" the kernel's name, "unbiased/kernel:0",
# holds "bias", so that the kernel is taken for the bias: without an error, under any backend.
# Exits 0 while this is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet hls4ml==1.3.0 tensorflow-cpu==2.15.1 keras==2.15.0
cd "$work"
cat > show.py <<'PY'
import sys

import hls4ml
import keras
import numpy as np

print("hls4ml", hls4ml.__version__, "keras", keras.__version__)


def bias_of(name):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, name=name)])
    kernel, bias = np.arange(12.0).reshape(4, 3) / 8, np.full(3, -0.5)
    model.layers[0].set_weights([kernel, bias])
    config = hls4ml.utils.config_from_keras_model(model, granularity="name", backend="Vitis")
    graph = hls4ml.converters.convert_from_keras_model(
        model, hls_config=config, backend="Vitis", output_dir=f"project_{name}"
    )
    (dense,) = [layer for layer in graph.get_layers() if layer.class_name == "Dense"]
    return np.asarray(dense.get_weights("bias").data), kernel, bias


plain, _, wanted = bias_of("plain")
print("layer 'plain':    bias", plain.tolist())
taken, kernel, wanted = bias_of("unbiased")
print("layer 'unbiased': bias", taken.tolist(), "but Keras has", wanted.tolist())
as_stated = np.array_equal(plain, wanted) and np.array_equal(taken, kernel)
print("the kernel is taken for the bias" if as_stated else "behaviour has changed")
sys.exit(0 if as_stated else 1)
PY
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" -W ignore show.py 2> errors.txt || { cat errors.txt >&2; exit 1; }
