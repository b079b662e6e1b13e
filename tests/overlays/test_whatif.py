"""Estimates of experiments against boards."""

from __future__ import annotations

import pytest

from fdht_hls.boards import get_board
from fdht_hls.tuner.board_plan import tuned
from fdht_hls.tuner.budget import SHARES, board_budget
from fdht_hls.tuner.untrained import untrained_network
from fdht_models.errors import ConfigError
from fdht_models.experiment import load_experiment
from fdht_overlays.whatif import draw, table, what_if, zoo_names

BOARDS = [get_board(name) for name in ("pynq-z2", "kv260")]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    names = ["motion", "motion-dense-lstm", "tie-ucf11"]
    return what_if(names, BOARDS, tmp_path_factory.mktemp("build"))


def test_a_row_for_each(rows):
    assert [(row.experiment, row.board) for row in rows] == [
        (name, board.name)
        for name in ("motion", "motion-dense-lstm", "tie-ucf11")
        for board in BOARDS
    ]
    assert {row.kind for row in rows} == {"estimated"}
    assert {row.source for row in rows[:4]} == {"declared widths, not trained"}


def test_what_fits_keeps_its_shares_and_runs_at_the_boards_clock(rows):
    for row, board in zip(rows[:2], BOARDS, strict=True):
        assert row.fits and all(row.used[name] <= SHARES[name] for name in SHARES)
        assert row.frames_per_second == pytest.approx(board.clock_mhz * 1e6 / row.cycles)
        assert 0 < row.memory_share < 1
    small, large = rows[:2]
    # Twice the clock and more to work with.
    assert large.frames_per_second >= 2 * small.frames_per_second
    assert small.limiting == large.limiting == "read frame"


def test_what_does_not_fit_says_which_resource(rows):
    for row in rows[2:4]:
        assert not row.fits and row.frames_per_second is None
        taken, _, rest = row.limiting.partition(" of ")
        allowed, name = rest.split()
        assert row.used[name.lower()] > SHARES[name.lower()]
        assert float(taken.replace(",", "")) > float(allowed.replace(",", ""))


def test_what_is_no_recurrent_network_says_so(rows):
    assert {row.note for row in rows[4:]} == {"no recurrence"}
    assert not any(row.fits for row in rows[4:])


def test_the_table_has_a_line_each_and_says_that_it_estimates(rows):
    made = table(rows)
    assert made.row_count == 3 and len(made.columns) == 3
    assert "estimated; nothing was built" in str(made.title)
    cells = list(made.columns[1].cells)
    assert (
        "(read frame)" in cells[0] and cells[1].startswith("no: ") and cells[2] == "no recurrence"
    )


def test_equal_rows_draw_equal_pictures(rows, tmp_path):
    for name in ("a.svg", "b.svg"):
        draw(rows, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    draw(rows, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"must end in .svg, .png or .pdf"):
        draw(rows, tmp_path / "a.txt")


def test_a_trained_network_is_preferred(tmp_path):
    from tests.overlays.sample_network import sample_network

    (tmp_path / "motion" / "model").mkdir(parents=True)
    sample_network("motion").save(tmp_path / "motion" / "model" / "network.json")
    (row,) = what_if(["motion"], BOARDS[:1], tmp_path)
    assert row.source == "trained network" and row.cycles < 1000


def test_the_core_in_rtl_is_asked_of_its_own_model_and_at_the_clock_that_is_given(rows, tmp_path):
    (row,) = what_if(["motion"], BOARDS[:1], tmp_path, "rtl", clock_mhz=50.0)
    assert row.core == "rtl" and row.cycles == 7200
    assert row.frames_per_second == 50e6 / 7200 and row.clock_mhz == 50
    # Boards have clocks of their own, so each column says which.
    headers = [[str(one.header) for one in table(some).columns][1:] for some in ([row], rows)]
    clocks = [f"{board.name}\nat {board.clock_mhz:g} MHz" for board in BOARDS]
    assert headers == [["pynq-z2\nat 50 MHz"], clocks]
    assert row.used["ff"] is None and row.used["lut"] > 0
    assert row.model != rows[0].model and "yosys" in row.model


def test_a_row_is_what_the_tuner_chooses(rows):
    network = untrained_network(load_experiment("motion"))
    tuning = tuned(network, board_budget(BOARDS[0]))
    assert rows[0].frames_per_second == tuning.row(tuning.chosen)["frames_per_second"]
    assert rows[0].cycles == tuning.chosen.cycles


def test_an_unknown_experiment_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'moton'"):
        what_if(["moton"], BOARDS, tmp_path)


def test_every_experiment_of_the_zoo_is_named():
    assert {"motion", "ucf11-fdht-lstm", "watch"} <= set(zoo_names())


@pytest.mark.slow
def test_the_whole_zoo_on_all_boards(tmp_path):
    found = what_if(zoo_names(), BOARDS, tmp_path)
    assert len(found) == 2 * len(zoo_names())
    assert any(row.fits for row in found) and not all(row.fits for row in found)
