"""Choosing, refusing with what would fit, and what is written."""

from __future__ import annotations

import json
import re
import sys

import pytest

from fdht_hls.engine import design_engine, lower
from fdht_hls.estimate import Assumptions, CoreModel, estimate
from fdht_hls.schedule import Schedule, check_schedule
from fdht_hls.tuner.budget import SHARES, Budget, parse_shares
from fdht_hls.tuner.report import design_table, front_table, lines, some_of
from fdht_hls.tuner.tune import Tuning, possible_paces, tune
from fdht_hls.tuner.untrained import network_of, untrained_network
from fdht_hls.tuner.written import (
    DECLARED,
    TRAINED,
    network_to_tune,
    plot_front,
    result_json,
    write_tuning,
)
from fdht_models.artifacts import read_json
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ConfigError, NumericError
from fdht_models.experiment import load_experiment
from fdht_models.sections import QuantizationSettings
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.test_shapes import STUDY
from tests.models.format_cases import SHAPES
from tests.models.strategies import Widths, build_network

ZYNQ = Budget("pynq-z2", 53_200, 106_400, 220, 140, 100.0)
SMALL = fdht_shape((4, 4, 8), (8, 2, 2), (2, 4), 2, 2)


@pytest.fixture(scope="module")
def small() -> CoreModel:
    return CoreModel(design_engine(build_network(SMALL)))


@pytest.fixture(scope="module")
def tuning(small: CoreModel) -> Tuning:
    return tune(small, ZYNQ)


def test_configuration_b_meets_its_pace_on_a_zynq_7020():
    """Issue: at most 7,350 clocks a frame within 60 % LUT, 75 % DSP and 25 % block RAM."""
    widths = QuantizationSettings()
    network = network_of("b", STUDY["B"][0], widths, tuple("abcdefghijk"))
    core = CoreModel(design_engine(network, 8), ZYNQ.model)
    found = tune(core, ZYNQ, frames_per_second=ZYNQ.rate_at(7350)).chosen
    assert found.cycles == 7240
    assert found.resources.dsp <= 165 and found.resources.lut <= 31_920
    assert found.resources.bram36 <= 35


@pytest.mark.parametrize("name", STUDY)
def test_results_of_the_study_s_configurations_are_prompt(name):
    """Issue: 650 clocks from the last pixel to the result, at the pace of one port."""
    network = network_of(name.lower(), STUDY[name][0], QuantizationSettings(), tuple("abcdefghijk"))
    found = estimate(lower(network))
    assert found.cycles_per_frame == 7240
    assert found.fill_latency_cycles <= 650


def test_of_the_fastest_the_cheapest_is_chosen(small, tuning):
    fastest = tuning.chosen
    alike = [design for design in tuning.front if design.cycles <= tuning.limits.cycles]
    paces = possible_paces(small)
    assert fastest in alike
    assert tuning.limits.cycles == next(one for one in paces if one >= tuning.front[0].cycles)
    assert ZYNQ.demand(fastest.resources) == min(ZYNQ.demand(one.resources) for one in alike)
    paced = tune(small, ZYNQ, frames_per_second=ZYNQ.rate_at(20 * fastest.cycles))
    assert ZYNQ.demand(paced.chosen.resources) < ZYNQ.demand(fastest.resources)
    assert paced.chosen.cycles <= 20 * fastest.cycles


def test_the_front_is_one(tuning):
    rows = [design.objectives for design in tuning.front]
    assert len(rows) == len(set(rows)) > 1
    for row in rows:
        assert not any(
            other != row and all(a <= b for a, b in zip(other, row, strict=True)) for other in rows
        )
    assert tuning.chosen in tuning.front


def test_a_smaller_budget_never_gives_a_faster_design(small):
    latencies = []
    for share in ("1.0", "0.5", "0.3"):
        budget = Budget("z", 53_200, 106_400, 220, 140, 100.0, shares=parse_shares(share))
        found = tune(small, budget).chosen
        assert budget.strain(found.resources) <= 1
        latencies.append((found.cycles, found.latency))
    assert latencies == sorted(latencies)


