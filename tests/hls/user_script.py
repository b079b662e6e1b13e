"""A user's script: hls4ml's public API and a model with our layer. Prints what it found as JSON.

Run in an interpreter of its own by `test_plugin`; builds nothing from `fdht_hls`.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from typing import Any

import numpy as np


def compare(directory: str, model: Any, samples: int) -> dict[str, Any]:
    """Converts, compiles, predicts; Keras sees the same samples one after the other."""
    import hls4ml

    config = hls4ml.utils.config_from_keras_model(model, granularity="name", backend="FDHT")
    converted = hls4ml.converters.convert_from_keras_model(
        model, hls_config=config, output_dir=directory, backend="FDHT", io_type="io_stream"
    )
    converted.compile()
    shape = (samples, *model.input_shape[1:])
    # Also between codes, at both ends and beyond them: the core's input rounds as Keras' does.
    values = np.random.default_rng(0).uniform(-0.1, 1.1, shape).astype(np.float32)
    values[0], values[1] = 0, 1
    found = converted.predict(values).reshape(samples, -1)
    model.reset_states()
    wanted = np.stack([model.predict_on_batch(value[None]).ravel() for value in values])
    model.reset_states()
    alone = model.predict_on_batch(values[2:3]).ravel()
    return {
        "compared": wanted.size,
        "mismatches": int((found != wanted).sum()),
        "distinct": len(np.unique(wanted)),
        "state_matters": bool((wanted[2] != alone).any()),
    }


#: Arguments of `fibre_model`, and how many samples to predict.
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "last of a sequence": ({"steps": 4, "stateful": False}, 20),
    # Without a head: hls4ml 1.3 forgets the quantizer of a QDense behind a sequence.
    "every step of a sequence": (
        {"steps": 3, "sequences": True, "stateful": False, "head": False},
        20,
    ),
    "one stateful step": ({}, 40),
}


def main(directory: str, names: list[str]) -> dict[str, Any]:
    from fdht_models.kerasapi import legacy_keras
    from tests.hls.networks import CLASSIFIERS, fibre_model

    found = {}
    with legacy_keras():
        for name in names:
            options, samples = CASES[name]
            model = fibre_model(CLASSIFIERS["bytes"], **options)
            found[name] = compare(f"{directory}/{name.replace(' ', '_')}", model, samples)
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        report = main(sys.argv[1], sys.argv[2:])
    print(json.dumps(report))
