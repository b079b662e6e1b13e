"""The front door of fdht: its public names, and the command line `fdht`.

    from fdht import FDHTLSTM, QFDHTLSTM, FdhtShape, QuantizedNetwork, ReferenceModel

Names are imported when they are first used, so that a board needs neither TensorFlow nor hls4ml.
"""

from __future__ import annotations

import importlib
from typing import Any

from fdht_models import __version__ as __version__

#: Public name -> module that defines it.
_NAMES = {
    "FDHTLSTM": "fdht_models.layers.lstm",
    "QFDHTLSTM": "fdht_models.layers.quantized",
    "TensorLSTM": "fdht_models.layers.lstm",
    "QTensorLSTM": "fdht_models.layers.quantized",
    "TensorGRU": "fdht_models.layers.gru",
    "QTensorGRU": "fdht_models.layers.quantized",
    "RecurrentShape": "fdht_models.tensor.recurrent",
    "fdht_shape": "fdht_models.tensor.recurrent",
    "FixedPoint": "fdht_models.tensor.fixedpoint",
    "TensorNetwork": "fdht_models.tensor.network",
    "ContractionPlan": "fdht_models.tensor.plan",
    "QuantizedNetwork": "fdht_models.tensor.quantized",
    "ReferenceModel": "fdht_models.tensor.reference",
    "export_network": "fdht_models.layers.export",
    "decompose": "fdht_models.tensor.decompose",
    "tensorize": "fdht_models.training.tensorize",
    "load_clips": "fdht_models.data",
    "load_experiment": "fdht_models.experiment",
    "Accelerator": "fdht_host.accelerator",
}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'fdht' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_NAMES]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; a user's mistake is one line on standard error and exit code 2."""
    from fdht.cli.app import main as run

    return run(arguments)