# Refusals: the limit, the process, what would fit ------------------------------------------------


def test_a_rate_beyond_the_port_names_the_reader(small):
    with pytest.raises(ConfigError) as caught:
        tune(small, ZYNQ, frames_per_second=2e6)
    assert caught.value.field == "frames-per-second"
    text = str(caught.value)
    assert "allows 50 clocks a frame on pynq-z2" in text and "read frame takes 56" in text
    fits = float(re.search(r"([\d,]+) frames/s at 100 MHz would fit", text)[1].replace(",", ""))
    assert fits == pytest.approx(1e8 / 56, rel=1e-3)


def test_a_budget_that_nothing_meets_names_process_and_share(small):
    least = Budget("z", 53_200, 106_400, 220, 140, 100.0, shares=parse_shares("lut=0.05"))
    with pytest.raises(ConfigError) as caught:
        tune(small, least, frames_per_second=20_000)
    text = str(caught.value)
    assert "2,660 are allowed" in text and "lut" in text
    share = float(re.search(r"--budget lut=([\d.]+)", text)[1])
    enough = Budget("z", 53_200, 106_400, 220, 140, 100.0, shares=parse_shares(f"lut={share}"))
    assert tune(small, enough, frames_per_second=20_000).chosen


def test_what_would_fit_does_fit():
    network = network_of("b", STUDY["B"][0], QuantizationSettings(), tuple("abcdefghijk"))
    core = CoreModel(design_engine(network, 8), ZYNQ.model)
    little = Budget("z", 53_200, 106_400, 220, 140, 100.0, shares=parse_shares("lut=0.3,dsp=0.3"))
    with pytest.raises(ConfigError) as caught:
        tune(core, little, frames_per_second=13_600)
    fits = float(re.search(r"([\d,]+) frames/s at 100 MHz", str(caught.value))[1].replace(",", ""))
    assert tune(core, little, frames_per_second=fits - 1).chosen


