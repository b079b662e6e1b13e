"""The one place that imports TensorFlow, Keras and QKeras.

QKeras 0.9 and hls4ml 1.3 know Keras 2 only, so the legacy Keras (`tf_keras`) is chosen before
TensorFlow loads. A move to Keras 3 is a change here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from fdht_models.errors import ToolError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    raise ToolError(
        "TensorFlow was imported before fdht with Keras 3",
        field="TF_USE_LEGACY_KERAS",
        remedy="import fdht first, or set TF_USE_LEGACY_KERAS=1",
    )
os.environ["TF_USE_LEGACY_KERAS"] = "1"

try:
    import qkeras
    import tensorflow as tf
    import tf_keras as keras
except ImportError as error:
    raise ToolError(
        f"{error.name} is not installed",
        remedy="install the training tools: pip install fdht[train]",
    ) from error

__all__ = ["keras", "legacy_keras", "qkeras", "tf"]


@contextmanager
def legacy_keras() -> Iterator[None]:
    """Lets `import keras` find Keras 2, as hls4ml's converter for QKeras models needs."""
    with mock.patch.dict(sys.modules, {"keras": keras}):
        yield
