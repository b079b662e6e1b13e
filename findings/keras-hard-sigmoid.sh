#!/usr/bin/env bash
# One name, two functions: hard_sigmoid is clip(0.2 x + 0.5) in Keras 2 and clip(x / 6 + 0.5) in Keras 3.
# An LSTM with recurrent_activation="hard_sigmoid" saved by Keras 3 is read by load_weights of Keras 2
# without a word, its weights exactly, and computes something else.
# Exits 0 while it behaves so, 1 if it no longer does.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "tensorflow==2.20.0" "tf_keras==2.20.1" \
    "keras==3.15.1" "numpy==1.26.4"
cat > "$folder/try.py" <<'PY'
import os
import sys

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
import keras
import numpy as np
import tensorflow as tf
import tf_keras

print("tf_keras", tf_keras.__version__, "keras", keras.__version__)
at_two = [float(k.activations.hard_sigmoid(tf.constant(2.0))) for k in (tf_keras, keras)]
print("hard_sigmoid(2):", at_two)


def model(k, gates):
    layer = k.layers.LSTM(8, recurrent_activation=gates)
    return k.Sequential([k.Input((5, 3)), layer, k.layers.Dense(2)])


frames = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
differences = {}
for gates in ("sigmoid", "hard_sigmoid"):
    keras.utils.set_random_seed(1)
    saved, loaded = model(keras, gates), model(tf_keras, gates)
    saved.save_weights(sys.argv[1])
    loaded.load_weights(sys.argv[1])
    for one, other in zip(saved.get_weights(), loaded.get_weights()):
        assert (one == other).all()
    difference = np.abs(np.asarray(saved(frames)) - np.asarray(loaded(frames))).max()
    differences[gates] = float(difference)
print("largest difference of the outputs, with equal weights:", differences)
# Rounding to float32 is below 1e-5 here; the other slope is far above.
stated = differences["sigmoid"] < 1e-5 and differences["hard_sigmoid"] > 1e-3
stated = stated and abs(at_two[0] - 0.9) < 1e-6 and abs(at_two[1] - 5 / 6) < 1e-6
print("as stated" if stated else "no longer as stated")
sys.exit(not stated)
PY
PYTHONWARNINGS=ignore "$folder/venv/bin/python" "$folder/try.py" "$folder/a.weights.h5"
