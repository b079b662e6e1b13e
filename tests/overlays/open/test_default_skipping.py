"""The default experiment with sparse and with raw frames: through cosimulation and the shell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.benchmarks.random_networks import with_random_codes
from fdht_hls.engine import EnginePlan, lower
from fdht_hls.rtl.core import Core
from fdht_hls.rtl.cosim import cosim
from fdht_hls.rtl.simulation.runner import RunSettings
from fdht_hls.schedule import Schedule, default_schedule
from fdht_hls.tuner.untrained import untrained_network
from fdht_host.accelerator import Accelerator
from fdht_models.data import render_clips
from fdht_models.experiment import load_experiment
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from tests.overlays.open.board import ShellDevice, write_overlay
from tests.overlays.open.simulation import SimulatedSystem, SystemSettings, build_shell_simulator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

EXPERIMENT = load_experiment("motion")
FRAMES = 5


@pytest.fixture(scope="module")
def network() -> QuantizedNetwork:
    """Not trained: what is computed does not matter, as long as nothing can be left out."""
    return with_random_codes(untrained_network(EXPERIMENT))


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    """Raw frames of a test clip, uint8[FRAMES + 1, inputs]; the last but one is noise."""
    shown = render_clips("motion", "test", 1, EXPERIMENT.data.test_seed)[0]
    frames = np.ascontiguousarray(shown[0, : FRAMES + 1].reshape(FRAMES + 1, -1))
    frames[-2] = np.random.default_rng(5).integers(0, 256, frames.shape[1])
    return frames


def inputs_of(network: QuantizedNetwork, video: np.ndarray) -> np.ndarray:
    """The feature of each frame but the first: few words, and two frames that are almost full."""
    picture = network.preprocessing.picture
    assert picture is not None and picture.dead_zone == 6
    return picture.features(video)


def schedule_of(network: QuantizedNetwork, kind: str) -> Schedule:
    return default_schedule(network.recurrence).with_frames(kind)


def plan_of(network: QuantizedNetwork, kind: str) -> EnginePlan:
    return lower(network, schedule_of(network, kind))


@pytest.mark.parametrize("kind", ["sparse", "raw"])
def test_cosimulation(network: QuantizedNetwork, video: np.ndarray, tmp_path: Path, kind: str):
    frames = video if kind == "raw" else inputs_of(network, video)
    found = cosim(network, plan_of(network, kind), frames, tmp_path, RunSettings())
    assert found.comparison.compared == FRAMES * len(network.classes)
    assert found.comparison.mismatches == 0


@pytest.mark.parametrize("kind", ["sparse", "raw"])
def test_open_shell(network: QuantizedNetwork, video: np.ndarray, tmp_path: Path, kind: str):
    """pynq's Overlay, our driver, AXI3, in calls that do not end where frames change."""
    inputs = inputs_of(network, video)
    frames, first = (video, 3) if kind == "raw" else (inputs, 2)
    program = build_shell_simulator(Core(plan_of(network, kind)), tmp_path / "shell")
    overlay = write_overlay(tmp_path / "overlay", network, schedule_of(network, kind))
    settings = SystemSettings(latency=20, jitter=20, back_pressure=0.1, timeout=1800.0)
    with (
        SimulatedSystem(program, replace(settings, size=1 << 21)) as system,
        Accelerator.open(
            overlay, device=ShellDevice(system), batch=2, timeout=1800.0
        ) as accelerator,
    ):
        found = [
            *accelerator.infer(frames[:first], reset=True),
            *accelerator.infer(frames[first:], reset=False),
        ]
    np.testing.assert_array_equal(found, ReferenceModel(network).run(inputs))
