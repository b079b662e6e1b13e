#!/usr/bin/env bash
# QKeras 0.9: quantized_bits computes x + (xq - x) in float32. Beyond 2^24 steps of the format that is no
# longer always xq: a sum that saturates can come out as a code beside the right one, even one that the
# format does not have (128 steps for 8 bits, whose largest code is 127). Below 2^24 steps it is xq exactly.
# Exits 0 while it behaves so, 1 if it no longer does.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "tensorflow==2.20.0" "tf_keras==2.20.1" \
    "qkeras==0.9.0" "pyparsing==3.3.3" "numpy==1.26.4" "setuptools==79.0.1" "keras==3.15.1"
cat > "$folder/try.py" <<'PY'
import importlib.metadata as metadata
import os
import sys

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
import numpy as np
import qkeras

step = 2.0**-7  # of quantized_bits(8, 0): codes from -128 to 127
quantizer = qkeras.quantized_bits(8, 0, alpha=1)
steps = np.array([200, 2**23 + 1, 2**24 - 1, 2**24, 2**24 + 2, 2**25, 2**25 + 4], np.float64)
codes = np.asarray(quantizer((steps * step).astype(np.float32))) / step
print("qkeras", metadata.version("qkeras"), "tensorflow", metadata.version("tensorflow"))
for value, code in zip(steps, codes):
    print(f"{value:12.0f} steps -> code {code:g}, right is 127")
below = (codes[steps < 2**24] == 127).all()
beyond = (codes[steps >= 2**24] != 127).any() and codes.max() > 127
print("as stated" if below and beyond else "no longer as stated")
sys.exit(not (below and beyond))
PY
PYTHONWARNINGS=ignore "$folder/venv/bin/python" "$folder/try.py"
