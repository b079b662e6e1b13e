"""Other shapes: they hold a frame, keep the budget of parameters, and are experiments."""

from __future__ import annotations

import math
import sys

import pytest

from fdht_hls.estimate import Assumptions
from fdht_hls.tuner.budget import Budget
from fdht_hls.tuner.explore import exploration_table, explore, write_exploration
from fdht_hls.tuner.factorisations import (
    hidden_box,
    input_factorisations,
    output_factorisations,
    with_modes,
)
from fdht_models.artifacts import read_json
from fdht_models.directories import ExplorationDirectory
from fdht_models.errors import ConfigError
from fdht_models.experiment import load_experiment

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ZYNQ = Budget("pynq-z2", 53_200, 106_400, 220, 140, 100.0)


def test_frames_are_cut_along_rows_and_columns():
    found = input_factorisations(load_experiment("motion"))
    assert found[0] == (10, 12, 20, 24) and len(found) == len(set(found)) > 10
    for modes in found:
        assert math.prod(modes) == 57_600 and modes[-1] % 8 == 0
        rows = [math.prod(modes[:count]) for count in range(1, 4)]
        assert 120 in rows, "one mode or more for the rows"


def test_gates_are_in_the_first_output_mode():
    shape = load_experiment("motion").shape
    for modes in output_factorisations(shape, 2):
        assert math.prod(modes) == 512 and modes[0] % 4 == 0 and modes[-1] >= 2


def test_boxes_of_hidden_units():
    assert hidden_box(128, (10, 12, 20, 24)) == (4, 4, 8)
    assert hidden_box(7, (3, 3, 3)) is None


def test_ranks_grow_as_far_as_the_parameters_allow():
    model = load_experiment("motion").model
    small, large = (
        with_modes(model, model.input_modes, (16, 4, 4, 2), most) for most in (4500, 9000)
    )
    assert small is not None and large is not None
    assert small.shape.parameter_count <= 4500 < large.shape.parameter_count <= 9000
    assert with_modes(model, model.input_modes, (16, 4, 4, 2), 10) is None


@pytest.mark.slow
def test_an_exploration_writes_experiments(tmp_path):
    found = explore(load_experiment("motion"), ZYNQ, Assumptions(), None, 650, None, 1)
    assert 0 < len(found.front) <= found.fitting <= found.tried
    written = tmp_path / "explore"
    write_exploration(ExplorationDirectory(written), found)
    assert read_json(written / "front.json")["trained"] is False
    assert exploration_table(found).row_count == len(found.front)
    table = tomllib.loads((written / "1.toml").read_text())
    assert math.prod(table["model"]["input_modes"]) == 57_600
    assert "not trained" in (written / "1.toml").read_text()
    for candidate in found.front:
        assert candidate.parameters <= load_experiment("motion").shape.parameter_count
        assert candidate.design is not None and candidate.design.latency <= 650


def test_too_few_parameters_are_refused():
    with pytest.raises(ConfigError, match="parameters = 10: no shape of this experiment's format"):
        explore(load_experiment("motion"), ZYNQ, Assumptions(), parameters=10)
