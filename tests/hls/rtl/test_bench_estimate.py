"""`fdht bench estimate`: what it compares, and the estimate of the RTL by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fdht
from fdht_hls.benchmarks import estimates
from fdht_hls.benchmarks.engine import Workload, named_network
from fdht_hls.benchmarks.estimates import (
    CYCLES_WITHIN,
    PLANS,
    RESOURCES_WITHIN,
    TINY,
    Plan,
    bench_estimate,
)
from fdht_hls.benchmarks.random_networks import STUDY, random_network
from fdht_hls.engine import lower
from fdht_hls.estimate.resources import Resources
from fdht_hls.estimate.rtl import estimate_rtl
from fdht_hls.estimate.rtl_memory import RtlModel, rom_parts, table_parts
from fdht_hls.rtl.yosys_count import KIND
from fdht_hls.rtl.yosys_count import Resources as Counted
from fdht_hls.schedule import Schedule, default_schedule
from fdht_models.tensor.quantized import QuantizedNetwork

#: What yosys and Verilator found for `TINY` when the estimate was calibrated.
TINY_CYCLES, TINY_COUNTED = 99.25, Counted(KIND, 3155, 706, 3670, 74, 3.0, 4, 449)


def stand_ins(monkeypatch: pytest.MonkeyPatch, cycles: float, counted: Counted) -> None:
    report = {"cycles_per_frame": cycles, "limited_by": "recurrence", "mismatches": 0}
    monkeypatch.setattr(estimates, "simulate_once", lambda *_, **__: report)
    monkeypatch.setattr(estimates, "count_once", lambda *_: counted)


def compared(tmp_path: Path) -> dict[str, object]:
    return bench_estimate(tmp_path, [TINY], lambda name: named_network(name, tmp_path), no_tuner)


def no_tuner(network: QuantizedNetwork, port_bytes: int) -> Schedule:
    raise AssertionError("only the default experiment is tuned")


def no_networks(name: str) -> Workload:
    raise AssertionError("only the default experiment has a name")


def test_a_tiny_plan_is_within_what_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stand_ins(monkeypatch, TINY_CYCLES, TINY_COUNTED)
    result = compared(tmp_path)
    assert result["passed"] is True
    (row,) = result["plans"]
    assert row["plan"] == "fdht-tiny" and row["mismatches"] == 0
    assert row["limited_by"] == {"estimated": "recurrence", "simulated": "recurrence"}
    assert row["found"] == {"cycles": 99.25, "lut": 3861, "dsp": 74, "bram36": 3.0}
    assert row["off"]["cycles"] == round(row["estimated"]["cycles"] / 99.25 - 1, 4)
    assert result["kind"] == {
        "estimated": "estimated",
        "cycles": "simulated",
        "resources": "synthesised (yosys)",
    }


#: What Verilator and yosys 0.64 found for small plans: cycles, LUT with LUTRAM, DSP48E1, BRAM36.
FOUND = {
    "fdht-tiny": (99.25, 3861, 74, 3),
    "fdht-dsp": (128, 5120, 98, 3),
    "fdht-lut": (128, 10121, 8, 3),
    "fdht-narrow": (128, 4252, 98, 1),
    "fdht-slow": (512, 5764, 20, 3),
    "tr-gru": (147, 4205, 60, 2),
    "bt": (256, 5071, 109, 3),
    "cp": (384, 5520, 80, 3),
    "kcp-lut": (256, 6473, 15, 3),
}


@pytest.mark.parametrize("name", FOUND)
def test_small_plans_are_within_what_is_asked(name: str):
    """Against figures that were kept; the slow test finds them anew."""
    plan = next(one for one in PLANS if one.name == name)
    design = plan.design(no_networks, no_tuner)
    found = estimate_rtl(design.plan)
    cycles, lut, dsp, bram36 = FOUND[name]
    assert found.cycles_per_frame == pytest.approx(cycles, rel=CYCLES_WITHIN)
    assert found.resources.lut == pytest.approx(lut, rel=RESOURCES_WITHIN)
    assert found.resources.dsp == pytest.approx(dsp, rel=RESOURCES_WITHIN)
    assert found.resources.bram36 == bram36


@pytest.mark.parametrize(
    ("cycles", "counted", "figure"),
    [
        (TINY_CYCLES * 1.04, TINY_COUNTED, "cycles"),
        (TINY_CYCLES, replace(TINY_COUNTED, lut=5000), "lut"),
        (TINY_CYCLES, replace(TINY_COUNTED, dsp=90), "dsp"),
    ],
)
def test_an_estimate_that_is_off_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cycles: float,
    counted: Counted,
    figure: str,
):
    stand_ins(monkeypatch, cycles, counted)
    result = compared(tmp_path)
    assert result["passed"] is False
    beyond = [name for name, most in result["within"].items() if result["worst"][name] > most]
    assert beyond == [figure]


def test_the_command_writes_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    stand_ins(monkeypatch, TINY_CYCLES, TINY_COUNTED)
    arguments = ["bench", "estimate", "--only", TINY.name, "--build", str(tmp_path)]
    assert fdht.main([*arguments, "--json", "--output", str(tmp_path / "out")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "out" / "estimate.json").read_text()) == result
    lines = (tmp_path / "out" / "estimate.md").read_text().splitlines()
    assert lines[0].startswith("| plan | inputs | H | cycles: estimated")
    assert lines[1].count("|") == lines[0].count("|") == lines[2].count("|")
    assert lines[2].startswith("| fdht-tiny | 128 | 8 |")
    assert fdht.main(arguments) == 0
    assert "fdht-tiny" in capsys.readouterr().out
    assert fdht.main([*arguments[:2], "--only", "none", "--build", str(tmp_path)]) == 2
    assert "only: names no plan" in capsys.readouterr().err


def test_ten_plans_that_differ():
    designs = [plan for plan in PLANS if plan.shape]
    assert len(designs) >= 10 and PLANS[0] == Plan("default", None)
    assert len({plan.name for plan in PLANS}) == len(PLANS)
    assert {plan.shape.cell for plan in designs} == {"lstm", "gru"}
    assert len({plan.shape.format.name for plan in designs}) >= 6
    assert {plan.port_bytes for plan in designs} == {8, 16, 32}
    assert {kind for plan in designs for kind in plan.multipliers} == {"dsp", "lut"}
    schedules = [plan.design(no_networks, no_tuner).plan.schedule for plan in designs]
    kinds = {stage.weights for schedule in schedules for stage in schedule.stages}
    assert kinds == {"constant", "loadable", "adders"}
    assert {stage.vectors for schedule in schedules for stage in schedule.stages} >= {1, 2}


@pytest.mark.parametrize(
    ("name", "port_bytes", "simulated", "limited_by", "recurrent"),
    [
        ("B", 8, 7200, "memory port", 1328),
        ("C", 16, 3600, "memory port", 823),
        ("B", 32, 1800, "memory port", 1328),
        ("C", 32, 1800, "memory port", 823),
    ],
)
def test_full_size_cycles(
    name: str, port_bytes: int, simulated: int, limited_by: str, recurrent: int
):
    """Beside what the whole core took in a simulation; its recurrent latency is an upper bound."""
    network = random_network(name, STUDY[name])
    schedule = default_schedule(network.recurrence, port_bytes)
    found = estimate_rtl(lower(network, schedule, port_bytes))
    assert found.cycles_per_frame == pytest.approx(simulated, rel=0.001)
    assert found.limited_by == limited_by
    assert 0.6 * recurrent < found.recurrent_latency_cycles <= recurrent


def test_a_stage_that_is_slower_than_the_port_is_named():
    network = random_network("A0", STUDY["A0"])
    own = default_schedule(network.recurrence, 8)
    fast = replace(own.input[1], vector=4, outputs=16)
    found = estimate_rtl(lower(network, Schedule((own.input[0], fast, *own.input[2:]), own.hidden)))
    slow = replace(own.input[1], vector=1, outputs=1)
    slower = estimate_rtl(
        lower(network, Schedule((own.input[0], slow, *own.input[2:]), own.hidden))
    )
    assert slower.limited_by == "input.C3"
    assert slower.cycles_per_frame > found.cycles_per_frame
    assert slower.resources.dsp < found.resources.dsp


def test_few_rows_of_constants_have_few_columns():
    model = RtlModel()
    assert rom_parts(1, 500, model).lut == 0
    assert rom_parts(3, 500, model).lut == 8
    # What yosys counts for 32 x 100 and 128 x 40 random bits: a LUT for 64 rows of a column.
    assert rom_parts(32, 100, model).lut == 100
    assert rom_parts(128, 40, model).lut == 80
    assert rom_parts(256, 20, model).lut == 80


def test_constants_are_counted_on_their_contents():
    """Columns that are alike are made once, and those that never change not at all."""
    model, bits = RtlModel(), np.zeros((32, 6), np.int64)
    bits[::2, 1] = bits[::2, 2] = bits[::3, 3] = bits[:, 4] = 1
    assert rom_parts(32, 6, model, bits).lut == 2
    deep = np.zeros((256, 2), np.int64)
    deep[:64, 0] = np.arange(64) % 2
    assert rom_parts(256, 2, model, deep).lut == 1


def test_tables_become_block_ram_where_yosys_weighs_so():
    """A 64th of a bit for constants, whoever reads them; 129 for 18 kbit of block RAM."""
    model = RtlModel()
    assert rom_parts(1024, 10, model) == Resources(bram18=1)
    assert rom_parts(1024, 10, model, readers=2) == Resources(bram18=1)
    # Three readers would need two blocks: 160 against 258. yosys counted 597 LUTs, of which 515
    # hold constants.
    assert rom_parts(1024, 10, model, readers=3) == Resources(lut=510)
    assert rom_parts(4096, 10, model) == Resources(bram18=3)
    # With a port for writing: 8 for each RAM32M of 6 bits or RAM64M of 3.
    assert table_parts(32, 96, model) == Resources(lut=64)
    assert table_parts(512, 36, model) == Resources(bram18=1)
    assert table_parts(1, 6, model) == Resources(lut=4)


def test_weights_decide_what_constant_products_take():
    """Zeros in place of the first core's weights but for one bit: fewer adders."""
    network = random_network("tiny", TINY.shape)
    schedule = default_schedule(network.recurrence)
    first = replace(schedule.input[0], vector=8, outputs=4, multipliers="lut")
    schedule = replace(schedule, input=(first, *schedule.input[1:]))
    path = network.recurrence.input_path
    core = path.cores[0]
    array = network.recurrence.cores[core]
    simple = replace(array, codes=np.ones_like(array.codes))
    recurrence = replace(network.recurrence, cores={**network.recurrence.cores, core: simple})
    plain, full = (
        estimate_rtl(lower(one, schedule)).stages[0].resources.lut
        for one in (replace(network, recurrence=recurrence), network)
    )
    assert plain < 0.7 * full


@pytest.mark.slow
def test_all_plans_are_within_what_is_asked(tmp_path: Path):
    """Ten small plans for real: simulated and counted, which takes long."""
    small = [plan for plan in PLANS if plan.shape]
    result = bench_estimate(
        tmp_path, small, lambda name: named_network(name, tmp_path), no_tuner, quick=True
    )
    assert result["passed"], result["worst"]
