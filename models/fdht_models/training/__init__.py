"""Training: float, calibration, quantisation-aware training, evaluation and export.

    from fdht_models.training import restore, train_stage
    metrics = train_stage(load_experiment("motion"), Path("build/motion"))
    model = restore(Path("build/motion/model"))

Needs TensorFlow.
"""

from fdht_models.training.checkpoint import load_checkpoint, write_checkpoint
from fdht_models.training.stage import restore, train_stage

__all__ = ["load_checkpoint", "restore", "train_stage", "write_checkpoint"]
