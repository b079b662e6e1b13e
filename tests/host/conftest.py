"""Fixtures: a simulated board, and a toy core loaded into it."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_host._pynq import Overlay
from fdht_host.frame_packing import FramePacking
from fdht_host.simulator.device import SimulatedDevice
from tests.host import toy_core


@pytest.fixture
def directory(tmp_path):
    return toy_core.write_toy_overlay(tmp_path / "overlay")


@pytest.fixture
def device():
    simulated = SimulatedDevice()
    yield simulated
    simulated.close()


@pytest.fixture
def overlay(directory, device):
    return Overlay(str(directory / "toy-core.bit"), device=device)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What is copied into a buffer of the core: the arrays themselves, as they come there."""
    found: list[np.ndarray] = []
    pack, place = FramePacking.pack, FramePacking.place

    def packed(self, buffer, frames, reset):
        found.extend(frames)
        return pack(self, buffer, frames, reset)

    def placed(self, buffer, number, frame):
        found.append(frame)
        place(self, buffer, number, frame)

    monkeypatch.setattr(FramePacking, "pack", packed)
    monkeypatch.setattr(FramePacking, "place", placed)
    return found
