"""Arguments of the host's functions, and of all that waits: NaN waits for ever, None is no time."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.flow.build_plan import BuildPlan, Step
from fdht_hls.flow.remote import run_remotely
from fdht_hls.flow.running import run_plan
from fdht_hls.flow.ssh import parse_host
from fdht_hls.vitis.synthesis import synthesize
from fdht_host.accelerator import Accelerator
from fdht_host.energy.evaluation import EnergySettings
from fdht_host.power.meter import Sensor
from fdht_host.power.rapl import rapl_meter
from fdht_host.power.sampling import SamplingMeter, characterise
from fdht_models.directories import ConversionDirectory
from fdht_models.errors import ArtifactError, ConfigError, ShapeError
from fdht_models.process import run_logged, run_tool
from tests.host import toy_core

NO_TIMES = [math.nan, None, -1.0, 0, math.inf, "5", True, np.float64("nan")]
SENSOR = Sensor("s", "measured", ("r",), 0.01, 0.01, 0.01)


@pytest.fixture
def accelerator(directory, device):
    return Accelerator.open(directory, device=device)


@pytest.mark.parametrize("timeout", NO_TIMES)
def test_a_time_out_that_is_none_opens_nothing(directory, device, timeout):
    with pytest.raises(ConfigError, match=r"^timeout"):
        Accelerator.open(directory, device=device, timeout=timeout)
    assert device.core is None


@pytest.mark.parametrize("batch", ["4", 0, -1, 2.5, None, True, math.nan])
def test_a_batch_that_is_none_opens_nothing(directory, device, batch):
    with pytest.raises(ConfigError, match=r"^batch"):
        Accelerator.open(directory, device=device, batch=batch)
    assert device.core is None


def test_numbers_of_numpy_and_paths_as_text_are_taken(directory, device):
    frames = toy_core.random_frames(9)
    accelerator = Accelerator.open(
        str(directory),
        device=device,
        batch=np.int64(4),
        timeout=np.float32(1.5),
        self_test=np.True_,
    )
    np.testing.assert_array_equal(
        accelerator.infer(frames, reset=np.True_), toy_core.expected_logits(frames)
    )


@pytest.mark.parametrize("overlay", [None, 5, b"overlay", "", ["overlay"]])
def test_what_is_no_path_is_refused(overlay):
    with pytest.raises(ConfigError, match=r"^overlay_directory"):
        Accelerator.open(overlay)


def test_a_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ArtifactError):
        Accelerator.open(str(tmp_path / "none"))


@pytest.mark.parametrize("reset", [None, "yes", 1, 0])
def test_a_reset_that_is_neither_is_refused(accelerator, reset):
    with pytest.raises(ConfigError, match=r"^reset"):
        accelerator.infer(toy_core.random_frames(1), reset=reset)
    with pytest.raises(ConfigError, match=r"^reset"):
        accelerator.stream(toy_core.random_frames(1), reset=reset)


# Before 1.24 numpy makes an array of objects of these, and warns.
@pytest.mark.filterwarnings("ignore:Creating an ndarray from ragged")
@pytest.mark.parametrize("frames", [None, "frames", 5, [[1], [1, 2]], [[None] * 20]])
def test_what_are_no_frames_is_refused(accelerator, frames):
    with pytest.raises(ShapeError, match=r"^frames"):
        accelerator.infer(frames, reset=True)


@pytest.mark.parametrize("frames", [None, 5])
def test_what_cannot_be_streamed_is_refused_at_once(accelerator, frames):
    with pytest.raises(ConfigError, match=r"^frames = .*: must be an iterable of frames"):
        accelerator.stream(frames)


@pytest.mark.parametrize("timeout", [one for one in NO_TIMES if one != 0])
def test_the_driver_waits_for_no_time_that_is_none(accelerator, timeout):
    with pytest.raises(ConfigError, match=r"^timeout"):
        accelerator.driver.wait(timeout)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repeats", "5"),
        ("repeats", math.nan),
        ("repeats", 5.5),
        ("minimum_updates", None),
        ("minimum_seconds", math.nan),
        ("minimum_seconds", -1.0),
        ("minimum_seconds", math.inf),
        ("assumed_updates", True),
        ("calibration_frames", 0),
        ("seed", None),
    ],
)
def test_settings_of_energy(field, value):
    with pytest.raises(ConfigError, match=rf"^energy\.{field}"):
        EnergySettings(**{field: value})


@pytest.mark.parametrize("value", [math.nan, math.inf, 0, -1.0, None, "1"])
@pytest.mark.parametrize("field", ["resolution_watts", "update_interval_seconds", "gain_error"])
def test_properties_of_a_sensor(field, value):
    if field == "gain_error" and value == 0:
        return
    given = {
        "name": "s",
        "kind": "measured",
        "rails": ("r",),
        "gain_error": 0.0,
        "resolution_watts": 0.01,
        "update_interval_seconds": 0.1,
        field: value,
    }
    with pytest.raises(ConfigError, match=f"^sensor s: {field}"):
        Sensor(**given)


@pytest.mark.parametrize("timeout", NO_TIMES)
def test_meters(timeout, tmp_path):
    for make in (
        lambda: SamplingMeter(SENSOR, float, timeout_seconds=timeout),
        lambda: rapl_meter(tmp_path, timeout),
        lambda: characterise(float, seconds=timeout),
    ):
        with pytest.raises(ConfigError, match="seconds"):
            make()
    if timeout is not None:
        with pytest.raises(ConfigError, match="poll_seconds"):
            SamplingMeter(SENSOR, float, poll_seconds=timeout)


# What runs programs, beneath and beside the host.


def step(timeout: float) -> Step:
    return Step("one", "sh", (), timeout)


@pytest.mark.parametrize("timeout", NO_TIMES)
def test_programs(tmp_path, timeout):
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"^timeout of sh"):
        run_tool("sh", ("sh", "-c", "sleep 60"), tmp_path, timeout)
    with pytest.raises(ConfigError, match=r"^timeout of sh"):
        run_logged(("sh", "-c", "sleep 60"), tmp_path, tmp_path / "log", timeout, print)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("timeout", NO_TIMES)
def test_settings_of_simulations(timeout):
    pytest.importorskip("amaranth")
    from fdht_hls.rtl.simulation.runner import RunSettings

    with pytest.raises(ConfigError, match=r"^timeout"):
        RunSettings(timeout=timeout)


@pytest.mark.parametrize("timeout", NO_TIMES)
def test_settings_of_steps(timeout):
    with pytest.raises(ConfigError, match=r"^timeout of step one"):
        step(timeout)


@pytest.mark.parametrize("timeout", [one for one in NO_TIMES if one is not None])
def test_plans_here_and_elsewhere(tmp_path, timeout):
    """None stands for the plan's own; 0 did, too."""
    plan = BuildPlan("plan", {}, {}, ())
    with pytest.raises(ConfigError, match=r"^timeout"):
        run_plan(plan, tmp_path / "plan", timeout=timeout)
    assert not Path(tmp_path / "plan").exists()
    with pytest.raises(ConfigError, match=r"^timeout"):
        run_remotely(plan, tmp_path, parse_host("localhost"), timeout=timeout)
    with pytest.raises(ConfigError, match=r"^timeout"):
        synthesize(ConversionDirectory(tmp_path / "hls"), tmp_path, ("csynth",), timeout=timeout)
