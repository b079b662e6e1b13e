"""Fixtures: a simulated board, and a toy core loaded into it."""

from __future__ import annotations

import pytest

from fdht_host._pynq import Overlay
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
