"""Ctrl-C, or a failure of pynq, at every line and every access: what comes next is right."""

from __future__ import annotations

import gc
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_hls.engine import lower
from fdht_hls.schedule import default_schedule
from fdht_hls.weights import LoadableWeights
from fdht_host.accelerator import Accelerator
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.directories import LOADABLE, OverlayDirectory
from fdht_models.errors import DeviceError, DeviceTimeoutError
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.manifest import CycleCount
from fdht_overlays.simulated_overlay import design_of_network, write_simulated_overlay
from tests.hls.random_networks import random_network
from tests.host import toy_core
from tests.host.interrupting import interruptions
from tests.host.reference_computation import ReferenceComputation

#: Three calls of eight frames, the last not full.
FRAMES = toy_core.random_frames(20)
OTHERS = toy_core.random_frames(11, seed=1)
#: Buffers of an open accelerator.
BUFFERS = 4


def expected_after(*before: np.ndarray) -> np.ndarray:
    """Logits of `OTHERS` behind other frames."""
    return toy_core.expected_logits(np.concatenate([*before, OTHERS]))[-len(OTHERS) :]


def buffers(device: SimulatedDevice) -> int:
    return len(device._memory._buffers)


def infer(accelerator: Accelerator) -> None:
    accelerator.infer(FRAMES, reset=True)


def stream(accelerator: Accelerator) -> None:
    for _ in accelerator.stream(iter(FRAMES)):
        pass


def abandon(accelerator: Accelerator) -> None:
    """A stream that nobody exhausts."""
    frames = accelerator.stream(iter(FRAMES))
    next(frames)
    frames.close()


