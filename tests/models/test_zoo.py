"""The listing of experiments, and the checkpoints that ship."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from fdht_models import zoo
from fdht_models.experiment import checkpoint_path, experiment_names, load_experiment
from fdht_models.zoo import row, rows, table
from tests.models.training_samples import small_experiment


def test_there_is_a_row_for_each_experiment() -> None:
    found = rows()
    assert [one["name"] for one in found] == list(experiment_names())
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_counts_of_a_small_experiment_are_those_done_by_hand() -> None:
    found = row(small_experiment())
    # Leaves 6x4x4, 5x4x4, 6x4x4; B2_3 or B1_2 4x4x4; the root joins leaf and inner rank.
    matrix = 6 * 4 * 4 + 5 * 4 * 4 + 6 * 4 * 4 + 4 * 4 * 4 + 4 * 4
    assert found["parameters_matrix"] == matrix
    assert found["parameters_lstm"] == matrix + 64
    assert found["dense_matrix"] == 64 * (150 + 16)
    assert found["dense_lstm"] == 64 * (150 + 16 + 1)
    assert found["ratio_matrix"] == pytest.approx(64 * 166 / matrix)
    assert found["ratio_lstm"] == pytest.approx(64 * 167 / (matrix + 64))
    assert found["hidden_units"] == 16
    assert found["ranks"] == {"leaf_rank": 4, "inner_rank": 4}
    assert (found["format"], found["cell"]) == ("fdht", "lstm")
    assert found["published_parameters"] is None
    assert found["checkpoint"] is False


def test_a_published_figure_is_shown_beside_ours() -> None:
    table_of = small_experiment().to_json()
    published = {"parameters": 1234, "source": "a paper, table 2"}
    found = row(type(small_experiment()).from_json({**table_of, "published": published}))
    assert found["published_parameters"] == 1234
    assert found["published_source"] == "a paper, table 2"


def test_the_table_shows_every_experiment() -> None:
    stream = io.StringIO()
    Console(file=stream, width=80).print(table(rows()))
    for one in rows():
        assert one["name"] in stream.getvalue()
        for key in ("parameters_matrix", "parameters_lstm", "macs", "constants"):
            assert f"{one[key]:,}" in stream.getvalue(), key


def test_the_listing_needs_no_tensorflow() -> None:
    code = "import sys, fdht_models.zoo as z; z.rows(); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize("name", ["motion", "motion-no-dead-zone", "watch"])
def test_shipped_checkpoints_are_of_the_shipped_recipes(name: str) -> None:
    from fdht_models.training import load_checkpoint
    from fdht_models.training.models import quantized_classifier, set_weights

    experiment = load_experiment(name)
    assert checkpoint_path(name).stat().st_size < 200_000
    kept = load_checkpoint(experiment)
    model = quantized_classifier(experiment, kept.formats, steps=experiment.steps)
    set_weights(model, kept.quantized_weights, name)


#: Counts and multiply-accumulates that were read in the papers, or recomputed from their shapes.
PUBLISHED = {
    "ucf11-tt-lstm": (3360, 1_937_408),
    "ucf11-tt-gru": (3232, None),
    "ytc-tt-lstm": (3392, 1_429_504),
    "ytc-tt-gru": (3328, None),
    "hollywood2-tt-lstm": (3104, None),
    "hollywood2-tt-gru": (2944, None),
    "ucf11-tt-gate-rank3": (1752, None),
    "ucf11-tt-gate-rank5": (4520, None),
    "ucf11-tt-lstm-rank3": (2040, None),
    "ucf11-tt-lstm-rank5": (5000, None),
    "ucf11-tt-gru-rank3": (1944, None),
    "ucf11-tt-gru-rank5": (4840, None),
    "ucf11-bt-lstm": (3392, None),
    "ucf11-bt-lstm-rank1": (722, None),
    "ucf11-bt-lstm-rank2": (1472, None),
    "ucf11-tr-lstm": (1725, None),
    "ucf11-ht-lstm": (1245, None),
    "ucf11-kcp-lstm": (212, None),
    "features-fdht-lstm": (3132, None),
    "tie-ucf11": (2976, 1_912_832),
    "tie-youtube": (3200, 1_417_216),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts_come_out(name: str) -> None:
    found = row(load_experiment(name))
    parameters, macs = PUBLISHED[name]
    assert found["parameters_matrix"] == found["published_parameters"] == parameters
    if macs is not None:
        assert found["macs"] == found["published_macs"] == macs


def test_published_ratios_come_out() -> None:
    """17,388 times is what the paper on BT rounds down; 223 times is left of it with W_h dense."""
    found = row(load_experiment("ucf11-bt-lstm"))
    assert int(found["ratio_matrix"]) == 17_388
    assert round(found["ratio_lstm"]) == 222
    assert int(row(load_experiment("ucf11-tr-lstm"))["ratio_matrix"]) == 34_192
    assert int(row(load_experiment("ucf11-ht-lstm"))["ratio_matrix"]) == 47_375
    assert int(row(load_experiment("ucf11-kcp-lstm"))["ratio_matrix"]) == 278_218
    assert int(row(load_experiment("features-fdht-lstm"))["ratio_matrix"]) == 10_713


def test_plans_are_never_worse_than_the_listed_order() -> None:
    for one in rows():
        assert one["macs"] <= one["macs_naive"], one["name"]


def test_figures_that_are_kept_are_those_that_are_counted() -> None:
    """If not: python -c "from fdht_models.zoo import write_figures; write_figures()"."""
    kept = json.loads(zoo._FIGURES.read_text())
    assert kept["digest"] == zoo._digest()
    assert rows() == zoo.count_rows()


def test_figures_of_other_files_are_counted(monkeypatch, tmp_path) -> None:
    kept = json.loads(zoo._FIGURES.read_text())
    kept["rows"][0]["macs"] += 1
    (tmp_path / "figures.json").write_text(json.dumps(kept))
    monkeypatch.setattr(zoo, "_FIGURES", tmp_path / "figures.json")
    counted = zoo.count_rows()
    assert rows() != counted
    (tmp_path / "figures.json").write_text(json.dumps({**kept, "digest": "of other files"}))
    assert rows() == counted
    (tmp_path / "figures.json").unlink()
    assert rows() == counted