def test_a_latency_that_nothing_has_says_what_takes_longest(small):
    with pytest.raises(ConfigError) as caught:
        tune(small, ZYNQ, latency=20)
    allowed = int(re.search(r"allow ([\d,]+) clocks", str(caught.value))[1].replace(",", ""))
    assert tune(small, ZYNQ, latency=allowed).chosen.latency == allowed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2", "budget = '2': must be a part of the device"),
        ("x", "must be a part of the device"),
        ("lut=0", "budget lut = '0'"),
        ("luts=0.5", "did you mean 'lut'"),
        ("lut=0.5,dsp=0.5,lut=0.6", "budget = 'lut': is given twice; name it once"),
    ],
)
def test_shares_that_are_none(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_shares(text)


def test_shares():
    assert parse_shares(None) == SHARES
    assert set(parse_shares("0.5").values()) == {0.5}
    assert parse_shares("dsp=0.9") == {**SHARES, "dsp": 0.9}


@pytest.mark.parametrize("rate", [0, -1, float("nan"), 2e8])
def test_rates_that_are_none(rate):
    with pytest.raises(ConfigError, match="frames-per-second"):
        ZYNQ.cycles_at(rate)


def test_an_unknown_family_has_no_coefficients():
    with pytest.raises(ConfigError, match="no resource model; did you mean 'zynqmp'"):
        _ = Budget("x", 1, 1, 1, 1, 1.0, family="zynqmps").model


# Untrained networks ------------------------------------------------------------------------------


def test_widths_that_overflow_an_accumulator_name_the_stage_and_what_fits():
    shape = fdht_shape((4, 40, 8), (8, 2, 2), (2, 4), 8, 8)
    with pytest.raises(NumericError) as caught:
        network_of("w", shape, QuantizationSettings(cores=24, intermediates=24), ("a",))
    text = str(caught.value)
    assert "stage W_x C2: sums 320 products of 24 and 24 bits" in text
    assert "an accumulator has 48" in text
    narrower = int(re.search(r"core C2 of (\d+) bits", text)[1])
    widths = QuantizationSettings(
        cores={"default": 24, "C2": narrower, "C1": narrower, "C1_hidden": narrower},
        intermediates=24,
    )
    assert network_of("w", shape, widths, ("a",))


@pytest.mark.parametrize("label", SHAPES)
def test_every_shape_has_an_untrained_network(label):
    network = network_of("any", SHAPES[label], QuantizationSettings(), ("a", "b"))
    trained = estimate(
        lower(build_network(SHAPES[label], widths=Widths(8, 12, 12, 10, 10, 12, 8, 8)))
    )
    found = estimate(lower(network))
    assert found.cycles_per_frame == trained.cycles_per_frame
    # Binary points differ, and with them the widths of the cell's sums.
    assert found.resources.dsp == pytest.approx(trained.resources.dsp, abs=2)
    assert found.resources.lut == pytest.approx(trained.resources.lut, rel=0.1)


def test_the_untrained_network_has_the_experiment_s_widths():
    network = untrained_network(load_experiment("motion"))
    assert network.recurrence.inputs == 57_600 and network.recurrence.units == 128
    assert {core.format.width for core in network.recurrence.cores.values()} == {7}
    assert {form.width for form in network.recurrence.input_path.formats} == {10}


def test_a_trained_network_is_preferred(tmp_path):
    recipe = load_experiment("motion")
    assert network_to_tune(BuildDirectory(tmp_path).model, recipe)[1] == DECLARED
    (tmp_path / "model").mkdir()
    build_network(SMALL, name="trained").save(tmp_path / "model" / "network.json")
    network, source = network_to_tune(BuildDirectory(tmp_path).model, recipe)
    assert (network.name, source) == ("trained", TRAINED)


# Output ------------------------------------------------------------------------------------------


def test_what_is_written(tmp_path, tuning):
    result = result_json(tuning, DECLARED)
    write_tuning(BuildDirectory(tmp_path).tuning("pynq-z2"), tuning, result)
    written = tmp_path / "tune" / "pynq-z2"
    names = {path.name for path in written.iterdir()}
    assert names == {"schedule.json", "front.json", "front.svg", "estimate.json", "manifest.json"}
    schedule = Schedule.from_json(read_json(written / "schedule.json"))
    check_schedule(tuning.core.design.cell.recurrence, schedule)
    assert schedule == tuning.chosen.schedule
    front = read_json(written / "front.json")
    assert front == json.loads(json.dumps(result)) and front["kind"] == "estimated"
    assert [row["chosen"] for row in front["front"]].count(True) == 1
    assert front["budget"]["limits"]["dsp"] == 165


def test_the_plot_is_the_same_every_time_and_may_be_missing(tuning, monkeypatch):
    picture = plot_front(tuning)
    assert picture is not None and b"<svg" in picture and picture == plot_front(tuning)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plot_front(tuning) is None


def test_tables_name_every_process_and_the_chosen_design(tuning):
    assert front_table(tuning).row_count == len(some_of(tuning.front, tuning.chosen))
    names, clocks = ([*column.cells] for column in design_table(tuning).columns[:2])
    assert names == [stage.name for stage in tuning.estimate.stages]
    blank = {name for name, text in zip(names, clocks, strict=True) if not text}
    assert blank == {"registers"}
    assert len(some_of(tuning.front, tuning.chosen, 2)) <= 3
    assert tuning.chosen in some_of(tuning.front, tuning.chosen, 2)


def test_what_is_assumed_is_said(small):
    core = CoreModel(small.design, engine=Assumptions(int8_pairs=True))
    wide = Budget("z", 53_200, 106_400, 220, 140, 100.0, port_bytes=16)
    text = "\n".join(lines(tune(core, wide), TRAINED))
    assert text.count("not what today's kernels do") == 2
