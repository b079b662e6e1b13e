"""The one place that imports pynq, with what it needs to be quiet and whole on every machine.

pynq warns on import where there is no board, and its buffers break under numpy 2; both are met
here, once.
"""

from __future__ import annotations

import warnings

import numpy as np

with warnings.catch_warnings():
    # pynq.gpio: "Pynq does not support the CPU Architecture: x86_64".
    warnings.filterwarnings("ignore", message="Pynq does not support", category=ResourceWarning)
    # pynqutils imports pkg_resources, which announces its end.
    warnings.filterwarnings("ignore", message="pkg_resources", category=UserWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import pynq
    import pynq.lib
    import pynq.ps
    from pynq import Clocks, DefaultIP, Overlay, allocate
    from pynq.buffer import PynqBuffer
    from pynq.pl_server.device import Device
    from pynqmetadata.frontends import Metadata

    try:
        # pynq 4 moved the views.
        from pynqmetadata.views.runtime import RuntimeMetadataParser
    except ImportError:
        from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser

if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
    # numpy 2 gave ndarray a read-only attribute `device`; a class attribute shadows it, so that
    # PynqBuffer can set its own again.
    PynqBuffer.device = None

__all__ = [
    "Clocks",
    "DefaultIP",
    "Device",
    "Metadata",
    "Overlay",
    "PynqBuffer",
    "RuntimeMetadataParser",
    "allocate",
    "pynq",
]
