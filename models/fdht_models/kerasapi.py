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
from fdht_models.versions import foreign_package

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    raise ToolError(
        "TensorFlow was imported before fdht with Keras 3",
        field="TF_USE_LEGACY_KERAS",
        remedy="import fdht first, or set TF_USE_LEGACY_KERAS=1",
    )
os.environ["TF_USE_LEGACY_KERAS"] = "1"

#: What is used of QKeras.
QKERAS_NAMES = ("QDense", "get_quantizer", "quantized_bits")


# That of HGQ2 has the same name.
_FOREIGN = foreign_package("qkeras", "QKeras")
if _FOREIGN is not None:
    raise ToolError(_FOREIGN[0], field="qkeras", remedy=_FOREIGN[1])

try:
    import tensorflow as tf
    import tf_keras as keras

    # The pruning that QKeras imports looks for modules that Keras 3 does not have; it would load
    # all of Keras 3, and with it scikit-learn and Matplotlib, to find that out.
    _keras_3 = sys.modules.get("keras")
    sys.modules["keras"] = keras
    try:
        import qkeras
    finally:
        if _keras_3 is None:
            del sys.modules["keras"]
        else:
            sys.modules["keras"] = _keras_3
except ImportError as error:
    raise ToolError(
        f"{error.name} is not installed",
        remedy="install the training tools: pip install fdht[train]",
    ) from error

for _name in QKERAS_NAMES:
    if not hasattr(qkeras, _name):
        raise ToolError(f"has no {_name}", field="qkeras", remedy="pip install 'fdht[train]'")

__all__ = ["keras", "legacy_keras", "qkeras", "tf"]


@contextmanager
def legacy_keras() -> Iterator[None]:
    """Lets `import keras` find Keras 2, as hls4ml's converter for QKeras models needs."""
    with mock.patch.dict(sys.modules, {"keras": keras}):
        yield
