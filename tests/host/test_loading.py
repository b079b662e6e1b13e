"""Loading weights through the real pynq into the core of a simulated board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_hls.engine import lower
from fdht_hls.schedule import default_schedule
from fdht_hls.weights import LoadableWeights
from fdht_host._pynq import allocate
from fdht_host.accelerator import Accelerator
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.directories import LOADABLE, OverlayDirectory
from fdht_models.errors import ConfigError, DeviceError
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.manifest import CycleCount
from fdht_overlays.simulated_overlay import design_of_network, write_simulated_overlay
from tests.hls.random_networks import random_network
from tests.host.reference_computation import ReferenceComputation

FIRST, SECOND = random_network(1), random_network(2)
SCHEDULE = default_schedule(FIRST.recurrence).with_weights("loadable")
FRAMES = np.random.default_rng(0).integers(0, 256, (5, FIRST.inputs)).astype(np.uint8)


def opened(directory: Path, *, loadable: bool = True, core_loads: bool = True) -> Accelerator:
    """An overlay whose core is the integer reference."""
    files = {}
    if loadable:
        found = LoadableWeights.of(FIRST, lower(FIRST, SCHEDULE))
        assert found is not None
        files[LOADABLE] = directory.with_suffix(".json")
        found.save(files[LOADABLE])
    design = replace(design_of_network(FIRST, CycleCount(100, "estimated"), files), experiment="x")
    write_simulated_overlay(design, OverlayDirectory(directory), get_board("sim"), {})
    schedule = SCHEDULE if core_loads else None
    device = SimulatedDevice(computation=lambda *_: ReferenceComputation(FIRST, schedule))
    return Accelerator.open(directory, device=device)


@pytest.fixture
def accelerator(tmp_path: Path):
    with opened(tmp_path / "overlay") as found:
        yield found


def logits_of(network: QuantizedNetwork) -> np.ndarray:
    return ReferenceModel(network).run(FRAMES)


def test_other_weights_and_back(accelerator: Accelerator, tmp_path: Path):
    np.testing.assert_array_equal(accelerator.infer(FRAMES, reset=True), logits_of(FIRST))
    SECOND.save(tmp_path / "network.json")
    accelerator.load_weights(tmp_path / "network.json")
    assert accelerator.driver.identity().weights_id == SECOND.design_id
    assert accelerator.driver.identity().design_id == FIRST.design_id
    # From zero, although nobody says so: the state was computed with other weights.
    np.testing.assert_array_equal(accelerator.infer(FRAMES[:2], reset=False), logits_of(SECOND)[:2])
    np.testing.assert_array_equal(accelerator.infer(FRAMES[2:], reset=False), logits_of(SECOND)[2:])
    accelerator.load_weights(FIRST)
    np.testing.assert_array_equal(accelerator.infer(FRAMES, reset=False), logits_of(FIRST))


def test_another_format_is_refused_and_nothing_changes(accelerator: Accelerator):
    recurrence = SECOND.recurrence
    cell = replace(recurrence.cell, hidden=FixedPoint(8, 6))
    other = replace(SECOND, recurrence=replace(recurrence, cell=cell))
    with pytest.raises(ConfigError, match=r"network\.recurrence\.cell\.hidden\.fraction = 6: the"):
        accelerator.load_weights(other)
    np.testing.assert_array_equal(accelerator.infer(FRAMES, reset=True), logits_of(FIRST))


def test_not_while_a_stream_runs(accelerator: Accelerator):
    stream = accelerator.stream(iter(FRAMES.repeat(20, axis=0)))
    next(stream)
    with pytest.raises(DeviceError, match="has a stream that is not finished"):
        accelerator.load_weights(SECOND)
    stream.close()


def test_a_core_with_constant_weights_refuses(tmp_path: Path):
    with opened(tmp_path / "overlay", loadable=False, core_loads=False) as accelerator:
        with pytest.raises(DeviceError, match="x: holds its weights for good; convert it with a"):
            accelerator.load_weights(SECOND)
        buffer = allocate((4,), np.uint64, target=accelerator.device)
        with pytest.raises(DeviceError, match="core: holds its weights for good; build it with"):
            accelerator.driver.load_weights(buffer)


def test_a_core_with_another_layout_is_refused(tmp_path: Path):
    with pytest.raises(
        DeviceError, match=r"weights_layout: the core shows 00000000, weights\.json"
    ):
        opened(tmp_path / "overlay", core_loads=False)


def test_a_core_that_did_not_load_is_noticed(accelerator: Accelerator, monkeypatch):
    core = accelerator.device.core
    monkeypatch.setattr(core._computation, "load_weights", lambda words: None)
    message = rf"weights_id: the core shows weights {FIRST.design_id:016x} after loading"
    with pytest.raises(DeviceError, match=message):
        accelerator.load_weights(SECOND)
