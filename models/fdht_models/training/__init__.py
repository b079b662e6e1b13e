"""Training: float, calibration, quantisation-aware training, evaluation and export.

    from fdht_models.training import restore, train_stage
    metrics = train_stage(load_experiment("motion"), Path("build/motion"))
    model = restore(Path("build/motion/model"))

Needs TensorFlow, which takes its time to be imported: only when one of these names is used. The
modules `options`, `checkpoint` and `space` do without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fdht_models.training.checkpoint import load_checkpoint, write_checkpoint
    from fdht_models.training.model_stage import restore, train_stage

__all__ = ["load_checkpoint", "restore", "train_stage", "write_checkpoint"]

_MODULES = {
    "load_checkpoint": "checkpoint",
    "restore": "model_stage",
    "train_stage": "model_stage",
    "write_checkpoint": "checkpoint",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
