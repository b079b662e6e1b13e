"""The default experiment, at full size, through the shell: simulated and synthesised."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_hls.csimulation import pack_frames
from fdht_hls.engine import lower
from fdht_hls.flow.build_plan import BuildPlan
from fdht_hls.flow.running import run_plan
from fdht_hls.rtl.core import Core
from fdht_hls.rtl.yosys_count import read_statistics
from fdht_hls.tuner.untrained import untrained_network
from fdht_models.experiment import load_experiment
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.open.flow import NETLIST, STATISTICS, open_plan
from fdht_overlays.open.parallelism import choose_schedule, open_budget
from fdht_overlays.open.shell import TOP
from tests.overlays.open.netlist import logic_at_ports
from tests.overlays.open.simulation import (
    SimulatedSystem,
    SystemSettings,
    build_shell_simulator,
)
from tests.overlays.open.test_shell import at, logits, wait

EXPERIMENT = "motion-fdht-lstm"
BOARD = get_board("pynq-z2")
#: Clocks of a frame at most, with a margin over the estimate.
PATIENCE = 2_000_000


def with_random_codes(value: Any, generator: np.random.Generator) -> Any:
    """The same shapes and formats, with every weight, bias and table drawn at random."""
    if isinstance(value, QuantizedArray):
        form = value.format
        codes = generator.integers(form.minimum, form.maximum + 1, value.codes.shape)
        return QuantizedArray(form, codes.astype(np.int64))
    if isinstance(value, Mapping):
        return {key: with_random_codes(item, generator) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changes = {
            one.name: with_random_codes(getattr(value, one.name), generator)
            for one in fields(value)
            if one.init
        }
        return replace(value, **changes)
    return value


@pytest.fixture(scope="module")
def network() -> QuantizedNetwork:
    """Not trained: what is computed does not matter, as long as nothing can be left out."""
    untrained = untrained_network(load_experiment(EXPERIMENT))
    network: QuantizedNetwork = with_random_codes(untrained, np.random.default_rng(3))
    return network


@pytest.fixture(scope="module")
def schedule(network: QuantizedNetwork):
    return choose_schedule(network, BOARD).chosen.schedule


@pytest.fixture(scope="module")
def with_slices(network: QuantizedNetwork):
    return choose_schedule(network, BOARD, dsp=True).chosen.schedule


@pytest.mark.slow
def test_the_choice_keeps_to_the_budget(network: QuantizedNetwork):
    tuning = choose_schedule(network, BOARD)
    limits = open_budget(BOARD).limits
    assert tuning.chosen.resources.dsp <= limits.dsp <= 30
    assert tuning.chosen.resources.lut <= limits.lut
    assert tuning.budget.clock_mhz == 50.0
    assert {stage.multipliers for stage in tuning.chosen.schedule.stages} == {"lut"}
    # Faster than any camera, at half the clock and a tenth of the multipliers.
    assert tuning.budget.rate_at(tuning.chosen.cycles) > 120


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whole_frames_through_the_shell(network: QuantizedNetwork, schedule, tmp_path: Path):
    program = build_shell_simulator(Core(lower(network, schedule)), tmp_path)
    noise = np.random.default_rng(5).integers(0, 256, (2, network.inputs))
    frames = noise.astype(np.uint8)
    settings = SystemSettings(latency=20, jitter=20, back_pressure=0.1, timeout=1200.0)
    base, results = settings.base, settings.base + 0x8_0000
    with SimulatedSystem(program, settings) as system:
        system.load(base, pack_frames(network, frames).tobytes())
        for name, value in (("frames", base), ("results", results)):
            system.write(at(name), value, 0)
        for name, value in (("frame_count", len(frames)), ("reset_state", 1), ("CTRL", 1)):
            system.write(at(name), value)
        system.run(10_000)
        wait(system)
        assert system.status()[0] < PATIENCE
        found = logits(system, network, len(frames), results)
    np.testing.assert_array_equal(found, ReferenceModel(network).run(frames))


#: Logic that a signal of PS7 may pass on its way to a flip-flop.
LEVELS = 2
REGISTERS = {"FDRE", "FDSE", "FDPE"}


def check_registers_around_ps7(module: dict[str, Any]) -> None:
    """What goes into PS7 comes from flip-flops; what comes out passes two LUTs at most."""
    cells = module["cells"].values()
    drivers: dict[int, str] = {}
    users: dict[int, list[dict[str, Any]]] = {}
    for cell in cells:
        for port, bits in cell["connections"].items():
            for bit in bits:
                if cell["port_directions"][port] == "output":
                    drivers[bit] = cell["type"]
                else:
                    users.setdefault(bit, []).append(cell)

    def depth(bit: int) -> int:
        """LUTs, at most, from here to a flip-flop."""
        logic = [cell for cell in users.get(bit, ()) if cell["type"] not in {*REGISTERS, "BUFG"}]
        assert all(re.fullmatch(r"LUT\d|INV|MUXF[78]", cell["type"]) for cell in logic)
        # A multiplexer between LUTs of a slice is no level of its own.
        levels = (
            depth(cell["connections"]["O"][0]) + (not cell["type"].startswith("MUXF"))
            for cell in logic
        )
        return max(levels, default=0)

    (system,) = [cell for cell in cells if cell["type"] == "PS7"]
    for port, bits in system["connections"].items():
        for bit in bits:
            if not isinstance(bit, int):
                continue
            if system["port_directions"][port] == "input":
                assert drivers[bit] in {*REGISTERS, "BUFG"}, port
            else:
                assert depth(bit) <= LEVELS, port


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("dsp", [False, True])
def test_the_whole_shell_is_synthesised(
    network: QuantizedNetwork, schedule, with_slices, tmp_path: Path, dsp: bool
):
    plan = open_plan(network, with_slices if dsp else schedule, BOARD, dsp=dsp)
    run_plan(BuildPlan(plan.name, plan.facts, plan.files, plan.steps[:1]), tmp_path)
    used = read_statistics((tmp_path / STATISTICS).read_text())
    assert used.dsp == 0 if not dsp else 0 < used.dsp <= 30
    assert used.lut + used.lutram < 0.4 * BOARD.resources.lut
    assert used.bram36 < 10
    module = json.loads((tmp_path / NETLIST).read_text())["modules"][TOP]
    check_registers_around_ps7(module)
    assert dsp or not logic_at_ports(module)
    # Nothing that nextpnr-xilinx refuses, or cannot route.
    cells = (tmp_path / STATISTICS).read_text()
    for refused in ("RAM32X1S", "RAM64X1S", "RAM128X1S", "RAM256X1S", "$scopeinfo", "SRL"):
        assert refused not in cells
    assert '"PS7": 1' in cells.replace("  ", " ")
