"""The one place that imports pynq, with what it needs to be quiet and whole on every machine.

pynq warns on import where there is no board, and its buffers break under numpy 2; both are met
here, once.
"""

from __future__ import annotations

import warnings
from pathlib import Path

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

    try:
        from pynq.pl_server.embedded_device import EmbeddedDevice
    except ImportError:
        # A pynq without boards of its own kind notes nothing for other programs either.
        EmbeddedDevice = None

if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
    # numpy 2 gave ndarray a read-only attribute `device`; a class attribute shadows it, so that
    # PynqBuffer can set its own again.
    PynqBuffer.device = None


def state_file(device: object) -> Path | None:
    """Where pynq notes what is loaded into a real board, for all programs; None: nowhere."""
    if EmbeddedDevice is None or not isinstance(device, EmbeddedDevice):
        return None
    # pynq 3.1: pynq.pl_server.global_state._get_state_path, with the tag that EmbeddedDevice gives;
    # pynq 3.0 has one file for all devices.
    tagged = hasattr(pynq.pl_server.global_state, "_get_state_path")
    name = "global_pl_state_.json" if tagged else "global_pl_state.json"
    return Path(pynq.pl_server.__file__).parent / name


__all__ = [
    "Clocks",
    "DefaultIP",
    "Device",
    "EmbeddedDevice",
    "Metadata",
    "Overlay",
    "PynqBuffer",
    "RuntimeMetadataParser",
    "allocate",
    "pynq",
    "state_file",
]
