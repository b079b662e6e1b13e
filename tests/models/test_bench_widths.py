"""`fdht bench widths`: rows, choice, what is kept, and that narrow widths do cost accuracy."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from fdht_models.benchmarks import widths
from fdht_models.benchmarks.widths import Sweep, markdown, sweep_widths, table, write_sweep
from fdht_models.errors import ConfigError, NumericError
from fdht_models.experiment import load_experiment

GROUPS = {"cores": (("cores",), (10, 2)), "hidden": (("hidden",), (10, 9))}
SWEEP = Sweep(steps=0, test_clips=70, tolerance=0.05)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    directory = tmp_path_factory.mktemp("widths")
    return directory, sweep_widths(load_experiment("watch"), directory, SWEEP, None, GROUPS)


def test_each_width_is_narrowed_alone_and_the_choice_follows(swept):
    _, result = swept
    assert result["kind"] == "measured"
    found = {(row["group"], row["width"]): row for row in result["rows"]}
    assert set(found) == {("cores", 10), ("cores", 2), ("hidden", 10), ("hidden", 9)}
    top = result["widest"]["accuracy"]
    assert result["widest"]["widths"] == {"cores": 10, "hidden": 10}
    assert top > 0.7
    assert abs(result["float"] - top) < 0.1
    assert found["cores", 2]["loss"] > 0.2, "two bits cannot hold a trained core"
    assert found["hidden", 9]["loss"] == top - found["hidden", 9]["accuracy"] <= 0.05
    assert result["chosen"]["widths"] == {"cores": 10, "hidden": 9}
    assert result["chosen"]["accuracy"] == found["hidden", 9]["accuracy"]
    assert result["own"]["widths"] == {"cores": 8, "hidden": 8}


def test_scores_are_kept(swept, monkeypatch):
    directory, result = swept
    monkeypatch.setattr(widths, "requantized", lambda *_: pytest.fail("trained once more"))
    monkeypatch.setattr(widths, "logits_of", lambda *_: pytest.fail("scored once more"))
    again = sweep_widths(load_experiment("watch"), directory, SWEEP, None, GROUPS)
    assert again == result


def test_formats_that_do_not_fit_are_a_row_without_result(tmp_path, monkeypatch):
    def refuse(experiment, *_):
        raise NumericError("does not fit", field="cores", value=experiment.quantization.cores)

    monkeypatch.setattr(widths, "requantized", refuse)
    monkeypatch.setattr(widths, "logits_of", lambda *_: pytest.fail("there is no model"))
    monkeypatch.setattr(widths._Bench, "float_score", lambda _: 0.5)
    result = sweep_widths(load_experiment("watch"), tmp_path, SWEEP, None, GROUPS)
    assert all(row["accuracy"] is None and row["loss"] is None for row in result["rows"])
    assert "no result" in markdown(result)


def test_what_loses_too_much_together_is_widened_again(tmp_path, monkeypatch):
    """Alone, a bit less of `cores` costs 1 % and two of `hidden` nothing; together 5 %."""
    scores = {(8, 9): 0.90, (7, 9): 0.89, (8, 8): 0.90, (8, 7): 0.895, (7, 7): 0.85}

    def score(_, widths):
        return scores[widths["cores"], widths["hidden"]]

    monkeypatch.setattr(widths._Bench, "score", score)
    monkeypatch.setattr(widths._Bench, "float_score", lambda _: 0.9)
    monkeypatch.setattr(widths, "_own", lambda settings, key: {"cores": 8, "hidden": 9}[key])
    groups = {"cores": (("cores",), (8, 7)), "hidden": (("hidden",), (9, 8, 7))}
    sweep = Sweep(steps=0, test_clips=70, tolerance=0.011)
    result = sweep_widths(load_experiment("watch"), tmp_path, sweep, None, groups)
    assert result["chosen"] == {"widths": {"cores": 8, "hidden": 7}, "accuracy": 0.895}


def test_the_page_shows_every_row(swept, tmp_path):
    _, result = swept
    write_sweep(result, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "widths.json").read_text()) == result
    page = (tmp_path / "out" / "widths.md").read_text()
    shown = io.StringIO()
    Console(file=shown, width=200).print(table(result))
    for text in (page, shown.getvalue()):
        for row in result["rows"]:
            assert f"{row['accuracy']:.1%}" in text
        assert "cores 2" in text
        assert "chosen: cores 10, hidden 9" in text
    assert "measured on 70 clips" in page


def test_refusals(tmp_path):
    with pytest.raises(ConfigError, match="test_clips"):
        Sweep(test_clips=0)
    with pytest.raises(ConfigError, match="no checkpoint ships"):
        sweep_widths(load_experiment("motion-tt-lstm"), tmp_path)
