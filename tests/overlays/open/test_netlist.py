"""Registers are all that is beside memory blocks, which the open tools do not time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fdht_hls.boards import get_board
from fdht_hls.flow.build_plan import BuildPlan
from fdht_hls.flow.running import run_plan
from fdht_hls.schedule import default_schedule
from fdht_overlays.open.flow import NETLIST, open_plan
from fdht_overlays.open.shell import TOP
from tests.overlays.open.netlist import logic_at_ports
from tests.overlays.sample_network import sample_network

#: With DSP slices, which the flow does not use unless it is told to: (cell, ports) -> why.
ALLOWED = {
    (
        r"stage_\d+\.\$mul",
        "CP",
    ): "a sum over the mode is taken up again in the clock that writes it;"
    " and of two products, which have a register each, one slice adds what the other multiplied",
    (r"update\.\$mul", "CP"): "the register of a product lies before the slice's adder, not behind",
}


def cell(kind: str, parameters: dict[str, str] | None = None, **ports: Any) -> dict[str, Any]:
    """A cell with ports "name" of (direction, bits)."""
    return {
        "type": kind,
        "parameters": parameters or {},
        "port_directions": {name: direction for name, (direction, _) in ports.items()},
        "connections": {name: bits for name, (_, bits) in ports.items()},
    }


def around(memory: dict[str, str], before: str, after: str) -> dict[tuple[str, str], set[str]]:
    """What the check finds of a memory block between two cells."""
    cells = {
        "before": cell(before, O=("output", [2])),
        "memory": cell("RAMB18E1", memory, DIADI=("input", [2, "0"]), DOADO=("output", [3, 4])),
        "after": cell(after, I=("input", [3])),
        "register": cell("FDRE", D=("input", [4])),
    }
    return logic_at_ports({"cells": cells})


def test_registers_and_constants_may_be_there():
    assert around({}, "FDRE", "FDSE") == {}
    assert around({"DOA_REG": "01"}, "SRL16E", "LUT4") == {}


def test_logic_is_found():
    assert around({}, "LUT2", "LUT6") == {
        ("memory", "DIADI"): {"LUT2"},
        ("memory", "DOADO"): {"LUT6"},
    }
    assert around({"DOA_REG": "00"}, "FDRE", "CARRY4") == {("memory", "DOADO"): {"CARRY4"}}
    # A port without a driver is no register either.
    assert around({}, "?", "FDRE") == {("memory", "DIADI"): {"?"}}


@pytest.mark.parametrize(("registers", "found"), [("0", {"P", "C"}), ("1", set())])
def test_a_slice_behind_another_needs_its_register(registers: str, found: set[str]):
    cells = {
        "first": cell("DSP48E1", {"PREG": registers}, P=("output", [2])),
        "second": cell("DSP48E1", {"CREG": "0"}, C=("input", [2])),
    }
    assert {port for _, port in logic_at_ports({"cells": cells})} == found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("dsp", [False, True])
def test_the_small_shell_has_registers_around_its_blocks(dsp: bool, tmp_path: Path):
    network = sample_network()
    plan = open_plan(network, default_schedule(network.recurrence), get_board("pynq-z2"), dsp=dsp)
    run_plan(BuildPlan(plan.name, plan.facts, plan.files, plan.steps[:1]), tmp_path)
    module = json.loads((tmp_path / NETLIST).read_text())["modules"][TOP]
    kinds = {one["type"] for one in module["cells"].values()}
    assert "RAMB36E1" in kinds and ("DSP48E1" in kinds) is dsp
    allowed = ALLOWED if dsp else {}
    for (name, port), beside in logic_at_ports(module).items():
        matching = [where for where, ports in allowed if re.search(where, name) and port in ports]
        assert matching, f"{name}.{port}: {beside}"
