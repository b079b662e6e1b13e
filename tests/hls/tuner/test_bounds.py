"""Networks too large to try everything: an answer in bounded time, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest

import fdht
from fdht_hls.boards import get_board
from fdht_hls.engine import design_engine
from fdht_hls.estimate import CoreModel
from fdht_hls.schedule import check_schedule
from fdht_hls.solver import Solution, solve
from fdht_hls.tuner import search as searching
from fdht_hls.tuner.budget import board_budget
from fdht_hls.tuner.report import lines
from fdht_hls.tuner.search import Design, Effort, Limits, search
from fdht_hls.tuner.tune import tune
from fdht_hls.tuner.untrained import network_of
from fdht_hls.tuner.written import result_json
from fdht_models.errors import ConfigError, ToolError
from fdht_models.sections import QuantizationSettings
from fdht_models.tensor.fixedpoint import Codes, FixedPoint
from fdht_models.tensor.formats import TensorTrain
from fdht_models.tensor.recurrent import RecurrentShape, fdht_shape
from tests.hls.random_networks import random_network

SMALL = fdht_shape((2, 3, 8), (8, 2, 2), (2, 2, 2), 2, 2)
#: With a dense W_h of 32 x 128 = 4,096 weights.
LARGE = RecurrentShape(TensorTrain((2, 2)), (4, 4, 8), (16, 4, 2), None, "lstm")
SLOW = Limits(100_000)


def core_of(shape: RecurrentShape) -> CoreModel:
    return CoreModel(design_engine(network_of("x", shape, QuantizationSettings(), ("a",))))


def objectives(designs: list[Design]) -> list[tuple[int, ...]]:
    return [design.objectives for design in designs]


def test_pieces_of_a_join_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch):
    core = core_of(SMALL)
    whole = search(core, SLOW)
    monkeypatch.setattr(searching, "_ROWS", 16)
    assert objectives(search(core, SLOW)) == objectives(whole)


@pytest.mark.parametrize(
    ("name", "most", "said"),
    [("MOST_COMBINATIONS", 30, "some paces of input."), ("MOST_KEPT", 12, "more than 12")],
)
def test_what_is_thinned_out_is_named_and_what_is_found_is_right(
    monkeypatch: pytest.MonkeyPatch, name: str, most: int, said: str
):
    core = core_of(SMALL)
    exact, effort = Effort(), Effort()
    every = search(core, SLOW, exact)
    assert exact.left_out == []
    monkeypatch.setattr(searching, name, most)
    some = search(core, SLOW, effort)
    assert len(some) > 0 and any(said in text for text in effort.left_out)
    for design in some:
        check_schedule(core.design.cell.recurrence, design.schedule)
        found = core.estimate(design.schedule)
        assert (found.cycles_per_frame, found.resources) == (design.cycles, design.resources)
        assert any(
            all(a <= b for a, b in zip(one.objectives[1:], design.objectives[1:], strict=True))
            for one in every
        )
    # What takes least is still there: nobody is told that nothing fits where something does.
    assert min(one.resources.dsp for one in some) == min(one.resources.dsp for one in every)


def test_a_search_that_takes_too_long_ends_with_one_line():
    with pytest.raises(ConfigError, match=r"time-limit = 0: was over before .*; allow more"):
        search(core_of(SMALL), SLOW, Effort(0))


def test_a_large_dense_stage_is_tuned_without_adders_and_says_so(monkeypatch: pytest.MonkeyPatch):
    def only_small(kernel: Codes, source: FixedPoint) -> Solution:
        assert kernel.size < 100
        return solve(kernel, source)

    monkeypatch.setattr("fdht_hls.adders.solve", only_small)
    core = CoreModel(design_engine(random_network(1, LARGE)))
    tuning = tune(core, board_budget(get_board("zcu104")))
    (text,) = [text for text in tuning.left_out if "hidden" in text]
    assert text.startswith("adders for hidden.H: they are made for at most 2,048 weights")
    assert all(stage.weights == "constant" for stage in tuning.chosen.schedule.hidden)
    assert result_json(tuning, "trained")["left_out"] == list(tuning.left_out)
    assert f"not considered: {text}" in list(lines(tuning, "trained"))


def test_a_stage_whose_adders_da4ml_does_not_find_has_multipliers(monkeypatch: pytest.MonkeyPatch):
    def fail(kernel: np.ndarray, source: object) -> None:
        raise ToolError("needs more than 3 GB of memory", field="da4ml", remedy="use constant")

    monkeypatch.setattr("fdht_hls.adders.solve", fail)
    core = CoreModel(design_engine(random_network(23, SMALL)))
    tuning = tune(core, board_budget(get_board("pynq-z2")))
    assert "adders for input.C3: da4ml: needs more than 3 GB of memory; use constant" in (
        tuning.left_out
    )
    assert "adders" not in {stage.weights for stage in tuning.chosen.schedule.stages}


def test_networks_of_many_stages_end(tmp_path, capsys):
    """24 million combinations of paces for W_x alone; it ran for as long as one waited."""
    arguments = ["tune", "motion-tucker-lstm", "--build", str(tmp_path), "--time-limit", "300"]
    assert fdht.main([*arguments, "--frames-per-second", "13600"]) == 0
    assert "not considered: some paces of input.G" in capsys.readouterr().out