@pytest.mark.parametrize(
    "step", [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("action", [infer, stream, abandon])
def test_after_ctrl_c_at_a_line_the_next_call_is_right(tmp_path, action, step):
    device = SimulatedDevice()
    directory = toy_core.write_toy_overlay(tmp_path / "overlay")
    place = 0
    with Accelerator.open(directory, device=device, batch=8) as accelerator:
        accelerator.infer(OTHERS, reset=True)
        # Each error is kept until the next: with its traceback, what was under way stays alive.
        for place, _ in interruptions(lambda: action(accelerator), step):
            if place % 2:
                # As if it had not begun or had ended, or refused; never something between.
                try:
                    logits = accelerator.infer(OTHERS, reset=False)
                except DeviceError as error:
                    assert "pass reset=True" in str(error)
                else:
                    choices = [expected_after(OTHERS), expected_after(FRAMES)]
                    assert any(np.array_equal(logits, choice) for choice in choices), place
            logits = accelerator.infer(OTHERS, reset=True)
            np.testing.assert_array_equal(logits, toy_core.expected_logits(OTHERS), str(place))
            assert buffers(device) == BUFFERS
    assert place > 1000 and buffers(device) == 0


def test_after_ctrl_c_while_opening_the_board_can_be_opened(tmp_path):
    device = SimulatedDevice()
    directory = toy_core.write_toy_overlay(tmp_path / "overlay")
    opened: list[Accelerator] = []

    def open_it() -> None:
        opened.append(Accelerator.open(directory, device=device, batch=8))

    # Not every one of some 4,000 lines: pynq reads its files anew each time.
    for place, _ in interruptions(open_it, step=101):
        assert buffers(device) == 0, place
    (accelerator,) = opened
    np.testing.assert_array_equal(
        accelerator.infer(OTHERS, reset=True), toy_core.expected_logits(OTHERS)
    )


def test_after_ctrl_c_while_closing_a_second_close_ends_it(tmp_path):
    device = SimulatedDevice()
    directory = toy_core.write_toy_overlay(tmp_path / "overlay")

    def opened() -> Accelerator:
        accelerator = Accelerator.open(directory, device=device, batch=8, self_test=False)
        running.append(accelerator.stream(iter(FRAMES)))
        next(running[-1])
        return accelerator

    running = []
    accelerators = [opened()]
    for _, _ in interruptions(lambda: accelerators[-1].close(), step=7):
        accelerators[-1].close()
        assert buffers(device) == 0
        with pytest.raises(DeviceError, match="is closed; open the overlay again"):
            list(running[-1])
        accelerators.append(opened())
    assert buffers(device) == 0


def test_a_hanging_core_is_refused_after_ctrl_c_until_it_is_opened_again(tmp_path):
    device = SimulatedDevice()
    directory = toy_core.write_toy_overlay(tmp_path / "overlay")
    refusals = set()

    def hang() -> None:
        with suppress(DeviceTimeoutError):
            infer(accelerators[-1])

    def opened() -> Accelerator:
        device.faults.hang = False
        return Accelerator.open(directory, device=device, batch=8, timeout=2e-3, self_test=False)

    accelerators = [opened()]
    device.faults.hang = True
    for _, _ in interruptions(hang, step=101):
        began = device.clock.monotonic()
        with pytest.raises(DeviceError) as refused:
            infer(accelerators[-1])
        refusals.add(re.split(r" \(|;", str(refused.value))[0])
        # It is waited for once, and not anew by each who finds it.
        assert device.clock.monotonic() - began < 2e-3 + 200e-6
        accelerators[-1].close()
        assert device.clock.monotonic() - began < 2e-3 + 300e-6
        accelerators.append(opened())
        gc.collect()
        # Those of the call that never ended stayed until the core was loaded anew.
        assert buffers(device) == BUFFERS
        np.testing.assert_array_equal(
            accelerators[-1].infer(OTHERS, reset=True), toy_core.expected_logits(OTHERS)
        )
        device.faults.hang = True
    # Ctrl-C before the core was started, and after.
    assert refusals == {
        "wait: the core did not end within 0.002 s",
        "accelerator: its core is still running a call that was given up",
    }


# Weights.

FIRST, SECOND = random_network(1), random_network(2)
SCHEDULE = default_schedule(FIRST.recurrence).with_weights("loadable")
CODES = np.random.default_rng(0).integers(0, 256, (5, FIRST.inputs)).astype(np.uint8)


def open_loadable(directory: Path, device: SimulatedDevice) -> Accelerator:
    """An overlay whose core is the integer reference of `FIRST`, with weights to be loaded."""
    found = LoadableWeights.of(FIRST, lower(FIRST, SCHEDULE))
    assert found is not None
    file = directory.with_suffix(".json")
    found.save(file)
    design = design_of_network(FIRST, CycleCount(100, "estimated"), {LOADABLE: file})
    overlay = OverlayDirectory(directory)
    write_simulated_overlay(replace(design, experiment="x"), overlay, get_board("sim"), {})
    return Accelerator.open(directory, device=device)


def test_after_ctrl_c_while_loading_weights_they_are_the_old_or_refused(tmp_path):
    device = SimulatedDevice(computation=lambda *_: ReferenceComputation(FIRST, SCHEDULE))
    accelerator = open_loadable(tmp_path / "overlay", device)
    old, new = (ReferenceModel(network).run(CODES) for network in (FIRST, SECOND))
    seen = set()
    for place, _ in interruptions(lambda: accelerator.load_weights(SECOND), step=13):
        try:
            logits = accelerator.infer(CODES, reset=True)
        except DeviceError as error:
            assert "design_id" not in str(error) and "load the weights again" in str(error)
            seen.add("refused")
        else:
            # The new ones only where the loading had ended.
            loaded = np.array_equal(logits, new)
            assert loaded or np.array_equal(logits, old), place
            seen.add("new" if loaded else "old")
        accelerator.load_weights(FIRST)
        np.testing.assert_array_equal(accelerator.infer(CODES, reset=False), old)
        assert buffers(device) == BUFFERS
    assert seen >= {"old", "refused"}
    np.testing.assert_array_equal(accelerator.infer(CODES, reset=False), new)
    accelerator.close()
    assert buffers(device) == 0


# Failures of pynq.


class FailingDevice(SimulatedDevice):
    """Its next access but so many fails as pynq does, once."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None

    def fail(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise RuntimeError("Buffer Flush Failed: -5")

    def flush(self, *arguments: int) -> None:
        self.fail()
        super().flush(*arguments)

    def invalidate(self, *arguments: int) -> None:
        self.fail()
        super().invalidate(*arguments)

    def read_registers(self, *arguments: int) -> bytes:
        self.fail()
        return super().read_registers(*arguments)

    def write_registers(self, *arguments: Any) -> None:
        self.fail()
        super().write_registers(*arguments)


@pytest.mark.parametrize("action", [infer, stream])
def test_after_any_access_fails_once_the_next_call_is_right(tmp_path, action):
    device = FailingDevice()
    directory = toy_core.write_toy_overlay(tmp_path / "overlay")
    accelerator = Accelerator.open(directory, device=device, batch=8)
    accesses = 0
    while True:
        device.left = accesses
        try:
            action(accelerator)
        except DeviceError as error:
            message = (
                r"(registers: cannot be reached|buffer: cannot be synchronised) \(.*: -5\); cl"
            )
            assert re.match(message, str(error))
        if device.left is not None:
            break
        accesses += 1
        np.testing.assert_array_equal(
            accelerator.infer(OTHERS, reset=True), toy_core.expected_logits(OTHERS)
        )
    assert accesses > 40
    device.left = None
    accelerator.close()
    assert buffers(device) == 0
