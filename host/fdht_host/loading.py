"""What weights a core takes, by the file beside its manifest."""

from __future__ import annotations

from pathlib import Path

from fdht_hls.weights import LoadableWeights
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
