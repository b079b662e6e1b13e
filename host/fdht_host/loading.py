"""Weights on their way to a core: what it takes, and the buffer that it reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fdht_hls.weights import LoadableWeights, Words
from fdht_host._pynq import allocate
from fdht_host.driver import FdhtLstm
from fdht_models.errors import DeviceError
from fdht_overlays.manifest import OverlayManifest


def loadable_weights(
    driver: FdhtLstm, manifest: OverlayManifest, directory: Path, timeout: float
) -> LoadableWeights | None:
    """What weights the core takes, by the file beside the manifest; None: none.

    Raises:
        ArtifactError: the file is damaged.
        DeviceError: the core has another layout than the file.
    """
    if manifest.weights is None:
        return None
    found = LoadableWeights.load(directory / manifest.weights)
    shown, wanted = driver.identity(timeout).weights_layout, found.layout.digest
    if shown != wanted:
        raise DeviceError(
            f"the core shows {shown:08x}, {manifest.weights} describes {wanted:08x}",
            field="weights_layout",
            remedy="build the overlay again",
        )
    return found


def send_weights(driver: FdhtLstm, words: Words, timeout: float) -> None:
    """Puts packed weights into a buffer and lets the core load them.

    Raises:
        DeviceError: the core did not load them; DeviceTimeoutError: it does not end.
    """
    buffer = allocate(words.shape, np.uint64, target=driver.device)
    try:
        buffer[:] = words
        driver.load_weights(buffer, timeout)
    finally:
        buffer.freebuffer()
